/** Makes the target ready for the first row: its table when asked for, and the record of the restore. */
import type { Client } from '../postgres/connect.ts';
import { defineTypes } from '../postgres/type-definitions.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import { createScratchTable, createTable } from './create-table.ts';
import { keysToItself } from './judge-constraints.ts';
import type { RestoreFacts } from './look.ts';
import { noteAside, openRecord, type RestoreRecord } from './record.ts';
import { Refusal } from './refusal.ts';
import { checkMade } from './refuse.ts';
import type { RestoreRequest } from './request.ts';
import { setAside } from './self-references.ts';
import { describeTarget, type Target } from './target.ts';

/** The table, when it is to be made, the record, and keys that are dropped come in one transaction: a kill leaves all or none. Throws Refusal. */
export async function prepare(
  client: Client,
  request: RestoreRequest,
  manifest: ManifestHead,
  facts: RestoreFacts,
): Promise<{ target: Target; record: RestoreRecord }> {
  await client.query('BEGIN');
  const target = facts.target ?? (await makeTarget(client, request, manifest, facts));
  const opened = await openRecord(client, target, request.into.schema, facts.restore, manifest, facts.rowsBefore);
  const record = await setKeysAside(client, request, facts, target, opened);
  await client.query('COMMIT');
  return { target, record };
}

/** With the note of them in the same transaction: at no instant is a key dropped without being noted. */
async function setKeysAside(
  client: Client,
  { selfReferences }: RestoreRequest,
  { constraints, objects }: RestoreFacts,
  target: Target,
  record: RestoreRecord,
): Promise<RestoreRecord> {
  const keys = selfReferences === 'later' ? keysToItself(constraints, objects.filled) : [];
  if (keys.length === 0) return record;
  const names = new Set(keys.map(({ name }) => name));
  const earlier = record.aside.filter(({ name }) => !names.has(name));
  const aside = [...earlier, ...(await setAside(client, target, keys))];
  await noteAside(client, target, record.table, aside);
  return { ...record, aside };
}

async function makeTarget(
  client: Client,
  { into, scratch }: RestoreRequest,
  manifest: ManifestHead,
  { types }: RestoreFacts,
): Promise<Target> {
  if (scratch === undefined) await createTable(client, into, manifest, types);
  else await createScratchTable(client, into, manifest, types, scratch.comment);
  const target = await describeTarget(client, into);
  if (target === undefined) throw new Error('the table that was just made is not there');
  const problems = checkMade(
    manifest,
    target,
    await defineTypes(
      client,
      target.columns.map(({ typeOid }) => typeOid),
    ),
  );
  if (problems.length === 0) return target;
  await client.query('ROLLBACK');
  throw new Refusal(problems);
}
