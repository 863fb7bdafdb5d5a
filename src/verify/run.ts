/** Proves a committed run: reads its objects again and compares them with its manifest, and with each other. */
import { FailureError } from '../base/errors.ts';
import { retrying, type RetryPolicy } from '../base/retry.ts';
import { countOf, formatCount } from '../base/units.ts';
import { visible } from '../base/visible.ts';
import type { Store } from '../store/store.ts';
import { compareKeys } from './key-order.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { findStrayFolders } from '../ledger/runs.ts';
import { commonFolder, isChosen, type PartitionChoice } from '../ledger/partitions.ts';
import { contradictionsOf } from '../ledger/whole.ts';
import type { Manifest, ManifestColumn, ManifestObject } from '../ledger/manifest.ts';
import { Problems, tellsOfObject, verifyObject, type Problem } from './object.ts';

export interface VerifyOptions {
  /** What stands in front of the destination's own keys in the bucket. */
  keyPrefix: string;
  /** Objects that are read; undefined for all. The others are only looked for in the list of the folder. */
  sample: number | undefined;
  /** Only objects of these values are looked at; absent for all. */
  choices?: readonly PartitionChoice[];
  /** What a decompressor may take for its window; see config/memory-sum.ts. */
  windowBytes: number;
  /** For trouble with the destination while an object is read. */
  retry: RetryPolicy;
  signal: AbortSignal;
  onProgress: (progress: VerifyProgress) => void;
}

/** Bytes are of stored objects. */
export interface VerifyProgress {
  objects: number;
  objectsDone: number;
  bytes: number;
  bytesDone: number;
}

export interface VerifiedObject {
  /** The whole key in the bucket, or the path below the folder: where it lies now. */
  key: string;
  ok: boolean;
  /** Whether it was read; false for those that a sample left out, and that are not there. */
  read: boolean;
  problems: Problem[];
}

/** What was found. Rows and sizes are those of the objects that were read. */
export interface Verification {
  ok: boolean;
  rows: number;
  jsonBytes: number;
  bytes: number;
  objectsRead: number;
  objects: VerifiedObject[];
  /** What is wrong with the run as a whole. */
  problems: Problem[];
}

/** Objects that are read at once. */
const READ_AT_ONCE = 2;

interface Entry {
  object: ManifestObject;
  /** Relative to the destination's prefix. */
  key: string;
  problems: Problems;
  wanted: boolean;
  read: boolean;
}

/** Throws FailureError when the destination fails, which is no difference, and the signal's reason when it aborts. */
export async function verifyRun(folder: RunFolder, manifest: Manifest, options: VerifyOptions): Promise<Verification> {
  const entries = entriesOf(folder, manifest, options);
  const strays = await compareWithFolder(folder, manifest, entries, options);
  compareNeighbours(manifest, entries);
  await readObjects(folder.store, manifest, entries, options);
  const objects = [
    ...entries.map(({ key, problems, read }) => describe(options.keyPrefix + key, problems.list, read)),
    ...strays.map((key) =>
      describe(options.keyPrefix + key, [{ message: 'the manifest does not name this object' }], false),
    ),
  ];
  const problems = [...contradictionsOf(manifest).map((message) => ({ message })), ...(await findNeighbours(folder))];
  const read = entries.filter((entry) => entry.read).map(({ object }) => object);
  return {
    ok: problems.length === 0 && objects.every((object) => object.ok),
    rows: sum(read, ({ rows }) => rows),
    jsonBytes: sum(read, ({ jsonBytes }) => jsonBytes),
    bytes: sum(read, ({ bytes }) => bytes),
    objectsRead: read.length,
    objects,
    problems,
  };
}

/** Objects lie beside the manifest, wherever the destination was moved to since: restore goes by the same rule. */
function entriesOf(folder: RunFolder, manifest: Manifest, { sample, choices = [] }: VerifyOptions): Entry[] {
  const objects = manifest.objects.filter(({ partition }) => isChosen(partition, choices));
  const chosen = chooseEvenly(objects.length, sample ?? objects.length);
  return objects.map((object, at) => {
    return { object, key: folder.keyOf(object), problems: new Problems(), wanted: chosen.has(at), read: false };
  });
}

/** `count` of the numbers below `total`, as far from each other as can be; the first and the last are always among them. */
export function chooseEvenly(total: number, count: number): Set<number> {
  const picks = Math.min(total, Math.max(count, 2));
  if (picks <= 1) return new Set(total === 0 ? [] : [0]);
  return new Set(Array.from({ length: picks }, (_, at) => Math.round((at * (total - 1)) / (picks - 1))));
}

/**
 * Looks every object up in the list of the run's folder, and returns the data objects that are there too many: of some values, those
 * in the one folder that all of these have.
 */
