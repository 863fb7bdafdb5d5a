/**
 * Reports slots as they come. node-cron fires for the next one; each time, all slots that have come by the clock are
 * reported, so that none is lost or reported twice. A watch of our own finds what its timers miss: times in which the
 * machine slept or its clock was set.
 */
import { schedule as startTask, type ScheduledTask } from 'node-cron';
import type { ArchiveConfig, Config } from '../../config/schema.ts';
import { Slots } from './slots.ts';

/** A timer does not count the time that the machine sleeps; so the watch looks at the clock this often. */
const LONGEST_WAIT_MS = 30_000;
/** How long after a slot the watch looks whether it was reported. */
const WATCH_AFTER_MS = 250;
/** node-cron drops what it comes to later than this; here a late look is as good. */
const TOLERATED_LATENESS_MS = 24 * 3_600_000;
/** A clock that is set back by more begins anew; by less, no slot comes twice. */
const CLOCK_TOLERANCE_MS = 60_000;
/** The most slots that are reported at once, after a long sleep; the oldest are left out. */
export const MOST_SLOTS_AT_ONCE = 1000;

/** By more than this, the clock has gone further than time has. */
const JUMP_MS = 5000;

/** Milliseconds of the clock, and such that only ever go on and do not count sleep; both are there for tests. */
export interface Clocks {
  now: () => number;
  elapsed: () => number;
}

const REAL_CLOCKS: Clocks = { now: () => Date.now(), elapsed: () => performance.now() };

/** Told of what the clock does. */
export interface ClockEvents {
  /** It was set back by more than a little. */
  onSetBack: (byMs: number) => void;
  /** It has gone further than time has; negative where it was set back. */
  onJump: (byMs: number) => void;
}

/** Gets the slots that have come since the last call, oldest first; usually one. Must not throw. */
export type OnSlots = (archive: string, slots: readonly Date[]) => void;

interface Entry {
  expression: string;
  timezone: string;
  slots: Slots;
  begunAt: Date;
  /** Slots up to here have been reported. */
  reportedMs: number;
  nextMs: number;
  /** For the next slot alone, while schedules run. */
  task: ScheduledTask | undefined;
}

/** What has a schedule: an archive, or an audit of all of them. */
export type Scheduled = Pick<ArchiveConfig, 'name' | 'timezone'> & { readonly schedule?: string | undefined };

/** The schedules of audits, in the place of archives'. */
export function scheduleOfAudits({ audits }: Pick<Config, 'audits'>): Scheduled[] {
  return AUDITS.flatMap((name) => {
    const schedule = audits?.[name]?.schedule;
    return schedule === undefined ? [] : [{ name, schedule, timezone: 'UTC' }];
  });
}

const AUDITS = ['verify', 'rehearse'] as const;

export class Schedule {
  readonly #onSlots: OnSlots;
  readonly #events: ClockEvents;
  readonly #clocks: Clocks;
  /** When the clocks were looked at last. */
  #looked: { nowMs: number; elapsedMs: number };
  #entries = new Map<string, Entry>();
  #watch: NodeJS.Timeout | undefined;
  #running = false;

  constructor(onSlots: OnSlots, events: ClockEvents, clocks: Clocks = REAL_CLOCKS) {
    this.#onSlots = onSlots;
    this.#events = events;
    this.#clocks = clocks;
    this.#looked = { nowMs: clocks.now(), elapsedMs: clocks.elapsed() };
  }

