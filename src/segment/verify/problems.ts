/** What is wrong with an object. */
import { countOf } from '../../base/units.ts';

/** A difference; the line is there where it can be known, from 1. */
export interface Problem {
  line?: number;
  message: string;
}

/** More of an object than these are only counted. */
const MAX_PROBLEMS = 20;

/** The differences of one object, in the order of their discovery. */
export class Problems {
  /** Those that are named. */
  readonly found: Problem[] = [];
  /** How many more there are. */
  further = 0;

  add(message: string, line?: number): void {
    if (this.found.length === MAX_PROBLEMS) this.further += 1;
    else this.found.push(line === undefined ? { message } : { line, message });
  }

  get isEmpty(): boolean {
    return this.found.length === 0;
  }

  /** What others have found before. */
  addAll(found: readonly Problem[], further: number): void {
    for (const { message, line } of found) this.add(message, line);
    this.further += further;
  }

  get list(): Problem[] {
    return this.further === 0
      ? this.found
      : [...this.found, { message: `and ${countOf(this.further, 'further difference')}` }];
  }
}
