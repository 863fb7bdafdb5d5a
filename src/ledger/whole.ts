/** Holds a manifest against itself: one that names fewer objects than its run had parts must not pass for the whole run. */
import { formatCount } from '../base/units.ts';
import type { ManifestHead, ManifestObject } from './manifest.ts';
import { partName, runPrefix, segmentOfDataKey } from './names.ts';

/** Parts that are missing are named up to here. */
const MOST_NAMED = 5;
/** Part numbers have six digits. */
const MOST_PARTS = 1_000_000;

const TOTALS = ['rows', 'jsonBytes', 'bytes'] as const;

/** Is told of all objects of a manifest, of which it keeps a bit each. */
export class Wholeness {
  readonly #manifest: ManifestHead;
  readonly #sums = { rows: 0, jsonBytes: 0, bytes: 0 };
  readonly #named = new Uint8Array(MOST_PARTS / 8);
  /** The last part that has rows. */
  #last = -1;

  constructor(manifest: ManifestHead) {
    this.#manifest = manifest;
  }

  add(object: ManifestObject): void {
    for (const total of TOTALS) this.#sums[total] += object[total];
    const { archive, run } = this.#manifest;
    const key = runPrefix(archive, run) + object.key.slice(object.key.lastIndexOf('/') + 1);
    const part = segmentOfDataKey(archive, run, key);
    if (part === undefined) return;
    this.#named[part >> 3] = (this.#named[part >> 3] ?? 0) | (1 << (part & 7));
    if (object.rows > 0) this.#last = Math.max(this.#last, part);
  }

  /** What it contradicts itself in, a line each; empty for one that is whole. */
  contradictions(): string[] {
    return [...this.#compareTotals(), ...this.#findMissingParts()];
  }

  #compareTotals(): string[] {
    return TOTALS.flatMap((total): string[] => {
      const said = this.#manifest[total];
      const objects = this.#sums[total];
      if (objects === said) return [];
      return [`the manifest says ${formatCount(said)} ${total}, its objects together have ${formatCount(objects)}`];
    });
  }

  /**
   * The segments of a plan are numbered from 0 without a gap. What lay in the folder beyond them is named as an object without
   * rows, by whatever number it had.
   */
  #findMissingParts(): string[] {
    const missing: string[] = [];
    for (let part = 0; part <= this.#last && missing.length <= MOST_NAMED; part += 1)
      if (((this.#named[part >> 3] ?? 0) & (1 << (part & 7))) === 0) missing.push(partName(part));
    if (missing.length === 0) return [];
    const more = missing.length > MOST_NAMED ? ` and more` : '';
    return [
      `the manifest does not name ${missing.slice(0, MOST_NAMED).join(', ')}${more}: it is not that of the whole run`,
    ];
  }
}
