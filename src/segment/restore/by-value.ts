/**
 * Brings rows that are too long for COPY's text form: by binary COPY into a table of our own, whose columns are text or bytea, and
 * from there by the input functions of the types, which are what COPY calls as well.
 */
import { pipeline } from 'node:stream/promises';
import { BUDGET } from '../../base/memory-budget.ts';
import type { Client } from '../../postgres/connect.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import { measureRows, toBinaryRows } from '../../format/jsonl/read/binary-rows.ts';
import type { RestoreColumn } from '../../format/jsonl/forms.ts';
import type { Store } from '../../store/store.ts';
import { copyIn } from './copy.ts';
import { readRows, type ReadHooks } from './read-rows.ts';
import type { ObjectTask } from './task.ts';

const NAME = 'pgsluice_values';
const TABLE = `pg_temp.${NAME}`;

const NOTHING = { rows: 0, jsonBytes: 0, bytes: 0 };

/**
 * Inserts the rows of the object that meet `condition`, which is empty or a WHERE, into `table`. Resolves to how many were sent, and
 * how many of them are in.
 */
export async function insertByValue(
  task: ObjectTask,
  client: Client,
  store: Store,
  hooks: ReadHooks,
  { table, condition }: { table: string; condition: string },
): Promise<{ sent: number; inserted: number }> {
  const columns = task.columns.filter(({ form }) => form !== undefined);
  const defined = columns.map((column, at) => `v${at} ${isBytea(column) ? 'bytea' : 'text'}`);
  await client.query(`CREATE TEMP TABLE ${NAME} (${defined.join(', ')}) ON COMMIT DROP`);
  const sent = await copyValues(task, client, store, hooks, columns);
  const names = columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  const typed = columns.map(
    ({ name, input }, at) => `${input?.before ?? ''}v${at}${input?.after ?? ''} AS ${quoteIdentifier(name)}`,
  );
  // The condition goes by the collations of the table, as it does in COPY.
  const collated = condition === '' ? '' : `SELECT ${names} FROM ${table} WHERE false UNION ALL `;
  const { rowCount } = await client.query(
    `INSERT INTO ${table} (${names}) OVERRIDING SYSTEM VALUE SELECT ${names} FROM (${collated}SELECT ${typed.join(', ')} FROM ${TABLE}) AS t${condition}`,
  );
  // The next object of the transaction makes its own.
  await client.query(`DROP TABLE ${TABLE}`);
  return { sent, inserted: rowCount ?? 0 };
}

/** The object is read twice at the same time: once for the lengths that stand before the values. Both share what one may hold. */
async function copyValues(
  whole: ObjectTask,
  client: Client,
  store: Store,
  hooks: ReadHooks,
  columns: readonly RestoreColumn[],
): Promise<number> {
  const task = { ...whole, maxValueBytes: whole.maxValueBytes / BUDGET.unpack.readings };
  const kinds = columns.map((column) => ({ isBytea: isBytea(column) }));
  const { measuring, sending } = halve(hooks);
  const widths = measureRows(readRows(task, store, measuring), kinds);
  const target = copyIn(client, `COPY ${TABLE} FROM STDIN (FORMAT binary)`);
  await pipeline(toBinaryRows(readRows(task, store, sending), kinds, widths), target, { signal: hooks.signal });
  return target.rowCount;
}

/** The bytes of either reading count for half: while a long row is measured, nothing is sent, and yet all goes on. Both are read, and wait for the pace. */
function halve({ signal, onProgress, grant, onLineDigest }: ReadHooks): { measuring: ReadHooks; sending: ReadHooks } {
  const paced = grant === undefined ? {} : { grant };
  let [measured, sent] = [NOTHING, NOTHING];
  const report = (): void => {
    const jsonBytes = Math.floor((measured.jsonBytes + sent.jsonBytes) / 2);
    onProgress({ rows: sent.rows, jsonBytes, bytes: Math.floor((measured.bytes + sent.bytes) / 2) });
  };
  return {
    measuring: {
      ...{ signal, ...paced },
      onProgress: (progress) => {
        measured = progress;
        report();
      },
    },
    sending: {
      ...{ signal, ...paced },
      ...(onLineDigest === undefined ? {} : { onLineDigest }),
      onProgress: (progress) => {
        sent = progress;
        report();
      },
    },
  };
}

/** Its hex digits would take twice the bytes. */
function isBytea({ input }: RestoreColumn): boolean {
  return input?.isBytea === true;
}
