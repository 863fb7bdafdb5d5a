/** Looks whether the chains of archives can go on: whether each head can be believed, and replaced by a run that commits. */
import { toFailure } from '../base/errors.ts';
import { within } from '../base/signals.ts';
import { readHead } from '../ledger/chain.ts';
import { headKey } from '../ledger/names.ts';
import type { Store } from '../store/store.ts';

/** What stands in the way of the chain of an archive. */
export interface HeadProblem {
  archive: string;
  message: string;
  hint: string;
}

/** Archives at once. */
const TRIED_AT_ONCE = 8;
/** An ETag that no object has: what is written on that condition is refused, and nothing is there or changed afterwards. */
const NO_ETAG = '00000000000000000000000000000000';
const REFUSED = Buffer.from('this is never written\n');

/**
 * For a destination that is known to keep the conditions of writes. `late` makes the error for one that takes longer than `limitMs`. Never throws.
 */
export async function tryHeads(
  store: Store,
  archives: readonly string[],
  limitMs: number,
  late: (key: string) => Error,
): Promise<HeadProblem[]> {
  const problems: HeadProblem[] = [];
  const waiting = archives.values();
  const tryThem = async (): Promise<void> => {
    for (const archive of waiting) {
      try {
        await within(
          limitMs,
          () => late(headKey(archive)),
          () => tryHead(store, archive),
        );
      } catch (error) {
        const { message, hint } = toFailure(error, 'connect');
        problems.push({ archive, message, hint });
      }
    }
  };
  await Promise.all(Array.from({ length: TRIED_AT_ONCE }, tryThem));
  return problems.sort((a, b) => a.archive.localeCompare(b.archive));
}

/** S3 looks at the rights of a request before its condition: one that is refused for its condition alone was allowed. */
async function tryHead(store: Store, archive: string): Promise<void> {
  await readHead(store, archive);
  const options = { contentType: 'application/json', replaces: NO_ETAG, hasLooked: true };
  await store.put(headKey(archive), REFUSED, options);
}
