/** The clock of a time zone: what it shows at an instant, and at which instant it shows a time, as Postgres reckons. */

const SECOND_MS = 1000;
const DAY_MS = 86_400_000;
const MOST_OFFSETS_KEPT = 10_000;

/** Wall times are written as if they were UTC, in ms. */
export class Zone {
  readonly #name: string;
  /** Made when it is first asked: it takes some ms, and most commands look at no clock. */
  #formatter: Intl.DateTimeFormat | undefined;
  readonly #offsets = new Map<number, number>();

  /** The name has been validated. */
  constructor(name: string) {
    this.#name = name;
  }

  /** What the clock shows at an instant. */
  wallAt(instantMs: number): number {
    return instantMs + this.#offsetAt(instantMs);
  }

  /**
   * The instant of a wall time, as `timestamp AT TIME ZONE` of Postgres has it: one that the clock skips counts by the offset
   * before the change, one that it shows twice is the second of the two.
   */
  instantOf(wallMs: number): number {
    const before = this.#offsetAt(wallMs - DAY_MS);
    const after = this.#offsetAt(wallMs + DAY_MS);
    if (before === after) return wallMs - before;
    const changeMs = this.#changeBetween(wallMs - DAY_MS, wallMs + DAY_MS);
    const [byBefore, byAfter] = [wallMs - before, wallMs - after];
    if (byBefore < changeMs && byAfter < changeMs) return byBefore;
    if (byBefore >= changeMs && byAfter >= changeMs) return byAfter;
    return byBefore > byAfter ? byBefore : byAfter;
  }

  /** The first instant at which the offset is no longer the one at `fromMs`. */
  #changeBetween(fromMs: number, toMs: number): number {
    const offset = this.#offsetAt(fromMs);
    let [low, high] = [Math.floor(fromMs / SECOND_MS), Math.ceil(toMs / SECOND_MS)];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#offsetAt(middle * SECOND_MS) === offset) low = middle;
      else high = middle;
    }
    return high * SECOND_MS;
  }

  /** What the clock is ahead of UTC by, in ms. */
  #offsetAt(ms: number): number {
    const second = Math.floor(ms / SECOND_MS) * SECOND_MS;
    const known = this.#offsets.get(second);
    if (known !== undefined) return known;
    if (this.#offsets.size >= MOST_OFFSETS_KEPT) this.#offsets.clear();
    const offset = this.#shownAt(second) - second;
    this.#offsets.set(second, offset);
    return offset;
  }

  #shownAt(ms: number): number {
    const parts: Record<string, string> = {};
    this.#formatter ??= openFormatter(this.#name);
    for (const { type, value } of this.#formatter.formatToParts(ms)) parts[type] = value;
    const [year = 1, month = 1, day = 1, hour = 0, minute = 0, second = 0] = [
      'year',
      'month',
      'day',
      'hour',
      'minute',
      'second',
    ].map((name) => Number(parts[name]));
    return (
      utcMs(parts['era'] === 'BC' ? 1 - year : year, month, day) + ((hour * 60 + minute) * 60 + second) * SECOND_MS
    );
  }
}

function openFormatter(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'iso8601',
    hourCycle: 'h23',
    era: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
}

/** Midnight of a date in UTC. Unlike `Date.UTC`, it takes years below 100 as they are. */
export function utcMs(year: number, month: number, day: number): number {
  const date = new Date(0);
  return date.setUTCFullYear(year, month - 1, day);
}
