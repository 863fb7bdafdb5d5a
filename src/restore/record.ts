/**
 * The record of a restore: a small table beside the target that says which objects are in it. Gone when all are. It is UNLOGGED,
 * as a publication for all tables would send its rows to subscribers that have no such table, and then nothing any more. A
 * crash of the server empties it; it is told from a new one by the entry that every restore begins with.
 */
import { createHash } from 'node:crypto';
import type { Client } from '../postgres/connect.ts';
import { quoteLiteral, quoteTableName } from '../postgres/identifiers.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import { DoneObjects } from './done-objects.ts';
import { readComment, writeComment, type SetAside } from './record-comment.ts';
import { Refusal } from './refusal.ts';
import type { RestoreRequest } from './request.ts';
import type { Target } from './target.ts';

export interface RestoreRecord {
  /** Quoted, with its schema. */
  table: string;
  restore: string;
  /** Whether an earlier try has begun it. */
  resumed: boolean;
  /** Rows that the table held before the first object, where they were counted; else 0. */
  rowsBefore: number;
  /** What became of the objects that are in the target. */
  done: DoneObjects;
  /** Foreign keys that are dropped until the restore is done. */
  aside: readonly SetAside[];
}

/** Names a run. */
type RunName = Pick<ManifestHead, 'archive' | 'run'>;

/** Entries that are read by one query. */
const ENTRIES_A_QUERY = 10_000;

/** The entry that says that a restore was begun; its rows are those that were there before. */
const BEGUN = '';

/** Of the record's comment; a longer one is none of ours. */
const MAX_COMMENT_CHARS = 1_000_000;

/** The same restore has the same id; another run, another commit of it, another range of keys or other values do not. */
export function restoreIdOf(
  { keys, partition }: Pick<RestoreRequest, 'keys' | 'partition'>,
  { archive, run, finishedAt }: Pick<ManifestHead, 'archive' | 'run' | 'finishedAt'>,
): string {
  const values = partition === undefined ? [] : [[...partition.wanted].sort()];
  const content = JSON.stringify([archive, run, finishedAt, keys.from ?? null, keys.to ?? null, ...values]);
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}

/** What lies beside the target: the record of this restore when it was begun before, or one that a crash emptied. */
export interface FoundRecord {
  record: RestoreRecord | undefined;
  /** The table of a record that lost its entries, quoted: what is in the target is not known any more. */
  emptied: string | undefined;
  /** Foreign keys that a restore into the target has dropped, this one or another. */
  aside: readonly SetAside[];
}

export const NO_RECORD: FoundRecord = { record: undefined, emptied: undefined, aside: [] };

export async function findRecord(
  client: Client,
  target: Target,
  schema: string,
  run: RunName,
  restore: string,
): Promise<FoundRecord> {
  const table = tableName(target, schema);
  if ((await persistenceOf(client, target, schema)) === undefined) return NO_RECORD;
  const aside = await findAside(client, table);
  const done = new DoneObjects(run);
  let rowsBefore: number | undefined;
  for await (const { object, rows, skipped } of eachEntry(client, table, restore)) {
    if (object === BEGUN) rowsBefore = Number(rows);
    else done.set(object, { rows: Number(rows), skipped: Number(skipped) });
  }
  if (rowsBefore !== undefined)
    return { record: { table, restore, resumed: true, rowsBefore, done, aside }, emptied: undefined, aside };
  return { record: undefined, emptied: (await hasBegun(client, table)) ? undefined : table, aside };
}

/** Numbers come as texts. */
interface Entry {
  object: string;
  rows: string;
  skipped: string;
}

/** All entries of a restore, of which there may be one for each of 400,000 objects. */
async function* eachEntry(client: Client, table: string, restore: string): AsyncGenerator<Entry, undefined> {
  let last: string | undefined;
  for (;;) {
    const { rows } = await client.query<Entry>(
      `SELECT object, rows, skipped FROM ${table}
       WHERE restore OPERATOR(pg_catalog.=) $1 AND ($2::pg_catalog.text IS NULL OR object OPERATOR(pg_catalog.>) $2)
       ORDER BY object LIMIT ${ENTRIES_A_QUERY}`,
      [restore, last ?? null],
    );
    yield* rows;
    last = rows.at(-1)?.object;
    if (rows.length < ENTRIES_A_QUERY) return undefined;
  }
}

/** Throws Refusal when the comment that names them was changed. */
async function findAside(client: Client, table: string): Promise<SetAside[]> {
  const { rows } = await client.query<{ comment: string | null }>(
    `SELECT pg_catalog.left(pg_catalog.obj_description($1::pg_catalog.regclass, 'pg_class'), ${MAX_COMMENT_CHARS}) AS comment`,
    [table],
  );
  const aside = readComment(rows[0]?.comment ?? null);
  if (aside !== undefined) return aside;
  throw new Refusal([
    `the comment of the record ${table} names foreign keys that a restore has dropped, and was changed: add them again by hand, then COMMENT ON TABLE ${table} IS NULL`,
  ]);
}

