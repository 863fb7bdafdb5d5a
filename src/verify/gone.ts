/** Whether data objects of a committed run are gone, and whether they may be by now: lifecycle rules erase what is old enough. */
import { countOf, formatCount } from '../base/units.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import type { RunFolder } from '../ledger/run-folder.ts';

export type Gone = 'all, as it may' | { message: string };

/** What a manifest says, or a summary of it. */
interface Committed {
  finishedAt: string;
  objects: { length: number };
}

/** Data objects that are gone, in words; undefined where none is. All of a run that is old enough for it may be. */
export async function findGone(
  { mayExpireAfterMs }: ArchiveConfig,
  folder: RunFolder,
  { finishedAt, objects: { length } }: Committed,
): Promise<Gone | undefined> {
  let there = 0;
  for await (const { key } of folder.list()) if (folder.isDataKey(key)) there += 1;
  const gone = length - there;
  if (gone <= 0) return undefined;
  const isOld = mayHaveExpired({ mayExpireAfterMs }, { finishedAt });
  if (isOld && there === 0) return 'all, as it may';
  const what = `${formatCount(gone)} of ${countOf(length, 'data object')} ${gone === 1 ? 'is' : 'are'} not there`;
  if (isOld)
    return {
      message: `${what}: the run is older than mayExpireAfter, and has expired in part; what a lifecycle rule is still at work on is gone within days, else it does not fit the rest`,
    };
  const may =
    mayExpireAfterMs === undefined ? 'the archive has no mayExpireAfter' : 'the run is younger than mayExpireAfter';
  return { message: `${what}, and may not have expired: ${may}` };
}

/** Nothing is asked for a run that is too young for it. */
export async function hasExpired(archive: ArchiveConfig, folder: RunFolder, run: Committed): Promise<boolean> {
  return mayHaveExpired(archive, run) && (await findGone(archive, folder, run)) === 'all, as it may';
}

function mayHaveExpired(
  { mayExpireAfterMs }: Pick<ArchiveConfig, 'mayExpireAfterMs'>,
  { finishedAt }: Pick<Committed, 'finishedAt'>,
): boolean {
  return mayExpireAfterMs !== undefined && Date.now() - Date.parse(finishedAt) >= mayExpireAfterMs;
}
