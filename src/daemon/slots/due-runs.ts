/** Decides which runs a slot makes: when it comes, when it passed while nothing could run, and when its run failed. */
import type { Failure } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { ArchiveConfig } from '../../config/schema.ts';
import { formatRunId, parseRunId } from '../../ledger/run-id.ts';
import type { History } from '../history/history.ts';
import type { WhenBusy } from '../lane.ts';
import type { RoundEnding, RunBoard } from '../run-board.ts';
import { isElsewhere, isFault, type RunEnding, type Trigger } from '../run-ending.ts';
import { MOST_SLOTS_AT_ONCE, type Schedule } from './schedule.ts';
import { spreadMs } from './spread.ts';
import type { Standings } from './standings.ts';

export interface DueParts {
  board: RunBoard;
  schedule: Schedule;
  standings: Standings;
  history: History;
  log: Log;
  /** Undefined when the config does not have it any more. */
  archive: (name: string) => ArchiveConfig | undefined;
  onCatchUp: (archive: string) => void;
  /** Pause before a failed slot is tried again; it doubles up to an hour. For tests. */
  retryPauseMs?: number;
}

/** A slot that is begun later than this was missed: the machine slept, or the process was stopped. */
const ON_TIME_MS = 60_000;
const RETRY_PAUSE_MS = 60_000;
const LONGEST_RETRY_PAUSE_MS = 3_600_000;

/** Slots that are left out after a long time have no line each, but for the latest; one line counts all. */
const MOST_NAMED = 100;

const WHEN_BUSY = { last: 'replace', all: 'append', none: 'skip' } as const satisfies Record<string, WhenBusy>;

/** A slot's run that leaves others the first try at the lock. */
interface LateSlot {
  run: string;
  timer: NodeJS.Timeout;
}

interface Retry {
  run: string;
  attempts: number;
  atMs: number;
  timer: NodeJS.Timeout;
}

/** When a run that failed is tried again. */
export interface NextTry {
  run: string;
  at: Date;
}

export class DueRuns {
  readonly #parts: DueParts;
  readonly #retries = new Map<string, Retry>();
  readonly #lateSlots = new Map<string, LateSlot>();
  /** Whether another process was seen to have a run since the start: alone, nobody is waited for. */
  #hasSeenOthers = false;
  #isClosed = false;

  constructor(parts: DueParts) {
    this.#parts = parts;
  }

