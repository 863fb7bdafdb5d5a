/** The daemon: the composition root of schedule, runs, history, alarms, HTTP, reload, shutdown and the line to systemd. */
import { fail, type FailureError, UsageError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { formatDuration } from '../base/units.ts';
import { describeChanges } from '../config/diff.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { FairQueue } from '../work/fair-queue.ts';
import { formatRunId } from '../ledger/run-id.ts';
import { createActions } from './actions.ts';
import { Alarms } from './alarms/alarms.ts';
import { Deliveries } from './alarms/deliveries.ts';
import { DueRuns } from './slots/due-runs.ts';
import { Generations } from './generations.ts';
import type { History } from './history/history.ts';
import { EventStream } from './http/events.ts';
import { Listeners } from './http/listeners.ts';
import { loadPageFiles } from './http/page-files.ts';
import type { Backend } from './http/routes.ts';
import { Lateness } from './slots/lateness.ts';
import { Live } from './view/live.ts';
import { Metrics } from './view/metrics.ts';
import type { Notify } from './systemd/notify.ts';
import { Readiness } from './view/readiness.ts';
import { RunBoard, type EndingDetails } from './run-board.ts';
import { describeRun } from './view/run-detail.ts';
import type { RunEnding } from './run-ending.ts';
import { Schedule } from './slots/schedule.ts';
import { Standings } from './slots/standings.ts';
import { buildState, type StateParts } from './view/state.ts';
import { statusLine } from './view/status-line.ts';
import { findLatest, lookForLeftovers } from './take-up.ts';

export interface DaemonParts {
  config: Config;
  log: Log;
  notify: Notify;
  history: History;
  /** Reads the config again. Throws UsageError with all problems. */
  reload: () => Config;
}

const PULSE_MS = 1000;
/** Every so many pulses, what changes slowly is told. */
const SLOW_PULSES = 5;
/** Archives that are looked at in their destinations at once, at the start. */
const LOOKED_AT_ONCE = 4;

export class Daemon {
  readonly #log: Log;
  readonly #notify: Notify;
  readonly #readConfig: () => Config;
  readonly #history: History;
  readonly #standings: Standings;
  readonly #board: RunBoard;
  readonly #schedule: Schedule;
  readonly #live = new Live();
  readonly #metrics: Metrics;
  readonly #deliveries: Deliveries;
  readonly #alarms: Alarms;
  readonly #due: DueRuns;
  readonly #lateness: Lateness;
  readonly #events: EventStream;
  readonly #listeners: Listeners;
  readonly #startedAt = new Date();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #ended = Promise.withResolvers<undefined>();
  readonly #generations: Generations;
  #stopping: 'no' | 'draining' | 'aborting' = 'no';
  #reloading: Promise<void> = Promise.resolve();
  #pulses = 0;

  constructor({ config, log, notify, history, reload }: DaemonParts) {
    this.#log = log;
    this.#notify = notify;
    this.#readConfig = reload;
    this.#history = history;
    this.#generations = new Generations(config);
    this.#standings = new Standings(history);
    const changed = (): void => {
      this.#changed();
    };
    const archive = (name: string): ArchiveConfig | undefined => this.#config.archives[name];
    this.#board = new RunBoard(log, () => this.#generations.current, {
      changed,
      started: (entry) => {
        this.#alarms.started(entry.archive, entry.run);
      },
      ended: (ending, details) => {
        this.#runEnded(ending, details);
      },
    });
    this.#schedule = new Schedule(
      (name, slots) => {
        this.#due.come(name, slots);
      },
      (byMs) => {
        log.warn({ byMs }, 'the clock was set back; schedules go on from the new time');
      },
    );
    this.#metrics = new Metrics(() => this.#stateParts());
    this.#deliveries = new Deliveries({
      log,
      onEnd: (kind, ok) => {
        this.#metrics.delivered(kind, ok);
      },
    });
    this.#alarms = new Alarms(this.#deliveries, () => this.#config);
    this.#due = new DueRuns({
      board: this.#board,
      schedule: this.#schedule,
      standings: this.#standings,
      history,
      log,
      archive,
      onCatchUp: (name) => {
        this.#metrics.caughtUp(name);
      },
    });
    this.#lateness = new Lateness({
      schedule: this.#schedule,
      standings: this.#standings,
      log,
      askDestination: (late) => this.#askDestination(late),
      onLate: (name, slot) => {
        this.#alarms.late(name, slot, formatRunId(slot));
      },
      changed,
    });
    this.#events = new EventStream(() => buildState(this.#stateParts()));
    this.#listeners = new Listeners(this.#backend(changed), () => this.#config, log);
  }

  /** Runs until it is stopped; resolves once everything is closed. */
  async run(): Promise<void> {
    const archives = Object.values(this.#config.archives);
    this.#standings.set(archives, this.#startedAt);
    this.#schedule.set(archives);
    const looked = this.#lookAround(archives);
    await this.#listeners.apply();
    this.#startTimers();
    this.#schedule.start();
    this.#log.info({ archives: archives.length, threads: this.#config.workers.threads }, 'daemon is ready');
    this.#notify.ready(this.#statusLine());
    await looked;
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
    this.#notify.stopping(this.#statusLine());
    this.#log.info(
      { signal, running: this.#board.entries.length, drainTimeoutMs: this.#config.drainTimeoutMs },
      'daemon stops: no new runs',
    );
    this.#schedule.stop();
    this.#due.close();
    const deadline = setTimeout(() => {
      void this.#abort(`the drain timeout of ${formatDuration(this.#config.drainTimeoutMs)} is over`);
    }, this.#config.drainTimeoutMs);
    await this.#board.drain(stopFailure('the daemon stops'));
    clearTimeout(deadline);
    await this.#close();
  }

  get #config(): Config {
    return this.#generations.current.config;
  }

  async #abort(reason: string): Promise<void> {
    this.#stopping = 'aborting';
    this.#log.warn({ reason, running: this.#board.entries.length }, 'runs that are still on are aborted');
    await this.#board.abort(stopFailure(reason));
  }

  /** Last-in, first-out. */
  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#events.close();
    await this.#listeners.close();
    await this.#generations.close();
    await this.#deliveries.close();
    this.#history.close();
    this.#log.info('daemon has stopped');
    await this.#notify.close();
    this.#ended.resolve(undefined);
  }

  /** The one place where a run that ended is kept, counted and told; its line of the log has been written. */
  #runEnded(ending: RunEnding, details: EndingDetails): void {
    const { archive, run } = ending;
    const standing = this.#standings.of(archive);
    const wasFailing = standing?.failing === true;
    const isRepeated = wasFailing && standing.lastFailure?.run === run;
    const settledUntil = this.#standings.settledUntil(archive);
    this.#history.add(ending);
    this.#live.ended(details.progress);
    this.#standings.ended(ending);
    this.#metrics.ended(ending, details);
    this.#alarms.ended(ending, wasFailing, isRepeated);
    this.#due.ended(ending, details.failure, settledUntil);
  }

  /** Learns from the destinations, in the background, what was archived and what was left; then catches up. */
  async #lookAround(archives: readonly ArchiveConfig[]): Promise<void> {
    const places = new FairQueue(LOOKED_AT_ONCE);
    const never = new AbortController().signal;
    const look = (archive: ArchiveConfig): Promise<void> =>
      // Slots that come meanwhile wait: the lock is taken, and what was left goes first.
      this.#board.hold(archive.name, () => places.run(archive.name, never, () => this.#lookAt(archive)));
    await Promise.all(archives.map(look));
  }

  async #lookAt(archive: ArchiveConfig): Promise<void> {
    if (this.#stopping !== 'no') return;
    const { name } = archive;
    const { latest, unfinished, abortedUploads } = await lookForLeftovers(this.#config, archive, this.#log);
    if (latest !== undefined) this.#standings.found(name, latest);
    this.#metrics.abortedUploads(name, abortedUploads);
    for (const run of unfinished)
      if (!this.#history.wasCancelled(name, run)) this.#board.offer(name, run, 'taken up', 'append');
    this.#due.begin(archive);
    this.#changed();
  }

  async #askDestination(archive: ArchiveConfig): Promise<void> {
    const latest = await findLatest(this.#config, archive);
    if (latest !== undefined) this.#standings.found(archive.name, latest);
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
    const before = this.#config;
    this.#generations.advance(config, this.#board.settled());
    this.#log.level = config.log.level;
    const archives = Object.values(config.archives);
    for (const { name, schedule, timezone } of Object.values(before.archives)) {
      const after = config.archives[name];
      if (after?.schedule !== schedule || after?.timezone !== timezone) this.#board.dropSlots(name);
    }
    this.#standings.set(archives, new Date());
    this.#schedule.set(archives);
    void this.#lookAround(archives.filter(({ name }) => before.archives[name] === undefined));
    await this.#listeners.apply();
    this.#changed();
  }

  #startTimers(): void {
    this.#timers.push(
      setInterval(() => {
        this.#pulse();
      }, PULSE_MS),
    );
    const { watchdogIntervalMs } = this.#notify;
    if (watchdogIntervalMs === undefined) return;
    this.#timers.push(
      setInterval(() => {
        this.#notify.watchdog();
      }, watchdogIntervalMs),
    );
  }

  #pulse(): void {
    this.#pulses += 1;
    const isSlow = this.#pulses % SLOW_PULSES === 0;
    const { entries } = this.#board;
    if (entries.length > 0 || isSlow) this.#live.sample(entries, Date.now());
    if (this.#stopping === 'no') this.#lateness.look(Object.values(this.#config.archives));
    if (entries.length > 0 || isSlow) this.#events.publish();
    if (isSlow) this.#notify.status(this.#statusLine());
  }

  #changed(): void {
    this.#notify.status(this.#statusLine());
    this.#events.publishSoon();
  }

  #statusLine(): string {
    return statusLine(this.#board, this.#schedule, Object.keys(this.#config.archives), this.#stopping !== 'no');
  }

  #stateParts(): StateParts {
    return {
      generation: this.#generations.current,
      board: this.#board,
      schedule: this.#schedule,
      standings: this.#standings,
      live: this.#live,
      startedAt: this.#startedAt,
      stopping: this.#stopping !== 'no',
    };
  }

  #backend(changed: () => void): Backend {
    const readiness = new Readiness();
    return {
      state: () => buildState(this.#stateParts()),
      events: this.#events,
      history: (limit, archive) => this.#history.list(limit, archive),
      runDetail: (archive, run) => describeRun(this.#config, this.#board.entryOf(archive), this.#history, archive, run),
      actions: createActions({
        board: this.#board,
        standings: this.#standings,
        log: this.#log,
        isStopping: () => this.#stopping !== 'no',
        changed,
      }),
      metrics: () => this.#metrics.text(),
      readiness: async () => {
        const checks = await readiness.check(this.#config);
        return { ready: this.#stopping === 'no' && checks.every(({ ok }) => ok), checks };
      },
      page: loadPageFiles(),
    };
  }
}

function stopFailure(reason: string): FailureError {
  return fail('stopped', {
    stage: 'worker',
    message: `the run was stopped: ${reason}`,
  });
}
