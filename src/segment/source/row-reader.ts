/** Turns the bytes of rows in binary form into JSON Lines: nothing is ever held as an object or as text. */
import { fail } from '../../base/errors.ts';
import { BUDGET } from '../../base/memory-budget.ts';
import { formatCount } from '../../base/units.ts';
import { readInt32, readUint16 } from '../../format/jsonl/write/binary/numbers.ts';
import { unquote } from '../../format/jsonl/write/json-text.ts';
import type { RowEncoder } from '../../format/jsonl/write/binary/row-encoder.ts';
import { RowPass } from '../../format/jsonl/write/binary/row-pass.ts';
import type { EncodeBuffers } from '../../format/jsonl/write/binary/encode-memory.ts';
import { LineBuffer } from '../../format/jsonl/line-buffer.ts';
import {
  BINARY_FORM,
  commandTag,
  HEADER_BYTES,
  MESSAGE,
  rowsSent,
  serverError,
  SIGNATURE,
  TRAILER,
  type RowForm,
} from './server-messages.ts';
import { ByteWindow, type ByteSource } from './byte-window.ts';
import type { KeySpan, ReadCount } from './read-count.ts';
import { encodeWideRow } from './wide-row.ts';

/** The class of SQLSTATEs by which servers are stopped. */
const OPERATOR_INTERVENTION = '57';
/** So much of a message that is not data is looked at. */
const LONGEST_MESSAGE = 64 * 1024;

/** How its rows become lines. */
export interface BinaryEncoding {
  encoder: RowEncoder;
  buffers: EncodeBuffers;
  /** What is read, for messages. */
  subject: string;
  /** Where its key is. */
  keyColumns: readonly number[];
}

/**
 * What the stream has come to; each state is followed by the next one, but for `swelling`, which goes back to `rows`. A query begins
 * with `rows`, and has no trailer.
 */
type State =
  /** No data yet: it begins with the signature. */
  | 'start'
  /** The next data is a row, or the trailer. */
  | 'rows'
  /** At the start of the window is a row whose line is too long to be made in one go. */
  | 'swelling'
  /** The trailer has come: no data follows. */
  | 'trailer'
  /** The server has said what it sent. */
  | 'complete'
  /** The server waits for another query. */
  | 'over';

/** Throws Error when the stream is not what it should be, and FailureError when it was cut short. */
export class RowReader {
  readonly #window: ByteWindow;
  readonly #lines: LineBuffer;
  readonly #encoder: RowEncoder;
  readonly #pass: RowPass | undefined;
  readonly #form: RowForm;
  readonly #encoding: BinaryEncoding;
  readonly #count: ReadCount;
  readonly #keys: KeySpan;
  #state: State;
  /** The server's word for what it sent. */
  #tag = '';
  #ready: Buffer = Buffer.alloc(0);
  /** Why the server is about to end the connection, if it has said so. */
  #farewell: Error | undefined;

  constructor(source: ByteSource, form: RowForm, encoding: BinaryEncoding, count: ReadCount, keys: KeySpan) {
    this.#window = new ByteWindow(source, encoding.buffers.window);
    this.#lines = new LineBuffer(encoding.buffers.lines);
    this.#encoder = encoding.encoder;
    this.#pass = RowPass.open(encoding.encoder, encoding.buffers, form.message);
    this.#form = form;
    this.#state = form.isFramed ? 'start' : 'rows';
    this.#encoding = encoding;
    this.#count = count;
    this.#keys = keys;
  }

