/** Finds the index by which rows that are there already are told from others, or says what stands against that. Pure: no query. */
import type { ConflictKey } from '../segment/restore/task.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import type { TargetIndex } from './indexes.ts';
import type { Target } from './target.ts';

type Keyed = Pick<ManifestHead, 'cut' | 'primaryKey' | 'columns' | 'inherited'>;
type Indexed = Pick<Target, 'name' | 'columns' | 'indexes' | 'rules'>;

/** The archive's key with the operators of the index that it is found by; undefined when rows cannot be told by it for certain. */
export function conflictKey(manifest: Keyed, target: Indexed): ConflictKey | undefined {
  for (const key of keysOf(manifest)) {
    const index = indexesOn(key, target).find((index) => problemOf(index, key, manifest, target) === undefined);
    if (index === undefined) continue;
    const nullable = nullableOf(key, manifest, target);
    return index.columns.map((name, at) => ({
      name: name ?? '',
      equals: index.equalities[at] ?? '',
      nullable: nullable.includes(name ?? ''),
    }));
  }
  return undefined;
}

/** What stands against `--on-conflict skip` into a table that is there. */
export function refuseSkip(manifest: Keyed, target: Indexed, hasHeirs: boolean): string[] {
  const { name, rules } = target;
  return [
    ...refuseKey(manifest, target),
    ...refuseHeirs(manifest),
    ...(rules.length === 0
      ? []
      : [
          `--on-conflict skip does not go with rules, and ${name} has ${rules.map(quoteIdentifier).join(', ')}: drop them`,
        ]),
    ...(hasHeirs
      ? [
          `tables inherit from ${name}, and its indexes do not reach into them: --on-conflict skip would bring their rows again`,
        ]
      : []),
  ];
}

/** What stands against it for a table that is to be made: that one has the primary key, and no other index. */
export function refuseSkipIntoNew(manifest: Keyed): string[] {
  const { primaryKey, columns } = manifest;
  const isWhole = primaryKey.length > 0 && primaryKey.every((name) => columns.some((column) => column.name === name));
  return [
    ...(isWhole ? [] : ['--on-conflict skip needs a key, and the table that --create makes has none']),
    ...refuseHeirs(manifest),
  ];
}

/** A key is unique in each of such tables, and not over all: the second row would pass for one that is there already. */
function refuseHeirs({ inherited }: Keyed): string[] {
  return inherited === true
    ? [
        'the archive holds the rows of several tables, one of which the others inherit from, and they may have the same keys: --on-conflict skip would lose all but one of them',
      ]
    : [];
}

function refuseKey(manifest: Keyed, target: Indexed): string[] {
  const [key] = keysOf(manifest);
  if (key === undefined) return ['--on-conflict skip needs a key, and the archive has none'];
  if (conflictKey(manifest, target) !== undefined) return [];
  const list = `(${key.map(quoteIdentifier).join(', ')})`;
  const [nearest] = indexesOn(key, target);
  const why = nearest === undefined ? 'is not there' : problemOf(nearest, key, manifest, target);
  return [
    `--on-conflict skip goes by ${list} alone, and the unique index of ${target.name} on it ${why ?? ''}: CREATE UNIQUE INDEX ON ${target.name} ${list}`,
  ];
}

/** Whether anything could tell rows of a run that are there already. */
export function hasKey(manifest: Keyed): boolean {
  return keysOf(manifest).length > 0;
}

/** What the rows were cut by, and the primary key. */
function keysOf({ cut, primaryKey }: Keyed): (readonly string[])[] {
  return [cut?.key ?? [], primaryKey].filter((key) => key.length > 0);
}

/** Unique indexes on exactly these columns, in whatever order. */
function indexesOn(key: readonly string[], { indexes }: Indexed): TargetIndex[] {
  return indexes.filter(
    ({ isUnique, columns }) => isUnique && columns.length === key.length && key.every((name) => columns.includes(name)),
  );
}

function problemOf(index: TargetIndex, key: readonly string[], manifest: Keyed, target: Indexed): string | undefined {
  if (!index.isValid) return 'is not valid (REINDEX)';
  if (!index.isImmediate) return 'is of a DEFERRABLE constraint';
  if (index.isPartial) return 'holds a part of the rows only';
  if (!index.isExact) return 'takes different values for the same, by its collation or operator class';
  const computed = key.filter((name) => target.columns.find((column) => column.name === name)?.isGenerated !== false);
  if (computed.length > 0) return `is on ${computed.map(quoteIdentifier).join(', ')}, which the table computes`;
  const mayBeNull = nullableOf(key, manifest, target);
  if (mayBeNull.length === 0 || index.nullsAreEqual) return undefined;
  return `takes rows with NULL in ${mayBeNull.map(quoteIdentifier).join(', ')} any number of times (SET NOT NULL)`;
}

function nullableOf(key: readonly string[], manifest: Keyed, target: Indexed): string[] {
  return key.filter(
    (name) =>
      manifest.columns.find((column) => column.name === name)?.nullable !== false &&
      target.columns.find((column) => column.name === name)?.notNull !== true,
  );
}
