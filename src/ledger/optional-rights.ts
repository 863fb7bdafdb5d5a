/** Rights that a destination may deny: what they are for is then left undone, and said once a process. */
import { FailureError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Store } from '../store/store.ts';

/** A run is committed with its manifest; its journal does no harm. */
export const JOURNAL_STAYS = 'the journals of committed runs may not be removed, and stay';

const said = new Set<string>();

/** Says it once for this destination. */
export function warnOnce(
  log: Log,
  { url }: Pick<Store, 'url'>,
  what: string,
  fields: Record<string, unknown> = {},
): void {
  const key = `${url} ${what}`;
  if (said.has(key)) return;
  said.add(key);
  log.warn({ destination: url, ...fields }, what);
}

/** Does what a run can do without. A refusal is said once, with the right that is missing; other failures are thrown. */
export async function unlessDenied(
  log: Log,
  store: Pick<Store, 'url'>,
  what: string,
  work: () => Promise<void>,
): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof FailureError) || error.failure.code !== 'access-denied') throw error;
    warnOnce(log, store, what, { failure: error.failure });
    return false;
  }
}
