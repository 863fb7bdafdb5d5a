/** The objects of a restore: their keys in the run's folder, and whether they are there. */
import { fail } from '../base/errors.ts';
import { countOf } from '../base/units.ts';
import { codecOf, type Codec } from '../format/compress/codec.ts';
import { warnOfLongLine } from '../ledger/long-line.ts';
import type { ManifestObject } from '../ledger/manifest.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import { Wholeness } from '../ledger/whole.ts';

/** An object of the run; `key` is relative to the destination's prefix, wherever the archive has been moved to. */
export interface PlannedObject extends ManifestObject {
  /** Its place in the manifest. */
  index: number;
}

/** Objects in the order of the manifest, which are read again each time that they are gone through. */
export type PlannedObjects = AsyncIterable<PlannedObject> | Iterable<PlannedObject>;

/** What there is to know of the objects of a restore, and of the manifest that names them. */
export interface ObjectFacts {
  count: number;
  /** Of these, how many have rows. */
  filled: number;
  rows: number;
  /** What stands against them. */
  problems: readonly string[];
  /** Those that COPY may not bring back. */
  warnings: readonly string[];
  /** What the manifest contradicts itself in. */
  contradictions: readonly string[];
}

const LOOKED_AT_ONCE = 8;
/** Problems, and warnings, that are named one by one. */
const MOST_NAMED = 1000;

/** The run's objects but those outside. Where they lie is known from the run: of the manifest's keys, only the names are taken. */
export async function* chooseObjects(
  folder: RunFolder,
  { objects }: { objects: AsyncIterable<ManifestObject> | Iterable<ManifestObject> },
  outside: Pick<ReadonlySet<number>, 'has'>,
): AsyncGenerator<PlannedObject, undefined> {
  let index = 0;
  for await (const object of objects) {
    if (!outside.has(index)) yield { ...object, index, key: folder.keyOf(object) };
    index += 1;
  }
  return undefined;
}

/** Looks every object up. Throws FailureError `bad-manifest` for one that we have not written. */
export async function lookAtObjects(
  folder: RunFolder,
  manifest: StoredManifest,
  outside: Pick<ReadonlySet<number>, 'has'>,
): Promise<ObjectFacts> {
  const { store } = folder;
  const problems = new Map<number, string>();
  const warnings: string[] = [];
  const sums = { count: 0, filled: 0, rows: 0 };
  const wholeness = new Wholeness(manifest);
  let unnamed = 0;
  const look = async ({ index, key, bytes }: PlannedObject): Promise<void> => {
    requireCodec(key);
    const problem = describeDifference(key, bytes, (await store.head(key))?.bytes, store.url);
    if (problem === undefined) return;
    if (problems.size < MOST_NAMED) problems.set(index, problem);
    else unnamed += 1;
  };
  const all = chooseObjects(folder, { objects: told(manifest.objects, wholeness) }, outside);
  const work = async (): Promise<void> => {
    for (let next = await all.next(); next.done !== true; next = await all.next()) {
      const object = next.value;
      sums.count += 1;
      sums.filled += object.rows > 0 ? 1 : 0;
      sums.rows += object.rows;
      if (warnings.length < MOST_NAMED) warnings.push(...warnOfLongLine(object));
      await look(object);
    }
  };
  await Promise.all(Array.from({ length: LOOKED_AT_ONCE }, work));
  return {
    ...sums,
    problems: [
      ...[...problems].sort(([a], [b]) => a - b).map(([, problem]) => problem),
      ...(unnamed === 0 ? [] : [`${countOf(unnamed, 'further object')} missing, changed or damaged`]),
    ],
    warnings,
    contradictions: wholeness.contradictions(),
  };
}

async function* told(
  objects: AsyncIterable<ManifestObject>,
  wholeness: Wholeness,
): AsyncGenerator<ManifestObject, undefined> {
  for await (const object of objects) {
    wholeness.add(object);
    yield object;
  }
  return undefined;
}

function describeDifference(
  key: string,
  expected: number,
  bytes: number | undefined,
  storeUrl: string,
): string | undefined {
  if (bytes === undefined) return `object ${key} is missing in ${storeUrl}`;
  if (bytes === expected) return undefined;
  return `object ${key} has ${bytes} bytes, and ${expected} in the manifest: it was changed or damaged`;
}

/** The manifest lies in the bucket, where others may write; what it names must be something that we wrote. */
export function requireCodec(key: string): Codec {
  const codec = codecOf(key);
  if (codec !== undefined) return codec;
  throw fail('bad-manifest', {
    stage: 'restore',
    message: `the manifest names the object ${key}, whose ending is none of ours`,
    hint: 'The manifest was changed or written by something else. Bring it back from a copy or an older version.',
  });
}
