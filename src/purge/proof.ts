/** Reads what is to go from the archive again: keys and digests of lines, only from bytes that were proved whole. */
import { createHash, hash, type Hash } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { BUDGET } from '../base/memory-budget.ts';
import type { ContentReader } from '../segment/verify/content-check.ts';
import { tellsOfObject, verifyObject, type ObjectToVerify } from '../segment/verify/object.ts';
import { Problems } from '../segment/verify/problems.ts';
import { LineKeys } from './line-keys.ts';

/** Lines of an object, one after the other. */
export interface Stretch {
  /** For each column of the key, its values, each stretch of which is an array as Postgres reads it. */
  keys: readonly { slice: (from: number, to: number) => string }[];
  /** SHA-256 of each line, of 32 bytes. */
  digests: Buffer;
  /** Bytes of JSON Lines; as many as there are lines. */
  sizes: Uint32Array;
}

export const DIGEST_BYTES = 32;

const { lines: MOST_LINES, keyBytes: MOST_KEY_BYTES } = BUDGET.purge;
const LINE_FEED = 0x0a;

/** What stretches are gathered into, one after the other: made anew for each, it would be there twice until it is collected. */
export class StretchRoom {
  digests = Buffer.alloc(0);
  sizes = new Uint32Array(0);
  #keys: LineKeys | undefined;

  /** Empty, for so many lines. */
  keysFor(places: readonly number[], lines: number): LineKeys {
    if (this.#keys === undefined || this.sizes.length < lines) {
      this.digests = Buffer.allocUnsafeSlow(lines * DIGEST_BYTES);
      this.sizes = new Uint32Array(lines);
      this.#keys = new LineKeys(places, lines, MOST_KEY_BYTES);
    }
    this.#keys.clear();
    return this.#keys;
  }
}

/**
 * The lines of an object from `from` on. The object is read whole each time, and what was gathered is given only if all of
 * it is what the manifest says: so its lines are those that the proof of the run found to be good. What was read into the same room
 * before is gone then; a room is for one key. Throws FailureError `purge-archive-damaged`.
 */
export async function readStretch(
  object: Omit<ObjectToVerify, 'openReader' | 'keyColumns'>,
  key: readonly string[],
  from: number,
  signal: AbortSignal,
  room = new StretchRoom(),
): Promise<Stretch> {
  const places = key.map((name) => object.columns.findIndex((column) => column.name === name));
  if (places.includes(-1)) throw damaged(object.key, `it has no column ${key.join(', ')}`);
  const gatherer = await readProved(object, () => new Gatherer(places, from, object.object.rows, room), signal);
  return gatherer.stretch;
}

/**
 * Has an object read whole, of a run whose lines were proved before. The reader is given only if all that it got is what the manifest
 * says. Throws FailureError `purge-archive-damaged`.
 */
export async function readProved<R extends ContentReader>(
  object: Omit<ObjectToVerify, 'openReader' | 'keyColumns'>,
  open: () => R,
  signal: AbortSignal,
): Promise<R> {
  const problems = new Problems();
  let reader: R | undefined;
  const openReader = (): R => (reader = open());
  try {
    await verifyObject({ ...object, keyColumns: [], openReader }, problems, signal, () => undefined);
  } catch (error) {
    if (!tellsOfObject(error)) throw error;
    problems.add(error.failure.message);
  }
  const [first] = problems.list;
  if (first !== undefined || reader === undefined) throw damaged(object.key, first?.message ?? 'it was not read');
  return reader;
}

export function damaged(key: string, why: string): Error {
  return fail('purge-archive-damaged', { stage: 'purge', message: `${key} is not what the manifest says: ${why}` });
}

class Gatherer implements ContentReader {
  readonly #from: number;
  readonly #to: number;
  readonly #keys: LineKeys;
  readonly #digests: Buffer;
  readonly #sizes: Uint32Array;
  /** Lines whose end was seen. */
  #ended = 0;
  /** Whether the line that is being read had a piece before. */
  #isBegun = false;
  /** What earlier pieces held of it. */
  #begun: Hash | undefined;
  #begunBytes = 0;

  constructor(places: readonly number[], from: number, rows: number, room: StretchRoom) {
    // Each further column of the key takes the room of four bytes a line.
    const most = Math.floor((MOST_LINES * BUDGET.purge.lineBytes) / (BUDGET.purge.lineBytes + 4 * (places.length - 1)));
    const lines = Math.max(0, Math.min(rows - from, most));
    this.#from = from;
    this.#to = from + lines;
    this.#keys = room.keysFor(places, lines);
    this.#digests = room.digests;
    this.#sizes = room.sizes;
  }

  add(piece: Buffer): void {
    let start = 0;
    for (let at = piece.indexOf(LINE_FEED); at >= 0; at = piece.indexOf(LINE_FEED, start)) {
      if (this.#isWanted) this.#endLine(piece, start, at);
      this.#ended += 1;
      start = at + 1;
    }
    if (start < piece.length && this.#isWanted) this.#beginLine(piece, start);
  }

  /** To be asked for once the whole object is proved. */
  get stretch(): Stretch {
    const lines = this.#keys.count;
    return {
      keys: this.#keys.values,
      digests: this.#digests.subarray(0, lines * DIGEST_BYTES),
      sizes: this.#sizes.subarray(0, lines),
    };
  }

  get #isWanted(): boolean {
    return this.#ended >= this.#from && this.#ended < this.#to && !this.#keys.isFull;
  }

  #readKeys(piece: Buffer, start: number, end: number): void {
    if (!this.#isBegun) this.#keys.beginLine();
    this.#keys.add(piece, start, end);
  }

  #endLine(piece: Buffer, start: number, end: number): void {
    this.#readKeys(piece, start, end);
    const rest = piece.subarray(start, end);
    const digest =
      this.#begun === undefined ? hash('sha256', rest, 'binary') : this.#begun.update(rest).digest('binary');
    const line = this.#ended - this.#from;
    this.#digests.write(digest, line * DIGEST_BYTES, 'latin1');
    this.#sizes[line] = this.#begunBytes + rest.length + 1;
    this.#isBegun = false;
    this.#begun = undefined;
    this.#begunBytes = 0;
  }

  #beginLine(piece: Buffer, start: number): void {
    this.#readKeys(piece, start, piece.length);
    const rest = piece.subarray(start);
    this.#begun ??= createHash('sha256');
    this.#begun.update(rest);
    this.#begunBytes += rest.length;
    this.#isBegun = true;
  }
}