  /** Slots have come, oldest first; more than one when the machine slept. */
  come(name: string, slots: readonly Date[]): void {
    const archive = this.#parts.archive(name);
    const latest = slots.at(-1);
    if (this.#isClosed || archive === undefined || latest === undefined) return;
    this.#forgetRetry(name);
    this.#offerLateSlot(name);
    if (this.#parts.standings.of(name)?.schedule === 'paused') {
      for (const slot of slots)
        this.#parts.board.skip(name, { run: formatRunId(slot), trigger: 'schedule', reason: 'paused' });
      return;
    }
    const isOnTime = Date.now() - latest.getTime() <= ON_TIME_MS;
    const missed = isOnTime ? slots.slice(0, -1) : slots;
    if (missed.length > 0) this.#catchUp(archive, missed, isOnTime ? 'older' : 'all');
    if (isOnTime) this.#offerSlot(archive, latest);
  }

  /** The schedule has begun: slots may have passed before, since the last one that is settled. */
  begin(archive: ArchiveConfig): void {
    if (this.#isClosed) return;
    const { schedule, standings } = this.#parts;
    const after = standings.settledUntil(archive.name);
    const slots = schedule.slotsOf(archive.name);
    const until = schedule.begunAt(archive.name);
    if (after === undefined || slots === undefined || until === undefined) return;
    if (standings.of(archive.name)?.schedule === 'paused') return;
    const missed = slots.between(after, until, MOST_SLOTS_AT_ONCE);
    if (missed.length > 0) this.#catchUp(archive, missed, 'all');
  }

  /**
   * A run has ended; `settledUntil` is up to where slots were settled before it. After a failure that may pass, the
   * same run is tried again until the next slot comes. After a success, `catchUp: all` takes up the slots that failed
   * before it.
   */
  ended(ending: RunEnding, failure: Failure | undefined, settledUntil: Date | undefined): void {
    const archive = this.#parts.archive(ending.archive);
    if (isElsewhere(ending.reason)) this.#hasSeenOthers = true;
    if (this.#isClosed || archive === undefined || ending.status === 'skipped') return;
    // Windows are made in rounds.
    if (archive.window !== undefined) return;
    if (ending.status === 'committed') {
      this.#forgetRetry(archive.name);
      if (archive.catchUp === 'all' && settledUntil !== undefined) this.#fillGap(archive, settledUntil, ending.run);
    } else if (isFault(ending) && failure?.transient === true && ending.trigger !== 'by hand') {
      this.#retryLater(archive, ending.run);
    }
  }

  /** A round of an archive of windows has ended. What is still missing is looked for again: soon after a failure that may pass. */
  roundEnded({ archive: name, slot, trigger, isComplete, failure }: RoundEnding): void {
    const archive = this.#parts.archive(name);
    if (this.#isClosed || archive === undefined) return;
    this.#forgetRetry(name);
    if (isComplete) this.#parts.standings.settleSlot(name, parseRunId(slot));
    else if (failure?.transient === true && trigger !== 'by hand') this.#retryLater(archive, slot);
  }

  /** Windows were purged. What stayed or came late in one is to be archived as a further run of it: that is looked for now. */
  purged(name: string): void {
    const { archive, board, schedule, standings } = this.#parts;
    const isScheduled = archive(name) !== undefined && schedule.slotsOf(name) !== undefined;
    if (this.#isClosed || !isScheduled || board.isBusy(name) || standings.of(name)?.schedule === 'paused') return;
    board.offer(name, { run: formatRunId(new Date()), trigger: 'catch-up', whenBusy: 'append' });
  }

  /** Undefined when nothing that failed is tried again before the next slot. */
  nextTryOf(name: string): NextTry | undefined {
    const retry = this.#retries.get(name);
    const isHeld = this.#parts.standings.of(name)?.schedule === 'paused';
    if (retry === undefined || isHeld || retry.atMs <= Date.now()) return undefined;
    return { run: retry.run, at: new Date(retry.atMs) };
  }

  /** Nothing is planned from now on. */
  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#retries.values()) clearTimeout(timer);
    this.#retries.clear();
    for (const { timer } of this.#lateSlots.values()) clearTimeout(timer);
    this.#lateSlots.clear();
  }

  /** `which` says whether the latest of all slots is among the missed ones. */
  #catchUp(archive: ArchiveConfig, missed: readonly Date[], which: 'older' | 'all'): void {
    const { history, log, onCatchUp } = this.#parts;
    const { name, catchUp } = archive;
    const chosen: readonly Date[] = { last: which === 'all' ? missed.slice(-1) : [], all: missed, none: [] }[catchUp];
    const runs = chosen.map(formatRunId).filter((run) => !history.wasCancelled(name, run));
    log.warn(
      { archive: name, missed: missed.length, from: missed[0], until: missed.at(-1), catchUp, caughtUp: runs.length },
      'slots have passed that are not archived',
    );
    this.#leaveOut(name, missed.filter((slot) => !chosen.includes(slot)).map(formatRunId));
    for (const run of runs) {
      onCatchUp(name);
      this.#offer(archive, run, 'catch-up');
    }
  }

  /** Says of each that it is left out, but of those that are in line all the same, and of those that were said to be skipped before. */
  #leaveOut(name: string, runs: readonly string[]): void {
    const { board, history } = this.#parts;
    const inLane = this.#inLane(name);
    for (const run of runs.slice(-MOST_NAMED)) {
      const wasSkipped = history.attemptsOf(name, run)[0]?.status === 'skipped';
      if (!inLane.has(run) && !wasSkipped && !history.wasCancelled(name, run))
        board.skip(name, { run, trigger: 'catch-up', reason: 'not caught up' });
    }
  }

  /** The slot of a busy host comes a little later; it is on time all the same. */
  #offerSlot(archive: ArchiveConfig, slot: Date): void {
    const { board, schedule } = this.#parts;
    const { name } = archive;
    const run = formatRunId(slot);
    const next = schedule.slotsOf(name)?.next(slot);
    const running = this.#hasSeenOthers ? board.entries.filter(({ state }) => state === 'running').length : 0;
    const waitMs = next === undefined ? 0 : spreadMs(running, next.getTime() - slot.getTime());
    if (waitMs === 0) {
      this.#offer(archive, run, 'schedule');
      return;
    }
    const timer = setTimeout(() => {
      this.#offerLateSlot(name);
    }, waitMs);
    this.#lateSlots.set(name, { run, timer });
  }

  /** The wait of a slot is over, by time or by the next slot. */
  #offerLateSlot(name: string): void {
    const { board, standings, archive } = this.#parts;
    const late = this.#lateSlots.get(name);
    const config = archive(name);
    if (late === undefined || config === undefined) return;
    clearTimeout(late.timer);
    this.#lateSlots.delete(name);
    if (standings.of(name)?.schedule === 'paused') board.skip(name, { ...late, trigger: 'schedule', reason: 'paused' });
    else this.#offer(config, late.run, 'schedule');
  }

  #offer({ name, catchUp }: ArchiveConfig, run: string, trigger: Trigger): void {
    this.#parts.board.offer(name, { run, trigger, whenBusy: WHEN_BUSY[catchUp] });
  }