  /** Once all lines were read: the server's word that it waits for another query, and what came behind that. */
  get end(): { ready: Buffer; rest: Buffer } {
    return { ready: this.#ready, rest: this.#window.unused };
  }

  /** Yields the lines. A buffer is valid until LINE_BUFFERS more were asked for. */
  async *read(): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* this.#readAll();
    } catch (error) {
      throw this.#farewell ?? error;
    }
  }

  async *#readAll(): AsyncGenerator<Buffer, void, undefined> {
    const window = this.#window;
    while (this.#state !== 'over') {
      if (this.#state === 'rows') this.#encodeRows();
      if (this.#lines.isFull) yield this.#lines.take();
      else if (window.length < HEADER_BYTES) await window.fill();
      else if (window.bytes[window.start] !== this.#form.message) await this.#takeMessage();
      else yield* this.#takeData();
    }
    if (this.#lines.length > 0) yield this.#lines.take();
  }

  /** Size of the message at the start of the window, its type included. */
  #messageBytes(): number {
    return readInt32(this.#window.bytes, this.#window.start + 1) + 1;
  }

  /** Encodes the rows that are whole in the window, until the lines are full: the loop that all rows go through. */
  #encodeRows(): void {
    const window = this.#window;
    const { bytes } = window;
    const { message, isFramed } = this.#form;
    let lastRow = -1;
    for (;;) {
      lastRow = this.#passRows() ?? lastRow;
      // What was left alone there, if there is more: one row, and the others may go that way again.
      if (this.#lines.isFull || window.length < HEADER_BYTES || bytes[window.start] !== message) break;
      const end = window.start + readInt32(bytes, window.start + 1) + 1;
      if (end > window.end) break;
      const at = window.start + HEADER_BYTES;
      if (at !== end) {
        if (isFramed && readUint16(bytes, at) === TRAILER) {
          this.#state = 'trailer';
          window.start = end;
          break;
        }
        if (!this.#encodeRow(at, end)) break;
        this.#keys.first ??= this.#keyValuesAt(at);
        lastRow = at;
      }
      window.start = end;
    }
    // The bytes of the last row of this pass are still there; of all passes, the last one's counts.
    if (lastRow >= 0) this.#keys.last = this.#keyValuesAt(lastRow);
  }

  /** Encodes rows in WebAssembly, as far as that goes; returns where the last one is, if there were any. */
  #passRows(): number | undefined {
    const pass = this.#pass;
    const lines = this.#lines;
    const window = this.#window;
    const rows = pass?.run(window.start, window.end, lines.bytes, lines.length, BUDGET.lines.fullBytes) ?? 0;
    if (pass === undefined || rows === 0) return undefined;
    this.#keys.first ??= this.#keyValuesAt(pass.first);
    this.#count.rows += rows;
    lines.length = pass.length;
    window.start = pass.stop;
    return pass.last;
  }

  /** Returns false, and leaves the row where it is, when its line would be too long to be made in one go. */
  #encodeRow(at: number, end: number): boolean {
    const { bytes } = this.#window;
    const lines = this.#lines;
    const stop = this.#encoder.encode(bytes, at, end, lines.bytes, lines.length);
    if (stop <= lines.bytes.length) {
      lines.length = stop;
    } else if (stop - lines.length > BUDGET.lines.longestBytes) {
      this.#state = 'swelling';
      return false;
    } else {
      lines.reserve(stop - lines.length);
      lines.length = this.#encoder.encode(bytes, at, end, lines.bytes, lines.length);
    }
    this.#count.rows += 1;
    return true;
  }

  /** Takes data that is more than whole rows in the window. */
  async *#takeData(): AsyncGenerator<Buffer, void, undefined> {
    switch (this.#state) {
      case 'start':
        return this.#takeSignature();
      case 'rows':
        if (this.#messageBytes() > this.#window.capacity) return yield* this.#passWideRow();
        return this.#window.need(this.#messageBytes());
      case 'swelling':
        return yield* this.#passWideRow();
      default:
        throw new Error('data came behind its end');
    }
  }

  /** Cuts the signature out of the first message, in which a row may follow it: its header moves behind it. */
  async #takeSignature(): Promise<void> {
    const window = this.#window;
    const bodyBytes = this.#messageBytes() - HEADER_BYTES;
    await window.need(HEADER_BYTES + Math.min(bodyBytes, SIGNATURE.length));
    const at = window.start + HEADER_BYTES;
    if (bodyBytes < SIGNATURE.length || !SIGNATURE.equals(window.bytes.subarray(at, at + SIGNATURE.length)))
      throw new Error('the stream does not begin as a binary COPY does');
    window.start += SIGNATURE.length;
    const header = new DataView(window.bytes.buffer, window.bytes.byteOffset + window.start, HEADER_BYTES);
    header.setUint8(0, MESSAGE.copyData);
    header.setInt32(1, bodyBytes - SIGNATURE.length + HEADER_BYTES - 1);
    this.#state = 'rows';
  }

  async *#passWideRow(): AsyncGenerator<Buffer, void, undefined> {
    const window = this.#window;
    const rowBytes = this.#messageBytes() - HEADER_BYTES;
    window.start += HEADER_BYTES;
    const { keyColumns } = this.#encoding;
    const values = new Map<number, string>();
    const onShortValue = (column: number, json: Buffer): void => {
      // A key lies in an index, and is far shorter than what passes in pieces.
      if (keyColumns.includes(column)) values.set(column, unquote(json.toString()));
    };
    yield* encodeWideRow({ window, lines: this.#lines, onShortValue }, this.#encoder, rowBytes);
    this.#state = 'rows';
    this.#count.rows += 1;
    const key = keyColumns.map((column) => values.get(column) ?? '');
    this.#keys.first ??= key;
    this.#keys.last = key;
  }

  /** Takes a message that is not data. */
  async #takeMessage(): Promise<void> {
    const window = this.#window;
    const bytes = this.#messageBytes();
    if (bytes < HEADER_BYTES) throw new Error(`a message says that it has ${bytes} bytes`);
    const taken = Math.min(bytes, LONGEST_MESSAGE);
    await window.need(taken);
    const type = window.bytes[window.start];
    const body = Buffer.from(window.bytes.subarray(window.start + HEADER_BYTES, window.start + taken));
    window.start += taken;
    await this.#skip(bytes - taken);
    switch (type) {
      case MESSAGE.error:
        throw serverError(body);
      case MESSAGE.notice:
        this.#noteNotice(serverError(body));
        break;
      case MESSAGE.copyOut:
        if (body[0] !== BINARY_FORM) throw new Error('the server does not send the binary form');
        break;
      case MESSAGE.copyDone:
        if (this.#state !== 'trailer') throw new Error('the data ended without the trailer of a binary COPY');
        break;
      case MESSAGE.commandComplete:
        this.#tag = commandTag(body);
        if (this.#state === (this.#form.isFramed ? 'trailer' : 'rows')) this.#state = 'complete';
        break;
      case MESSAGE.ready:
        this.#checkEnd();
        this.#ready = body;
        this.#state = 'over';
        break;
      default:
      // A setting that has changed.
    }
  }

  /** A server that goes down in a hurry says so in a notice, and then hangs up. All others are of the query, or of a trigger. */
  #noteNotice(notice: Error & { code: string | undefined }): void {
    if (notice.code?.startsWith(OPERATOR_INTERVENTION) === true) this.#farewell = notice;
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

  /** The end counts only with the server's word for it, and for as many rows as came. */
  #checkEnd(): void {
    if (this.#state === 'complete' && rowsSent(this.#tag, this.#form) === this.#count.rows) return;
    throw fail(
      { code: 'row-count-mismatch', transient: true },
      {
        stage: 'read',
        message: `reading ${this.#encoding.subject}: ${formatCount(this.#count.rows)} rows came, and the server says "${this.#tag}"`,
      },
    );
  }

  #keyValuesAt(at: number): string[] {
    return this.#encoder.valuesOf(this.#window.bytes, at, this.#encoding.keyColumns).map((value) => value ?? '');
  }
}
