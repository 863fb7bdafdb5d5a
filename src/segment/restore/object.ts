/** The story of one object on its way back: note down, then its rows into the table, which are counted. */
import { pipeline } from 'node:stream/promises';
import { fail, FailureError } from '../../base/errors.ts';
import { countOf, formatCount } from '../../base/units.ts';
import type { Client } from '../../postgres/connect.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import type { Store } from '../../store/store.ts';
import { insertByValue } from './by-value.ts';
import { copyIn } from './copy.ts';
import { restoreFailure } from './errors.ts';
import { readRows, type ReadHooks } from './read-rows.ts';
import { beginObject, noteObject } from './record.ts';
import type { RestoredFacts, ObjectTask } from './task.ts';
import type { WorkerMessage } from '../messages.ts';

export interface RestoreHooks extends ReadHooks {
  report: (message: WorkerMessage) => void;
}

const STAGE = 'pg_temp.pgsluice_stage';

/**
 * Restores one object inside the open transaction. Throws FailureError when anything fails; then the transaction, and the connection
 * with it, is of no more use: the server may be in the middle of the rows.
 */
export async function fillObject(
  task: ObjectTask,
  client: Client,
  store: Store,
  hooks: RestoreHooks,
): Promise<RestoredFacts> {
  const { jsonBytes, bytes } = task.expected;
  try {
    let lines: Pick<RestoredFacts, 'lineDigest'> = {};
    const digesting: RestoreHooks = { ...hooks, onLineDigest: (lineDigest) => void (lines = { lineDigest }) };
    const earlier = await beginObject(client, task);
    if (earlier !== undefined) {
      if (task.wantsLineDigest === true) await readThrough(task, store, digesting);
      return { ...earlier, jsonBytes, bytes, ...lines };
    }
    const counts = needsStage(task)
      ? await fillThroughStage(task, client, store, digesting)
      : await fillDirectly(task, client, store, digesting);
    await noteObject(client, task, counts);
    return { ...counts, jsonBytes, bytes, ...lines };
  } catch (error) {
    throw explainSkip(restoreFailure(error, `restoring ${task.key} into ${task.subject}`), task);
  }
}

/** Its rows are in, by a commit that was not confirmed: they are read for their digest alone. */
async function readThrough(task: ObjectTask, store: Store, hooks: RestoreHooks): Promise<void> {
  const rows = readRows(task, store, hooks);
  while ((await rows.next()).done !== true) hooks.signal.throwIfAborted();
}

/** Rows with the same key were passed over, so that what is in the way has another one. */
function explainSkip(error: FailureError, { onConflict }: ObjectTask): FailureError {
  const { failure } = error;
  if (onConflict !== 'skip' || failure.code !== 'row-exists') return error;
  const hint =
    'A row with another key has the same value in another unique index. It is not the archived row, so that one is not passed over: change or remove it, or restore into another table (--create).';
  return new FailureError({ ...failure, hint }, { cause: error });
}

type Counts = Pick<RestoredFacts, 'rows' | 'skipped'>;

/** COPY cannot pass over rows that are there already, and does not tell how many meet a condition: only how many went in. */
function needsStage({ onConflict, where }: ObjectTask): boolean {
  return onConflict === 'skip' || where !== undefined;
}

async function fillDirectly(task: ObjectTask, client: Client, store: Store, hooks: RestoreHooks): Promise<Counts> {
  const rows = await bring(task, client, store, hooks, task.table);
  if (rows !== task.expected.rows) throw rowsDropped(task, rows, task.expected.rows);
  return { rows, skipped: 0 };
}

async function fillThroughStage(task: ObjectTask, client: Client, store: Store, hooks: RestoreHooks): Promise<Counts> {
  const list = columnList(task);
  const names = list.slice(2, -1);
  await client.query(
    `CREATE TEMP TABLE ${STAGE.replace('pg_temp.', '')} ON COMMIT DROP AS SELECT ${names} FROM ${task.table} WITH NO DATA`,
  );
  const staged = await bring(task, client, store, hooks, STAGE);
  const { rowCount } = await client.query(
    `INSERT INTO ${task.table}${list} OVERRIDING SYSTEM VALUE SELECT ${names} FROM ${STAGE}${onConflict(task)}`,
  );
  const rows = rowCount ?? 0;
  let lost = staged - rows;
  if (lost !== 0 && task.conflictKey !== undefined) {
    await requireDifferentKeys(task, task.conflictKey, client);
    lost = await countLost(task, client);
  }
  // The next object of the transaction makes its own.
  await client.query(`DROP TABLE ${STAGE}`);
  if (lost > 0) throw rowsDropped(task, staged - lost, staged);
  return { rows, skipped: staged - rows };
}

