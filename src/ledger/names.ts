/** The names of a run's objects, relative to the destination's prefix. They depend on the archive and the run id only. */
import type { DestinationConfig } from '../config/schema.ts';

/** Folder of an archive; the `/` at its end keeps `event` apart from `events`. */
export function archivePrefix(archive: string): string {
  return `${archive}/`;
}

/** What other readers take for a column, as the folders of runs are named `run=…`. */
export const FOLDER_KEY = 'run';

/** Folder of a run. */
export function runPrefix(archive: string, run: string): string {
  return `${archive}/${FOLDER_KEY}=${run}/`;
}

export function dataKey(archive: string, run: string, segment: number, extension: string): string {
  return `${runPrefix(archive, run)}${partName(segment)}.${extension}`;
}

export function manifestKey(archive: string, run: string): string {
  return `${runPrefix(archive, run)}_manifest.json`;
}

/** What a purge of the run has done. */
export function purgeKey(archive: string, run: string): string {
  return `${runPrefix(archive, run)}_purge.json`;
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

/** Of an empty segment, by the name of its object: its number may be that of a segment of the plan, too. */
export function emptyReceiptKey(archive: string, run: string, key: string): string {
  return `${journalPrefix(archive, run)}${EMPTY}${key.slice(runPrefix(archive, run).length)}.json`;
}

/** The key of the empty segment whose receipt has this key in the run; undefined when {@link emptyReceiptKey} makes no such key. */
export function emptyOfReceiptKey(archive: string, run: string, key: string): string | undefined {
  const start = `${journalPrefix(archive, run)}${EMPTY}`;
  if (!key.startsWith(start) || !key.endsWith('.json')) return undefined;
  const dataKey = runPrefix(archive, run) + key.slice(start.length, -'.json'.length);
  return segmentOfDataKey(archive, run, dataKey) === undefined ? undefined : dataKey;
}

/** The number of the segment whose object has this key in the run; undefined when {@link dataKey} makes no such key. */
export function segmentOfDataKey(archive: string, run: string, key: string): number | undefined {
  const [, number, extension = ''] = /\/part-(\d{5,6})\.([a-z]{1,10}(?:\.[a-z]{1,10})?)$/.exec(key) ?? [];
  const segment = Number(number);
  return dataKey(archive, run, segment, extension) === key ? segment : undefined;
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
export function fullKey({ location }: DestinationConfig, key: string): string {
  return location.kind === 's3' ? location.prefix + key : key;
}
