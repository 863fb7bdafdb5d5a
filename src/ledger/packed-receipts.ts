/**
 * Receipts as their bytes, of which what many have in common is held once: as objects they would take three times as much, and
 * there may be 400,000 of them.
 */
import { PackedList } from '../base/packed-list.ts';
import type { Receipt } from './receipts.ts';

/** Receipts by their segments, or those of empty segments by their keys. A Map is one, too. */
export interface Receipts<Key> extends Iterable<[Key, Receipt]> {
  readonly size: number;
  /** Bytes outside of the heap; absent where all is in it. */
  readonly heldBytes?: number;
  has(key: Key): boolean;
  get(key: Key): Receipt | undefined;
  set(key: Key, receipt: Receipt): unknown;
  keys(): Iterable<Key>;
  values(): Iterable<Receipt>;
}

/** What of a receipt is its own, in this order; absent ones are null. */
type Own = [
  key: string,
  rows: number,
  jsonBytes: number,
  bytes: number,
  sha256: string,
  crc32: string,
  firstKey: string[] | null,
  lastKey: string[] | null,
  segment: number,
  shared: number,
  etag: string | null,
  lineDigest: string | null,
  longestLine: number | null,
];

type Shared = Pick<Receipt, 'fingerprint' | 'snapshot'>;

/** In front of a key that does not lie in the run's folder; no key begins with it. */
const ELSEWHERE = '/';

/** Receipts in the order in which they were added. */
export class PackedReceipts {
  readonly #prefix: string;
  readonly #own = new PackedList();
  readonly #shared: Shared[] = [];
  readonly #sharedBy = new Map<string, number>();

  /** `prefix` is that of the run's folder. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  get length(): number {
    return this.#own.length;
  }

  /** Bytes outside of the heap. */
  get heldBytes(): number {
    return this.#own.heldBytes;
  }

  /** Returns its place. */
  add(receipt: Receipt): number {
    const { key, rows, jsonBytes, bytes, sha256, crc32, firstKey, lastKey, segment } = receipt;
    const { etag = null, lineDigest = null, longestLine = null } = receipt;
    const short = key.startsWith(this.#prefix) ? key.slice(this.#prefix.length) : ELSEWHERE + key;
    const shared = this.#share(receipt);
    const own: Own = [
      ...([short, rows, jsonBytes, bytes, sha256, crc32, firstKey, lastKey] as const),
      ...([segment, shared, etag, lineDigest, longestLine] as const),
    ];
    return this.#own.add(JSON.stringify(own));
  }

  at(place: number): Receipt | undefined {
    const text = this.#own.at(place);
    if (text === undefined) return undefined;
    const own = JSON.parse(text) as Own;
    const [short, rows, jsonBytes, bytes, sha256, crc32, firstKey, lastKey, segment, at] = own;
    const [, , , , , , , , , , etag, lineDigest, longestLine] = own;
    const shared = this.#shared[at];
    if (shared === undefined) throw new Error(`there is no snapshot ${at}`);
    return {
      fingerprint: shared.fingerprint,
      segment,
      key: short.startsWith(ELSEWHERE) ? short.slice(ELSEWHERE.length) : this.#prefix + short,
      ...{ rows, jsonBytes, bytes, sha256, crc32, firstKey, lastKey },
      ...(longestLine === null ? {} : { longestLine }),
      ...(etag === null ? {} : { etag }),
      ...(lineDigest === null ? {} : { lineDigest }),
      snapshot: shared.snapshot,
    };
  }

  /** The number of the plan and the snapshot that it is of. */
  #share({ fingerprint, snapshot }: Shared): number {
    const text = JSON.stringify([fingerprint, snapshot.id, snapshot.lsn, snapshot.takenAt]);
    const known = this.#sharedBy.get(text);
    if (known !== undefined) return known;
    this.#sharedBy.set(text, this.#shared.length);
    return this.#shared.push({ fingerprint, snapshot }) - 1;
  }
}

/** Where the receipt of a segment, or of a key, stands among others. */
interface Places<Key> {
  readonly size: number;
  get(key: Key): number | undefined;
  set(key: Key, place: number): unknown;
  keys(): Iterable<Key>;
}

class ReceiptsBy<Key> implements Receipts<Key> {
  readonly #receipts: PackedReceipts;
  readonly #places: Places<Key>;

  constructor(prefix: string, places: Places<Key>) {
    this.#receipts = new PackedReceipts(prefix);
    this.#places = places;
  }

  get size(): number {
    return this.#places.size;
  }

  get heldBytes(): number {
    return this.#receipts.heldBytes;
  }

  has(key: Key): boolean {
    return this.#places.get(key) !== undefined;
  }

  get(key: Key): Receipt | undefined {
    const place = this.#places.get(key);
    return place === undefined ? undefined : this.#receipts.at(place);
  }

  /** What stood there before is not given back. */
  set(key: Key, receipt: Receipt): void {
    this.#places.set(key, this.#receipts.add(receipt));
  }

  keys(): Iterable<Key> {
    return this.#places.keys();
  }

  *values(): Generator<Receipt, undefined> {
    for (const [, receipt] of this) yield receipt;
    return undefined;
  }

  *[Symbol.iterator](): Generator<[Key, Receipt], undefined> {
    for (const key of this.#places.keys()) {
      const receipt = this.get(key);
      if (receipt !== undefined) yield [key, receipt];
    }
    return undefined;
  }
}

/** By their segments, in the order of these; `segments` is how many there are. */
export class ReceiptsBySegment extends ReceiptsBy<number> {
  constructor(prefix: string, segments: number) {
    super(prefix, new SegmentPlaces(segments));
  }
}

/** By their keys, in the order in which they came. */
export class ReceiptsByKey extends ReceiptsBy<string> {
  constructor(prefix: string) {
    super(prefix, new Map());
  }
}

class SegmentPlaces implements Places<number> {
  size = 0;
  /** One more than the place; 0 where there is none. */
  readonly #places: Uint32Array;

  constructor(segments: number) {
    this.#places = new Uint32Array(segments);
  }

  get(segment: number): number | undefined {
    const place = this.#places[segment] ?? 0;
    return place === 0 ? undefined : place - 1;
  }

  set(segment: number, place: number): void {
    if (segment >= this.#places.length) throw new Error(`there is no segment ${segment}`);
    if (this.#places[segment] === 0) this.size += 1;
    this.#places[segment] = place + 1;
  }

  *keys(): Generator<number, undefined> {
    for (const [segment, place] of this.#places.entries()) if (place > 0) yield segment;
    return undefined;
  }
}
