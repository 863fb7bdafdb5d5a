/** Proves a committed run: reads its objects again and compares them with its manifest, and with each other. */
import { FailureError } from '../base/errors.ts';
import { BUDGET } from '../base/memory-budget.ts';
import { retrying, type RetryPolicy } from '../base/retry.ts';
import { countOf, formatCount } from '../base/units.ts';
import { visible } from '../base/visible.ts';
import type { ObjectLock } from '../config/schema.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { commonFolder, isChosen, type PartitionChoice } from '../ledger/partitions.ts';
import { findStrayFolders } from '../ledger/runs.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import { Wholeness } from '../ledger/whole.ts';
import type { ManifestObject } from '../ledger/manifest.ts';
import { FolderIndex } from './folder-index.ts';
import { compareNeighbours } from './neighbours.ts';
import { tellsOfObject, verifyObject } from '../segment/verify/object.ts';
import { lookAtHolds, type Holds, type HoldsReport, type ShownHold } from './holds.ts';
import { Problems, type Problem } from '../segment/verify/problems.ts';
import type { ObjectReader, VerifyThreads } from './threads.ts';

export interface VerifyOptions {
  /** What stands in front of the destination's own keys in the bucket. */
  keyPrefix: string;
  /** Objects that are read; undefined for all. The others are only looked for in the list of the folder. */
  sample: number | undefined;
  /** Only objects of these values are looked at; absent for all. */
  choices?: readonly PartitionChoice[];
  /** What a decompressor may take for its window; see config/memory-sum.ts. */
  windowBytes: number;
  /** How the destination is to hold objects; absent where it holds none, or as the bucket does by itself. */
  objectLock?: ObjectLock | undefined;
  /** Threads that read objects beside the one that calls. Absent: none. */
  threads?: VerifyThreads;
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
  /** Until when it is held; null when it is not, or nobody can say. Absent where nothing is held. */
  hold?: ShownHold | null;
}

/** What was found. Rows and sizes are those that the manifest gives the objects that were read. */
export interface Verification {
  ok: boolean;
  rows: number;
  jsonBytes: number;
  bytes: number;
  objectsRead: number;
  /** Objects that are looked at: those of the manifest, or of the values that were chosen. */
  objectsTotal: number;
  /** What is wrong with the run as a whole. */
  problems: Problem[];
  /** How the run is held by Object Lock; absent where nothing is, and nothing is to be. */
  holds?: HoldsReport;
  /** What is no difference, and should be known: objects that are not held as they should be. */
  warnings: string[];
  /**
   * All that were looked at, in the order of the manifest, then those that it does not name; or those alone that something is wrong
   * with. They are not held: whoever asks for all has the manifest read again.
   */
  objects: (which: 'all' | 'different') => AsyncIterable<VerifiedObject>;
}

/** Objects that are read at once by the thread that calls. */
const READ_AT_ONCE = BUDGET.inflate.objects;
/** Objects of which it is kept what is wrong with them. */
const MOST_DIFFERENT = 10_000;

/** An object that is to be read. */
interface Entry {
  at: number;
  object: ManifestObject;
  /** Relative to the destination's prefix. */
  key: string;
}

/** Throws FailureError when the destination fails, which is no difference, and the signal's reason when it aborts. */
export async function verifyRun(
  folder: RunFolder,
  manifest: StoredManifest,
  options: VerifyOptions,
): Promise<Verification> {
  const { choices = [] } = options;
  return new RunVerification(folder, manifest, options, await countChosen(manifest, choices)).verify();
}

/** `count` of the numbers below `total`, as far from each other as can be; the first and the last are always among them. */
export function chooseEvenly(total: number, count: number): Set<number> {
  const picks = Math.min(total, Math.max(count, 2));
  if (picks <= 1) return new Set(total === 0 ? [] : [0]);
  return new Set(Array.from({ length: picks }, (_, at) => Math.round((at * (total - 1)) / (picks - 1))));
}

async function countChosen({ objects }: StoredManifest, choices: readonly PartitionChoice[]): Promise<number> {
  if (choices.length === 0) return objects.length;
  let count = 0;
  for await (const { partition } of objects) if (isChosen(partition, choices)) count += 1;
  return count;
}

