/**
 * What the daemon is made of, and what is connected with what. The closing of a part is registered where it is made.
 */
import type { Closers } from '../base/closers.ts';
import { fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { ownEntry } from '../base/own.ts';
import { archiveNamed } from '../config/resolve.ts';
import type { Config } from '../config/schema.ts';
import { formatRunId } from '../ledger/run-id.ts';
import { Audits } from './audits.ts';
import { FormerArchives } from './former-archives.ts';
import { createActions, type Actions } from './actions.ts';
import { Alarms } from './alarms/alarms.ts';
import { Deliveries, type Delivery } from './alarms/deliveries.ts';
import { Generations } from './generations.ts';
import type { History } from './history/history.ts';
import { EventStream } from './http/events.ts';
import { Listeners } from './http/listeners.ts';
import { loadPageFiles } from './http/page-files.ts';
import type { Backend } from './http/routes.ts';
import { findLatest, findLeftovers } from './leftovers.ts';
import { LookAround } from './look-around.ts';
import { Pulse } from './pulse.ts';
import { Reload } from './reload.ts';
import { describePurge } from './purge-ending.ts';
import { Purges } from './purges.ts';
import { Rehearsals } from './rehearsals.ts';
import { reportEnding, reportPurge } from './report-ending.ts';
import { RunBoard } from './run-board.ts';
import type { Shutdown } from './shutdown.ts';
import { DueRuns } from './slots/due-runs.ts';
import { Lateness } from './slots/lateness.ts';
import { Schedule, type ClockEvents } from './slots/schedule.ts';
import { Standings } from './slots/standings.ts';
import { TableSlots } from './slots/table-slots.ts';
import { Standby } from './standby.ts';
import type { Notify } from './systemd/notify.ts';
import { Tables } from './tables.ts';
import { nothingMissing } from '../windows/look.ts';
import { openPlace } from '../work/open-place.ts';
import { describeArchive } from './view/archive-detail.ts';
import { Calendars } from './view/calendars.ts';
import { Live } from './view/live.ts';
import { Metrics } from './view/metrics.ts';
import { Readiness } from './view/readiness.ts';
import { describeRun } from './view/run-detail.ts';
import { buildState, type StateParts } from './view/state.ts';
import { statusLine } from './view/status-line.ts';

/** What a daemon is started with. It closes `notify` and `history` when it ends. */
export interface DaemonParts {
  config: Config;
  log: Log;
  notify: Notify;
  history: History;
  /** Named in the commands that the page shows. */
  configFile: string;
  /** Reads the config again. Throws UsageError with all problems. */
  reload: () => Config;
}

/** The parts whose calls make up the daemon's life. */
export interface Wiring {
  generations: Generations;
  board: RunBoard;
  schedule: Schedule;
  /** Of what is looked at over all archives. */
  auditSchedule: Schedule;
  /** Of entries with `tables`. */
  entrySchedule: Schedule;
  rehearsals: Rehearsals;
  audits: Audits;
  former: FormerArchives;
  standings: Standings;
  lookAround: LookAround;
  listeners: Listeners;
  pulse: Pulse;
  reload: Reload;
  statusLine: () => string;
}

/** What all parts share. */
interface Ties {
  log: Log;
  notify: Notify;
  history: History;
  generations: Generations;
  shutdown: Shutdown;
  configFile: string;
  config: () => Config;
  isStopping: () => boolean;
  /** To be called when something is different that is shown. */
  changed: () => void;
}

/** Makes all parts; none of them does anything yet. */
export function wire(
  { config: first, configFile, log, notify, history, reload }: DaemonParts,
  shutdown: Shutdown,
): Wiring {
  closedBy(shutdown.opened, 'the line to systemd', notify);
  closedBy(shutdown.opened, 'the history', history);
  const generations = closedBy(
    shutdown.opened,
    'the threads',
    new Generations(first, (config, bindings) => openPlace(config, bindings, log)),
  );
  const ties: Ties = {
    ...{ log, notify, history, generations, shutdown, configFile },
    config: () => generations.current.config,
    isStopping: () => shutdown.isStopping,
    changed: () => {
      notify.status(views.statusLine());
      views.events.publishSoon();
    },
  };
  const runs = connectRuns(ties, () => reloading.lookForTables());
  const views = connectViews(ties, runs);
  const { listeners, pulse, statusLine } = views;
  const parts = { generations, ...runs, listeners, statusLine };
  const reloading = closedBy(
    shutdown.planning,
    'looks for tables',
    new Reload({ ...ties, ...parts, readConfig: reload }),
  );
  return { ...parts, pulse, reload: reloading };
}

type Runs = ReturnType<typeof connectRuns>;

/** One schedule is told of the clock for all. */
const SILENT: ClockEvents = { onSetBack: () => undefined, onJump: () => undefined };

/** Which runs there are to be, what becomes of them, and who hears of it. */
function connectRuns(
  { log, history, generations, shutdown, config, isStopping, changed }: Ties,
  lookForTables: Reload['lookForTables'],
) {
  const live = new Live();
  const looking = endedBy(shutdown.planning, 'looks at destinations');
  const standings = new Standings(history, (archive, run) =>
    log.error(
      { archive, run },
      'a run is committed whose id lies in the future: look at the clocks; no slot is settled by it',
    ),
  );
  const isPaused = (archive: string): boolean => standings.of(archive)?.schedule === 'paused';
  const standby = new Standby({ log, config, isPaused });
  const board: RunBoard = new RunBoard(
    log,
    () => generations.current,
    {
      changed,
      started: ({ archive, run }) => {
        history.started(archive, run);
        alarms.started(archive, run);
      },
      ended: (ending, details) => {
        reportEnding({ history, live, standings, metrics, alarms, due }, ending, details);
        calendars.changed(ending.archive);
      },
      roundEnded: (round) => {
        due.roundEnded(round);
        purges.offer(round.archive);
        void calendars.refresh(round.archive).then(changed);
      },
      purgesFound: (archive, found) => purges.found(archive, found),
      purgeEnded: (result, at) => {
        reportPurge({ history, metrics, alarms, purges }, describePurge(result, at));
        calendars.changed(result.archive);
      },
      purgesEnded: (archive, ending) => {
        purges.passEnded(archive, ending);
        // What was found damaged has been told of.
        if (whyHeld(archive) === undefined) alarms.held(archive, purges.of(archive));
        void calendars.refresh(archive).then(changed);
        if (ending.purged > 0) due.purged(archive);
      },
    },
    {
      standBy: (wait, signal) => standby.wait(wait, signal),
      mayPurge: (archive) => !isPaused(archive) && whyHeld(archive) === undefined,
      memoryOf: (archive) => purges.memoryOf(archive),
    },
  );
  const purges = closedBy(
    shutdown.planning,
    'what is to be purged',
    new Purges({ board, config, isPaused, whyHeld: (archive) => whyHeld(archive) }),
  );
  const audits: Audits = new Audits({
    ...{ config, log, history },
    events: {
      changed,
      proved: (archive, status, bytes) => metrics.proved(archive, status, bytes),
      different: (run, isNew) => {
        if (isNew) alarms.different(run);
        void purges.paused(run.archive);
      },
      good: (run) => {
        alarms.good(run);
        purges.offer(run.archive);
      },
    },
  });
  closedBy(shutdown.planning, 'standing verification', audits);
  const rehearsals: Rehearsals = new Rehearsals({
    ...{ generation: () => generations.current, log, isPaused },
    events: {
      changed,
      read: (archive) => purges.offer(archive),
      ended: (archive, status, rows) => metrics.rehearsed(archive, status, rows),
      different: (archive, result, isNew) => {
        if (isNew) alarms.notComeBack(archive, result);
        void purges.paused(archive);
      },
      good: (archive, result) => {
        alarms.cameBack(archive, result);
        purges.offer(archive);
      },
      failed: (failure, archive, run, isNew) => {
        if (isNew) alarms.notRehearsed(failure, archive, run);
      },
      recovered: (archive, run) => alarms.rehearsedAgain(archive, run),
    },
  });
  closedBy(shutdown.planning, 'rehearsals', rehearsals);
  const whyHeld = (archive: string) => audits.holdsPurge(archive) ?? rehearsals.holdsPurge(archive);
  const calendars: Calendars = new Calendars({ config, history, board, signal: looking });
  const former = new FormerArchives({ config, log, signal: looking, changed });
  const tables = new Tables({
    ...{ log, signal: looking },
    events: {
      changed,
      failing: (entry) => {
        alarms.tablesFailing(entry);
        changed();
      },
      well: (entry, isGone) => {
        alarms.tablesWell(entry, isGone);
        changed();
      },
    },
  });
  const tableSlots = new TableSlots({
    entryOf: (archive) => archiveNamed(config(), archive)?.entry,
    archivesOf: (entry) =>
      Object.values(config().archives).flatMap((archive) => (archive.entry === entry ? [archive.name] : [])),
    look: lookForTables,
    come: (archive, slots) => {
      due.come(archive, slots);
      former.come();
    },
  });
  const entrySchedule = new Schedule((entry, slots) => tableSlots.entry(entry, slots), SILENT);
  shutdown.planning.add('the schedule of entries with tables', () => entrySchedule.stop());
  const schedule: Schedule = new Schedule((archive, slots) => tableSlots.archive(archive, slots), {
    onSetBack: (byMs) => log.warn({ byMs }, 'the clock was set back; schedules go on from the new time'),
    onJump: (byMs) => log.warn({ byMs }, 'the clock has jumped, or the machine slept'),
  });
  shutdown.planning.add('the schedule', () => schedule.stop());
  const comeAudit = (audit: string, slots: readonly Date[]): void => {
    if (audit === 'verify') audits.come();
    else rehearsals.come(slots.at(-1) ?? new Date());
    former.come();
  };
  const auditSchedule = new Schedule(comeAudit, SILENT);
  shutdown.planning.add('the schedule of audits', () => auditSchedule.stop());
  const startedAt = new Date();
  const facts = (): StateParts => ({
    ...{ board, schedule, due, standings, purges, audits, rehearsals, former, tables, live, calendars, startedAt },
    generation: generations.current,
    refusedConfig: generations.refused,
    historyProblem: history.problem,
    stopping: isStopping(),
  });
  const metrics = new Metrics(facts);
  const onDelivered = (kind: Delivery['kind'], isOk: boolean): void => metrics.delivered(kind, isOk);
  const deliveries = closedBy(shutdown.opened, 'the deliveries', new Deliveries({ log, onEnd: onDelivered }));
  const alarms = new Alarms(deliveries, config);
  const due: DueRuns = new DueRuns({
    ...{ board, schedule, standings, history, log },
    archive: (name) => archiveNamed(config(), name),
    onCatchUp: (archive) => metrics.caughtUp(archive),
  });
  closedBy(shutdown.planning, 'what is due', due);
  const lookAround = new LookAround({
    ...{ board, due, purges, standings, history, metrics, isStopping, changed },
    findLeftovers: async (archive) => {
      const found = await findLeftovers(config(), archive, { schedule, history }, log, looking);
      void calendars.refresh(archive.name).then(changed);
      return found;
    },
  });
  return {
    live,
    standings,
    board,
    schedule,
    auditSchedule,
    audits,
    entrySchedule,
    tables,
    rehearsals,
    former,
    purges,
    calendars,
    facts,
    metrics,
    alarms,
    lookAround,
    looking,
  };
}

/** How the daemon is looked at and asked, and what it finds late when it looks itself. */
function connectViews(
  { log, notify, history, shutdown, configFile, config, isStopping, changed }: Ties,
  { live, standings, board, schedule, rehearsals, purges, calendars, facts, metrics, alarms, looking }: Runs,
) {
  const lateness = new Lateness({
    ...{ schedule, standings, log, changed },
    findLatest: (archive) => findLatest(config(), archive, looking),
    isComplete: (archive) => nothingMissing(config(), archive),
    pausedMs: (archive) => board.pausedMsOf(archive),
    onLate: (archive, slot) => alarms.late(archive, slot, formatRunId(slot)),
  });
  closedBy(shutdown.planning, 'what is late', lateness);
  const status = (): string => statusLine(board, schedule, Object.keys(config().archives), isStopping());
  const events = new EventStream(() => buildState(facts()));
  const isEntry = (name: string): boolean => ownEntry(config().patterns, name) !== undefined;
  const actions = createActions({ board, standings, purges, rehearsals, log, isStopping, isEntry, changed });
  const signal = endedBy(shutdown.opened, 'reads of destinations');
  const backend = createBackend({ facts, configFile, events, history, actions, metrics, calendars, signal });
  const listeners = closedBy(shutdown.opened, 'the listeners', new Listeners(backend, config, log));
  closedBy(shutdown.opened, 'the streams of events', events);
  const pulse = new Pulse({ board, live, lateness, events, notify, config, statusLine: status });
  closedBy(shutdown.opened, 'the pulse', pulse);
  return { events, listeners, pulse, statusLine: status };
}

interface Closeable {
  close: () => Promise<void> | void;
}

function closedBy<T extends Closeable>(closers: Closers, name: string, part: T): T {
  closers.add(name, () => part.close());
  return part;
}

/** A signal that aborts when these are closed: no destination may keep the daemon from its end. */
function endedBy(closers: Closers, name: string): AbortSignal {
  const end = new AbortController();
  closers.add(name, () => end.abort(fail('stopped', { stage: 'worker', message: 'the daemon stops' })));
  return end.signal;
}

interface BackendParts {
  facts: () => StateParts;
  configFile: string;
  events: EventStream;
  history: History;
  actions: Actions;
  metrics: Metrics;
  calendars: Calendars;
  /** Ends what is read of destinations. */
  signal: AbortSignal;
}

/** What HTTP answers from. */
function createBackend({
  facts,
  configFile,
  events,
  history,
  actions,
  metrics,
  calendars,
  signal,
}: BackendParts): Backend {
  const readiness = new Readiness(signal);
  return {
    state: () => buildState(facts()),
    events,
    history: (limit, archive) => history.list(limit, archive),
    purges: (limit, archive) => history.purges(limit, archive),
    archive: (name) => describeArchive({ ...facts(), configFile }, name),
    runDetail: (asked) => {
      const { generation, board } = facts();
      return describeRun(generation.config, board.entryOf(asked.archive), history, asked, signal);
    },
    windows: (asked) => calendars.describe(asked),
    actions,
    metrics: () => metrics.text(),
    readiness: async () => {
      const { generation, stopping } = facts();
      const checks = await readiness.check(generation.config);
      return { ready: !stopping && checks.every(({ ok }) => ok), checks };
    },
    page: loadPageFiles(),
  };
}
