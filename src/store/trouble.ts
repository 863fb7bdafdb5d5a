/** What a store tells of requests that take longer than they should, while they are under way. */
import type { Failure } from '../base/errors.ts';

/** Plain data: it crosses threads. `request` says what and of which key, such as `UploadPart of pg/a/part-00000`. */
export type StoreTrouble =
  | { what: 'slow'; request: string }
  | { what: 'retried'; request: string; tries: number; failure: Failure }
  /** A request of which something was told has ended, however it did. */
  | { what: 'over'; request: string };

export type OnTrouble = (trouble: StoreTrouble) => void;

/** A request that takes longer is told of. */
const SLOW_MS = 10_000;

/** Does the work of one request. `retried` is to be called before it is sent again. */
export async function tellTrouble<T>(
  request: string,
  onTrouble: OnTrouble,
  work: (retried: (failure: Failure, tries: number) => void) => Promise<T>,
): Promise<T> {
  const told: StoreTrouble[] = [];
  const tell = (trouble: StoreTrouble): void => {
    told.push(trouble);
    onTrouble(trouble);
  };
  const timer = setTimeout(() => {
    tell({ what: 'slow', request });
  }, SLOW_MS);
  try {
    return await work((failure, tries) => {
      tell({ what: 'retried', request, tries, failure });
    });
  } finally {
    clearTimeout(timer);
    if (told.length > 0) onTrouble({ what: 'over', request });
  }
}
