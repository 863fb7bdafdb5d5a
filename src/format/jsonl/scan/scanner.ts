/**
 * Checks JSON Lines as `check.ts` does, and faster: lines that are whole in a chunk go through WebAssembly, many in one call. What that
 * does not take goes to the scanner in TypeScript: a line that begins in one chunk and ends in another, and one that may be bad, of
 * which it says what is wrong and where.
 */
import { LineScanner } from '../check.ts';
import { lineFrame } from '../frame.ts';
import { CONTENT_BYTES, scanMemory, type ScanMemory } from './scan-memory.ts';
import { CONTENT_AT, KEYS_BYTES, PROGRAM_AT, PROGRAM_BYTES, STEP_BYTES } from './wasm/places.ts';

const LINE_FEED = 0x0a;
const WORD_BYTES = 4;
/** First and last place of a value of the key. */
const PAIR_WORDS = 2;

/** Numbers that a pass leaves. */
const STOP = 0;
const LINES = 1;
const KEYS = 2;

type Key = (string | undefined)[];

export class FastLineScanner {
  readonly #exact: LineScanner;
  readonly #memory: ScanMemory | undefined;
  readonly #program: Uint8Array;
  readonly #parts: number;
  /** The last bytes belong to a line that is not at its end. */
  #isInLine = false;
  /** Of the last line, where the memory was the one to scan it. */
  #lastKey: Key | undefined;

  /** As the scanner in TypeScript. */
  constructor(
    columns: readonly string[],
    keyColumns: readonly number[],
    onProblem: (line: number, message: string) => void,
  ) {
    this.#exact = new LineScanner(columns, keyColumns, onProblem);
    this.#parts = keyColumns.length;
    const program = buildProgram(columns, keyColumns);
    this.#program = program ?? new Uint8Array();
    this.#memory = program === undefined ? undefined : scanMemory();
  }

  /** Line feeds so far. */
  get lines(): number {
    return this.#exact.lines;
  }

  get firstKey(): Key | undefined {
    return this.#exact.firstKey;
  }

  get lastKey(): Key | undefined {
    return this.#lastKey ?? this.#exact.lastKey;
  }

  /** Takes the next bytes, and is done with them when it returns. */
  add(chunk: Buffer): void {
    const memory = this.#memory;
    if (memory === undefined) {
      this.#exact.add(chunk);
      return;
    }
    for (let at = 0; at < chunk.length;) {
      // The first line of all is left to it, as it keeps that one's key.
      if (this.#isInLine || this.lines === 0) at = this.#scanExactly(chunk, at);
      else at = this.#scanFast(memory, chunk, at);
    }
  }

  /** To be called once, after the last bytes. */
  end(): void {
    this.#exact.end();
  }

  /** One line, or what there is of it; returns where it ended. */
  #scanExactly(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(LINE_FEED, at) + 1;
    this.#isInLine = end === 0;
    const stop = end === 0 ? chunk.length : end;
    if (end > 0) this.#lastKey = undefined;
    this.#exact.add(chunk.subarray(at, stop));
    return stop;
  }

  /** All lines that are whole, up to the first that is refused, and that one; returns where they ended. */
  #scanFast(memory: ScanMemory, chunk: Buffer, at: number): number {
    const piece = chunk.subarray(at, at + CONTENT_BYTES);
    const wholeBytes = piece.lastIndexOf(LINE_FEED) + 1;
    if (wholeBytes === 0) return this.#scanExactly(chunk, at);
    memory.load(this.#program);
    memory.content.set(wholeBytes === piece.length ? piece : piece.subarray(0, wholeBytes));
    let from = 0;
    while (from < wholeBytes) {
      const stop = this.#pass(memory, piece, from, wholeBytes);
      from = stop < wholeBytes ? this.#scanExactly(piece, stop) : stop;
    }
    return at + wholeBytes;
  }

  /** Returns where it stopped. */
  #pass(memory: ScanMemory, piece: Buffer, from: number, end: number): number {
    const { result } = memory;
    memory.scanLines(PROGRAM_AT, CONTENT_AT + from, CONTENT_AT + end, this.#parts);
    const lines = result[LINES] ?? 0;
    if (lines > 0) {
      this.#exact.lines += lines;
      if (this.#parts > 0) this.#lastKey = this.#keyAt(memory.words, (result[KEYS] ?? 0) / WORD_BYTES, piece);
    }
    return (result[STOP] ?? 0) - CONTENT_AT;
  }

  #keyAt(words: Uint32Array, at: number, piece: Buffer): Key {
    const key: Key = [];
    for (let part = 0; part < this.#parts; part += 1) {
      const start = (words[at + PAIR_WORDS * part] ?? 0) - CONTENT_AT;
      const end = (words[at + PAIR_WORDS * part + 1] ?? 0) - CONTENT_AT;
      key.push(piece.toString('utf8', start, end).trim());
    }
    return key;
  }
}

/**
 * Number of columns, bytes of a line's end; then for each column the bytes of its frame, which part of the key it is, the frame;
 * then the end. Undefined where there is no room for it.
 */
function buildProgram(columns: readonly string[], keyColumns: readonly number[]): Uint8Array | undefined {
  const { prefixes, end } = lineFrame(columns);
  const frames = [...prefixes, end].map((text) => Buffer.from(text));
  const steps = frames.map(({ length }) => Math.ceil(length / STEP_BYTES) * STEP_BYTES);
  const bytes = steps.reduce((sum, step) => sum + step, 2 * WORD_BYTES * (1 + columns.length));
  const strideBytes = PAIR_WORDS * WORD_BYTES * keyColumns.length;
  const isOnce = new Set(keyColumns).size === keyColumns.length;
  if (bytes > PROGRAM_BYTES || 2 * strideBytes > KEYS_BYTES || !isOnce) return undefined;
  const program = new Uint8Array(bytes);
  const view = new DataView(program.buffer);
  view.setUint32(0, columns.length, true);
  view.setUint32(WORD_BYTES, frames.at(-1)?.length ?? 0, true);
  let at = 2 * WORD_BYTES;
  for (const [index, frame] of frames.entries()) {
    if (index < columns.length) {
      view.setUint32(at, frame.length, true);
      view.setInt32(at + WORD_BYTES, keyColumns.indexOf(index), true);
      at += 2 * WORD_BYTES;
    }
    program.set(frame, at);
    at += steps[index] ?? 0;
  }
  return program;
}
