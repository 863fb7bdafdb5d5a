/** The data objects that lay in a run's folder at one time, in a fraction of what they would take as objects: there may be 400,000 of them. */
import { PackedList } from '../base/packed-list.ts';
import type { StoredObject } from '../store/store.ts';

/** Objects by their keys. A Map is one, too. */
export interface Listing {
  /** Bytes outside of the heap; absent where all is in it. */
  readonly heldBytes?: number;
  get(key: string): StoredObject | undefined;
  keys(): Iterable<string>;
}

/** Of so many keys that follow one another, one is held as it is, so that few are read when one is looked for. */
const STEP = 128;

export class PackedListing implements Listing {
  readonly #prefix: string;
  readonly #objects = new PackedList();
  /** Every so-manieth key, in their order. */
  #steps: string[] = [];
  #last = '';
  #isInOrder = true;
  /** The places of the objects in the order of their keys, where they did not come in it. */
  #order: Uint32Array | undefined;

  /** `prefix` is that of the run's folder, in which all of them lie. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Bytes outside of the heap. */
  get heldBytes(): number {
    return this.#objects.heldBytes;
  }

  /** A destination lists in the order of the keys, as a rule; then this takes least. None is added once one was looked for. */
  add({ key, bytes, etag }: StoredObject): void {
    const name = key.slice(this.#prefix.length);
    if (name < this.#last) this.#isInOrder = false;
    if (this.#objects.length % STEP === 0) this.#steps.push(name);
    this.#last = name;
    this.#objects.add(JSON.stringify([name, bytes, etag]));
  }

  get(key: string): StoredObject | undefined {
    if (!this.#isInOrder) this.#sort();
    const name = key.slice(this.#prefix.length);
    const from = STEP * lastUpTo(this.#steps.length, (at) => (this.#steps[at] ?? '') <= name);
    const within = lastUpTo(Math.min(STEP, this.#objects.length - from), (at) => this.#at(from + at)[0] <= name);
    if (from < 0 || within < 0) return undefined;
    const [found, bytes, etag] = this.#at(from + within);
    return found === name && key.startsWith(this.#prefix) ? { key, bytes, etag } : undefined;
  }

  *keys(): Generator<string, undefined> {
    for (let at = 0; at < this.#objects.length; at += 1) yield this.#prefix + this.#at(at)[0];
    return undefined;
  }

  #at(index: number): [name: string, bytes: number, etag: string] {
    const text = this.#objects.at(this.#order?.[index] ?? index);
    return JSON.parse(text ?? '["",0,""]') as [string, number, string];
  }

  #sort(): void {
    const order = Uint32Array.from({ length: this.#objects.length }, (_, at) => at);
    const nameAt = (at: number): string => this.#at(at)[0];
    order.sort((a, b) => (nameAt(a) < nameAt(b) ? -1 : 1));
    this.#order = order;
    this.#isInOrder = true;
    this.#steps = [];
    for (let at = 0; at < order.length; at += STEP) this.#steps.push(nameAt(at));
  }
}

/** The last of so many places of which it is true, where it is true of the first ones; -1 when it is true of none. */
function lastUpTo(length: number, isTrue: (at: number) => boolean): number {
  let [low, high] = [-1, length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (isTrue(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
