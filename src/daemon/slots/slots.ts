/**
 * The slots of a schedule: the instants that a cron expression means in its time zone, also where clocks are changed.
 * node-cron parses the expression and matches its days; see docs/operations.md for what happens at a change of clocks.
 */
import { createTask, parse } from 'node-cron';
import { Zone } from '../../calendar/zone.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const QUARTER_MS = 15 * MINUTE_MS;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Clocks are set back by less than this, and at full quarters of an hour. */
const LONGEST_REPEAT_MS = 3 * HOUR_MS;
/** No zone is further from UTC. */
const FARTHEST_OFFSET_MS = 15 * HOUR_MS;
/** The 29th of February is a given day of the week every 28 years, and 40 around 2100. */
const MAX_DAYS_AHEAD = 45 * 366;
const MAX_DAYS_BACK = 5 * 366;
const MAX_DAYS_KEPT = 1000;

/** A stretch of time in which the zone's offset does not change. A wall time is written as if it were UTC, in ms. */
interface Stretch {
  fromMs: number;
  toMs: number;
  offsetMs: number;
  /** Wall times before this one were shown already, before the clock was set back. */
  repeatsUntilMs: number;
  /** Where the clock jumps ahead at the start: the first wall time that is never shown. */
  skipsFromMs: number | undefined;
}

export class Slots {
  readonly #seconds: readonly number[];
  readonly #minutes: readonly number[];
  readonly #hours: readonly number[];
  readonly #matchesWall: (time: Date) => boolean;
  readonly #zone: Zone;
  readonly #days = new Map<number, boolean>();
  /** A schedule for every hour follows elapsed time, one with hours of its own follows what the clock shows. */
  readonly #everyHour: boolean;

  /** The expression and the zone have been validated. */
  constructor(expression: string, timezone: string) {
    const { second, minute, hour } = parse(expression);
    [this.#seconds, this.#minutes, this.#hours] = [second, minute, hour].map((list) =>
      list.toSorted((a, b) => a - b),
    ) as [number[], number[], number[]];
    this.#everyHour = hour.length === 24;
    const task = createTask(expression, () => undefined, { timezone: 'UTC' });
    void task.destroy();
    this.#matchesWall = (time) => task.match(time);
    this.#zone = new Zone(timezone);
  }

