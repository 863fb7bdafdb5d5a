/** The daemon: the composition root of schedule, runs, reload, shutdown and the line to systemd. */
import { FailureError, UsageError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { formatDuration } from '../base/units.ts';
import { describeChanges } from '../config/diff.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { formatRunId } from '../run/run-id.ts';
import { nextGeneration, openGeneration } from './generations.ts';
import type { Notify } from './notify.ts';
import { RunBoard, type Generation } from './run-board.ts';
import { startSchedules, type Schedules } from './schedule.ts';
import { lookForLeftovers } from './take-up.ts';

export interface DaemonParts {
  config: Config;
  log: Log;
  notify: Notify;
  /** Reads the config again. Throws UsageError with all problems. */
  reload: () => Config;
}

const STATUS_INTERVAL_MS = 5000;

export class Daemon {
  readonly #log: Log;
  readonly #notify: Notify;
  readonly #readConfig: () => Config;
  readonly #board: RunBoard;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #ended = Promise.withResolvers<undefined>();
  readonly #retired = new Set<Generation>();
  #generation: Generation;
  #schedules: Schedules | undefined;
  #stopping: 'no' | 'draining' | 'aborting' = 'no';
  #reloading: Promise<void> = Promise.resolve();

  constructor(parts: DaemonParts) {
    this.#log = parts.log;
    this.#notify = parts.notify;
    this.#readConfig = parts.reload;
    this.#generation = openGeneration(parts.config);
    this.#board = new RunBoard(parts.log, () => {
      this.#notify.status(this.#statusLine());
    });
  }

  /** Runs until it is stopped; resolves once everything is closed. */
  async run(): Promise<void> {
    this.#startTimers();
    await this.#schedule();
    this.#log.info(
      { archives: Object.keys(this.#config.archives).length, threads: this.#config.workers.threads, pid: process.pid },
      'daemon is ready',
    );
    this.#notify.ready(this.#statusLine());
    await Promise.all(Object.values(this.#config.archives).map((archive) => this.#takeUp(archive)));
    await this.#ended.promise;
  }

  /** Reads the config again: all of it takes effect, or nothing. Runs that are on end under the config they began with. */
  async reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reloadNow());
    await this.#reloading;
  }

  /** First call: no new runs, and those that are on may end within drainTimeout. Second call: they are aborted at once. */
  async stop(signal: string): Promise<void> {
    if (this.#stopping === 'aborting') return;
    if (this.#stopping === 'draining') {
      await this.#abort(`${signal} came a second time`);
      return;
    }
    this.#stopping = 'draining';
    this.#notify.stopping();
    this.#log.info(
      { signal, running: this.#board.entries.length, drainTimeoutMs: this.#config.drainTimeout },
      'daemon stops: no new runs',
    );
    await this.#schedules?.stop();
    const deadline = setTimeout(() => {
      void this.#abort(`the drain timeout of ${formatDuration(this.#config.drainTimeout)} is over`);
    }, this.#config.drainTimeout);
    await this.#board.drain(stopFailure('the daemon stops'));
    clearTimeout(deadline);
    await this.#close();
  }

  get #config(): Config {
    return this.#generation.config;
  }

  async #abort(reason: string): Promise<void> {
    this.#stopping = 'aborting';
    this.#log.warn({ reason, running: this.#board.entries.length }, 'runs that are still on are aborted');
    await this.#board.abort(stopFailure(reason));
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#generation.pool.close();
    for (const generation of this.#retired) await generation.pool.close();
    this.#log.info('daemon has stopped');
    await this.#notify.close();
    this.#ended.resolve(undefined);
  }

  async #schedule(): Promise<void> {
    this.#schedules = await startSchedules(Object.values(this.#config.archives), this.#log, (name, slot) => {
      const archive = this.#config.archives[name];
      if (archive !== undefined && this.#stopping === 'no')
        this.#board.start(this.#generation, archive, formatRunId(slot), 'schedule');
    });
  }

  /** Goes on with the runs that an earlier process left, one after the other. */
  async #takeUp(archive: ArchiveConfig): Promise<void> {
    for (const run of await lookForLeftovers(this.#config, archive, this.#log)) {
      await this.#board.idle(archive.name);
      if (this.#stopping !== 'no') return;
      this.#board.start(this.#generation, archive, run, 'taken up');
    }
  }

  async #reloadNow(): Promise<void> {
    if (this.#stopping !== 'no') return;
    this.#notify.reloading();
    try {
      const config = this.#readConfig();
      const changes = describeChanges(this.#config, config);
      await this.#putInForce(config);
      this.#log.info({ changes }, changes.length === 0 ? 'config reloaded, nothing has changed' : 'config reloaded');
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#log.error({ problems: error.problems }, 'the new config is bad; the old one stays in force');
    } finally {
      this.#notify.ready(this.#statusLine());
    }
  }

  async #putInForce(config: Config): Promise<void> {
    const before = this.#generation;
    this.#generation = nextGeneration(before, config);
    if (this.#generation.pool !== before.pool) this.#retire(before);
    this.#log.level = config.log.level;
    await this.#schedules?.stop();
    await this.#schedule();
  }

  /** The old threads end when their runs have. */
  #retire(generation: Generation): void {
    this.#retired.add(generation);
    void this.#board.settled().then(async () => {
      if (this.#retired.delete(generation)) await generation.pool.close();
    });
  }

  #startTimers(): void {
    this.#timers.push(
      setInterval(() => {
        this.#notify.status(this.#statusLine());
      }, STATUS_INTERVAL_MS),
    );
    const { watchdogIntervalMs } = this.#notify;
    if (watchdogIntervalMs === undefined) return;
    this.#timers.push(
      setInterval(() => {
        this.#notify.watchdog();
      }, watchdogIntervalMs),
    );
  }

  /** What `systemctl status` shows. */
  #statusLine(): string {
    const { entries } = this.#board;
    if (this.#stopping !== 'no') return `stopping, ${entries.length} runs are still on`;
    const running = entries.filter((entry) => entry.state === 'running').map((entry) => entry.archive);
    const waiting = entries.length - running.length;
    const now = running.length === 0 ? 'idle' : `running ${running.join(', ')}`;
    return [now, waiting === 0 ? undefined : `${waiting} waiting`, this.#nextLine()]
      .filter((part) => part !== undefined)
      .join('; ');
  }

  #nextLine(): string | undefined {
    const next = Object.keys(this.#config.archives)
      .flatMap((archive) => {
        const slot = this.#schedules?.nextSlot(archive);
        return slot === undefined ? [] : [{ archive, slot }];
      })
      .sort((a, b) => a.slot.getTime() - b.slot.getTime())[0];
    return next === undefined ? undefined : `next is ${next.archive} at ${next.slot.toISOString()}`;
  }
}

function stopFailure(reason: string): FailureError {
  return new FailureError({
    code: 'stopped',
    stage: 'worker',
    transient: false,
    message: `the run was stopped: ${reason}`,
    hint: 'It is taken up again by the next start, or with `pgsluice run --run-id`.',
  });
}