  /** Puts these schedules in force. One that stays the same misses no slot; a new one begins now. */
  set(archives: readonly Scheduled[]): void {
    const before = this.#entries;
    this.#entries = new Map();
    for (const { name, schedule, timezone } of archives) {
      if (schedule === undefined) continue;
      const old = before.get(name);
      const same = old?.expression === schedule && old.timezone === timezone;
      this.#entries.set(name, same ? old : this.#begin(schedule, timezone));
    }
    const kept = new Set(this.#entries.values());
    for (const entry of before.values()) if (!kept.has(entry)) endTask(entry);
    if (this.#running) this.start();
  }

  start(): void {
    this.#running = true;
    for (const entry of this.#entries.values()) entry.task ??= this.#taskFor(entry.nextMs);
    this.#armWatch();
  }

  stop(): void {
    this.#running = false;
    clearTimeout(this.#watch);
    for (const entry of this.#entries.values()) endTask(entry);
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

  /** Slots after this time are reported; undefined when the archive has no schedule. */
  begunAt(archive: string): Date | undefined {
    return this.#entries.get(archive)?.begunAt;
  }

  /** Reports what has come by now. */
  tick(): void {
    const nowMs = this.#clocks.now();
    this.#lookForJump(nowMs);
    for (const [archive, entry] of this.#entries) {
      if (nowMs < entry.reportedMs - CLOCK_TOLERANCE_MS) this.#beginAgain(entry, nowMs);
      if (nowMs < entry.nextMs) continue;
      const due = entry.slots.between(new Date(entry.reportedMs), new Date(nowMs), MOST_SLOTS_AT_ONCE);
      this.#goOnFrom(entry, nowMs);
      this.#onSlots(archive, due);
    }
  }

  #begin(expression: string, timezone: string): Entry {
    const slots = new Slots(expression, timezone);
    const reportedMs = this.#clocks.now();
    const nextMs = nextMsOf(slots, reportedMs);
    return { expression, timezone, slots, begunAt: new Date(reportedMs), reportedMs, nextMs, task: undefined };
  }

  #goOnFrom(entry: Entry, nowMs: number): void {
    entry.reportedMs = nowMs;
    entry.nextMs = nextMsOf(entry.slots, nowMs);
    this.#renewTask(entry);
  }

  #renewTask(entry: Entry): void {
    endTask(entry);
    if (this.#running) entry.task = this.#taskFor(entry.nextMs);
  }

  #taskFor(slotMs: number): ScheduledTask | undefined {
    if (slotMs === Infinity) return undefined;
    return startTask(
      onlyAt(new Date(slotMs)),
      () => {
        this.tick();
      },
      { timezone: 'UTC', missedExecutionTolerance: TOLERATED_LATENESS_MS, suppressMissedWarning: true },
    );
  }

  /** Timers go by elapsed time, so that those of node-cron are still to come when the clock has jumped. */
  #lookForJump(nowMs: number): void {
    const elapsedMs = this.#clocks.elapsed();
    const byMs = nowMs - this.#looked.nowMs - (elapsedMs - this.#looked.elapsedMs);
    this.#looked = { nowMs, elapsedMs };
    if (Math.abs(byMs) < JUMP_MS) return;
    this.#events.onJump(byMs);
    for (const entry of this.#entries.values()) this.#renewTask(entry);
  }

  #beginAgain(entry: Entry, nowMs: number): void {
    this.#events.onSetBack(entry.reportedMs - nowMs);
    this.#goOnFrom(entry, nowMs);
  }

  #armWatch(): void {
    clearTimeout(this.#watch);
    const nextMs = Math.min(...[...this.#entries.values()].map((entry) => entry.nextMs));
    const waitMs = Math.max(0, nextMs - this.#clocks.now()) + WATCH_AFTER_MS;
    this.#watch = setTimeout(
      () => {
        this.tick();
        if (this.#running) this.#armWatch();
      },
      Math.min(LONGEST_WAIT_MS, waitMs),
    );
  }
}

/**
 * A schedule of this second of the year, in UTC. Whenever one of its timers fires, node-cron walks all slots since the last,
 * in one go: of a schedule in seconds, 400 days took minutes and a gigabyte. Here a year has one.
 */
function onlyAt(slot: Date): string {
  const [second, minute, hour] = [slot.getUTCSeconds(), slot.getUTCMinutes(), slot.getUTCHours()];
  return `${second} ${minute} ${hour} ${slot.getUTCDate()} ${slot.getUTCMonth() + 1} *`;
}

function endTask(entry: Entry): void {
  void entry.task?.destroy();
  entry.task = undefined;
}

function nextMsOf(slots: Slots, afterMs: number): number {
  return slots.next(new Date(afterMs))?.getTime() ?? Infinity;
}