  #fillGap(archive: ArchiveConfig, after: Date, run: string): void {
    const { history, schedule } = this.#parts;
    const { name } = archive;
    const slots = schedule.slotsOf(name)?.between(after, parseRunId(run), MOST_SLOTS_AT_ONCE) ?? [];
    const inLane = this.#inLane(name).add(run);
    const isOpen = (slot: Date): boolean => {
      const id = formatRunId(slot);
      return !inLane.has(id) && !history.attemptsOf(name, id).some(({ status }) => status === 'committed');
    };
    const open = slots.filter(isOpen);
    if (open.length > 0) this.#catchUp(archive, open, 'all');
  }

  /** Runs of the archive that are in progress or wait, such as one that was begun before a kill and is taken up. */
  #inLane(name: string): Set<string | undefined> {
    const { board } = this.#parts;
    return new Set([board.entryOf(name)?.run, ...board.waitingOf(name)]);
  }

  #retryLater({ name, catchUp }: ArchiveConfig, run: string): void {
    if (catchUp === 'none' || this.#parts.schedule.slotsOf(name) === undefined) return;
    const before = this.#retries.get(name);
    const attempts = before?.run === run ? before.attempts + 1 : 1;
    clearTimeout(before?.timer);
    const pauseMs = Math.min(
      LONGEST_RETRY_PAUSE_MS,
      (this.#parts.retryPauseMs ?? RETRY_PAUSE_MS) * 2 ** (attempts - 1),
    );
    const timer = setTimeout(() => {
      this.#retry(name, run);
    }, pauseMs);
    this.#retries.set(name, { run, attempts, atMs: Date.now() + pauseMs, timer });
    this.#parts.log.info(
      { archive: name, run, pauseMs },
      'the failed run is tried again, unless the next slot comes first',
    );
  }

  #retry(name: string, run: string): void {
    const { board, standings, onCatchUp } = this.#parts;
    const standing = standings.of(name);
    if (board.isBusy(name) || standing === undefined || standing.schedule === 'paused') return;
    onCatchUp(name);
    board.offer(name, { run, trigger: 'catch-up', whenBusy: 'append' });
  }

  #forgetRetry(name: string): void {
    clearTimeout(this.#retries.get(name)?.timer);
    this.#retries.delete(name);
  }
}
