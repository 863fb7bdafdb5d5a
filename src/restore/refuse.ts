/** Says everything at once that stands against a restore, by the facts. Pure: no query, no request. */
import { formatCount } from '../base/units.ts';
import { nearestName } from '../base/suggest.ts';
import { isPseudoType } from '../postgres/columns.ts';
import { quoteIdentifier, quoteTableName } from '../postgres/identifiers.ts';
import type { TypeDefinition } from '../postgres/type-definitions.ts';
import type { ManifestHead, ManifestColumn } from '../ledger/manifest.ts';
import { attributesToCome, definitionsOf, describeType, fits, isSameName, type Definitions } from './compare-types.ts';
import { creating } from './create-table.ts';
import { refuseByConstraints } from './judge-constraints.ts';
import { refuseSkip, refuseSkipIntoNew } from './judge-skip.ts';
import type { RestoreFacts } from './look.ts';
import { describeLoss } from './loss.ts';
import { refusePublications } from './publications.ts';
import type { RestoreRecord } from './record.ts';
import type { Recount } from './recount.ts';
import type { RestoreRequest } from './request.ts';
import { byHand } from './self-references.ts';
import { WRITABLE_KINDS, type Surroundings, type Target, type TargetColumn } from './target.ts';

const INTO_OTHER_TYPES =
  'to bring values into other types, restore with --create into a new table, and from there by INSERT … SELECT with casts';

/** Postgres has no table with more. */
const MAX_COLUMNS = 1600;

/** One line for each reason, in the order in which an operator would remove them; empty when nothing stands against it. */
export function refuse(request: RestoreRequest, manifest: ManifestHead, facts: RestoreFacts): string[] {
  return [
    ...facts.objects.contradictions,
    ...checkPlace(facts.place, request.into.schema),
    ...(facts.target === undefined
      ? checkCreation(request, manifest, facts)
      : checkExisting(request, manifest, facts, facts.target)),
    ...facts.keys.problems,
    ...facts.partitionProblems,
    ...facts.objects.problems,
  ];
}

/** What an operator has to know who does not go on with a restore: without its record, nobody puts the keys back. */
export function tellOfDropped({ target, aside }: Pick<RestoreFacts, 'target' | 'aside'>): string[] {
  if (target === undefined || aside.length === 0) return [];
  return [
    `${target.name} is without ${aside.map(({ name }) => quoteIdentifier(name)).join(', ')} until a restore into it is done; before its record is dropped, put back what is missing, and validate it once its rows are whole: ${byHand(target.name, aside).join('; ')}`,
  ];
}

/** What should be known, and stands against nothing. */
export function warn(
  { onConflict }: Pick<RestoreRequest, 'onConflict'>,
  { name, triggers, isUnlogged }: Pick<Target, 'name' | 'triggers' | 'isUnlogged'>,
  { record, hasRows }: Pick<RestoreFacts, 'record' | 'hasRows'>,
): string[] {
  const addsRows = record === undefined && onConflict !== 'skip' && hasRows === true;
  return [
    ...(triggers.length === 0 ? [] : [`${name} has triggers that fire for each restored row: ${triggers.join(', ')}`]),
    ...(isUnlogged
      ? [
          `${name} is UNLOGGED, or has partitions that are: a crash of the server empties them; its rows are counted at the end`,
        ]
      : []),
    ...(addsRows ? [`${name} has rows already; those of the archive are added to them`] : []),
  ];
}

/** An older server lacks some values of types that it has: nobody knows whether they are there before they come. */
export function warnOfVersion(
  { source: { serverVersion } }: Pick<ManifestHead, 'source'>,
  { version }: Pick<Surroundings, 'version'>,
): string[] {
  const archived = Number.parseInt(serverVersion, 10);
  if (!(archived > version)) return [];
  return [
    `the archive is of Postgres ${archived}, and this server is Postgres ${version}: an object with a value that only later versions have fails, such as infinity as a numeric (from 14 on) or as an interval (from 17 on)`,
  ];
}

/** Attributes that composites got since they were archived: no value of them is in the archive. */
export function warnOfAttributes(
  { columns, types }: Pick<ManifestHead, 'columns' | 'types'>,
  target: Pick<Target, 'columns'>,
  definitions: readonly TypeDefinition[],
): string[] {
  const [known, here] = [definitionsOf(types), definitionsOf(definitions)];
  return columns.flatMap(({ name, type, encoding }) => {
    const match = target.columns.find((column) => column.name === name);
    if (match === undefined || match.isGenerated || encoding === 'text') return [];
    const toCome = attributesToCome(type, match.type, known, here);
    return toCome.length === 0
      ? []
      : [`column ${name}: the archive has no values of ${toCome.join(', ')}, which come back as NULL`];
  });
}

