/** Checks what an object holds while its bytes come in: unpacks them, and scans the lines. It knows neither stores nor manifests. */
import type { Codec } from '../../format/compress/codec.ts';
import { createUnpacker, type Inflater, type UnpackLimits } from '../../format/compress/unpack.ts';
import type { Unpacker } from '../../format/compress/unpacking.ts';
import { FastLineScanner } from '../../format/jsonl/scan/scanner.ts';
import { Problems, type Problem } from './problems.ts';

export interface ContentToCheck {
  codec: Codec;
  inflater: Inflater;
  limits: UnpackLimits;
  /** Names of the columns of each line, in their order; indexes into them of those whose values are wanted of the first and the last line. */
  columns: readonly string[];
  keyColumns: readonly number[];
}

export interface ContentFindings {
  /** There is more content than was asked for, and no more of it was looked at. */
  isFull: boolean;
  /** What is wrong with the compression. */
  damage: string | undefined;
  lines: number;
  bytes: number;
  /** Eight hex digits. */
  crc32: string;
  /** JSON of the key's values; a part that is too long is undefined. */
  firstKey: (string | undefined)[] | undefined;
  lastKey: (string | undefined)[] | undefined;
  /** Of lines, and how many more there were. */
  problems: readonly Problem[];
  furtherProblems: number;
}

/** Takes what it wants from the very bytes that are compared with the manifest, of an object whose lines were checked before. */
export interface ContentReader {
  /** The next bytes of the JSON Lines, which are valid until it returns. */
  add: (piece: Buffer) => void;
}

const LINE_FEED = 0x0a;

/** To be ended or dropped once. */
export class ContentCheck {
  readonly #problems = new Problems();
  readonly #lines: FastLineScanner | CountedLines;
  readonly #unpacker: Unpacker;

  /** A reader gets the content instead of the check of lines. */
  constructor({ codec, inflater, limits, columns, keyColumns }: ContentToCheck, reader?: ContentReader) {
    const onProblem = (line: number, message: string): void => {
      this.#problems.add(message, line);
    };
    const lines = reader === undefined ? new FastLineScanner(columns, keyColumns, onProblem) : new CountedLines(reader);
    this.#lines = lines;
    const onContent = (piece: Buffer): void => {
      lines.add(piece);
    };
    this.#unpacker = createUnpacker(codec, limits, onContent, inflater);
  }

  /** Whether nothing more need be written. */
  get isFull(): boolean {
    return this.#unpacker.isFull;
  }

  /** Resolves when the next bytes may come; these are not looked at any more then. */
  async write(slice: Buffer): Promise<void> {
    await this.#unpacker.write(slice);
  }

  /** `isAll`: the bytes were not left off in the middle. */
  async end(isAll: boolean): Promise<ContentFindings> {
    const damage = await this.#unpacker.end();
    const { isFull, content } = this.#unpacker;
    if (isAll && damage === undefined && !isFull) this.#lines.end();
    const { lines, firstKey, lastKey } = this.#lines;
    const { found, further } = this.#problems;
    const { bytes, crc32 } = content;
    return { isFull, damage, lines, bytes, crc32, firstKey, lastKey, problems: found, furtherProblems: further };
  }

  async drop(): Promise<void> {
    await this.#unpacker.end();
  }
}

/** Lines that are read and not checked. */
class CountedLines {
  lines = 0;
  readonly firstKey = undefined;
  readonly lastKey = undefined;
  readonly #reader: ContentReader;

  constructor(reader: ContentReader) {
    this.#reader = reader;
  }

  add(piece: Buffer): void {
    for (let at = piece.indexOf(LINE_FEED); at >= 0; at = piece.indexOf(LINE_FEED, at + 1)) this.lines += 1;
    this.#reader.add(piece);
  }

  end(): void {
    // A line without an end is one that the manifest does not count.
  }
}
