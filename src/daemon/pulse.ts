/**
 * The beat of the daemon: once a second it looks at the runs and at what is late, and it gives systemd a sign of life.
 */
import type { Config } from '../config/schema.ts';
import type { EventStream } from './http/events.ts';
import type { RunBoard } from './run-board.ts';
import type { Lateness } from './slots/lateness.ts';
import type { Notify } from './systemd/notify.ts';
import type { Live } from './view/live.ts';

export interface PulseParts {
  board: RunBoard;
  live: Live;
  lateness: Lateness;
  events: EventStream;
  notify: Notify;
  config: () => Config;
  statusLine: () => string;
}

const BEAT_MS = 1000;
/** Every so many beats, what changes slowly is looked at. */
const SLOW_BEATS = 5;

export class Pulse {
  readonly #parts: PulseParts;
  readonly #timers: NodeJS.Timeout[] = [];
  #beats = 0;

  constructor(parts: PulseParts) {
    this.#parts = parts;
  }

  start(): void {
    const { notify } = this.#parts;
    this.#every(BEAT_MS, () => this.#beat());
    if (notify.watchdogIntervalMs !== undefined) this.#every(notify.watchdogIntervalMs, () => notify.watchdog());
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #every(intervalMs: number, work: () => void): void {
    this.#timers.push(setInterval(work, intervalMs));
  }

  #beat(): void {
    const { board, live, lateness, events, notify, config, statusLine } = this.#parts;
    this.#beats += 1;
    const isSlow = this.#beats % SLOW_BEATS === 0;
    const { entries } = board;
    if (entries.length > 0 || isSlow) live.sample(entries, Date.now());
    lateness.look(Object.values(config().archives));
    if (entries.length > 0 || isSlow) events.publish();
    if (isSlow) notify.status(statusLine());
  }
}
