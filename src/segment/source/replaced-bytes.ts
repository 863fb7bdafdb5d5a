/** Tells rows in whose texts the driver has put U+FFFD in the place of bytes that are no UTF-8, as it does without a word. */
import type { Socket } from 'node:net';
import type { TextRow } from '../../format/jsonl/write/text-encoder.ts';
import { DATA_ROW, FrameFollower } from './row-guard.ts';

const MARK = '\u{FFFD}';
const MARK_BYTES = Buffer.from(MARK);
const NOTHING = Buffer.alloc(0);
const LENGTH_BYTES = 4;
const COUNT_BYTES = 2;

/**
 * U+FFFD may stand in a text in its own right: then its three bytes came. So they are counted in the bytes of each row, and
 * the characters in its texts. A mark that did not come stands for one to three bytes; what the bytes of a length may look
 * like is ruled out by the size of the row.
 */
export class ReplacedBytes {
  readonly #follower: FrameFollower;
  /** Marks that came in rows which are not given out yet, by the number of the row, where there are any. */
  readonly #came = new Map<number, number>();
  #rowsBegun = 0;
  #rowsGiven = 0;
  #isInRow = false;
  /** Whether any came at once: to look into each row costs more than all the rest. */
  #hasMarks = false;
  /** Of the same row, and at least its last two bytes so far: a mark may lie across. */
  #before: Buffer = NOTHING;

  constructor() {
    this.#follower = new FrameFollower(
      (type) => {
        this.#isInRow = type === DATA_ROW;
        if (this.#isInRow) this.#rowsBegun += 1;
        this.#before = NOTHING;
      },
      (piece) => {
        if (this.#isInRow) this.#add(piece);
      },
    );
  }

  /** Takes the bytes of a connection that is idle, before the driver gets them. Returns what ends it. */
  watch(socket: Socket): () => void {
    const take = (bytes: Buffer): void => {
      this.push(bytes);
    };
    socket.prependListener('data', take);
    return () => {
      socket.off('data', take);
    };
  }

  push(bytes: Buffer): void {
    this.#hasMarks = bytes.includes(MARK_BYTES);
    this.#follower.push(bytes);
  }

  /** Called once for each row, in their order. `messageBytes` is what the server says of its size, without the type. */
  areIn(row: TextRow, messageBytes: number): boolean {
    this.#rowsGiven += 1;
    const came = this.#came.get(this.#rowsGiven) ?? 0;
    if (came > 0) this.#came.delete(this.#rowsGiven);
    let marks = 0;
    for (const text of row) if (text !== null) marks += countMarks(text, MARK);
    if (marks === 0) return false;
    return marks !== came || bytesOf(row) !== messageBytes;
  }

  #add(piece: Buffer): void {
    const marks = (this.#hasMarks ? countMarks(piece, MARK_BYTES) : 0) + this.#marksAcross(piece);
    if (marks > 0) this.#came.set(this.#rowsBegun, (this.#came.get(this.#rowsBegun) ?? 0) + marks);
    this.#before = piece.length < MARK_BYTES.length ? Buffer.concat([this.#before, piece]) : piece;
  }

  #marksAcross(piece: Buffer): number {
    if (this.#before.length === 0) return 0;
    const most = MARK_BYTES.length - 1;
    return countMarks(Buffer.concat([this.#before.subarray(-most), piece.subarray(0, most)]), MARK_BYTES);
  }
}

function countMarks<T extends string | Buffer>(within: T, mark: T): number {
  let count = 0;
  for (let at = within.indexOf(mark as string); at >= 0; at = within.indexOf(mark as string, at + 1)) count += 1;
  return count;
}

function bytesOf(row: TextRow): number {
  const values = row.reduce((sum, text) => sum + LENGTH_BYTES + (text === null ? 0 : Buffer.byteLength(text)), 0);
  return LENGTH_BYTES + COUNT_BYTES + values;
}
