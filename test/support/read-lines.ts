/** Runs the data plane's selection and encoder over a table or a query, and what the server itself prints for the same rows. */
import pg from 'pg';
import type { ArchiveConfig } from '../../src/config/schema.ts';
import { connectPostgres, endConnection, socketOf, type Client } from '../../src/postgres/connect.ts';
import { buildSelect } from '../../src/postgres/select.ts';
import { describeSubject } from '../../src/run/subject.ts';
import { TextEncoder } from '../../src/format/jsonl/write/text-encoder.ts';
import { RowEncoder } from '../../src/format/jsonl/write/binary/row-encoder.ts';
import { giveBuffersBack, lendBuffers, plainBuffers } from '../../src/format/jsonl/write/binary/encode-memory.ts';
import { hasBinaryEncoder } from '../../src/format/jsonl/write/binary/column.ts';
import { readBinary } from '../../src/segment/source/binary.ts';
import { readCursor } from '../../src/segment/source/cursor.ts';

/** What a test says of an archive; the rest is default. */
export type Reading = Partial<
  Pick<ArchiveConfig, 'table' | 'query' | 'params' | 'columns' | 'exclude' | 'where' | 'key'>
>;

export const SLOT = new Date('2026-11-23T02:15:00Z');

export type Reader = 'copy' | 'copy-without-simd' | 'query' | 'cursor';

/** JSON Lines of one of the readers, without the last line feed of each. `after` gets the connection as the reader leaves it. */
export async function readLines(
  url: string,
  reading: Reading,
  reader: Reader = 'cursor',
  after: (client: Client) => Promise<void> = () => Promise.resolve(),
): Promise<string[]> {
  const client = await connectPostgres({ url, applicationName: 'test' });
  const buffers = reader === 'copy-without-simd' ? plainBuffers() : lendBuffers();
  try {
    const { selection, name } = await describeSubject(client, { lines: 'server', ...reading } as ArchiveConfig, SLOT);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const pieces: Buffer[] = [];
    const count = { rows: 0 };
    if (reader !== 'cursor') {
      const select = buildSelect(selection, {}, (column) => !hasBinaryEncoder(column));
      const read: 'copy' | 'query' = reader === 'query' ? 'query' : 'copy';
      const job = { read, select, encoder: new RowEncoder(selection.columns), buffers, subject: name, keyColumns: [] };
      const lines = readBinary(client, job, count, { first: null, last: null });
      for await (const piece of lines) pieces.push(Buffer.from(piece));
      await after(client);
      socketOf(client)?.destroy();
    } else {
      const encoder = new TextEncoder(selection.columns);
      const { columns } = selection;
      const limits = { maxRowBytes: 512 * 1024 ** 2, subject: name, keyColumns: [], columns };
      for await (const batch of readCursor(client, buildSelect(selection), limits, count)) {
        for (const piece of encoder.encode(batch)) pieces.push(piece);
      }
      await after(client);
    }
    const lines = splitLines(Buffer.concat(pieces));
    if (lines.length !== count.rows)
      throw new Error(`${count.rows} rows were counted, and there are ${lines.length} lines`);
    return lines;
  } finally {
    giveBuffersBack(buffers);
    await endConnection(client);
  }
}

/** What `row_to_json` prints for `from`, in the session that the line format names, line breaks made blanks. */
export async function oracleLines(url: string, from: string, params: unknown[] = []): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(
      "SET TimeZone='UTC'; SET DateStyle='ISO'; SET IntervalStyle='postgres'; SET bytea_output='hex'; SET extra_float_digits=1",
    );
    const { rows } = await client.query<[string]>({
      text: `SELECT row_to_json(oracle_row)::text FROM ${from} AS oracle_row`,
      values: params,
      rowMode: 'array',
    });
    return rows.map(([line]) => line.replaceAll(/[\r\n]/g, ' '));
  } finally {
    await client.end();
  }
}

function splitLines(bytes: Buffer): string[] {
  const lines: string[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
    lines.push(bytes.toString('utf8', start, end));
    start = end + 1;
  }
  if (start !== bytes.length) throw new Error('the last line has no line feed');
  return lines;
}
