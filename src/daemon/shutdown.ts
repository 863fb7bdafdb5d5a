/**
 * How the daemon ends: nothing is planned any more, the runs in progress end or are aborted, then everything is closed.
 */
import { Closers } from '../base/closers.ts';
import { fail, type FailureError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { within } from '../base/signals.ts';
import { formatDuration } from '../base/units.ts';
import type { RunBoard } from './run-board.ts';
import type { Notify } from './systemd/notify.ts';

/** How long runs that were aborted may take to end: their uploads and last words have a few seconds. */
export const ABORT_LIMIT_MS = 15_000;
/** How long the rest may take to close: alarms on their way have five seconds, threads one. */
export const CLOSE_LIMIT_MS = 10_000;

/** What a stop needs of the daemon at that time. */
export interface StopParts {
  board: RunBoard;
  notify: Notify;
  statusLine: () => string;
  drainTimeoutMs: number;
}

export class Shutdown {
  /** What makes runs; closed at the first signal. Nothing that was closed may plan anything. */
  readonly planning = new Closers();
  /** Everything else that was opened, in its order; closed in reverse once no run is in progress. */
  readonly opened = new Closers();
  readonly #log: Log;
  readonly #ended = Promise.withResolvers<undefined>();
  /** Resolves when runs do not end that were aborted. */
  readonly #givenUp = Promise.withResolvers<undefined>();
  #giveUp: NodeJS.Timeout | undefined;
  #stage: 'not begun' | 'draining' | 'aborting' | 'closing' = 'not begun';

  constructor(log: Log) {
    this.#log = log;
  }

  get isStopping(): boolean {
    return this.#stage !== 'not begun';
  }

  /** Resolves once everything is closed. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * First signal: no new runs, and those in progress may end within the drain timeout. Second signal: they are aborted
   * at once.
   */
  async signal(name: string, parts: StopParts): Promise<void> {
    if (this.#stage === 'not begun') await this.#stop(name, parts);
    else if (this.#stage === 'draining') this.#abort(`${name} came a second time`, parts.board);
  }

  async #stop(signal: string, { board, notify, statusLine, drainTimeoutMs }: StopParts): Promise<void> {
    this.#stage = 'draining';
    notify.stopping(statusLine(), drainTimeoutMs + ABORT_LIMIT_MS + CLOSE_LIMIT_MS);
    this.#log.info({ signal, running: board.entries.length, drainTimeoutMs }, 'daemon stops: no new runs');
    await this.planning.close();
    const deadline = setTimeout(() => {
      this.#abort(`the drain timeout of ${formatDuration(drainTimeoutMs)} is over`, board);
    }, drainTimeoutMs);
    await Promise.race([board.drain(stoppedFailure('the daemon stops')), this.#givenUp.promise]);
    clearTimeout(deadline);
    clearTimeout(this.#giveUp);
    this.#stage = 'closing';
    await this.#close();
    this.#log.info('daemon has stopped');
    this.#ended.resolve(undefined);
  }

  #abort(reason: string, board: RunBoard): void {
    this.#stage = 'aborting';
    this.#log.warn({ reason, running: board.entries.length }, 'runs still in progress are aborted');
    this.#giveUp = setTimeout(() => {
      const left = board.entries.map(({ archive, run }) => `${archive} ${run}`);
      this.#log.error(
        { left },
        'runs that were aborted do not end; they are left, and the next start goes on with them',
      );
      this.#givenUp.resolve(undefined);
    }, ABORT_LIMIT_MS);
    // What it waits for, the drain waits for as well.
    board.abort(stoppedFailure(reason)).catch(() => undefined);
  }

  /** Whoever stops the daemon kills it after a while: better with all but one part closed than in the middle. */
  async #close(): Promise<void> {
    const late = new Error('it is not closed in time');
    try {
      await within(
        CLOSE_LIMIT_MS,
        () => late,
        () => this.opened.close(),
      );
    } catch (error) {
      if (error !== late) throw error;
      this.#log.warn({ limitMs: CLOSE_LIMIT_MS }, 'a part of the daemon does not close, and is left');
    }
  }
}

function stoppedFailure(reason: string): FailureError {
  return fail('stopped', { stage: 'worker', message: `the run was stopped: ${reason}` });
}
