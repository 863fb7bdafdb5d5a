/** The scratch table of a rehearsal: what it is called, what it says of itself, and how it goes. Of others, nothing is touched. */
import { fail } from '../../base/errors.ts';
import type { RehearsalAttempt } from '../../ledger/rehearsals.ts';
import type { Client } from '../../postgres/connect.ts';
import { quoteTableName } from '../../postgres/identifiers.ts';
import { dropOrphans } from '../../restore/record.ts';
import { restoreFailure } from '../../segment/restore/errors.ts';

/** What tells a table from all others. */
export type ScratchTable = Pick<RehearsalAttempt, 'run' | 'nonce' | 'schema'> & { archive: string };

export function scratchName({ nonce }: Pick<ScratchTable, 'nonce'>): string {
  return `pgsluice_rehearsal_${nonce}`;
}

/** By this it is known: no table that says anything else is dropped. */
export function commentOf({ archive, run, nonce }: ScratchTable): string {
  return `pgsluice rehearsal ${JSON.stringify({ archive, run, nonce })}`;
}

const FIND_SQL = `
SELECT c.relkind::pg_catalog.text AS kind, pg_catalog.obj_description(c.oid, 'pg_class') OPERATOR(pg_catalog.=) $3 AS "isOurs"
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2`;

/**
 * Drops the table, and the record of the restore beside it. `foreign`: something of its name is there which is not ours, and stays.
 * Without CASCADE: what depends on it is somebody's. Throws FailureError where it cannot be dropped.
 */
export async function dropScratchTable(client: Client, table: ScratchTable): Promise<'dropped' | 'gone' | 'foreign'> {
  const quoted = quoteTableName({ schema: table.schema, table: scratchName(table) });
  await client.query('BEGIN');
  try {
    const seen = await find(client, table);
    if (seen === 'ours') {
      // From here on nobody can give the name to another table, nor another comment to this one.
      await client.query(`LOCK TABLE ${quoted} IN ACCESS EXCLUSIVE MODE`);
      if ((await find(client, table)) === 'ours') await client.query(`DROP TABLE ${quoted}`);
    }
    if (seen !== 'foreign') await dropOrphans(client, table.schema);
    await client.query('COMMIT');
    return seen === 'ours' ? 'dropped' : seen;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    const { failure } = restoreFailure(error, `dropping the scratch table ${quoted}`);
    if (failure.transient) throw error;
    throw fail('rehearsal-leftover', { stage: 'restore', message: failure.message, cause: failure.cause });
  }
}

async function find(client: Client, table: ScratchTable): Promise<'ours' | 'gone' | 'foreign'> {
  const { rows } = await client.query<{ kind: string; isOurs: boolean | null }>(FIND_SQL, [
    table.schema,
    scratchName(table),
    commentOf(table),
  ]);
  const [found] = rows;
  if (found === undefined) return 'gone';
  return found.kind === 'r' && found.isOurs === true ? 'ours' : 'foreign';
}
