/** A log that the test looks at. */
import type { Log } from '../../src/base/log.ts';

export interface LogLine {
  message: string;
  fields: Record<string, unknown>;
}

/** The few methods of pino that a run calls. */
export function recordTo(lines: LogLine[]): Log {
  const record = (first: unknown, second?: unknown): void => {
    const fields = typeof first === 'string' ? {} : (first as Record<string, unknown>);
    lines.push({ message: String(typeof first === 'string' ? first : second), fields });
  };
  const recorder = { info: record, warn: record, error: record, debug: record, child: () => recorder };
  return recorder as unknown as Log;
}
