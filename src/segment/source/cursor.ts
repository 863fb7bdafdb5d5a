/** Reads rows through a server-side cursor (pg-cursor), in batches that are bounded in bytes. */
import type { Client } from 'pg';
import Cursor from 'pg-cursor';
import { fail, type FailureError } from '../../base/errors.ts';
import { formatBytes, formatCount } from '../../base/units.ts';
import { socketOf } from '../../postgres/connect.ts';
import { postgresFailure, sqlStateOf } from '../../postgres/errors.ts';
import { lastWordsOf } from '../../postgres/last-words.ts';
import type { Statement } from '../../postgres/select.ts';
import type { TextRow } from '../../format/jsonl/write/text-encoder.ts';
import type { ReadCount } from './read-count.ts';
import { ReplacedBytes } from './replaced-bytes.ts';
import { guardRowWidth } from './row-guard.ts';

/** Rows of the first read, before anything is known of their width. */
const FIRST_READ_ROWS = 100;
const MAX_READ_ROWS = 20_000;
/** A batch is handed on once it holds this much, in the middle of a read too: rows may suddenly grow. */
const BATCH_BYTES = 512 * 1024;
/** What one read should bring: some batches, so that the server is not asked too often. */
const READ_BYTES = 4 * 1024 * 1024;

/** Limits of a read, and how its failures name the row. */
export interface ReadLimits {
  /** Size of the widest row on the wire. */
  maxRowBytes: number;
  /** What is read, for messages. */
  subject: string;
  /** Indexes of the key columns, to name the place of a row that fails. */
  keyColumns: readonly number[];
  /** In the order of the rows' values. */
  columns: readonly { name: string }[];
}

/** The types that the cursor hands its rows by; `fields` are text as Postgres printed it. */
interface DataRowMessage {
  length: number;
  fields: (string | null)[];
}

/**
 * pg-cursor collects all rows of a read before it gives them out. This one hands on each row as it comes, and knows how
 * many rows the server says it sent.
 */
class RowCursor extends Cursor {
  onRow: (fields: TextRow, bytes: number) => void = () => undefined;
  /** The server's word that there is no more: the tag of CommandComplete, such as `SELECT 12`. */
  endTag: string | undefined;

  handleDataRow(message: DataRowMessage): void {
    this.onRow(message.fields, message.length);
  }

  handleCommandComplete(message: { text: string }): void {
    this.endTag = message.text;
    // The driver's own way on: it closes the portal, which makes the read end.
    const base = Cursor.prototype as unknown as { handleCommandComplete(message: { text: string }): void };
    base.handleCommandComplete.call(this, message);
  }
}

/**
 * Yields the rows of `select` in batches; `count.rows` runs along. Once all were read, the connection can be used again; else it
 * cannot. Throws FailureError, and never ends early in silence.
 */
export async function* readCursor(
  client: Client,
  select: Statement,
  limits: ReadLimits,
  count: ReadCount,
): AsyncGenerator<TextRow[], void, undefined> {
  const batches = new Batches();
  const { cursor, endWatch } = openCursor(client, select, limits, count, batches);
  let readRows = FIRST_READ_ROWS;
  let seenBytes = 0;
  while (cursor.endTag === undefined) {
    const rowsBefore = count.rows;
    const reading = read(client, cursor, readRows, limits.subject);
    for (let full = await batches.fullOr(reading); full; full = await batches.fullOr(reading)) {
      seenBytes += batches.bytes;
      pauseWhile(client, true);
      yield batches.take();
      pauseWhile(client, false);
    }
    seenBytes += batches.bytes;
    if (batches.bytes > 0) yield batches.take();
    checkCount(cursor.endTag, count.rows - rowsBefore, readRows, limits.subject);
    readRows = nextReadRows(seenBytes, count.rows);
  }
  endWatch();
}

function openCursor(
  client: Client,
  select: Statement,
  limits: ReadLimits,
  count: ReadCount,
  batches: Batches,
): { cursor: RowCursor; endWatch: () => void } {
  const cursor = new RowCursor(select.text, [...select.params], { rowMode: 'array' });
  const replaced = new ReplacedBytes();
  cursor.onRow = (fields, bytes) => {
    if (batches.hasFailed) return;
    if (replaced.areIn(fields, bytes)) {
      batches.fail(invalidBytes(fields, limits));
      return;
    }
    count.rows += 1;
    count.lastRow = fields;
    batches.add(fields, bytes);
  };
  const socket = socketOf(client);
  const ends =
    socket === undefined
      ? []
      : [
          guardRowWidth(socket, limits.maxRowBytes, (bytes) => {
            socket.destroy(rowTooWide(bytes, limits, count));
          }),
          replaced.watch(socket),
        ];
  const endWatch = (): void => {
    for (const end of ends) end();
  };
  return { cursor: client.query(cursor), endWatch };
}

