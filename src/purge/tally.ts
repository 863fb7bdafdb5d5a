/** Accounts for every line: what became of it, over objects and rounds. */
import { OUTCOMES, type StayedObject, type Totals } from '../ledger/purge.ts';

export function noLines(): Totals {
  return { deleted: 0, absent: 0, changed: 0, locked: 0, referenced: 0, inexact: 0, kept: 0 };
}

export function linesOf(totals: Totals): number {
  return OUTCOMES.reduce((sum, outcome) => sum + totals[outcome], 0);
}

export function plus(a: Totals, b: Totals): Totals {
  return combine(a, b, 1);
}

export function minus(a: Totals, b: Totals): Totals {
  return combine(a, b, -1);
}

function combine(a: Totals, b: Totals, sign: 1 | -1): Totals {
  const sum = noLines();
  for (const outcome of OUTCOMES) sum[outcome] = a[outcome] + sign * b[outcome];
  return sum;
}

/** Whether lines stayed, for whatever reason. */
export function hasStayed(totals: Totals): boolean {
  return linesOf(totals) > totals.deleted + totals.absent;
}

/** Whether lines stayed that may go by themselves: a lock ends, a row that refers to one goes. */
export function mayGoLater({ locked, referenced }: Totals): boolean {
  return locked + referenced > 0;
}

/** What is known of an object that was gone through again: rows that we deleted before are no longer there for another reason. */
export function again(before: Totals, now: Totals): Totals {
  const ours = Math.min(before.deleted, now.absent);
  return { ...now, deleted: now.deleted + ours, absent: now.absent - ours };
}

/** The same of one that is gone through again in part: what we deleted before is among the lines that were not seen yet, or came back. */
export function inPart(before: Totals, now: Totals): Totals {
  if (linesOf(now) === 0) return before;
  const seen = again(before, now);
  const unseen = Math.max(0, linesOf(before) - linesOf(now));
  return { ...seen, deleted: seen.deleted + Math.min(unseen, Math.max(0, before.deleted - now.absent)) };
}

/** Those objects of which lines stayed, and the one that was left in the middle, by their place in the manifest. */
export class Stayed {
  readonly #objects: Map<number, Totals>;

  constructor(entries: readonly StayedObject[] = []) {
    this.#objects = new Map(entries.map(({ object, ...totals }) => [object, totals]));
  }

  /** Of an object that was left in the middle, whatever became of its lines so far. */
  keep(object: number, totals: Totals): void {
    this.#objects.set(object, totals);
  }

  set(object: number, totals: Totals): void {
    if (hasStayed(totals)) this.#objects.set(object, totals);
    else this.#objects.delete(object);
  }

  get(object: number): Totals {
    return this.#objects.get(object) ?? noLines();
  }

  /** Objects with lines that may go by themselves. */
  get worthAnotherLook(): number[] {
    return [...this.#objects].filter(([, totals]) => mayGoLater(totals)).map(([object]) => object);
  }

  get entries(): StayedObject[] {
    return Array.from(this.#objects, ([object, totals]) => ({ object, ...totals })).sort((a, b) => a.object - b.object);
  }
}
