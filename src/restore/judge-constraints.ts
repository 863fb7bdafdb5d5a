/** Says which constraints of the target stand against a restore, with the way out. Pure: no query. */
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import type { ConstraintFacts, ForeignKey, PartitionFacts } from './constraints.ts';
import type { RestoreFacts } from './look.ts';
import type { RestoreRequest } from './request.ts';
import type { Target } from './target.ts';

type Named = Pick<Target, 'name' | 'kind'>;

/** More objects without a partition are not named. */
const MOST_NAMED = 3;

/** One line for each reason; `filled` is how many objects have rows. */
export function refuseByConstraints(
  { name, kind }: Named,
  { foreignKeys, partitions }: ConstraintFacts,
  filled: number,
  { keys, selfReferences }: Pick<RestoreRequest, 'keys' | 'selfReferences'>,
): string[] {
  const toItself = selfReferences === 'refuse' ? keysToItself({ foreignKeys }, filled) : [];
  return [
    ...toItself.map((foreignKey) => describeToItself({ name, kind }, foreignKey)),
    ...(partitions === undefined ? [] : refuseByPartitions(name, partitions, filled, keys)),
  ];
}

/** Foreign keys to the table itself that rows may fail by: a statement checks them at its end, so that one object meets them. */
export function keysToItself({ foreignKeys }: Pick<ConstraintFacts, 'foreignKeys'>, filled: number): ForeignKey[] {
  return filled > 1 ? foreignKeys.filter(({ isToItself }) => isToItself) : [];
}

/** What should be known, and stands against nothing by itself. */
export function warnOfConstraints(
  { name }: Named,
  { foreignKeys, exclusions, partitions, hasHeirs }: ConstraintFacts,
  { inherited, table }: Pick<ManifestHead, 'inherited' | 'table'>,
): string[] {
  const others = foreignKeys.filter(({ isToItself }) => !isToItself);
  return [
    ...others.map(
      (foreignKey) =>
        `${name} refers to ${foreignKey.to} by ${quoteIdentifier(foreignKey.name)}: an object with a row that refers to nothing there fails`,
    ),
    ...exclusions.map(
      (exclusion) =>
        `${name} has the exclusion constraint ${quoteIdentifier(exclusion.name)}: an object with a row that it excludes fails; to restore all and look afterwards, ${dropAndAdd(name, exclusion.name, exclusion.definition)}`,
    ),
    ...(partitions !== undefined && !partitions.hasDefault && partitions.unplaced === undefined
      ? [`${name} has no DEFAULT partition: an object with a row that no partition takes fails`]
      : []),
    ...(hasHeirs ? [`tables inherit from ${name}: all rows go into it alone, and none into them`] : []),
    ...(inherited === true
      ? [
          `the archive holds the rows of the tables that inherit from ${table ?? 'its own'} as well: all go into ${name}`,
        ]
      : []),
  ];
}

/** How long a restore that was asked for it takes, or leaves the table without its keys. */
export function warnOfSelfReferences(
  { selfReferences }: Pick<RestoreRequest, 'selfReferences'>,
  { target, constraints, objects, aside }: Pick<RestoreFacts, 'target' | 'constraints' | 'objects' | 'aside'>,
): string[] {
  const keys = keysToItself(constraints, objects.filled).map(({ name }) => name);
  const table = target?.name ?? '';
  const names = (of: readonly string[]): string => of.map(quoteIdentifier).join(', ');
  if (selfReferences === 'ordered' && keys.length > 0)
    return [`${table} refers to itself by ${names(keys)}: its objects are restored one after the other`];
  const dropped = new Set([...(selfReferences === 'later' ? keys : []), ...aside.map(({ name }) => name)]);
  if (dropped.size === 0) return [];
  return [
    `${table} is without its foreign keys ${names([...dropped])} until the restore is done: they are added again at its end, and all rows are looked at`,
  ];
}

/** Objects go in side by side, and each one by a statement that checks the key at its end. */
function describeToItself({ name, kind }: Named, { name: constraint, definition }: ForeignKey): string {
  const bare = definition.replace(/ NOT VALID$/, '');
  // Before Postgres 18, a partitioned table has no foreign key that is yet to be validated.
  const added =
    kind === 'p'
      ? dropAndAdd(name, constraint, bare)
      : `${dropAndAdd(name, constraint, `${bare} NOT VALID`)}; ALTER TABLE ${name} VALIDATE CONSTRAINT ${quoteIdentifier(constraint)}`;
  return `${name} refers to itself by ${quoteIdentifier(constraint)}, and a row may refer to one of another object, which is not there yet: --self-references ordered brings them one after the other, which will do where each refers to an earlier one; --self-references later does ${added}`;
}

function dropAndAdd(name: string, constraint: string, definition: string): string {
  const quoted = quoteIdentifier(constraint);
  return `ALTER TABLE ${name} DROP CONSTRAINT ${quoted}; and after the restore, ALTER TABLE ${name} ADD CONSTRAINT ${quoted} ${definition}`;
}

function refuseByPartitions(
  name: string,
  { count, unplaced = [] }: PartitionFacts,
  filled: number,
  keys: RestoreRequest['keys'],
): string[] {
  if (count === 0 && filled > 0) return [`${name} has no partition that takes rows: create its partitions first`];
  // Of an object that is only read in part, the ends may not be wanted.
  if (keys.from !== undefined || keys.to !== undefined) return [];
  if (unplaced.length === 0) return [];
  const ranges = unplaced
    .slice(0, MOST_NAMED)
    .map(({ firstKey, lastKey }) => `(${firstKey?.join(', ') ?? ''}) to (${lastKey?.join(', ') ?? ''})`);
  const more = unplaced.length > MOST_NAMED ? ` and ${unplaced.length - MOST_NAMED} more` : '';
  return [
    `${name} has no partition for keys of objects with ${ranges.join(', ')}${more}: create the partitions that are missing, or one by PARTITION OF ${name} DEFAULT`,
  ];
}