async function read(client: Client, cursor: RowCursor, rows: number, subject: string): Promise<void> {
  try {
    await cursor.read(rows);
  } catch (error) {
    const words = sqlStateOf(error) === '' ? lastWordsOf(client) : undefined;
    throw postgresFailure(words ?? error, 'read', `reading ${subject}`);
  }
}

/** Gathers rows, and wakes the reader when a batch is full in the middle of a read. */
class Batches {
  #rows: TextRow[] = [];
  #wake: (() => void) | undefined;
  #failure: FailureError | undefined;
  bytes = 0;

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** What was added since the last batch is not handed on. */
  fail(failure: FailureError): void {
    this.#failure = failure;
    this.#wake?.();
  }

  add(row: TextRow, bytes: number): void {
    this.#rows.push(row);
    this.bytes += bytes;
    if (this.bytes >= BATCH_BYTES) this.#wake?.();
  }

  take(): TextRow[] {
    const rows = this.#rows;
    this.#rows = [];
    this.bytes = 0;
    return rows;
  }

  /** Resolves to true when a batch is full, to false when `reading` has ended; rejects when that does, and after `fail`. */
  async fullOr(reading: Promise<void>): Promise<boolean> {
    const isFull = this.bytes >= BATCH_BYTES || (await this.#untilFullOr(reading));
    if (this.#failure !== undefined) throw this.#failure;
    return isFull;
  }

  async #untilFullOr(reading: Promise<void>): Promise<boolean> {
    const full = new Promise<boolean>((resolve) => {
      this.#wake = () => {
        resolve(true);
      };
    });
    return Promise.race([full, reading.then(() => false)]);
  }
}

/** While a full batch is on its way, no more bytes are taken from the socket; the server feels that and waits. */
function pauseWhile(client: Client, paused: boolean): void {
  const socket = socketOf(client);
  if (paused) socket?.pause();
  else socket?.resume();
}

function nextReadRows(seenBytes: number, rows: number): number {
  const bytesPerRow = Math.max(1, seenBytes / Math.max(1, rows));
  return Math.max(1, Math.min(MAX_READ_ROWS, Math.floor(READ_BYTES / bytesPerRow)));
}

/** The rows of this read must be what the server says it sent: all that were asked for, or as many as its end tag names. */
function checkCount(endTag: string | undefined, rows: number, asked: number, subject: string): void {
  const expected = endTag === undefined ? asked : Number(/\d+$/.exec(endTag)?.[0] ?? Number.NaN);
  if (rows === expected) return;
  throw fail(
    { code: 'row-count-mismatch', transient: true },
    {
      stage: 'read',
      message: `reading ${subject}: ${formatCount(rows)} rows came, and the server says it sent ${formatCount(expected)}`,
    },
  );
}

function invalidBytes(row: TextRow, { subject, columns }: ReadLimits): FailureError {
  const names = columns.flatMap(({ name }, index) => (row[index]?.includes('\u{FFFD}') === true ? [name] : []));
  return fail('invalid-bytes', {
    stage: 'read',
    message: `reading ${subject}: a text is not in UTF-8, though its database says that it is (in ${names.join(' or ')})`,
    hint: "Read that column by a query, with the encoding that it was written in: convert_from(textsend(v), 'LATIN1') AS v in a database that says UTF8. Or leave such rows out with where, by the key that the message names.",
  });
}

function rowTooWide(bytes: number, limits: ReadLimits, { rows, lastRow }: ReadCount): FailureError {
  const key = lastRow === undefined ? [] : limits.keyColumns.map((index) => lastRow[index] ?? 'NULL');
  const place = key.length === 0 ? '' : `, which follows the row with the key (${key.join(', ')})`;
  const neededMb = Math.ceil((bytes * 4) / 1024 ** 2 / 16) * 16 + 16;
  return fail('row-too-wide', {
    stage: 'read',
    message:
      `row ${formatCount(rows + 1)} of ${limits.subject}${place}, is ${formatBytes(bytes)} wide; ` +
      `a worker of this heap takes rows of up to ${formatBytes(limits.maxRowBytes)}`,
    hint: `Leave read out (auto), which takes rows of any width; or raise workers.maxOldGenerationSizeMb to ${neededMb} or more, or leave the wide column out with exclude or where.`,
  });
}
