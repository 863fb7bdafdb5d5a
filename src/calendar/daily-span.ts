/** A stretch of each day, such as 22:00-06:00, by the clock of a zone. */
import { Zone } from './zone.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Further ahead than any span: the clocks of a zone pass over hours of one day, not of two. */
const FURTHEST_MS = 3 * DAY_MS;

const FORM = /^\s*([01]\d|2[0-3]):([0-5]\d)\s*-\s*(?:([01]\d|2[0-3]):([0-5]\d)|24:00)\s*$/;

/** What is wrong with the text of a span; undefined when nothing is. */
export function describeSpanProblem(text: string): string | undefined {
  const span = parse(text);
  if (span === undefined) return 'must be two times of the day, such as 22:00-06:00';
  return span.fromMs === span.toMs ? 'must begin and end at different times' : undefined;
}

/**
 * It holds an instant when the clock of the zone shows a time from its begin on and before its end; over midnight, where
 * it ends before it begins. What the clock passes over is not there that day, and what it shows twice is there twice.
 */
export class DailySpan {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #zone: Zone;

  /** The text has no problem, and the zone is one. */
  constructor(text: string, timezone: string) {
    const span = parse(text);
    if (span === undefined) throw new Error(`${text} is no span of a day`);
    this.#fromMs = span.fromMs;
    this.#toMs = span.toMs;
    this.#zone = new Zone(timezone);
  }

  holds(instantMs: number): boolean {
    const time = timeOfDay(this.#zone.wallAt(instantMs));
    return this.#fromMs < this.#toMs
      ? time >= this.#fromMs && time < this.#toMs
      : time >= this.#fromMs || time < this.#toMs;
  }

  /** The instant itself where the span holds it, else the first one after it that it holds. */
  opensAt(instantMs: number): number {
    if (this.holds(instantMs)) return instantMs;
    const opening = instantMs + timeOfDay(this.#fromMs - this.#zone.wallAt(instantMs));
    if (this.#offsetAt(opening) === this.#offsetAt(instantMs)) return opening;
    // Clocks are changed on the way.
    const lastMs = instantMs + FURTHEST_MS;
    let at = Math.floor(instantMs / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
    while (at < lastMs && !this.holds(at)) at += MINUTE_MS;
    return at;
  }

  #offsetAt(instantMs: number): number {
    return this.#zone.wallAt(instantMs) - instantMs;
  }
}

function parse(text: string): { fromMs: number; toMs: number } | undefined {
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const [, fromHour, fromMinute, toHour = '24', toMinute = '00'] = match;
  const msOf = (hour = '', minute = ''): number => (Number(hour) * 60 + Number(minute)) * MINUTE_MS;
  return { fromMs: msOf(fromHour, fromMinute), toMs: msOf(toHour, toMinute) };
}

function timeOfDay(wallMs: number): number {
  return ((wallMs % DAY_MS) + DAY_MS) % DAY_MS;
}
