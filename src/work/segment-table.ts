/** The segments of a run and how far each one is, in some thirty bytes each: there may be 400,000 of them. */
import type { Failure } from '../base/errors.ts';
import type { ObjectFacts } from '../segment/task.ts';

/** One segment of the run. Sizes in bytes. */
export interface SegmentState extends Amounts {
  index: number;
  state: 'waiting' | 'running' | 'done' | 'failed';
  /** How often it was begun in this process. */
  attempts: number;
  /** Heap of its worker while it runs. */
  heapBytes: number;
  /** Why its last attempt failed. */
  failure: Failure | undefined;
}

export type Amounts = Pick<ObjectFacts, 'rows' | 'jsonBytes' | 'bytes'>;

const STATES = ['waiting', 'running', 'done', 'failed'] as const;
const AMOUNTS = ['rows', 'jsonBytes', 'bytes'] as const;
const MOST_ATTEMPTS = 2 ** 16 - 1;

export class SegmentTable {
  readonly length: number;
  /** Over all segments. */
  readonly sums: Amounts = { rows: 0, jsonBytes: 0, bytes: 0 };
  readonly #counts = { waiting: 0, running: 0, done: 0, failed: 0 };
  readonly #states: Uint8Array;
  readonly #attempts: Uint16Array;
  readonly #amounts: Record<keyof Amounts, Float64Array>;
  /** Of those that run, and of those that failed: there are few. */
  readonly #heaps = new Map<number, number>();
  readonly #failures = new Map<number, Failure>();

  constructor(length: number, before?: SegmentTable) {
    this.length = length;
    this.#counts.waiting = length;
    this.#states = new Uint8Array(length);
    this.#attempts = new Uint16Array(length);
    this.#amounts = {
      rows: new Float64Array(length),
      jsonBytes: new Float64Array(length),
      bytes: new Float64Array(length),
    };
    if (before === undefined) return;
    this.#attempts.set(before.#attempts.subarray(0, length));
    for (const [index, failure] of before.#failures) if (index < length) this.#failures.set(index, failure);
  }

  count(state: SegmentState['state']): number {
    return this.#counts[state];
  }

  /** Undefined where there is no such segment. */
  get(index: number): SegmentState | undefined {
    const state = STATES[this.#states[index] ?? STATES.length];
    if (state === undefined) return undefined;
    return {
      index,
      state,
      attempts: this.#attempts[index] ?? 0,
      heapBytes: this.#heaps.get(index) ?? 0,
      failure: this.#failures.get(index),
      rows: this.#amounts.rows[index] ?? 0,
      jsonBytes: this.#amounts.jsonBytes[index] ?? 0,
      bytes: this.#amounts.bytes[index] ?? 0,
    };
  }

  change(index: number, change: Partial<Omit<SegmentState, 'index'>>): void {
    const before = this.get(index);
    if (before === undefined) return;
    const { state, attempts, heapBytes, failure } = { ...before, ...change };
    this.#counts[before.state] -= 1;
    this.#counts[state] += 1;
    this.#states[index] = STATES.indexOf(state);
    this.#attempts[index] = Math.min(attempts, MOST_ATTEMPTS);
    if (heapBytes === 0) this.#heaps.delete(index);
    else this.#heaps.set(index, heapBytes);
    if (failure !== undefined) this.#failures.set(index, failure);
    for (const name of AMOUNTS) {
      const amount = change[name] ?? before[name];
      this.sums[name] += amount - before[name];
      this.#amounts[name][index] = amount;
    }
  }

  /** In their order, from `from` on. */
  *from(from: number): Generator<SegmentState, undefined> {
    for (let index = from; index < this.length; index += 1) {
      const segment = this.get(index);
      if (segment !== undefined) yield segment;
    }
    return undefined;
  }

  /** Those in this state. */
  *in(state: SegmentState['state']): Generator<SegmentState, undefined> {
    const wanted = STATES.indexOf(state);
    for (let at = this.#states.indexOf(wanted); at >= 0; at = this.#states.indexOf(wanted, at + 1)) {
      const segment = this.get(at);
      if (segment !== undefined) yield segment;
    }
    return undefined;
  }

  /** Those that were begun more than once, or have failed. */
  *troubled(): Generator<SegmentState, undefined> {
    for (let index = 0; index < this.length; index += 1) {
      if ((this.#attempts[index] ?? 0) <= 1 && !this.#failures.has(index)) continue;
      const segment = this.get(index);
      if (segment !== undefined) yield segment;
    }
    return undefined;
  }
}
