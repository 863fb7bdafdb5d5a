/** Tells when slots have come: one timer for all archives, which also notices that the machine slept or the clock was set. */
import type { ArchiveConfig } from '../config/schema.ts';
import { Slots } from './slots.ts';

/** A timer does not count the time that the machine sleeps; so it looks at the clock this often. */
const LONGEST_WAIT_MS = 30_000;
/** A clock that is set back by more begins anew; by less, no slot comes twice. */
const CLOCK_TOLERANCE_MS = 60_000;
/** Slots that came at once, after a long sleep, are told up to here; the oldest are left out. */
export const MOST_SLOTS_AT_ONCE = 1000;

/** Gets the slots that have come since the last call, oldest first; usually one. Must not throw. */
export type OnSlots = (archive: string, slots: readonly Date[]) => void;

interface Entry {
  expression: string;
  timezone: string;
  slots: Slots;
  begunAt: Date;
  /** Slots up to here have been told. */
  toldMs: number;
  nextMs: number;
}

export class Schedule {
  readonly #onSlots: OnSlots;
  readonly #onClockSetBack: (byMs: number) => void;
  readonly #now: () => number;
  #entries = new Map<string, Entry>();
  #timer: NodeJS.Timeout | undefined;
  #running = false;

  constructor(onSlots: OnSlots, onClockSetBack: (byMs: number) => void, now: () => number = Date.now) {
    this.#onSlots = onSlots;
    this.#onClockSetBack = onClockSetBack;
    this.#now = now;
  }

  /** Puts these schedules in force. One that stays the same misses no slot; a new one begins now. */
  set(archives: readonly ArchiveConfig[]): void {
    const before = this.#entries;
    this.#entries = new Map();
    for (const { name, schedule, timezone } of archives) {
      if (schedule === undefined) continue;
      const old = before.get(name);
      const same = old?.expression === schedule && old.timezone === timezone;
      this.#entries.set(name, same ? old : this.#begin(schedule, timezone));
    }
    if (this.#running) this.#arm();
  }

  start(): void {
    this.#running = true;
    this.#arm();
  }

  stop(): void {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  /** When the archive's next slot is; undefined when it has no schedule. */
  nextSlot(archive: string): Date | undefined {
    const entry = this.#entries.get(archive);
    return entry === undefined || entry.nextMs === Infinity ? undefined : new Date(entry.nextMs);
  }

  /** The slots of the archive; undefined when it has no schedule. */
  slotsOf(archive: string): Slots | undefined {
    return this.#entries.get(archive)?.slots;
  }

  /** Slots after this time are told; undefined when the archive has no schedule. */
  begunAt(archive: string): Date | undefined {
    return this.#entries.get(archive)?.begunAt;
  }

  /** Tells what has come by now. Called by the timer. */
  tick(): void {
    const nowMs = this.#now();
    for (const [archive, entry] of this.#entries) {
      if (nowMs < entry.toldMs - CLOCK_TOLERANCE_MS) this.#beginAgain(entry, nowMs);
      if (nowMs < entry.nextMs) continue;
      const due = entry.slots.between(new Date(entry.toldMs), new Date(nowMs), MOST_SLOTS_AT_ONCE);
      entry.toldMs = nowMs;
      entry.nextMs = nextMsOf(entry.slots, nowMs);
      this.#onSlots(archive, due);
    }
  }

  #begin(expression: string, timezone: string): Entry {
    const slots = new Slots(expression, timezone);
    const toldMs = this.#now();
    return { expression, timezone, slots, begunAt: new Date(toldMs), toldMs, nextMs: nextMsOf(slots, toldMs) };
  }

  #beginAgain(entry: Entry, nowMs: number): void {
    this.#onClockSetBack(entry.toldMs - nowMs);
    entry.toldMs = nowMs;
    entry.nextMs = nextMsOf(entry.slots, nowMs);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const nextMs = Math.min(...[...this.#entries.values()].map((entry) => entry.nextMs));
    const waitMs = Math.min(LONGEST_WAIT_MS, Math.max(0, nextMs - this.#now()));
    this.#timer = setTimeout(() => {
      this.tick();
      if (this.#running) this.#arm();
    }, waitMs);
  }
}

function nextMsOf(slots: Slots, afterMs: number): number {
  return slots.next(new Date(afterMs))?.getTime() ?? Infinity;
}
