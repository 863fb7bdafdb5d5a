/** The windows of a time column: half-open stretches that leave no gap and do not overlap, each with an id of its own. */
import { utcMs, Zone } from './zone.ts';

/** The types of a column that windows can be of. */
export const COLUMN_KINDS = ['date', 'timestamp', 'timestamptz'] as const;
export type ColumnKind = (typeof COLUMN_KINDS)[number];
export const LENGTHS = ['hour', 'day', 'week', 'month', 'year'] as const;
export type WindowLength = (typeof LENGTHS)[number];

/**
 * Its bounds are points of its column: of a timestamptz instants, else what the column holds, written as if it were UTC. In
 * ms.
 */
export interface Stretch {
  fromMs: number;
  toMs: number;
}

/** The windows of a column, and how points of it are read and written. */
export interface Calendar {
  /** The window that holds a point of the column; undefined for one that lies in none. */
  holding(pointMs: number): Stretch | undefined;
  /** The window that begins at this point; undefined when none does. */
  startingAt(pointMs: number): Stretch | undefined;
  /** The windows from the one that holds `fromMs` (or the first one after it) on, oldest first. */
  from(fromMs: number): Generator<Stretch, void, undefined>;
  /** The instant from which on a point has passed: in the zone and in UTC, where the column does not say which it means. */
  instantOf(pointMs: number): number;
  /** The point of a date of the config or of the command line, `2024-01-01`, or of an instant or a local time. */
  parse(text: string): number | undefined;
  /** A point as Postgres reads it, in a session of any zone. */
  format(pointMs: number): string;
}

/** The window that holds a point, or the first one after it; undefined when there is none. */
export function firstFrom(calendar: Calendar, pointMs: number): Stretch | undefined {
  return calendar.from(pointMs).next().value ?? undefined;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The first day of 1970 was a Thursday. */
const FIRST_MONDAY_MS = 4 * DAY_MS;

/** Windows lie between these: run ids have years of four digits. */
export const FIRST_MS = utcMs(1, 1, 1);
export const LAST_MS = utcMs(10_000, 1, 1);

export class WindowCalendar implements Calendar {
  readonly #kind: ColumnKind;
  readonly #length: WindowLength;
  readonly #zone: Zone;

  constructor(kind: ColumnKind, length: WindowLength, timezone: string) {
    this.#kind = kind;
    this.#length = length;
    this.#zone = new Zone(timezone);
  }

  holding(pointMs: number): Stretch | undefined {
    if (!(pointMs >= FIRST_MS && pointMs < LAST_MS)) return undefined;
    let date = this.#startOf(this.#wallOf(pointMs));
    // Where a clock is set back over midnight, what it shows may be of the day before.
    while (this.#pointOf(date) > pointMs) date = this.#startOf(date - HOUR_MS);
    while (this.#pointOf(this.#next(date)) <= pointMs) date = this.#next(date);
    return this.#stretch(date);
  }

  startingAt(pointMs: number): Stretch | undefined {
    const stretch = this.holding(pointMs);
    return stretch?.fromMs === pointMs ? stretch : undefined;
  }

  *from(fromMs: number): Generator<Stretch, void, undefined> {
    let stretch = this.holding(Math.max(fromMs, FIRST_MS));
    // The first one may be cut off by the bounds of run ids.
    if (stretch === undefined && fromMs < FIRST_MS + 400 * DAY_MS) stretch = this.holding(FIRST_MS + 400 * DAY_MS);
    while (stretch !== undefined) {
      yield stretch;
      stretch = this.holding(stretch.toMs);
    }
  }

  instantOf(pointMs: number): number {
    return this.#kind === 'timestamptz' ? pointMs : Math.max(pointMs, this.#zone.instantOf(pointMs));
  }

  parse(text: string): number | undefined {
    const wall = parseLocal(text);
    if (wall !== undefined) return this.#kind === 'timestamptz' ? this.#zone.instantOf(wall) : wall;
    const instant = /(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
    if (Number.isNaN(instant)) return undefined;
    return this.#kind === 'timestamptz' ? instant : this.#zone.wallAt(instant);
  }

  format(pointMs: number): string {
    const text = new Date(pointMs).toISOString();
    switch (this.#kind) {
      case 'date':
        return text.slice(0, 10);
      case 'timestamp':
        return text.slice(0, 19);
      case 'timestamptz':
        return `${text.slice(0, 19)}Z`;
    }
  }

  #stretch(date: number): Stretch | undefined {
    const [fromMs, toMs] = [this.#pointOf(date), this.#pointOf(this.#next(date))];
    return fromMs >= FIRST_MS && toMs <= LAST_MS ? { fromMs, toMs } : undefined;
  }

  /** Hours of a timestamptz are those of UTC, as a zone may show one twice. */
  get #isByInstants(): boolean {
    return this.#kind === 'timestamptz' && this.#length === 'hour';
  }

  #wallOf(pointMs: number): number {
    return this.#kind === 'timestamptz' && !this.#isByInstants ? this.#zone.wallAt(pointMs) : pointMs;
  }

  #pointOf(wallMs: number): number {
    return this.#kind === 'timestamptz' && !this.#isByInstants ? this.#zone.instantOf(wallMs) : wallMs;
  }

  /** The first wall time of the hour, day, week … that a wall time is in. */
  #startOf(wallMs: number): number {
    const date = new Date(wallMs);
    switch (this.#length) {
      case 'hour':
        return Math.floor(wallMs / HOUR_MS) * HOUR_MS;
      case 'day':
        return Math.floor(wallMs / DAY_MS) * DAY_MS;
      case 'week':
        return FIRST_MONDAY_MS + Math.floor((wallMs - FIRST_MONDAY_MS) / (7 * DAY_MS)) * 7 * DAY_MS;
      case 'month':
        return utcMs(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
      case 'year':
        return utcMs(date.getUTCFullYear(), 1, 1);
    }
  }

  /** The first wall time of the next one. */
  #next(wallMs: number): number {
    const date = new Date(wallMs);
    switch (this.#length) {
      case 'hour':
        return wallMs + HOUR_MS;
      case 'day':
        return wallMs + DAY_MS;
      case 'week':
        return wallMs + 7 * DAY_MS;
      case 'month':
        return utcMs(date.getUTCFullYear(), date.getUTCMonth() + 2, 1);
      case 'year':
        return utcMs(date.getUTCFullYear() + 1, 1, 1);
    }
  }
}

const LOCAL = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?$/;

function parseLocal(text: string): number | undefined {
  const match = LOCAL.exec(text);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map((part) => Number(part || 0));
  const dateMs = utcMs(year, month, day);
  const date = new Date(dateMs);
  const isReal =
    year >= 1 && date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && hour < 24 && minute < 60;
  return isReal && second < 60 ? dateMs + ((hour * 60 + minute) * 60 + second) * 1000 : undefined;
}