/** Whether the table that was made from the manifest is what the manifest says: a name may have been cut, a type read otherwise. */
export function checkMade(
  manifest: Pick<ManifestHead, 'columns' | 'types'>,
  target: Pick<Target, 'columns'>,
  definitions: readonly TypeDefinition[],
): string[] {
  const [known, here] = [definitionsOf(manifest.types), definitionsOf(definitions)];
  return manifest.columns.flatMap(({ name, type }) => {
    const made = target.columns.find((column) => column.name === name);
    if (made === undefined) return [`no table can have a column of the name ${name}`];
    if (fits(type, made.type, known, here)) return [];
    return [
      `column ${name} would be ${describeType(made.type, here)} here, and is ${describeType(type, known)} in the archive`,
    ];
  });
}

/** What stands against any restore into this schema. */
function checkPlace({ schemaExists, canUseSchema, isReadOnly, role }: Surroundings, schema: string): string[] {
  if (isReadOnly) return ['the server takes no writes: it is a standby, or default_transaction_read_only is on'];
  if (!schemaExists) return [`schema ${schema} does not exist`];
  return canUseSchema
    ? []
    : [`role ${role} may not use the schema: GRANT USAGE, CREATE ON SCHEMA ${quoteIdentifier(schema)}`];
}

/** What stands against making the table. */
function checkCreation(
  { create, into, onConflict, keys }: RestoreRequest,
  manifest: ManifestHead,
  { place, types, publications, objects }: RestoreFacts,
): string[] {
  if (!create) {
    return place.schemaExists
      ? [`table ${quoteTableName(into)} does not exist; --create makes it from the manifest`]
      : [];
  }
  const names = manifest.columns.map(({ name }) => name);
  const twice = new Set(names.filter((name, at) => names.indexOf(name) !== at));
  const missing = new Set(manifest.columns.map(({ type }) => type).filter((type) => !types.has(type)));
  return [
    ...[...missing].map((type) => {
      const those = manifest.columns.filter((column) => column.type === type);
      const of = those.map(({ name }) => name);
      if (those.some(({ typeOid }) => isPseudoType(typeOid)))
        return `column ${of.join(', ')} is of type ${type}, which no table can have: its values are in the objects alone; cast it in the query, for later runs`;
      return `type ${type} of column ${of.join(', ')} does not exist in the target; create it first${howMade(type, definitionsOf(manifest.types))}`;
    }),
    ...(onConflict === 'skip' ? refuseSkipIntoNew(manifest) : []),
    ...[...twice].map((name) => `the archive has two columns ${name}, which no table can have`),
    ...(names.length > MAX_COLUMNS
      ? [`the archive has ${formatCount(names.length)} columns, and a table has ${formatCount(MAX_COLUMNS)} at most`]
      : []),
    ...(missing.size === 0 ? refusePublications(into, publications, creating(into, manifest, types)) : []),
    ...checkTemp(whyStaged({ keys, onConflict }, objects), place),
    ...checkCreate(place),
  ];
}

/** Manifests of the first versions do not say what a type is made of. */
function howMade(type: string, known: Definitions): string {
  const description = describeType(type, known);
  return description === type ? ', as the manifest does not hold its definition' : `: ${description}`;
}

/** What stands against restoring into a table that is there. */
function checkExisting(request: RestoreRequest, manifest: ManifestHead, facts: RestoreFacts, target: Target): string[] {
  const { record, emptied, hasRows, recount, constraints, objects } = facts;
  return [
    ...(request.create && record === undefined && emptied === undefined
      ? [`table ${target.name} exists already; restore into it without --create`]
      : []),
    ...checkTarget(manifest, target, request, facts),
    ...(request.onConflict === 'fail' ? refuseRules(whyStaged(request, objects), target) : []),
    ...(request.onConflict === 'skip' ? refuseSkip(manifest, target, constraints.hasHeirs) : []),
    ...refuseByConstraints(target, constraints, objects.filled, request),
    ...(emptied === undefined || hasRows === false || request.onConflict === 'skip'
      ? []
      : [lostRecord(target, emptied)]),
    ...(record === undefined || recount === undefined ? [] : checkStillThere(target, record, recount)),
  ];
}

function checkTarget(manifest: ManifestHead, target: Target, request: RestoreRequest, facts: RestoreFacts): string[] {
  const { place, definitions } = facts;
  if (!WRITABLE_KINDS.has(target.kind)) return [`${target.name} is no table`];
  return [
    ...checkColumns(manifest, target, definitions),
    ...checkRights(manifest, target, request, facts),
    ...(target.hasRowSecurity
      ? [`row-level security of ${target.name} applies to role ${place.role}; it needs BYPASSRLS, or to own the table`]
      : []),
  ];
}

