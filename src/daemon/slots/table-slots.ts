/** At the slot of an entry with `tables`, its source is asked first: a table that is new has this very slot, one that is gone has none. */
import type { OnSlots } from './schedule.ts';

export interface TableSlotsParts {
  /** The entry that an archive was made by; undefined for one that the config names. */
  entryOf: (archive: string) => string | undefined;
  /** Asks all sources, and puts in force what they say. Resolves to the archives that are new, with their entries. Never rejects. */
  look: () => Promise<readonly { name: string; entry: string }[]>;
  come: OnSlots;
}

type Look = ReturnType<TableSlotsParts['look']>;

export class TableSlots {
  readonly #parts: TableSlotsParts;
  /** All that have a slot at the same time share one look. */
  #last: { slotMs: number; look: Look } | undefined;

  constructor(parts: TableSlotsParts) {
    this.#parts = parts;
  }

  /** Slots of an archive have come. */
  archive(name: string, slots: readonly Date[]): void {
    const { entryOf, come } = this.#parts;
    if (entryOf(name) === undefined) come(name, slots);
    else void this.#look(slots).then(() => come(name, slots));
  }

  /** Slots of an entry have come. */
  entry(entry: string, slots: readonly Date[]): void {
    void this.#look(slots).then((found) => {
      for (const one of found) if (one.entry === entry) this.#parts.come(one.name, slots.slice(-1));
    });
  }

  #look(slots: readonly Date[]): Look {
    const slotMs = slots.at(-1)?.getTime() ?? 0;
    if (this.#last?.slotMs !== slotMs) this.#last = { slotMs, look: this.#parts.look() };
    return this.#last.look;
  }
}
