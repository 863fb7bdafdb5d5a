/** Compares what the archive holds with what the target takes, before anything is written. Pure: no query, no request. */
import { nearestName } from '../base/suggest.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { Manifest, ManifestColumn } from '../ledger/manifest.ts';
import type { RestoreRequest } from './request.ts';
import type { Surroundings, Target, TargetColumn } from './target.ts';

/** Kinds of relations that COPY writes to. */
const WRITABLE_KINDS = new Set(['r', 'p', 'f']);

/** What stands against restoring into a table that is there. */
export function checkTarget(
  manifest: Manifest,
  target: Target,
  request: RestoreRequest,
  place: Surroundings,
): string[] {
  if (!WRITABLE_KINDS.has(target.kind)) return [`${target.name} is no table`];
  return [
    ...checkColumns(manifest, target),
    ...checkRights(manifest, target, request, place),
    ...(target.hasRowSecurity
      ? [`row-level security of ${target.name} applies to role ${place.role}; it needs BYPASSRLS, or to own the table`]
      : []),
  ];
}

/** What stands against making the table. `missingTypes` are those of the archive that the target does not have. */
export function checkCreation(manifest: Manifest, missingTypes: readonly string[], place: Surroundings): string[] {
  const names = manifest.columns.map(({ name }) => name);
  const twice = new Set(names.filter((name, at) => names.indexOf(name) !== at));
  return [
    ...missingTypes.map((type) => {
      const of = manifest.columns.filter((column) => column.type === type).map(({ name }) => name);
      return `type ${type} of column ${of.join(', ')} does not exist in the target; create it first, as the manifest does not hold its definition`;
    }),
    ...[...twice].map((name) => `the archive has two columns ${name}, which no table can have`),
    ...checkCreate(place),
  ];
}

/** What stands against any restore into this schema. */
export function checkPlace({ schemaExists, canUseSchema, isReadOnly, role }: Surroundings, schema: string): string[] {
  if (isReadOnly) return ['the server takes no writes: it is a standby, or default_transaction_read_only is on'];
  if (!schemaExists) return [`schema ${schema} does not exist`];
  return canUseSchema
    ? []
    : [`role ${role} may not use the schema: GRANT USAGE, CREATE ON SCHEMA ${quoteIdentifier(schema)}`];
}

/** What should be known, and stands against nothing. */
export function warnOf(target: Target): string[] {
  if (target.triggers.length === 0) return [];
  return [`${target.name} has triggers that fire for each restored row: ${target.triggers.join(', ')}`];
}

function checkColumns(manifest: Manifest, target: Target): string[] {
  const archived = new Map(manifest.columns.map((column) => [column.name, column]));
  const there = new Map(target.columns.map((column) => [column.name, column]));
  const unmatched = target.columns.filter(({ name }) => !archived.has(name));
  const problems: string[] = [];
  for (const column of manifest.columns) {
    const match = there.get(column.name);
    if (match === undefined) problems.push(`column ${column.name} (${column.type}) ${missing(column, unmatched)}`);
    else if (!match.isGenerated && !isSameType(match.type, column.type)) {
      problems.push(`column ${column.name} is ${match.type} in ${target.name}, and ${column.type} in the archive`);
    }
  }
  for (const column of unmatched) {
    if (!column.notNull || column.fillsItself || column.isGenerated) continue;
    problems.push(
      `column ${column.name} of ${target.name} is NOT NULL without a default, and the archive does not have it`,
    );
  }
  return problems;
}

function missing(column: ManifestColumn, unmatched: readonly TargetColumn[]): string {
  const near = nearestName(
    column.name,
    unmatched.map(({ name }) => name),
  );
  const alike = unmatched.filter(({ type }) => isSameType(type, column.type));
  const [only] = alike;
  if (near !== undefined) return `is not in the target; did you mean ${near}?`;
  return alike.length === 1 && only !== undefined
    ? `is not in the target; was it renamed to ${only.name}, which is ${only.type} as well?`
    : 'is not in the target';
}

/** A name may come with its schema or without, by the search path of the session that asked. */
function isSameType(a: string, b: string): boolean {
  return a === b || a.endsWith(`.${b}`) || b.endsWith(`.${a}`);
}

function checkRights(manifest: Manifest, target: Target, request: RestoreRequest, place: Surroundings): string[] {
  const filled = target.columns.filter(
    ({ name, isGenerated }) => !isGenerated && manifest.columns.some((column) => column.name === name),
  );
  const refused = filled.filter(({ canInsert }) => !canInsert).map(({ name }) => name);
  const sequences = filled.flatMap(({ sequence }) =>
    sequence === undefined || sequence.canUpdate ? [] : [sequence.name],
  );
  return [
    ...(refused.length === 0
      ? []
      : [
          `role ${place.role} may not insert into ${refused.length === filled.length ? target.name : `${refused.join(', ')} of ${target.name}`}: GRANT INSERT`,
        ]),
    ...(target.canSelect ? [] : [`role ${place.role} may not read ${target.name}: GRANT SELECT`]),
    ...sequences.map((name) => `role ${place.role} may not set sequence ${name}: GRANT UPDATE ON SEQUENCE`),
    ...(request.onConflict === 'skip' && !place.canMakeTemp
      ? [`role ${place.role} may not make temporary tables, which --on-conflict skip needs: GRANT TEMP ON DATABASE`]
      : []),
    ...checkCreate(place),
  ];
}

/** The restore keeps its book in a table beside the target. */
function checkCreate({ schemaExists, canUseSchema, canCreate, role }: Surroundings): string[] {
  if (!schemaExists || !canUseSchema || canCreate) return [];
  return [`role ${role} may not create tables in the schema, where the restore keeps its book: GRANT CREATE ON SCHEMA`];
}