function checkColumns(manifest: ManifestHead, target: Target, definitions: readonly TypeDefinition[]): string[] {
  const [known, here] = [definitionsOf(manifest.types), definitionsOf(definitions)];
  const archived = new Map(manifest.columns.map((column) => [column.name, column]));
  const there = new Map(target.columns.map((column) => [column.name, column]));
  const unmatched = target.columns.filter(({ name }) => !archived.has(name));
  const problems: string[] = [];
  let differ = false;
  for (const column of manifest.columns) {
    const match = there.get(column.name);
    if (match === undefined) problems.push(`column ${column.name} (${column.type}) ${missing(column, unmatched)}`);
    else if (!match.isGenerated && !fits(column.type, match.type, known, here)) {
      const [there, archived] = [describeType(match.type, here), describeType(column.type, known)];
      problems.push(`column ${column.name} is ${there} in ${target.name}, and ${archived} in the archive`);
      differ = true;
    }
  }
  for (const column of unmatched) {
    if (!column.notNull || column.fillsItself || column.isGenerated) continue;
    problems.push(
      `column ${column.name} of ${target.name} is NOT NULL without a default, and the archive does not have it`,
    );
  }
  return differ ? [...problems, INTO_OTHER_TYPES] : problems;
}

function missing(column: ManifestColumn, unmatched: readonly TargetColumn[]): string {
  const near = nearestName(
    column.name,
    unmatched.map(({ name }) => name),
  );
  const alike = unmatched.filter(({ type }) => isSameName(type, column.type));
  const [only] = alike;
  if (near !== undefined) return `is not in the target; did you mean ${near}?`;
  return alike.length === 1 && only !== undefined
    ? `is not in the target; was it renamed to ${only.name}, which is ${only.type} as well?`
    : 'is not in the target';
}

function checkRights(
  manifest: ManifestHead,
  target: Target,
  request: RestoreRequest,
  { place, objects }: RestoreFacts,
): string[] {
  const filled = target.columns.filter(
    ({ name, isGenerated }) => !isGenerated && manifest.columns.some((column) => column.name === name),
  );
  const refused = filled.filter(({ canInsert }) => !canInsert).map(({ name }) => name);
  // One that others count by as well may be none of the role's business: that is a warning.
  const sequences = filled.flatMap(({ sequences }) =>
    sequences.filter((sequence) => sequence.isOwned && sequence.isCounter && !sequence.canUpdate),
  );
  return [
    ...(refused.length === 0
      ? []
      : [
          `role ${place.role} may not insert into ${refused.length === filled.length ? target.name : `${refused.join(', ')} of ${target.name}`}: GRANT INSERT`,
        ]),
    ...(target.canSelect ? [] : [`role ${place.role} may not read ${target.name}: GRANT SELECT`]),
    ...sequences.map(({ name }) => `role ${place.role} may not set sequence ${name}: GRANT SELECT, UPDATE ON SEQUENCE`),
    ...checkTemp(whyStaged(request, objects), place),
    ...checkCreate(place),
  ];
}

function isRange({ keys: { from, to } }: Pick<RestoreRequest, 'keys'>): boolean {
  return from !== undefined || to !== undefined;
}

/** COPY passes rules by, and INSERT does not. */
function refuseRules(what: string | undefined, { name, rules }: Target): string[] {
  if (what === undefined || rules.length === 0) return [];
  return [`${what} does not go with rules, and ${name} has ${rules.map(quoteIdentifier).join(', ')}: drop them`];
}

function checkTemp(what: string | undefined, { canMakeTemp, role }: Surroundings): string[] {
  if (what === undefined || canMakeTemp) return [];
  return [`role ${role} may not make temporary tables, which ${what} needs: GRANT TEMP ON DATABASE`];
}

/** Why rows go through a table of our own: they are to be told from others, or are too long for COPY. */
function whyStaged(
  { onConflict, keys }: Pick<RestoreRequest, 'onConflict' | 'keys'>,
  objects: RestoreFacts['objects'],
): string | undefined {
  if (onConflict === 'skip') return '--on-conflict skip';
  if (isRange({ keys })) return 'a range of the key';
  return objects.warnings.length > 0 ? 'a row that is too long for COPY' : undefined;
}

/** The record of the restore is a table beside the target. */
function checkCreate({ schemaExists, canUseSchema, canCreate, role }: Surroundings): string[] {
  if (!schemaExists || !canUseSchema || canCreate) return [];
  return [
    `role ${role} may not create tables in the schema, where the restore keeps its record: GRANT CREATE ON SCHEMA`,
  ];
}

/** What came in by it is there, and not known any more. */
function lostRecord({ name }: Target, table: string): string {
  return `a restore into ${name} was broken off, and a crash of the server emptied its record, ${table}: pass over the rows that are there with --on-conflict skip, or empty ${name} and restore anew`;
}

/** Rows that were taken away since would be missing in silence. */
function checkStillThere({ name }: Target, { table }: RestoreRecord, recount: Recount): string[] {
  const loss = describeLoss(recount, name);
  if (loss === undefined) return [];
  return [
    `a restore of this run was broken off, and rows that it had brought are gone: ${loss}; to begin anew, DROP TABLE ${table}, and empty ${name} or pass over what is left with --on-conflict skip`,
  ];
}
