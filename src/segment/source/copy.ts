/** Reads rows with COPY in binary form and yields them as JSON Lines: nothing is ever held as an object or as text. */
import type { Client } from 'pg';
import { errorText, fail, FailureError } from '../../base/errors.ts';
import { BUDGET } from '../../base/memory.ts';
import { formatCount } from '../../base/units.ts';
import { postgresFailure } from '../../postgres/errors.ts';
import type { Statement } from '../../postgres/select.ts';
import { readInt32, readUint16 } from '../../format/jsonl/write/binary/numbers.ts';
import { unquote } from '../../format/jsonl/write/json-text.ts';
import type { RowEncoder } from '../../format/jsonl/write/binary/row-encoder.ts';
import type { EncodeBuffers } from '../../format/jsonl/write/binary/simd-text.ts';
import { LineBuffer } from '../../format/jsonl/line-buffer.ts';
import { CopySocket } from './copy-socket.ts';
import { CopyWindow } from './copy-window.ts';
import type { KeySpan, ReadCount } from './read-count.ts';
import { encodeWideRow } from './wide-row.ts';

/** Types of protocol messages. */
const COPY_DATA = 0x64;
const COPY_DONE = 0x63;
const COPY_OUT = 0x48;
const COMMAND_COMPLETE = 0x43;
const ERROR = 0x45;
const READY = 0x5a;
const HEADER_BYTES = 5;

/** So much of a message that is not data is looked at. */
const LONGEST_MESSAGE = 64 * 1024;

/** `PGCOPY\n\xff\r\n\0`, no flags, no extension. */
const SIGNATURE = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');
/** A row of the window's size may become six times as long; a few digits of a numeric a hundred thousand. */
const LONGEST_WHOLE_LINE = BUDGET.lines.longestBytes;
/** In place of a count of fields: the end of the data. */
const TRAILER = 0xffff;

/** What is copied, and how its rows become lines. */
export interface CopyJob {
  select: Statement;
  /** Of the columns of `select`. */
  encoder: RowEncoder;
  buffers: EncodeBuffers;
  /** What is read, for messages. */
  subject: string;
  /** Where its key is. */
  keyColumns: readonly number[];
}

/**
 * Yields the lines of `job.select`. A buffer is valid until LINE_BUFFERS more were asked for.
 * The connection cannot be used afterwards. Throws FailureError; the end counts only with the server's word for it.
 */
export async function* readCopy(
  client: Client,
  job: CopyJob,
  count: ReadCount,
  keys: KeySpan,
): AsyncGenerator<Buffer, void, undefined> {
  const reader = new CopyReader(client, job, count, keys);
  try {
    yield* reader.read();
  } catch (error) {
    throw error instanceof FailureError ? error : readFailure(error, job.subject);
  }
}

/** An error of the driver or the server has a code; anything else is a stream that is not what it should be. */
function readFailure(error: unknown, subject: string): FailureError {
  if (error instanceof Error && 'code' in error) return postgresFailure(error, 'read', `reading ${subject}`);
  return fail(
    'bad-copy-stream',
    {
      stage: 'read',
      message: `reading ${subject}: ${errorText(error)}`,
    },
    { cause: error },
  );
}

class CopyReader {
  readonly #window: CopyWindow;
  readonly #lines: LineBuffer;
  readonly #encoder: RowEncoder;
  readonly #job: CopyJob;
  readonly #count: ReadCount;
  readonly #keys: KeySpan;
  /** What the stream has shown so far. */
  readonly #seen = { trailer: false, endTag: '' };
  /** Whether the row at the start of the window becomes a line far longer than itself. */
  #isSwelling = false;
  /** Whether no message has been used up yet: the first one begins with the signature. */
  #isInFirstMessage = true;

  constructor(client: Client, job: CopyJob, count: ReadCount, keys: KeySpan) {
    const { buffers, encoder, select } = job;
    const socket = new CopySocket(client, `COPY (${select.text}\n) TO STDOUT (FORMAT binary)`);
    this.#window = new CopyWindow(socket, buffers.window);
    this.#lines = new LineBuffer(buffers.lines);
    this.#encoder = encoder;
    this.#job = job;
    this.#count = count;
    this.#keys = keys;
  }

