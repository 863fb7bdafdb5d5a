/** The names of a run's objects, relative to the destination's prefix. They depend on the archive, the run id and the layout only. */
import { createHash } from 'node:crypto';
import type { DestinationConfig } from '../config/schema.ts';
import { isPartitionFolder } from './partitions.ts';

/** Folder of an archive; the `/` at its end keeps `event` apart from `events`. */
export function archivePrefix(archive: string): string {
  return `${archive}/`;
}

/** Names the latest manifest of the archive; see chain.ts. */
export function headKey(archive: string): string {
  return `${archivePrefix(archive)}_head.json`;
}

/** How restores of the archive's runs were rehearsed; see rehearsals.ts. */
export function rehearsalsKey(archive: string): string {
  return `${archivePrefix(archive)}_rehearsals.json`;
}

/** What other readers take for a column, as the folders of runs are named `run=…`. */
export const FOLDER_KEY = 'run';

/** Folder of a run. */
export function runPrefix(archive: string, run: string): string {
  return `${archive}/${FOLDER_KEY}=${run}/`;
}

/** `folder` is that of the segment's value, see partitions.ts; '' without a layout by value. */
export function dataKey(archive: string, run: string, segment: number, extension: string, folder = ''): string {
  return `${runPrefix(archive, run)}${folder}${partName(segment)}.${extension}`;
}

export function manifestKey(archive: string, run: string): string {
  return `${runPrefix(archive, run)}_manifest.json`;
}

/** What a purge of the run has done. */
export function purgeKey(archive: string, run: string): string {
  return `${runPrefix(archive, run)}_purge.json`;
}

/** That rows of the run were restored into the table that they are of. */
export function restoredKey(archive: string, run: string): string {
  return `${runPrefix(archive, run)}_restored.json`;
}

/** When the run was proved, and by whom. */
export function verifiedKey(archive: string, run: string): string {
  return `${runPrefix(archive, run)}_verified.json`;
}

/** Folder of the journal, which is there only while the run is unfinished. */
export function journalPrefix(archive: string, run: string): string {
  return `${runPrefix(archive, run)}_pgsluice/`;
}

export function planKey(archive: string, run: string): string {
  return `${journalPrefix(archive, run)}plan.json`;
}

/** Written from time to time by whoever owns the run. */
export function aliveKey(archive: string, run: string): string {
  return `${journalPrefix(archive, run)}alive.json`;
}

/** Of the receipts of some segments, by the lowest of their numbers. */
export function receiptKey(archive: string, run: string, lowest: number): string {
  return `${journalPrefix(archive, run)}${partName(lowest)}.json`;
}

/** Of a manifest that is about to be written; its name says all that it holds, so that whoever writes it writes the same. */
export function stagedManifestKey(archive: string, run: string, sha256: string): string {
  return `${journalPrefix(archive, run)}manifest-${sha256}.json`;
}

/** Of the segments of a plan that has many; its name says all that it holds. */
export function segmentsKey(archive: string, run: string, sha256: string): string {
  return `${journalPrefix(archive, run)}segments-${sha256}.json`;
}

/**
 * Of an empty segment, by the name of its object: its number may be that of a segment of the plan, too. A name with folders may
 * be as long as a key can be, and stands there as its digest.
 */
export function emptyReceiptKey(archive: string, run: string, key: string): string {
  const name = key.slice(runPrefix(archive, run).length);
  const short = name.includes('/') ? createHash('sha256').update(name).digest('hex') : name;
  return `${journalPrefix(archive, run)}${EMPTY}${short}.json`;
}

/** Whether receipts of empty segments have such keys. */
export function isEmptyReceiptKey(archive: string, run: string, key: string): boolean {
  return key.startsWith(`${journalPrefix(archive, run)}${EMPTY}`) && key.endsWith('.json');
}

/** The number of the segment whose object has this key in the run; undefined when {@link dataKey} makes no such key. */
export function segmentOfDataKey(archive: string, run: string, key: string): number | undefined {
  const [, number, extension = ''] = /\/part-(\d{5,6})\.([a-z]{1,10}(?:\.[a-z]{1,10})?)$/.exec(key) ?? [];
  const segment = Number(number);
  const folder = folderOfDataKey(archive, run, key);
  if (folder === undefined || !isPartitionFolder(folder)) return undefined;
  return dataKey(archive, run, segment, extension, folder) === key ? segment : undefined;
}

/** What stands in a key of the run between the run's own folder and the last name; undefined for a key that is not of it. */
export function folderOfDataKey(archive: string, run: string, key: string): string | undefined {
  const prefix = runPrefix(archive, run);
  return key.startsWith(prefix) ? key.slice(prefix.length, key.lastIndexOf('/') + 1) : undefined;
}

/** The run that a key of the archive is of, whatever it names there; undefined when it is of none. */
export function runOfKey(archive: string, key: string): string | undefined {
  const prefix = archivePrefix(archive);
  return key.startsWith(prefix) ? runOfFolder(key.slice(0, key.indexOf('/', prefix.length))) : undefined;
}

/** The lowest number of the segments whose receipts have this key in the run; undefined when {@link receiptKey} makes no such key. */
export function segmentOfReceiptKey(archive: string, run: string, key: string): number | undefined {
  const segment = Number(/\/part-(\d{5,6})\.json$/.exec(key)?.[1]);
  return receiptKey(archive, run, segment) === key ? segment : undefined;
}

/** The run id in a folder name such as `event/run=20261123T021500Z`; undefined when it is no run's folder. */
export function runOfFolder(folder: string): string | undefined {
  return /(?:^|\/)run=(\w+)$/.exec(folder)?.[1];
}

const EMPTY = 'empty-';

/** The name of a part, without its ending. */
export function partName(segment: number): string {
  return `part-${String(segment).padStart(5, '0')}`;
}

/** The whole key in the bucket, or the path below the folder: what a manifest names and other tools take. */
export function fullKey({ location }: Pick<DestinationConfig, 'location'>, key: string): string {
  return location.kind === 's3' ? location.prefix + key : key;
}
