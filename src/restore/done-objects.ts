/** What became of the objects that are in the target, by their keys. */
import { PartTable } from '../ledger/part-table.ts';

/** Rows that are in the table because of an object, and rows that were there already. */
export interface DoneCounts {
  rows: number;
  skipped: number;
}

export class DoneObjects {
  readonly #rows: PartTable;
  readonly #skipped: PartTable;
  size = 0;

  constructor(run: { archive: string; run: string }) {
    this.#rows = new PartTable(run);
    this.#skipped = new PartTable(run);
  }

  get(key: string): DoneCounts | undefined {
    const rows = this.#rows.get(key);
    return rows === undefined ? undefined : { rows, skipped: this.#skipped.get(key) ?? 0 };
  }

  set(key: string, { rows, skipped }: DoneCounts): void {
    if (this.#rows.get(key) === undefined) this.size += 1;
    this.#rows.set(key, rows);
    this.#skipped.set(key, skipped);
  }

  /** Over all of them. */
  get sums(): DoneCounts {
    const sums = { rows: 0, skipped: 0 };
    for (const [, rows] of this.#rows.entries()) sums.rows += rows;
    for (const [, skipped] of this.#skipped.entries()) sums.skipped += skipped;
    return sums;
  }
}
