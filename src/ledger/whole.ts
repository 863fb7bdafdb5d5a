/** Holds a manifest against itself: one that names fewer objects than its run had parts must not pass for the whole run. */
import { formatCount } from '../base/units.ts';
import type { Manifest } from './manifest.ts';
import { partName, runPrefix, segmentOfDataKey } from './names.ts';

/** Parts that are missing are named up to here. */
const MOST_NAMED = 5;

/** What it contradicts itself in, a line each; empty for one that is whole. */
export function contradictionsOf(manifest: Manifest): string[] {
  return [...compareTotals(manifest), ...findMissingParts(manifest)];
}

function compareTotals(manifest: Manifest): string[] {
  return (['rows', 'jsonBytes', 'bytes'] as const).flatMap((total): string[] => {
    const objects = manifest.objects.reduce((sum, object) => sum + object[total], 0);
    if (objects === manifest[total]) return [];
    return [
      `the manifest says ${formatCount(manifest[total])} ${total}, its objects together have ${formatCount(objects)}`,
    ];
  });
}

/**
 * The segments of a plan are numbered from 0 without a gap. What lay in the folder beyond them is named as an object without
 * rows, by whatever number it had.
 */
function findMissingParts({ archive, run, objects }: Manifest): string[] {
  const prefix = runPrefix(archive, run);
  const parts = new Set<number>();
  let last = -1;
  for (const { key, rows } of objects) {
    const part = segmentOfDataKey(archive, run, prefix + key.slice(key.lastIndexOf('/') + 1));
    if (part === undefined) continue;
    parts.add(part);
    if (rows > 0) last = Math.max(last, part);
  }
  const missing: string[] = [];
  for (let part = 0; part <= last && missing.length <= MOST_NAMED; part += 1)
    if (!parts.has(part)) missing.push(partName(part));
  if (missing.length === 0) return [];
  const more = missing.length > MOST_NAMED ? ` and more` : '';
  return [
    `the manifest does not name ${missing.slice(0, MOST_NAMED).join(', ')}${more}: it is not that of the whole run`,
  ];
}
