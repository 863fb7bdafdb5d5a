/** One look at a server, for `check --online`, which waits for none for ever. */
import { fail } from '../base/errors.ts';
import { within } from '../base/signals.ts';
import { formatDuration } from '../base/units.ts';
import type { SourceConfig } from '../config/schema.ts';
import { socketOf, withConnection, type Client } from '../postgres/connect.ts';

/** Each look at a source or an archive, and each step at a destination, is given up after that. */
export const LOOK_LIMIT_MS = 30_000;

/** Each look has a connection of its own, which is cut when it takes too long. */
export function lookWithin<T>(
  limitMs: number,
  { url }: Pick<SourceConfig, 'url'>,
  look: (client: Client, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const message = `it took more than ${formatDuration(limitMs)}, and was given up`;
  const late = (): Error => fail('timeout', { stage: 'connect', message, hint: LATE_SOURCE_HINT });
  return within(limitMs, late, (signal) =>
    withConnection(
      { url, applicationName: 'pgsluice check' },
      (client) => {
        signal.addEventListener('abort', () => socketOf(client)?.destroy(), { once: true });
        return look(client, signal);
      },
      signal,
    ),
  );
}

const LATE_SOURCE_HINT = 'Look at the load of the server, and in pg_locks at what it waits for.';
