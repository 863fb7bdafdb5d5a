/** Chooses what is rehearsed: a run at random, and as many of its objects as may be restored. Pure: no query, no request. */
import type { ManifestObject } from '../../ledger/manifest.ts';
import type { RehearsalResult } from '../../ledger/rehearsals.ts';
import type { CommittedRun } from '../../windows/committed.ts';

/** From 0 up to 1, without it. */
export type Random = () => number;

/** The runs of an archive that may be rehearsed, and how those came back that were. */
export interface Rehearsable {
  archive: string;
  runs: readonly CommittedRun[];
  results: ReadonlyMap<string, RehearsalResult>;
}

export interface ChosenRun {
  archive: string;
  run: CommittedRun;
}

/** How many times as often something comes that was never rehearsed. */
const NEVER_WEIGHT = 10;

/**
 * Each archive comes as often as any other, and of it each run, but for those that were never rehearsed: they come ten times as
 * often. Every other time on average it is a run that did not come back as it was archived, as long as there is one.
 */
export function chooseRun(archives: readonly Rehearsable[], random: Random): ChosenRun | undefined {
  const all = archives.filter(({ runs }) => runs.length > 0);
  const different = all.flatMap(({ archive, runs, results }) =>
    runs.filter(({ run }) => results.get(run)?.status === 'different').map((run) => ({ archive, run })),
  );
  if (different.length > 0 && random() < 0.5) return weighed(different, () => 1, random);
  const among = weighed(all, ({ runs, results }) => weightOf(runs.some(({ run }) => results.has(run))), random);
  const run = among && weighed(among.runs, (one) => weightOf(among.results.has(one.run)), random);
  return among && run && { archive: among.archive, run };
}

function weightOf(wasRehearsed: boolean): number {
  return wasRehearsed ? 1 : NEVER_WEIGHT;
}

function weighed<T>(items: readonly T[], weigh: (item: T) => number, random: Random): T | undefined {
  let left = random() * items.reduce((sum, item) => sum + weigh(item), 0);
  for (const item of items) {
    left -= weigh(item);
    if (left < 0) return item;
  }
  return items.at(-1);
}

/** Objects that stand side by side in the manifest, the first one behind the last one. */
export interface ChosenObjects {
  isOutside: (index: number) => boolean;
  objects: number;
  rows: number;
  jsonBytes: number;
}

interface Objects {
  readonly length: number;
  from(index: number): AsyncIterable<ManifestObject>;
}

/** All objects, or from a random one on those that come to `atMostBytes` together. Undefined where each one is larger. */
export async function chooseObjects(
  objects: Objects,
  atMostBytes: number,
  random: Random,
): Promise<ChosenObjects | undefined> {
  const begin = Math.floor(random() * objects.length);
  const sums = { objects: 0, rows: 0, jsonBytes: 0 };
  let first = 0;
  for await (const { index, object } of around(objects, begin)) {
    const fits = sums.jsonBytes + object.jsonBytes <= atMostBytes;
    if (!fits && sums.rows > 0) break;
    if (!fits || (sums.objects > 0 && sums.rows === 0)) {
      // What was there so far has no rows: it shows nothing.
      Object.assign(sums, { objects: 0, rows: 0, jsonBytes: 0 });
      if (!fits) continue;
    }
    if (sums.objects === 0) first = index;
    sums.objects += 1;
    sums.rows += object.rows;
    sums.jsonBytes += object.jsonBytes;
  }
  if (sums.rows === 0) return undefined;
  const { length } = objects;
  return { ...sums, isOutside: (index) => (index - first + length) % length >= sums.objects };
}

async function* around(
  objects: Objects,
  begin: number,
): AsyncGenerator<{ index: number; object: ManifestObject }, undefined> {
  let index = begin;
  for await (const object of objects.from(begin)) {
    yield { index, object };
    index += 1;
  }
  index = 0;
  for await (const object of objects.from(0)) {
    if (index >= begin) return undefined;
    yield { index, object };
    index += 1;
  }
  return undefined;
}
