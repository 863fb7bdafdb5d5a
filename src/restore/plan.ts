/** Decides what of a run is restored, and how; and refuses, with all reasons at once, before anything is written. */
import type { Client } from '../postgres/connect.ts';
import { quoteTableName } from '../postgres/identifiers.ts';
import { runPrefix } from '../ledger/names.ts';
import type { Manifest } from '../ledger/manifest.ts';
import { restoreFailure } from '../segment/restore/errors.ts';
import type { RestoreColumn } from '../format/jsonl/forms.ts';
import type { Store } from '../store/store.ts';
import { createTable, findMissingTypes } from './create-table.ts';
import { resolveForms } from './forms.ts';
import { findJournal, openJournal, restoreIdOf, type RestoreJournal } from './journal.ts';
import { narrowToKeys, type KeyNarrowing } from './keys.ts';
import { checkObjects, type PlannedObject } from './objects.ts';
import { checkCreation, checkPlace, checkTarget, warnOf } from './preflight.ts';
import { Refusal } from './refusal.ts';
import type { RestoreRequest } from './request.ts';
import { describeSurroundings, describeTarget, type Surroundings, type Target } from './target.ts';

export interface RestorePlan {
  manifest: Manifest;
  target: Target;
  columns: RestoreColumn[];
  objects: PlannedObject[];
  /** SQL condition on the rows; undefined for all. */
  where: string | undefined;
  journal: RestoreJournal;
  warnings: string[];
}

/** Plans, and prepares the target: its table when asked for, and the book. Throws Refusal or FailureError. */
export async function planRestore(
  client: Client,
  store: Store,
  request: RestoreRequest,
  manifest: Manifest,
): Promise<RestorePlan> {
  try {
    const restore = restoreIdOf(request, manifest);
    const { schema } = request.into;
    const place = await describeSurroundings(client, schema);
    const existing = await describeTarget(client, request.into);
    const known = existing === undefined ? undefined : await findJournal(client, existing, schema, restore);
    const keys = await narrowToKeys(client, request.keys, manifest, existing);
    const objects = plannedObjects(manifest, keys);
    const problems = [
      ...checkPlace(place, schema),
      ...(await checkTable(client, request, manifest, place, existing, known)),
      ...keys.problems,
      ...(await checkObjects(store, objects)),
    ];
    if (problems.length > 0) throw new Refusal(problems);
    const { target, journal } = await prepare(client, request, manifest, restore, existing);
    const { columns, warnings } = await planColumns(client, manifest, target);
    const notEmpty = await warnOfRows(client, request, target, journal);
    return {
      manifest,
      target,
      columns,
      objects,
      where: keys.where,
      journal,
      warnings: [...warnings, ...warnOf(target), ...notEmpty],
    };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw restoreFailure(error, `preparing the restore into ${quoteTableName(request.into)}`);
  }
}

async function checkTable(
  client: Client,
  request: RestoreRequest,
  manifest: Manifest,
  place: Surroundings,
  existing: Target | undefined,
  known: RestoreJournal | undefined,
): Promise<string[]> {
  const name = quoteTableName(request.into);
  if (existing === undefined) {
    if (!request.create)
      return place.schemaExists ? [`table ${name} does not exist; --create makes it from the manifest`] : [];
    return checkCreation(manifest, await findMissingTypes(client, manifest), place);
  }
  return [
    ...(request.create && known === undefined
      ? [`table ${name} exists already; restore into it without --create`]
      : []),
    ...checkTarget(manifest, existing, request, place),
    ...(known === undefined ? [] : await checkStillThere(client, existing, known)),
  ];
}

/** Rows that were taken away since would be missing in silence. */
async function checkStillThere(client: Client, target: Target, journal: RestoreJournal): Promise<string[]> {
  const restored = [...journal.done.values()].reduce((sum, { rows }) => sum + rows, 0);
  if (restored === 0 || !target.canSelect || (await hasRows(client, target))) return [];
  return [
    `a restore of this run was broken off after ${restored} rows, and ${target.name} is empty now; to begin anew, DROP TABLE ${journal.table}`,
  ];
}

/** The table, when it is to be made, and the book come in one transaction: a kill leaves both or none. */
async function prepare(
  client: Client,
  request: RestoreRequest,
  manifest: Manifest,
  restore: string,
  existing: Target | undefined,
): Promise<{ target: Target; journal: RestoreJournal }> {
  await client.query('BEGIN');
  if (existing === undefined) await createTable(client, request.into, manifest);
  const target = existing ?? (await describeTarget(client, request.into));
  if (target === undefined) throw new Error('the table that was just made is not there');
  const journal = await openJournal(client, target, request.into.schema, restore, manifest);
  await client.query('COMMIT');
  return { target, journal };
}

async function planColumns(
  client: Client,
  manifest: Manifest,
  target: Target,
): Promise<{ columns: RestoreColumn[]; warnings: string[] }> {
  const matches = manifest.columns.map(({ name }) => target.columns.find((column) => column.name === name));
  const filled = matches.filter((column) => column !== undefined);
  const found = await resolveForms(client, filled);
  const columns = manifest.columns.map(({ name, nullable }, index): RestoreColumn => {
    const match = matches[index];
    const form = match === undefined || match.isGenerated ? undefined : found[filled.indexOf(match)]?.form;
    if (form === undefined) return { name };
    return { name, form: form.kind === 'json' && !nullable ? { ...form, notNull: true } : form };
  });
  const warnings = filled.flatMap(({ name, type }, index) => {
    const doubt = found[index]?.doubt;
    return doubt === undefined ? [] : [`column ${name}, ${type}: ${doubt}`];
  });
  return { columns, warnings };
}

async function warnOfRows(
  client: Client,
  request: RestoreRequest,
  target: Target,
  journal: RestoreJournal,
): Promise<string[]> {
  if (journal.resumed || request.onConflict === 'skip' || !(await hasRows(client, target))) return [];
  return [`${target.name} has rows already; those of the archive are added to them`];
}

async function hasRows(client: Client, target: Target): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(`SELECT EXISTS (SELECT FROM ${target.name}) AS found`);
  return rows[0]?.found === true;
}

function plannedObjects(manifest: Manifest, keys: KeyNarrowing): PlannedObject[] {
  const prefix = runPrefix(manifest.archive, manifest.run);
  return manifest.objects
    .map((object, index) => ({ ...object, index, key: prefix + object.key.slice(object.key.lastIndexOf('/') + 1) }))
    .filter(({ index }) => keys.mayMatch(index));
}
