/** What is allowed in a config, but seldom meant. */
import { FailureError } from '../base/errors.ts';
import { parseTableName } from '../postgres/identifiers.ts';
import { codeOf } from '../postgres/sql-text.ts';
import { destinationOf } from './resolve.ts';
import type { ArchiveConfig, Config, DestinationConfig } from './schema.ts';
import { allEntries } from './tables.ts';

/** Lines for `check` and the log; empty when there is nothing to say. */
export function configWarnings(config: Config): string[] {
  const archives = allEntries(config);
  return [
    ...archives.flatMap(warnOfClock),
    ...archives.flatMap(warnOfWindow),
    ...archives.flatMap(warnOfPace),
    ...archives.flatMap((archive) => warnOfExpiry(config, archive)),
    ...archives.flatMap((archive) => warnOfSharedTable(archive, archives)),
    ...warnOfCase(config, archives),
    ...Object.values(config.destinations).flatMap(warnOfPrefix),
  ];
}

const CLOCK =
  /\b(now|(?:statement|transaction|clock)_timestamp|timeofday)\s*\(\s*\)|\b(current_(?:date|time|timestamp)|local(?:time|timestamp))\b/i;

/** Each worker's transaction has its own `now()`, and a resumed run another one. */
function warnOfClock(archive: ArchiveConfig): string[] {
  const key = archive.query === undefined ? 'where' : 'query';
  const match = CLOCK.exec(archive[key] ?? '');
  if (match === null) return [];
  const call = (match[1] === undefined ? match[2] : `${match[1]}()`)?.toLowerCase();
  const instead = archive.window === undefined ? ':slot' : ':from and :to';
  return [
    `archives.${archive.name}.${key}: ${call} differs between the segments of a run, and when it resumes; use ${instead}`,
  ];
}

/** A window is made once: what the filter leaves out of it is never looked at again. */
function warnOfWindow({ name, window, where }: ArchiveConfig): string[] {
  if (window === undefined || where === undefined) return [];
  const words = codeOf(where)
    .toLowerCase()
    .split(/[^\w$\u0080-\uffff]+/);
  if (!words.includes(window.column.toLowerCase())) return [];
  return [
    `archives.${name}.where: names ${window.column}, the column of the windows; rows that it leaves out of a window are never archived`,
  ];
}

/** Under each new snapshot the values are listed again; a row that went from one to another is in both of them, or in none. */
function warnOfPace({ name, pace, partitionBy, purge }: ArchiveConfig): string[] {
  const moves =
    pace?.maxSnapshotAgeMs === undefined || partitionBy === undefined
      ? []
      : [
          `archives.${name}.pace.maxSnapshotAge: with partitionBy, a row whose value changes between two snapshots of a run may be in neither folder, or in both`,
        ];
  const idle =
    pace?.share === undefined || purge !== undefined
      ? []
      : [`archives.${name}.pace.share: is for purges, and the archive has no purge`];
  return [...moves, ...idle];
}

/** A purge asks for the proof of its own archive alone. */
function warnOfSharedTable(
  { name, source, table, purge }: ArchiveConfig,
  archives: readonly ArchiveConfig[],
): string[] {
  if (purge === undefined || table === undefined) return [];
  const wanted = canonical(table);
  return archives
    .filter((other) => other.name !== name && other.source === source && other.table !== undefined)
    .filter((other) => canonical(other.table ?? '') === wanted)
    .map(
      (other) =>
        `archives.${name}.purge: "${other.name}" is of the same table: rows that are deleted before it has archived them are in none of its runs`,
    );
}

/** What is no name of a table is found by whoever reads it. */
function canonical(table: string): string {
  try {
    const { schema = 'public', table: name } = parseTableName(table);
    return JSON.stringify([schema, name]);
  } catch (error) {
    if (error instanceof FailureError) return table;
    throw error;
  }
}

/** A lifecycle rule hides what is held behind a delete marker, and removes none of it. */
function warnOfExpiry(config: Config, archive: ArchiveConfig): string[] {
  const { name, mayExpireAfterMs } = archive;
  const { objectLock, name: destination } = destinationOf(config, archive);
  if (objectLock === undefined || mayExpireAfterMs === undefined || mayExpireAfterMs >= objectLock.retainMs) return [];
  return [
    `archives.${name}.mayExpireAfter: is shorter than destinations.${destination}.objectLock.retain: a lifecycle rule hides the data then, and what is held stays in the bucket, and costs, until it is held no more`,
  ];
}

/** What S3 takes, and tools on the way to it do not. */
function warnOfPrefix({ name, location }: DestinationConfig): string[] {
  if (location.kind !== 's3' || !/[\\{}^%`[\]"<>~#|\u0080-\uffff]/.test(location.prefix)) return [];
  return [
    `destinations.${name}.url: its prefix has characters that many tools for S3 do not get right: letters, digits, and / ! - _ . * ' ( ) are safe`,
  ];
}

/** A file system that ignores case would put both into one folder. */
function warnOfCase(config: Config, archives: readonly ArchiveConfig[]): string[] {
  const seen = new Map<string, ArchiveConfig>();
  return archives.flatMap((archive) => {
    const { location } = destinationOf(config, archive);
    if (location.kind !== 'file') return [];
    const folder = `${location.folder}/${archive.name}`.toLowerCase();
    const other = seen.get(folder);
    seen.set(folder, archive);
    if (other === undefined) return [];
    return [
      `archives.${archive.name}: differs from archive "${other.name}" in case only, and some file systems ignore case`,
    ];
  });
}
