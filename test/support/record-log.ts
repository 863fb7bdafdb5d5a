/** A log that the test looks at. */
import type { Log } from '../../src/base/log.ts';

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields: Record<string, unknown>;
}

/** The few methods of pino that a run calls. */
export function recordTo(lines: LogLine[]): Log {
  const record = (level: LogLine['level']) => (first: unknown, second?: unknown) => {
    const fields = typeof first === 'string' ? {} : (first as Record<string, unknown>);
    lines.push({ level, message: String(typeof first === 'string' ? first : second), fields });
  };
  const recorder = {
    info: record('info'),
    warn: record('warn'),
    error: record('error'),
    debug: record('debug'),
    child: () => recorder,
  };
  return recorder as unknown as Log;
}