  /** The first slot after `after`; undefined when there is none for decades. */
  next(after: Date): Date | undefined {
    const afterMs = after.getTime();
    const firstDay = floorTo(afterMs, DAY_MS);
    for (let day = firstDay; day < firstDay + MAX_DAYS_AHEAD * DAY_MS; day += DAY_MS) {
      for (const slot of this.#slotsOfDay(day, afterMs + 1)) if (slot > afterMs) return new Date(slot);
    }
    return undefined;
  }

  /** The last `limit` slots after `after` and not after `until`, oldest first; at most five years back. */
  between(after: Date, until: Date, limit: number): Date[] {
    const [afterMs, untilMs] = [after.getTime(), until.getTime()];
    const lastDay = floorTo(untilMs, DAY_MS);
    const firstDay = Math.max(floorTo(afterMs, DAY_MS), lastDay - MAX_DAYS_BACK * DAY_MS);
    let found: number[] = [];
    for (let day = lastDay; day >= firstDay && found.length < limit; day -= DAY_MS) {
      const slots = [...this.#slotsOfDay(day, afterMs + 1)].filter((slot) => slot > afterMs && slot <= untilMs);
      found = [...slots, ...found];
    }
    return found.slice(Math.max(0, found.length - limit)).map((slot) => new Date(slot));
  }

  /** The slots of a day in UTC, in their order; those before `fromMs` may be left out. */
  *#slotsOfDay(dayMs: number, fromMs: number): Generator<number, void, undefined> {
    if (!this.#mayMatch(dayMs)) return;
    let last = -Infinity;
    for (const stretch of this.#stretches(dayMs)) {
      for (const slot of this.#slotsOf(stretch, fromMs)) {
        if (slot > last) yield slot;
        last = slot;
      }
    }
  }

  *#slotsOf(stretch: Stretch, fromMs: number): Generator<number, void, undefined> {
    const { offsetMs, skipsFromMs } = stretch;
    // What the clock skips is due when it jumps.
    const skips = !this.#everyHour && skipsFromMs !== undefined;
    if (skips && this.#hasWallTime(skipsFromMs, stretch.fromMs + offsetMs)) yield stretch.fromMs;
    const wallFromMs = Math.max(stretch.fromMs, fromMs) + offsetMs;
    for (const wall of this.#wallTimes(wallFromMs, stretch.toMs + offsetMs)) {
      // What the clock shows twice is due the first time.
      if (this.#everyHour || wall >= stretch.repeatsUntilMs) yield wall - offsetMs;
    }
  }

  /** Whether any of the days that it can be anywhere on earth during this day in UTC matches. */
  #mayMatch(dayMs: number): boolean {
    return (
      this.#matchesDay(floorTo(dayMs - FARTHEST_OFFSET_MS, DAY_MS)) ||
      this.#matchesDay(dayMs) ||
      this.#matchesDay(floorTo(dayMs + DAY_MS + FARTHEST_OFFSET_MS, DAY_MS))
    );
  }

  /** One for a usual day, one for each quarter of an hour near a change of clocks. */
  *#stretches(dayMs: number): Generator<Stretch, void, undefined> {
    const beforeMs = dayMs - LONGEST_REPEAT_MS;
    let offsetMs = this.#offsetAt(beforeMs);
    const usual = { offsetMs, repeatsUntilMs: -Infinity, skipsFromMs: undefined };
    if (this.#offsetAt(dayMs + DAY_MS) === offsetMs) {
      yield { fromMs: dayMs, toMs: dayMs + DAY_MS, ...usual };
      return;
    }
    let repeatsUntilMs = -Infinity;
    for (let fromMs = beforeMs; fromMs < dayMs + DAY_MS; fromMs += QUARTER_MS) {
      const previousMs = offsetMs;
      offsetMs = this.#offsetAt(fromMs);
      if (offsetMs < previousMs) repeatsUntilMs = fromMs + previousMs;
      const skipsFromMs = offsetMs > previousMs ? fromMs + previousMs : undefined;
      if (fromMs >= dayMs) yield { fromMs, toMs: fromMs + QUARTER_MS, offsetMs, repeatsUntilMs, skipsFromMs };
    }
  }

  #hasWallTime(fromMs: number, toMs: number): boolean {
    return this.#wallTimes(fromMs, toMs).next().done !== true;
  }

  /** The wall times of the schedule from `fromMs` to before `toMs`. */
  *#wallTimes(fromMs: number, toMs: number): Generator<number, void, undefined> {
    for (let day = floorTo(fromMs, DAY_MS); day < toMs; day += DAY_MS) {
      if (!this.#matchesDay(day)) continue;
      for (const hour of this.#hours) {
        const hourMs = day + hour * HOUR_MS;
        if (hourMs + HOUR_MS <= fromMs) continue;
        for (const minute of this.#minutes) {
          const minuteMs = hourMs + minute * MINUTE_MS;
          if (minuteMs + MINUTE_MS <= fromMs) continue;
          for (const second of this.#seconds) {
            const wall = minuteMs + second * SECOND_MS;
            if (wall >= toMs) return;
            if (wall >= fromMs) yield wall;
          }
        }
      }
    }
  }

  #matchesDay(day: number): boolean {
    const known = this.#days.get(day);
    if (known !== undefined) return known;
    const [hour = 0, minute = 0, second = 0] = [this.#hours[0], this.#minutes[0], this.#seconds[0]];
    const matches = this.#matchesWall(new Date(day + hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS));
    if (this.#days.size >= MAX_DAYS_KEPT) this.#days.clear();
    this.#days.set(day, matches);
    return matches;
  }

  /** What the zone's clock is ahead of UTC by. */
  #offsetAt(ms: number): number {
    return this.#zone.wallAt(ms) - ms;
  }
}

function floorTo(value: number, step: number): number {
  return Math.floor(value / step) * step;
}