async function compareWithFolder(
  folder: RunFolder,
  { partitionBy = [], objects }: Manifest,
  entries: readonly Entry[],
  { choices = [] }: VerifyOptions,
): Promise<string[]> {
  const missing = new Map(entries.map((entry) => [entry.key, entry]));
  if (missing.size < entries.length) for (const entry of repeated(entries)) entry.problems.add('it is named twice');
  const strays: string[] = [];
  const others = entries.length === objects.length ? undefined : new Set(objects.map((object) => folder.keyOf(object)));
  const isOneFolder = choices.length === 0 || choices.length === partitionBy.length;
  for await (const { key, bytes } of folder.list(commonFolder(partitionBy, choices))) {
    const entry = missing.get(key);
    if (entry !== undefined) {
      missing.delete(key);
      // One that is read is compared byte by byte.
      if (!entry.wanted && bytes !== entry.object.bytes)
        entry.problems.add(
          `it has ${countOf(bytes, 'byte')}, the manifest says ${formatCount(entry.object.bytes)}; it was not read`,
        );
    } else if (isOneFolder && folder.isReadAsData(key) && others?.has(key) !== true) strays.push(key);
  }
  for (const entry of missing.values()) {
    entry.problems.add('it is not there');
    entry.wanted = false;
  }
  return strays;
}

function repeated(entries: readonly Entry[]): Entry[] {
  const keys = new Set<string>();
  return entries.filter(({ key }) => {
    const isRepeated = keys.has(key);
    keys.add(key);
    return isRepeated;
  });
}

/**
 * Ranges of a key must be disjoint and in order. Where the order is not ours to know, as that of text, which depends on
 * its collation, at least no two ranges may share a bound.
 */
function compareNeighbours({ columns, cut }: Manifest, entries: readonly Entry[]): void {
  if (cut?.by !== 'key') return;
  const keys = cut.key.flatMap((name) => columns.find((column) => column.name === name) ?? []);
  if (keys.length < cut.key.length) return;
  let before: ManifestObject | undefined;
  for (const { object, problems } of entries) {
    const { firstKey, lastKey } = object;
    if (firstKey === null || lastKey === null) continue;
    if (isAbove(firstKey, lastKey, keys))
      problems.add(`its first key (${firstKey.join(', ')}) lies above its last (${lastKey.join(', ')})`);
    if (before?.lastKey && isNotBelow(before.lastKey, firstKey, keys))
      problems.add(
        `its first key (${firstKey.join(', ')}) does not lie above the last of ${before.key} (${before.lastKey.join(', ')})`,
      );
    before = object;
  }
}

function isAbove(a: readonly string[], b: readonly string[], columns: readonly ManifestColumn[]): boolean {
  return (compareKeys(a, b, columns) ?? -1) > 0;
}

function isNotBelow(a: readonly string[], b: readonly string[], columns: readonly ManifestColumn[]): boolean {
  return (compareKeys(a, b, columns) ?? -1) >= 0;
}

async function readObjects(
  store: Store,
  manifest: Manifest,
  entries: readonly Entry[],
  options: VerifyOptions,
): Promise<void> {
  const waiting = entries.filter((entry) => entry.wanted);
  const progress = {
    objects: waiting.length,
    objectsDone: 0,
    bytes: sum(waiting, (entry) => entry.object.bytes),
    bytesDone: 0,
  };
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const work = async (): Promise<void> => {
    for (let entry = waiting.shift(); entry !== undefined; entry = waiting.shift()) {
      await readWithRetries(store, manifest, entry, { ...options, signal }, (bytes) => {
        progress.bytesDone += bytes;
        options.onProgress(progress);
      });
      progress.objectsDone += 1;
      options.onProgress(progress);
    }
  };
  const workers = Array.from({ length: READ_AT_ONCE }, async () => {
    try {
      await work();
    } catch (error) {
      stop.abort(error);
    }
  });
  await Promise.all(workers);
  signal.throwIfAborted();
}

async function readWithRetries(
  store: Store,
  { columns, cut }: Manifest,
  entry: Entry,
  { retry, signal, windowBytes }: VerifyOptions,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const object = { store, key: entry.key, object: entry.object, columns, keyColumns: cut?.key ?? [], windowBytes };
  let problems = new Problems();
  let seenBytes = 0;
  const read = async (): Promise<void> => {
    problems = new Problems();
    seenBytes = 0;
    await verifyObject(object, problems, signal, (bytes) => {
      seenBytes += bytes;
      onBytes(bytes);
    });
  };
  try {
    await retrying(retry, signal, read, (error) => {
      onBytes(-seenBytes);
      return error instanceof FailureError && error.failure.transient;
    });
    entry.read = true;
  } catch (error) {
    if (!tellsOfObject(error)) throw error;
    problems.add(error.failure.message);
  }
  // Beside those that were found before the reading: what the last attempt found.
  for (const { message, line } of problems.list) entry.problems.add(message, line);
}

/** Whoever reads an archive by a glob, as most readers do, takes the rows of such folders for the archive's. */
async function findNeighbours({ store, archive }: RunFolder): Promise<Problem[]> {
  const problems = new Problems();
  for (const folder of await findStrayFolders(store, archive))
    problems.add(
      `${visible(folder)} is no run folder and holds data: who reads the archive by a glob reads its rows too`,
    );
  return problems.list;
}

function describe(key: string, problems: Problem[], read: boolean): VerifiedObject {
  return { key, ok: problems.length === 0, read, problems };
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