/** Goes through a manifest once. Of an object it keeps a byte or two, and what is wrong with it. */
class RunVerification {
  readonly #folder: RunFolder;
  readonly #manifest: StoredManifest;
  readonly #options: VerifyOptions;
  readonly #choices: readonly PartitionChoice[];
  /** Places among those that are looked at; undefined for all. */
  readonly #sample: ReadonlySet<number> | undefined;
  readonly #total: number;
  readonly #wasRead: Uint8Array;
  readonly #isThere: Uint8Array;
  readonly #problems = new Map<number, Problems>();
  /** Objects that differ, beyond those of which it is kept how. */
  #unkept = 0;
  readonly #progress: VerifyProgress;
  readonly #sums = { rows: 0, jsonBytes: 0, bytes: 0, objectsRead: 0 };

  constructor(folder: RunFolder, manifest: StoredManifest, options: VerifyOptions, total: number) {
    const { length } = manifest.objects;
    this.#folder = folder;
    this.#manifest = manifest;
    this.#options = options;
    this.#choices = options.choices ?? [];
    this.#total = total;
    this.#sample = options.sample === undefined ? undefined : chooseEvenly(total, options.sample);
    this.#wasRead = new Uint8Array(length);
    this.#isThere = new Uint8Array(length);
    const objects = this.#sample?.size ?? total;
    // Those of a sample are taken to be about as large as the others.
    const bytes = Math.round((manifest.bytes * objects) / Math.max(1, length));
    this.#progress = { objects, objectsDone: 0, bytes, bytesDone: 0 };
  }

