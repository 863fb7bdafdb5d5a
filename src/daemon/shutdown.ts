/**
 * How the daemon ends: nothing is planned any more, the runs in progress end or are aborted, then everything is closed.
 */
import { Closers } from '../base/closers.ts';
import { fail, type FailureError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { formatDuration } from '../base/units.ts';
import type { RunBoard } from './run-board.ts';
import type { Notify } from './systemd/notify.ts';

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
    else if (this.#stage === 'draining') await this.#abort(`${name} came a second time`, parts.board);
  }

  async #stop(signal: string, { board, notify, statusLine, drainTimeoutMs }: StopParts): Promise<void> {
    this.#stage = 'draining';
    notify.stopping(statusLine());
    this.#log.info({ signal, running: board.entries.length, drainTimeoutMs }, 'daemon stops: no new runs');
    await this.planning.close();
    const deadline = setTimeout(() => {
      void this.#abort(`the drain timeout of ${formatDuration(drainTimeoutMs)} is over`, board);
    }, drainTimeoutMs);
    await board.drain(stoppedFailure('the daemon stops'));
    clearTimeout(deadline);
    this.#stage = 'closing';
    await this.opened.close();
    this.#log.info('daemon has stopped');
    this.#ended.resolve(undefined);
  }

  async #abort(reason: string, board: RunBoard): Promise<void> {
    this.#stage = 'aborting';
    this.#log.warn({ reason, running: board.entries.length }, 'runs still in progress are aborted');
    await board.abort(stoppedFailure(reason));
  }
}

function stoppedFailure(reason: string): FailureError {
  return fail('stopped', { stage: 'worker', message: `the run was stopped: ${reason}` });
}
