/** Gathers the facts that a restore is decided by: of the server, the target and the objects. Decides nothing, writes nothing. */
import type { Client } from '../postgres/connect.ts';
import { defineTypes, type TypeDefinition } from '../postgres/type-definitions.ts';
import { isChosen, readChoices } from '../ledger/partitions.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { lookAtConstraints, NO_CONSTRAINTS, type ConstraintFacts } from './constraints.ts';
import type { KeyFacts } from './keys.ts';
import { lookAtKeys } from './look-at-keys.ts';
import { chooseObjects, lookAtObjects, type ObjectFacts, type PlannedObjects } from './objects.ts';
import { findRecord, NO_RECORD, restoreIdOf, type RestoreRecord } from './record.ts';
import { canCountRanges, countRows, recount, type Countable, type Recount } from './recount.ts';
import type { SetAside } from './record-comment.ts';
import { findPublications, NO_PUBLICATIONS, type Publications } from './publications.ts';
import type { RestoreRequest } from './request.ts';
import { describeSurroundings, describeTarget, WRITABLE_KINDS, type Surroundings, type Target } from './target.ts';
import { resolveTypes } from './types.ts';

/** What there is to know before anything is decided. */
export interface RestoreFacts {
  /** Tells this restore from others. */
  restore: string;
  place: Surroundings;
  /** Undefined when the table is not there. */
  target: Target | undefined;
  /** The record of an earlier try; undefined without one. */
  record: RestoreRecord | undefined;
  /** A record that a crash of the server emptied, quoted; undefined without one. */
  emptied: string | undefined;
  /** Foreign keys of the target to itself that a restore which was broken off has dropped. */
  aside: readonly SetAside[];
  /** Whether the target has rows; undefined where it is not there, or cannot be asked. */
  hasRows: boolean | undefined;
  /** Rows that it holds before the restore begins, where its own can only be counted with them; else 0. */
  rowsBefore: number;
  /** What is there of the rows that an earlier try noted; undefined where it noted none, or nobody may ask. */
  recount: Recount | undefined;
  /** The server's names of the archive's types, by the manifest's; those that it does not have are not in it. Only for a table to be made. */
  types: ReadonlyMap<string, string>;
  /** Publications that a table which is made comes into. Only for a table to be made. */
  publications: Publications;
  /** What the types of the target's columns are made of. */
  definitions: readonly TypeDefinition[];
  keys: KeyFacts;
  constraints: ConstraintFacts;
  /** What stands against the values that were asked for. */
  partitionProblems: readonly string[];
  /** Of the objects that may hold rows of the range that was asked for. */
  objects: ObjectFacts;
  /** These themselves. */
  planned: PlannedObjects;
}

export async function look(
  client: Client,
  folder: RunFolder,
  request: RestoreRequest,
  manifest: StoredManifest,
): Promise<RestoreFacts> {
  const restore = restoreIdOf(request, manifest);
  const { schema } = request.into;
  const place = await describeSurroundings(client, schema);
  const target = await describeTarget(client, request.into);
  const { record, emptied, aside } =
    target === undefined ? NO_RECORD : await findRecord(client, target, schema, manifest, restore);
  const hasRows = target === undefined ? undefined : await lookForRows(client, place, target);
  const types = target === undefined ? await resolveTypes(client, manifest.columns) : new Map<string, string>();
  // One that is UNLOGGED is published by none.
  const isPublished = target === undefined && request.scratch === undefined;
  const publications = isPublished ? await findPublications(client, schema) : NO_PUBLICATIONS;
  const definitions = await defineTypes(client, target?.columns.map(({ typeOid }) => typeOid) ?? []);
  const keys = await lookAtKeys(client, request.keys, manifest, target, types);
  const constraints =
    target === undefined || !WRITABLE_KINDS.has(target.kind)
      ? NO_CONSTRAINTS
      : await lookAtConstraints(client, target, manifest);
  const chosen = await choosePartition(request, manifest);
  const isOutside = request.scratch?.isOutside ?? ((): boolean => false);
  const outside = {
    has: (index: number): boolean => keys.outside.has(index) || chosen.outside.has(index) || isOutside(index),
  };
  const objects = await lookAtObjects(folder, manifest, outside);
  const planned: PlannedObjects = {
    [Symbol.asyncIterator]: () => chooseObjects(folder, manifest, outside),
  };
  const counts = await countRestored(client, hasRows, record, target && { manifest, target, keys, objects: planned });
  return {
    restore,
    place,
    target,
    record,
    emptied,
    aside,
    hasRows,
    ...counts,
    types,
    publications,
    definitions,
    keys,
    constraints,
    partitionProblems: chosen.problems,
    objects,
    planned,
  };
}

async function countRestored(
  client: Client,
  hasRows: boolean | undefined,
  record: RestoreRecord | undefined,
  countable: Countable | undefined,
): Promise<Pick<RestoreFacts, 'rowsBefore' | 'recount'>> {
  if (countable === undefined || hasRows === undefined) return { rowsBefore: 0, recount: undefined };
  if (record !== undefined) {
    const recounted = record.done.size === 0 ? undefined : await recount(client, countable, record);
    return { rowsBefore: record.rowsBefore, recount: recounted };
  }
  const mustCount = hasRows && !(await canCountRanges(countable));
  return { rowsBefore: mustCount ? await countRows(client, countable) : 0, recount: undefined };
}

/** Not asked where the server would refuse to answer. */
async function lookForRows(client: Client, place: Surroundings, target: Target): Promise<boolean | undefined> {
  const { name, kind, canSelect, hasRowSecurity } = target;
  if (!WRITABLE_KINDS.has(kind) || !place.canUseSchema || !canSelect || hasRowSecurity) return undefined;
  const { rows } = await client.query<{ found: boolean }>(`SELECT EXISTS (SELECT FROM ${name}) AS found`);
  return rows[0]?.found === true;
}

/** The objects, by their places, that are not of the values that were asked for, and what is wrong with what was asked for. */
async function choosePartition(
  { partition }: Pick<RestoreRequest, 'partition'>,
  { run, partitionBy = [], objects }: Pick<StoredManifest, 'run' | 'partitionBy' | 'objects'>,
): Promise<{ outside: Pick<ReadonlySet<number>, 'has'>; problems: string[] }> {
  if (partition === undefined) return { outside: new Set(), problems: [] };
  const choices = readChoices(partition.wanted, partitionBy);
  if (typeof choices === 'string') return { outside: { has: () => true }, problems: [`run ${run}: ${choices}`] };
  const chosen = new Set<number>();
  let at = 0;
  for await (const object of objects) {
    if (isChosen(object.partition, choices)) chosen.add(at);
    at += 1;
  }
  const isLacking = chosen.size === 0 && !partition.mayLack;
  const problems = isLacking ? [`run ${run} has no rows of ${partition.wanted.join(', ')}`] : [];
  return { outside: { has: (index) => !chosen.has(index) }, problems };
}
