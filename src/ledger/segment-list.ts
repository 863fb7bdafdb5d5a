/** Segments of a plan as their JSON, which takes a fraction of what they take as objects: there may be 400,000 of them. */
import { PackedList } from '../base/packed-list.ts';
import type { PlannedSegment, PlannedSegments } from './segments.ts';

/** So few are held as they are. */
const FEW = 1000;

export class SegmentList implements PlannedSegments {
  readonly #texts = new PackedList();

  get length(): number {
    return this.#texts.length;
  }

  get heldBytes(): number {
    return this.#texts.heldBytes;
  }

  add(segment: PlannedSegment): void {
    this.#texts.add(JSON.stringify(segment));
  }

  at(index: number): PlannedSegment | undefined {
    const text = this.#texts.at(index);
    return text === undefined ? undefined : (JSON.parse(text) as PlannedSegment);
  }

  *[Symbol.iterator](): Generator<PlannedSegment, undefined> {
    for (const text of this.#texts) yield JSON.parse(text) as PlannedSegment;
    return undefined;
  }
}

/** The same segments, packed where they are many. */
export function packed(...lists: PlannedSegments[]): PlannedSegments {
  if (lists.reduce((sum, { length }) => sum + length, 0) <= FEW) return lists.flatMap((list) => [...list]);
  const [only] = lists;
  if (lists.length === 1 && only instanceof SegmentList) return only;
  const all = new SegmentList();
  for (const list of lists) for (const segment of list) all.add(segment);
  return all;
}
