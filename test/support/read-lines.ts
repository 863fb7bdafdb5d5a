/** Runs the data plane's source and encoder over a table or a query, and what the server itself prints for the same rows. */
import pg from 'pg';
import type { ArchiveConfig } from '../../src/config/schema.ts';
import { connectPostgres, endConnection } from '../../src/postgres/connect.ts';
import { buildSelect, type Narrowing } from '../../src/postgres/select.ts';
import { describeSubject } from '../../src/run/row-source.ts';
import { TextEncoder } from '../../src/segment/encode/text-encoder.ts';
import { readCursor } from '../../src/segment/source/cursor.ts';

/** What a test says of an archive; the rest is default. */
export type Reading = Partial<
  Pick<ArchiveConfig, 'table' | 'query' | 'params' | 'columns' | 'exclude' | 'where' | 'key'>
>;

export const SLOT = new Date('2026-11-23T02:15:00Z');

/** JSON Lines of the cursor path, without the last line feed of each. */
export async function readLines(url: string, reading: Reading, narrowing: Narrowing = {}): Promise<string[]> {
  const client = await connectPostgres({ url, applicationName: 'test' });
  try {
    const { source, name } = await describeSubject(client, reading as ArchiveConfig, SLOT);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const encoder = new TextEncoder(source.columns);
    const limits = { maxRowBytes: 512 * 1024 ** 2, subject: name, keyColumns: [] };
    const pieces: Buffer[] = [];
    for await (const batch of readCursor(client, buildSelect(source, narrowing), limits, { rows: 0 })) {
      for (const piece of encoder.encode(batch)) pieces.push(piece);
    }
    return splitLines(Buffer.concat(pieces));
  } finally {
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
