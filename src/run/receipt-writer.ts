/**
 * Writes the receipts of an attempt, one document at a time. What is done meanwhile, and for a moment after, goes into the next
 * one, so that many small segments cost few requests, and wait for none of them. A kill costs the segments of that moment.
 */
import type { Receipts } from '../ledger/packed-receipts.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { RunFolder } from '../ledger/run-folder.ts';

/** Receipts of one document, and its size before the last one of them. */
const MOST_TOGETHER = 256;
const FULL_BYTES = 1024 ** 2;
/** From the begin of one document to that of the next one, in milliseconds. Tests shorten it. */
export const GATHERING = { ms: 250 };

interface Waiting {
  receipt: Receipt;
  settled: PromiseWithResolvers<undefined>;
}

export interface ReceiptHooks {
  /** Must resolve before a document is written: the run must still be ours. */
  before: () => Promise<void>;
  /** The destination has the receipt. */
  onStored: (receipt: Receipt) => void;
}

export class ReceiptWriter {
  readonly #folder: RunFolder;
  readonly #done: Pick<Receipts<number>, 'get'>;
  readonly #together: ReadonlyMap<number, readonly number[]>;
  readonly #hooks: ReceiptHooks;
  readonly #failed = new AbortController();
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #begunAt = Number.NEGATIVE_INFINITY;
  #isFinishing = false;
  #endPause: (() => void) | undefined;
  #roomMade: PromiseWithResolvers<undefined> | undefined;

  /**
   * `done` are the receipts that are believed, and `together` says which of them stand in one document of an earlier try, by
   * the number in its name: a new document of that name must not lose them.
   */
  constructor(
    folder: RunFolder,
    { done, together }: { done: Pick<Receipts<number>, 'get'>; together: ReadonlyMap<number, readonly number[]> },
    hooks: ReceiptHooks,
  ) {
    this.#folder = folder;
    this.#done = done;
    this.#together = together;
    this.#hooks = hooks;
  }

  /** Aborts when a document could not be written, with the first failure. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /**
   * Resolves once the destination has the receipt; where it waits for others to be written with it, as soon as there is room
   * for another one. Throws FailureError.
   */
  async record(receipt: Receipt): Promise<void> {
    const settled = Promise.withResolvers<undefined>();
    settled.promise.catch(() => undefined);
    const waits = this.#msToNext() > 0;
    this.#waiting.push({ receipt, settled });
    this.#writing ??= this.#write();
    if (!waits) return settled.promise;
    if (this.#waiting.length < MOST_TOGETHER) return;
    this.#endPause?.();
    this.#roomMade ??= Promise.withResolvers();
    await this.#roomMade.promise;
  }

  /** Writes what still waits. Throws the first FailureError of all documents. */
  async finish(): Promise<void> {
    this.#isFinishing = true;
    this.#endPause?.();
    await this.#writing;
    this.failed.throwIfAborted();
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      if (this.#mayGather) await this.#pause();
      this.#begunAt = performance.now();
      const group = this.#takeGroup();
      this.#roomMade?.resolve(undefined);
      this.#roomMade = undefined;
      try {
        await this.#hooks.before();
        await this.#folder.record(this.#withOthers(group.map(({ receipt }) => receipt)));
        for (const { receipt, settled } of group) {
          this.#hooks.onStored(receipt);
          settled.resolve(undefined);
        }
      } catch (error) {
        this.#failed.abort(error);
        for (const { settled } of group) settled.reject(error);
      }
    }
    this.#writing = undefined;
  }

  get #mayGather(): boolean {
    return this.#msToNext() > 0 && !this.#isFinishing && this.#waiting.length < MOST_TOGETHER;
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#msToNext());
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#endPause = undefined;
  }

  #msToNext(): number {
    return this.#begunAt + GATHERING.ms - performance.now();
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