  async *read(): AsyncGenerator<Buffer, void, undefined> {
    const window = this.#window;
    for (;;) {
      this.#encodeRows();
      if (this.#lines.isFull) yield this.#lines.take();
      else if (window.length < HEADER_BYTES) await window.fill();
      else if (window.bytes[window.start] !== COPY_DATA) {
        if (await this.#takeMessage()) break;
      } else if (this.#isSwelling || this.#messageBytes() > window.capacity) yield* this.#passWideRow();
      else await window.need(this.#messageBytes());
    }
    if (this.#lines.length > 0) yield this.#lines.take();
    this.#checkEnd();
  }

  /** Size of the message at the start of the window, its type included. */
  #messageBytes(): number {
    return readInt32(this.#window.bytes, this.#window.start + 1) + 1;
  }

  /** Encodes the rows that are whole in the window, until the lines are full: the loop that all rows go through. */
  #encodeRows(): void {
    const window = this.#window;
    const { bytes } = window;
    let lastRow = -1;
    while (
      !this.#lines.isFull &&
      !this.#isSwelling &&
      window.length >= HEADER_BYTES &&
      bytes[window.start] === COPY_DATA
    ) {
      const end = window.start + readInt32(bytes, window.start + 1) + 1;
      if (end > window.end) break;
      const at = this.#skipHeader(window.start + HEADER_BYTES, end);
      if (at !== end) {
        if (readUint16(bytes, at) === TRAILER) {
          this.#seen.trailer = true;
        } else {
          if (!this.#encodeRow(at, end)) break;
          this.#keys.first ??= this.#keyOf(at);
          lastRow = at;
        }
      }
      this.#isInFirstMessage = false;
      window.start = end;
    }
    // The bytes of the last row of this pass are still there; of all passes, the last one's counts.
    if (lastRow >= 0) this.#keys.last = this.#keyOf(lastRow);
  }

  /** Returns false, and leaves the row where it is, when its line would be too long to be made in one go. */
  #encodeRow(at: number, end: number): boolean {
    const { bytes } = this.#window;
    const lines = this.#lines;
    const stop = this.#encoder.encode(bytes, at, end, lines.bytes, lines.length);
    if (stop <= lines.bytes.length) {
      lines.length = stop;
    } else if (stop - lines.length > LONGEST_WHOLE_LINE) {
      this.#isSwelling = true;
      return false;
    } else {
      lines.reserve(stop - lines.length);
      lines.length = this.#encoder.encode(bytes, at, end, lines.bytes, lines.length);
    }
    this.#count.rows += 1;
    return true;
  }

  /** The first message begins with the signature; a row may follow in it. */
  #skipHeader(at: number, end: number): number {
    if (!this.#isInFirstMessage) return at;
    const found = this.#window.bytes.subarray(at, Math.min(at + SIGNATURE.length, end));
    if (!SIGNATURE.equals(found)) throw new Error('the stream does not begin as a binary COPY does');
    return at + SIGNATURE.length;
  }

  async *#passWideRow(): AsyncGenerator<Buffer, void, undefined> {
    const window = this.#window;
    let rowBytes = this.#messageBytes() - HEADER_BYTES;
    window.start += HEADER_BYTES;
    if (this.#isInFirstMessage) {
      await window.need(SIGNATURE.length);
      window.start = this.#skipHeader(window.start, window.end);
      rowBytes -= SIGNATURE.length;
    }
    this.#isInFirstMessage = false;
    this.#isSwelling = false;
    const values = new Map<number, string>();
    const onShortValue = (column: number, json: Buffer): void => {
      // A key lies in an index, and is far shorter than what passes in pieces.
      if (this.#job.keyColumns.includes(column)) values.set(column, unquote(json.toString()));
    };
    yield* encodeWideRow({ window, lines: this.#lines, onShortValue }, this.#encoder, rowBytes);
    this.#count.rows += 1;
    const key = this.#job.keyColumns.map((column) => values.get(column) ?? '');
    this.#keys.first ??= key;
    this.#keys.last = key;
  }

  /** Takes a message that is not data; returns true when it was the last. */
  async #takeMessage(): Promise<boolean> {
    const window = this.#window;
    const bytes = this.#messageBytes();
    const taken = Math.min(bytes, LONGEST_MESSAGE);
    await window.need(taken);
    const type = window.bytes[window.start];
    const body = Buffer.from(window.bytes.subarray(window.start + HEADER_BYTES, window.start + taken));
    window.start += taken;
    await this.#skip(bytes - taken);
    if (type === ERROR) throw serverError(body);
    if (type === COMMAND_COMPLETE) this.#seen.endTag = body.toString('latin1', 0, body.length - 1);
    if (type === COPY_OUT && body[0] !== 1) throw new Error('the server does not send the binary form');
    if (type === COPY_DONE && !this.#seen.trailer)
      throw new Error('the data ended without the trailer of a binary COPY');
    return type === READY;
  }

  /** A notice or an error may be of any length; its first part says what there is to know. */
  async #skip(bytes: number): Promise<void> {
    const window = this.#window;
    for (let left = bytes; left > 0;) {
      await window.need(1);
      const step = Math.min(left, window.length);
      window.start += step;
      left -= step;
    }
  }

  #checkEnd(): void {
    const { endTag, trailer } = this.#seen;
    const sent = Number(/^COPY (\d+)$/.exec(endTag)?.[1] ?? Number.NaN);
    if (trailer && sent === this.#count.rows) return;
    throw fail(
      { code: 'row-count-mismatch', transient: true },
      {
        stage: 'read',
        message: `reading ${this.#job.subject}: ${formatCount(this.#count.rows)} rows came, and the server says "${endTag}"`,
      },
    );
  }

  #keyOf(at: number): string[] {
    return this.#encoder.valuesOf(this.#window.bytes, at, this.#job.keyColumns).map((value) => value ?? '');
  }
}

/** Fields of an ErrorResponse: one byte of kind, then text up to a zero byte. */
function serverError(body: Buffer): Error {
  const fields = new Map<string, string>();
  for (const field of body.toString('utf8').split('\0')) if (field !== '') fields.set(field.charAt(0), field.slice(1));
  return Object.assign(new Error(fields.get('M') ?? 'an error without a message'), {
    code: fields.get('C'),
    detail: fields.get('D'),
    hint: fields.get('H'),
  });
}
