/** What is special in bringing a run back whose objects were read under several snapshots. */
import type { Failure } from '../base/errors.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { ManifestHead } from '../ledger/manifest.ts';

type Read = Pick<ManifestHead, 'consistency' | 'snapshots' | 'cut' | 'primaryKey'>;

/** Said before the first row. */
export function warnOfSnapshots(manifest: Read, into: string): string[] {
  const { consistency, snapshots = [], cut, primaryKey } = manifest;
  if (consistency === 'single-snapshot') return [];
  const key = cut?.key ?? primaryKey;
  const unique = key.length === 0 ? 'what is unique' : `what is unique beside (${key.join(', ')})`;
  const moments =
    consistency === 'none'
      ? 'no snapshot covers the rows of this run'
      : `the run was resumed, so its objects are of ${snapshots.length} moments, ${snapshots[0]?.takenAt ?? ''} to ${snapshots.at(-1)?.takenAt ?? ''}`;
  const columns = key.map(quoteIdentifier).join(', ');
  const look =
    key.length === 0
      ? ''
      : `; afterwards, SELECT ${columns} FROM ${into} GROUP BY ${columns} HAVING count(*) > 1, and the same by what else is unique`;
  return [
    `${moments}: a row whose key changed in between can be there twice or not at all, and ${unique} can be there twice${look}`,
  ];
}

/** A row that is there twice is none that was there before: to pass over it would lose it. */
export function explainTwice(failure: Failure, manifest: Pick<ManifestHead, 'consistency' | 'inherited'>): Failure {
  const why = failure.code === 'row-exists' ? whyTwice(manifest) : undefined;
  if (why === undefined) return failure;
  const hint = `${why}: SELECT …, count(*) … GROUP BY … HAVING count(*) > 1. If the rows were in the table before, restore into an empty one.`;
  return { ...failure, hint };
}

/** How two of the archive's rows come to be alike, and where to look for them; undefined where they cannot be. */
function whyTwice({ consistency, inherited }: Pick<ManifestHead, 'consistency' | 'inherited'>): string | undefined {
  if (inherited === true)
    return (
      'The archive holds the rows of tables that inherit from the archived one, and these may have the same keys. ' +
      'Restore into a table without this unique index, and look there which rows share the key'
    );
  if (consistency === 'single-snapshot') return undefined;
  return (
    'The objects of this run were not read under one snapshot: a unique value that moved from one row to another in between is in both. ' +
    '--on-conflict skip would lose one of the two rows. ' +
    'Restore into a new table (--create), which has the primary key and no other unique index, and look there which rows share the value'
  );
}
