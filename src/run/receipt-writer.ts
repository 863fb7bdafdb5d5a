/**
 * Writes the receipts of an attempt, one document at a time: what is done meanwhile goes into the next one, so that many small
 * segments do not wait for a request each.
 */
import type { Receipt } from '../ledger/receipts.ts';
import type { RunFolder } from '../ledger/run-folder.ts';

/** Receipts of one document, and its size before the last one of them. */
const MOST_TOGETHER = 256;
const FULL_BYTES = 1024 ** 2;

interface Waiting {
  receipt: Receipt;
  settled: PromiseWithResolvers<undefined>;
}

export class ReceiptWriter {
  readonly #folder: RunFolder;
  readonly #done: ReadonlyMap<number, Receipt>;
  readonly #together: ReadonlyMap<number, readonly number[]>;
  #waiting: Waiting[] = [];
  #isWriting = false;

  /**
   * `done` are the receipts that are believed, and `together` says which of them stand in one document of an earlier try, by
   * the number in its name: a new document of that name must not lose them.
   */
  constructor(
    folder: RunFolder,
    { done, together }: { done: ReadonlyMap<number, Receipt>; together: ReadonlyMap<number, readonly number[]> },
  ) {
    this.#folder = folder;
    this.#done = done;
    this.#together = together;
  }

  /** Resolves once the destination has the receipt. Throws FailureError. */
  record(receipt: Receipt): Promise<void> {
    const settled = Promise.withResolvers<undefined>();
    this.#waiting.push({ receipt, settled });
    void this.#write();
    return settled.promise;
  }

  async #write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      try {
        await this.#folder.record(this.#withOthers(group.map(({ receipt }) => receipt)));
        for (const { settled } of group) settled.resolve(undefined);
      } catch (error) {
        for (const { settled } of group) settled.reject(error);
      }
    }
    this.#isWriting = false;
  }

  #takeGroup(): Waiting[] {
    let bytes = 0;
    const count = this.#waiting.findIndex(({ receipt }, at) => {
      const isFull = at >= MOST_TOGETHER || bytes >= FULL_BYTES;
      bytes += JSON.stringify(receipt).length;
      return isFull;
    });
    return this.#waiting.splice(0, count === -1 ? this.#waiting.length : count);
  }

  /** In the order of their numbers, with those that stand in the document which is replaced. */
  #withOthers(receipts: readonly Receipt[]): Receipt[] {
    const all = new Map(receipts.map((receipt) => [receipt.segment, receipt]));
    const lowest = Math.min(...all.keys());
    for (const segment of this.#together.get(lowest) ?? []) {
      const other = this.#done.get(segment);
      if (other !== undefined && !all.has(segment)) all.set(segment, other);
    }
    return [...all.values()].sort((a, b) => a.segment - b.segment);
  }
}