/** By the archive's key alone: what is in the way of a row with another key is an error. */
function onConflict({ conflictKey }: ObjectTask): string {
  if (conflictKey === undefined) return '';
  return ` ON CONFLICT (${conflictKey.map(({ name }) => quoteIdentifier(name)).join(', ')}) DO NOTHING`;
}

/** A query may give a key that is none: the second row of it would pass for one that was there. */
async function requireDifferentKeys(
  { subject, key }: ObjectTask,
  conflictKey: NonNullable<ObjectTask['conflictKey']>,
  client: Client,
): Promise<void> {
  const names = conflictKey.map(({ name }) => quoteIdentifier(name)).join(', ');
  const { rows } = await client.query<{ repeated: string }>(
    `SELECT pg_catalog.count(*) AS repeated FROM (
       SELECT FROM ${STAGE} GROUP BY ${names} HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1
     ) AS s`,
  );
  const repeated = Number(rows[0]?.repeated);
  if (repeated === 0) return;
  throw fail('rows-dropped', {
    stage: 'restore',
    message: `${subject} took one row alone of each key, and in ${key} ${countOf(repeated, 'key')} (${names}) came more than once, so nothing of it was restored`,
    hint: 'What the archive calls a key is none. Restore into a table without this unique index, and look there which rows share the key: SELECT …, count(*) … GROUP BY … HAVING count(*) > 1.',
  });
}

/** Rows that were not inserted, and whose key is not there either: a trigger let them fall, or gave them another key. */
async function countLost({ table, conflictKey = [] }: ObjectTask, client: Client): Promise<number> {
  const isSame = conflictKey.map(({ name, equals, nullable }) => {
    const column = quoteIdentifier(name);
    const areEqual = `t.${column} ${equals} s.${column}`;
    return nullable ? `(${areEqual} OR t.${column} IS NULL AND s.${column} IS NULL)` : areEqual;
  });
  const { rows } = await client.query<{ lost: string }>(
    `SELECT pg_catalog.count(*) AS lost FROM ${STAGE} AS s WHERE NOT EXISTS (SELECT FROM ${table} AS t WHERE ${isSame.join(' AND ')})`,
  );
  return Number(rows[0]?.lost);
}

/** ` ("a", "b")`; nothing for a table without columns, which COPY takes as it is. */
function columnList({ columns }: ObjectTask): string {
  const names = columns.filter(({ form }) => form !== undefined).map(({ name }) => quoteIdentifier(name));
  return names.length === 0 ? '' : ` (${names.join(', ')})`;
}

/** Brings the object's rows into `table`; resolves to those that it took. The server has them only when all is proved. */
async function bring(
  task: ObjectTask,
  client: Client,
  store: Store,
  hooks: RestoreHooks,
  table: string,
): Promise<number> {
  const condition = task.where === undefined ? '' : ` WHERE ${task.where}`;
  if (task.isTooLong === true) {
    const { sent, inserted } = await insertByValue(task, client, store, hooks, { table, condition });
    if (sent !== task.expected.rows) throw rowsDropped(task, sent, task.expected.rows);
    return inserted;
  }
  const target = copyIn(client, `COPY ${table}${columnList(task)} FROM STDIN${condition}`);
  await pipeline(readRows(task, store, hooks), target, { signal: hooks.signal });
  return target.rowCount;
}

function rowsDropped({ subject, key }: ObjectTask, rows: number, sent: number): FailureError {
  return fail('rows-dropped', {
    stage: 'restore',
    message: `${subject} took ${formatCount(rows)} of ${formatCount(sent)} rows of ${key}, so nothing of it was restored`,
  });
}