/** Whether any restore has begun in it. */
async function hasBegun(client: Client, table: string): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM ${table} WHERE object OPERATOR(pg_catalog.=) $1) AS found`,
    [BEGUN],
  );
  return rows[0]?.found === true;
}

/**
 * `u` for UNLOGGED, `p` for one of an earlier version; undefined when there is no record. Throws Refusal for what somebody else
 * has put under its name: whoever may create objects in the schema could have a view or a trigger run as our role, or say that
 * all objects were there.
 */
async function persistenceOf(client: Client, target: Target, schema: string): Promise<string | undefined> {
  const { rows } = await client.query<{ persistence: string; kind: string; owner: string; isTrusted: boolean }>(
    `SELECT c.relpersistence::pg_catalog.text AS persistence, c.relkind::pg_catalog.text AS kind,
       o.rolname::pg_catalog.text AS owner, o.rolsuper OR o.rolname OPERATOR(pg_catalog.=) CURRENT_USER OR EXISTS (
         SELECT FROM pg_catalog.pg_class t
         WHERE t.oid OPERATOR(pg_catalog.=) $3 AND t.relowner OPERATOR(pg_catalog.=) c.relowner
       ) AS "isTrusted"
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) c.relowner
     WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2`,
    [schema, nameOf(target), target.oid],
  );
  const [found] = rows;
  if (found === undefined || (found.kind === 'r' && found.isTrusted)) return found?.persistence;
  const table = tableName(target, schema);
  throw new Refusal([
    found.kind === 'r'
      ? `the record ${table} is of role ${found.owner}, which is neither this one, nor the owner of ${target.name}, nor a superuser: see who made it, then drop it, or give it to this role`
      : `${table} is no table, though the record of the restore has this name: see who made it (role ${found.owner} owns it), and drop it`,
  ]);
}

/** Drops records of this role whose tables were dropped since: nobody goes on with these. */
export async function dropOrphans(client: Client, schema: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT r.relname::pg_catalog.text AS name
     FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) r.relnamespace
     JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) r.relowner
     WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND r.relname OPERATOR(pg_catalog.~) '^pgsluice_restore_[0-9]{1,10}$'
       AND r.relkind OPERATOR(pg_catalog.=) 'r' AND o.rolname OPERATOR(pg_catalog.=) CURRENT_USER AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_class t
         WHERE t.oid::pg_catalog.int8 OPERATOR(pg_catalog.=) pg_catalog.substr(r.relname::pg_catalog.text, 18)::pg_catalog.int8
       )`,
    [schema],
  );
  for (const { name } of rows) await client.query(`DROP TABLE ${quoteTableName({ schema, table: name })}`);
}

/** Makes the record and notes in it that the restore has begun, inside the open transaction; or takes it up again. */
export async function openRecord(
  client: Client,
  target: Target,
  schema: string,
  restore: string,
  manifest: ManifestHead,
  rowsBefore: number,
): Promise<RestoreRecord> {
  const table = tableName(target, schema);
  if ((await persistenceOf(client, target, schema)) === 'p') await client.query(`ALTER TABLE ${table} SET UNLOGGED`);
  const { record: earlier, aside } = await findRecord(client, target, schema, manifest, restore);
  if (earlier !== undefined) return earlier;
  await client.query(
    `CREATE UNLOGGED TABLE IF NOT EXISTS ${table} (
       restore pg_catalog.text NOT NULL, archive pg_catalog.text, run pg_catalog.text, object pg_catalog.text NOT NULL,
       sha256 pg_catalog.text, rows pg_catalog.int8 NOT NULL, skipped pg_catalog.int8 NOT NULL,
       restored_at pg_catalog.timestamptz, PRIMARY KEY (restore, object))`,
  );
  // Somebody may have been quicker, since it was found not to be there.
  await persistenceOf(client, target, schema);
  await noteAside(client, target, table, aside);
  await dropOrphans(client, schema);
  await client.query(
    `INSERT INTO ${table} (restore, archive, run, object, rows, skipped, restored_at)
     VALUES ($1, $2, $3, $4, $5, 0, pg_catalog.now())`,
    [restore, manifest.archive, manifest.run, BEGUN, rowsBefore],
  );
  return { table, restore, resumed: false, rowsBefore, done: new DoneObjects(manifest), aside };
}

/** Writes down which foreign keys are dropped, inside the open transaction. */
export async function noteAside(
  client: Client,
  target: Target,
  table: string,
  aside: readonly SetAside[],
): Promise<void> {
  await client.query(`COMMENT ON TABLE ${table} IS ${quoteLiteral(writeComment(target.name, aside))}`);
}

/**
 * All objects are in the target, and no key is dropped: the restore is taken out of the record, which goes unless another one is in
 * it. Of several that come back together, each stays in it until the last one takes all of them out.
 */
export async function closeRecord(
  client: Client,
  target: Target,
  { table, restore }: RestoreRecord,
  request: Pick<RestoreRequest, 'keys' | 'partition' | 'together'>,
): Promise<void> {
  const together = request.together ?? { isLast: true, before: [] };
  const done = together.isLast ? [restore, ...together.before.map((run) => restoreIdOf(request, run))] : [];
  await client.query('BEGIN');
  await client.query(`DELETE FROM ${table} WHERE restore OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])`, [done]);
  const { rows } = await client.query<{ left: boolean }>(`SELECT EXISTS (SELECT FROM ${table}) AS left`);
  if (rows[0]?.left === false) await client.query(`DROP TABLE ${table}`);
  else await noteAside(client, target, table, []);
  await client.query('COMMIT');
}

function nameOf({ oid }: Target): string {
  return `pgsluice_restore_${oid}`;
}

function tableName(target: Target, schema: string): string {
  return quoteTableName({ schema, table: nameOf(target) });
}
