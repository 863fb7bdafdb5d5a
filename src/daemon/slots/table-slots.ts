/** At the slot of an entry with `tables`, its source is asked first: a table that is new has this very slot, one that is gone has none. */
import type { OnSlots } from './schedule.ts';

export interface TableSlotsParts {
  /** The entry that an archive was made by; undefined for one that the config names. */
  entryOf: (archive: string) => string | undefined;
  /** Names of the archives that an entry stands for now. */
  archivesOf: (entry: string) => readonly string[];
  /** Asks all sources, and puts in force what they say. Never rejects. */
  look: () => Promise<void>;
  come: OnSlots;
  /** For tests. */
  longestWaitMs?: number;
}

/** A source that hangs keeps archives of others from their slot for no longer. */
const LONGEST_WAIT_MS = 5000;

export class TableSlots {
  readonly #parts: TableSlotsParts;
  /** All that have a slot at the same time share one look. */
  #last: { slotMs: number; look: Promise<void>; atMost: Promise<void> } | undefined;

  constructor(parts: TableSlotsParts) {
    this.#parts = parts;
  }

  /** Slots of an archive have come. */
  archive(name: string, slots: readonly Date[]): void {
    const { entryOf, come } = this.#parts;
    if (entryOf(name) === undefined) come(name, slots);
    else void this.#look(slots).atMost.then(() => come(name, slots));
  }

  /** Slots of an entry have come. */
  entry(entry: string, slots: readonly Date[]): void {
    const { archivesOf, come } = this.#parts;
    // Another look may be under way, and find what is new before this one does.
    const known = new Set(archivesOf(entry));
    void this.#look(slots).look.then(() => {
      for (const name of archivesOf(entry)) if (!known.has(name)) come(name, slots.slice(-1));
    });
  }

  #look(slots: readonly Date[]): { look: Promise<void>; atMost: Promise<void> } {
    const { look: ask, longestWaitMs = LONGEST_WAIT_MS } = this.#parts;
    const slotMs = slots.at(-1)?.getTime() ?? 0;
    if (this.#last?.slotMs === slotMs) return this.#last;
    const look = ask();
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, longestWaitMs).unref();
    });
    const atMost = Promise.race([look, waited]).finally(() => {
      clearTimeout(timer);
    });
    this.#last = { slotMs, look, atMost };
    return this.#last;
  }
}