  async verify(): Promise<Verification> {
    const { partitionBy = [] } = this.#manifest;
    // They start while the folder is listed.
    const others = this.#startOthers();
    const index = await FolderIndex.read(this.#folder, commonFolder(partitionBy, this.#choices));
    // Of several values, what others have in the same folders is not looked at.
    if (this.#choices.length > 0 && this.#choices.length < partitionBy.length) index.ignoreUnnamed();
    const wholeness = new Wholeness(this.#manifest);
    await this.#readObjects(this.#compare(index, wholeness), others);
    const problems = [
      ...wholeness.contradictions().map((message) => ({ message })),
      ...this.#countUnkept(index.uncounted),
      ...(await findNeighbours(this.#folder)),
    ];
    const { objectLock } = this.#options;
    const isThere = (at: number): boolean => this.#isThere[at] === 1;
    const holds = await lookAtHolds(this.#folder, this.#manifest, isThere, objectLock, this.#options);
    const hasStrays = index.unnamed().next().done !== true;
    return {
      ok: problems.length === 0 && this.#problems.size === 0 && !hasStrays,
      ...this.#sums,
      objectsTotal: this.#total,
      problems,
      ...(holds && { holds: holds.report() }),
      warnings: holds?.warnings() ?? [],
      objects: (which) => this.#describe(which, index, holds),
    };
  }

  #startOthers(): ObjectReader[] {
    const { jsonBytes, bytes } = this.#manifest;
    const toRead = (jsonBytes * this.#progress.bytes) / Math.max(1, bytes);
    return this.#options.threads?.start(this.#folder, this.#progress.objects, toRead) ?? [];
  }

  /** Compares all objects with the list of the folder, and with each other; those are given that are to be read. */
  async *#compare(index: FolderIndex, wholeness: Wholeness): AsyncGenerator<Entry, undefined> {
    const problemsOf = compareNeighbours(this.#manifest);
    let [at, place] = [-1, -1];
    for await (const object of this.#manifest.objects) {
      at += 1;
      wholeness.add(object);
      const key = this.#folder.keyOf(object);
      const { bytes, isRepeated } = index.find(key);
      if (!isChosen(object.partition, this.#choices)) continue;
      place += 1;
      const isWanted = this.#sample?.has(place) ?? true;
      this.#isThere[at] = bytes === undefined ? 0 : 1;
      if (isRepeated) this.#add(at, 'it is named twice');
      if (bytes === undefined) this.#add(at, 'it is not there');
      // One that is read is compared byte by byte.
      else if (!isWanted && bytes !== object.bytes)
        this.#add(
          at,
          `it has ${countOf(bytes, 'byte')}, the manifest says ${formatCount(object.bytes)}; it was not read`,
        );
      for (const problem of problemsOf(object)) this.#add(at, problem);
      if (isWanted && bytes !== undefined) yield { at, object, key };
      else if (isWanted) {
        this.#progress.objects -= 1;
        this.#progress.bytes -= object.bytes;
      }
    }
    return undefined;
  }

  async #readObjects(entries: AsyncGenerator<Entry, undefined>, others: readonly ObjectReader[]): Promise<void> {
    const { onProgress } = this.#options;
    const stop = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, stop.signal]);
    const work = async (readObject: ObjectReader): Promise<void> => {
      for (let next = await entries.next(); next.done !== true; next = await entries.next()) {
        signal.throwIfAborted();
        await this.#readWithRetries(next.value, readObject, signal);
        this.#progress.objectsDone += 1;
        onProgress(this.#progress);
      }
    };
    // Each takes the next object when it has done one: so every thread has one before this one takes a second.
    const here = Array.from({ length: READ_AT_ONCE }, () => readHere);
    const workers = [...here.slice(0, 1), ...others, ...here.slice(1)].map(async (readObject) => {
      try {
        await work(readObject);
      } catch (error) {
        stop.abort(error);
      }
    });
    await Promise.all(workers);
    signal.throwIfAborted();
  }

  async #readWithRetries({ at, object, key }: Entry, readObject: ObjectReader, signal: AbortSignal): Promise<void> {
    const { retry, windowBytes, onProgress } = this.#options;
    const { columns, cut } = this.#manifest;
    const toVerify = { store: this.#folder.store, key, object, columns, keyColumns: cut?.key ?? [], windowBytes };
    const onBytes = (bytes: number): void => {
      this.#progress.bytesDone += bytes;
      onProgress(this.#progress);
    };
    let problems = new Problems();
    let seenBytes = 0;
    const read = async (): Promise<void> => {
      problems = new Problems();
      seenBytes = 0;
      await readObject({ ...toVerify, segment: at }, problems, signal, (bytes) => {
        seenBytes += bytes;
        onBytes(bytes);
      });
    };
    try {
      await retrying(retry, signal, read, (error) => {
        onBytes(-seenBytes);
        return error instanceof FailureError && error.failure.transient;
      });
      this.#noteRead(at, object);
    } catch (error) {
      if (!tellsOfObject(error)) throw error;
      problems.add(error.failure.message);
    }
    // Beside those that were found before the reading: what the last attempt found.
    for (const { message, line } of problems.list) this.#add(at, message, line);
  }

  #noteRead(at: number, { rows, jsonBytes, bytes }: ManifestObject): void {
    this.#wasRead[at] = 1;
    this.#sums.objectsRead += 1;
    this.#sums.rows += rows;
    this.#sums.jsonBytes += jsonBytes;
    this.#sums.bytes += bytes;
  }

  #add(at: number, message: string, line?: number): void {
    const known = this.#problems.get(at);
    if (known !== undefined) known.add(message, line);
    else if (this.#problems.size === MOST_DIFFERENT) this.#unkept += 1;
    else {
      const problems = new Problems();
      problems.add(message, line);
      this.#problems.set(at, problems);
    }
  }

  #countUnkept(strays: number): Problem[] {
    const unkept = this.#unkept === 0 ? [] : [`${countOf(this.#unkept, 'further difference')} of objects`];
    const uncounted = strays === 0 ? [] : [`${countOf(strays, 'further object')} that the manifest does not name`];
    return [...unkept, ...uncounted].map((message) => ({ message: `there are ${message}` }));
  }

  async *#describe(
    which: 'all' | 'different',
    index: FolderIndex,
    holds: Holds | undefined,
  ): AsyncGenerator<VerifiedObject, undefined> {
    const { keyPrefix } = this.#options;
    if (which === 'all') {
      let at = 0;
      for await (const object of this.#manifest.objects) {
        if (isChosen(object.partition, this.#choices)) yield this.#describeOne(at, object, holds);
        at += 1;
      }
    } else
      for (const at of [...this.#problems.keys()].sort((a, b) => a - b)) {
        const object = await this.#manifest.objects.at(at);
        if (object !== undefined) yield this.#describeOne(at, object, holds);
      }
    for (const key of index.unnamed()) {
      const problems = [{ message: 'the manifest does not name this object' }];
      yield { key: keyPrefix + key, ok: false, read: false, problems };
    }
    return undefined;
  }

  #describeOne(at: number, object: ManifestObject, holds: Holds | undefined): VerifiedObject {
    const problems = this.#problems.get(at)?.list ?? [];
    const key = this.#options.keyPrefix + this.#folder.keyOf(object);
    const hold = holds === undefined ? {} : { hold: holds.of(at) };
    return { key, ok: problems.length === 0, read: this.#wasRead[at] === 1, problems, ...hold };
  }
}

const readHere: ObjectReader = verifyObject;

/** Whoever reads an archive by a glob, as most readers do, takes the rows of such folders for the archive's. */
async function findNeighbours({ store, archive }: RunFolder): Promise<Problem[]> {
  const problems = new Problems();
  for (const folder of await findStrayFolders(store, archive))
    problems.add(
      `${visible(folder)} is no run folder and holds data: who reads the archive by a glob reads its rows too`,
    );
  return problems.list;
}
