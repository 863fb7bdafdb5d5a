/** How each archive stands: its last success and failure, and the oldest slot that is due and not archived. */
import type { ArchiveConfig } from '../../config/schema.ts';
import type { ManifestSummary } from '../../ledger/manifest.ts';
import { formatRunId, parseRunId } from '../../ledger/run-id.ts';
import type { History } from '../history/history.ts';
import { isFault, type RunEnding, type ShownFailure } from '../run-ending.ts';
import type { Slots } from './slots.ts';

/** Sizes in bytes. */
export interface LastSuccess {
  run: string;
  finishedAt: string;
  rows: number;
  jsonBytes: number;
  bytes: number;
  seconds: number;
  /** Of the run that was committed before it; null when none is known. */
  rowsBefore: number | null;
}

/** Failures with no success between them. */
export interface FailuresInARow {
  count: number;
  /** When the first of them ended, in ISO 8601. */
  since: string;
}

export interface LastFailure extends ShownFailure {
  run: string;
  at: string;
}

export interface Standing {
  /** Late when a slot is overdue, and the destination was asked. */
  schedule: 'on time' | 'late' | 'paused';
  /** By the last run that ended by itself. */
  health: 'well' | 'failing';
  lastSuccess: LastSuccess | undefined;
  lastFailure: LastFailure | undefined;
  /** Since the last success; undefined while the archive is well. */
  failures: FailuresInARow | undefined;
  /** Slots up to the later one of these two are settled. */
  archivedUntil: Date | undefined;
  dueSince: Date;
  /** Assumed as long as neither the history nor the destination knows the archive. */
  dueSinceIs: 'known' | 'assumed';
}

/**
 * What is further ahead than this is not of this time: it came from a clock that was wrong, here or on another host, or from
 * a run by hand under an id of the future. It settles nothing, or no slot would be due until then.
 */
export const MOST_AHEAD_MS = 3_600_000;

/** Told once of a run whose id lies in the future. */
export type OnAhead = (archive: string, run: string) => void;

export class Standings {
  readonly #history: History;
  readonly #onAhead: OnAhead;
  readonly #now: () => number;
  readonly #standings = new Map<string, Standing>();
  /** Archives of windows: their run ids are no slots, and a slot is settled once nothing is missing. */
  readonly #windowed = new Set<string>();

  /** `now` is there for tests. */
  constructor(history: History, onAhead: OnAhead = () => undefined, now = Date.now) {
    this.#history = history;
    this.#onAhead = onAhead;
    this.#now = now;
  }

  /** Begins with what the history knows. An archive, or a schedule, that it does not know counts from `now`. */
  set(archives: readonly ArchiveConfig[], now: Date): void {
    this.#windowed.clear();
    for (const { name, window } of archives) if (window !== undefined) this.#windowed.add(name);
    for (const archive of archives) {
      const standing = this.#standings.get(archive.name) ?? this.#load(archive.name, now);
      const schedule = `${archive.schedule ?? ''} ${archive.timezone}`;
      const record = this.#history.archive(archive.name);
      if (record !== undefined && record.schedule !== schedule) standing.dueSince = now;
      this.#standings.set(archive.name, standing);
      if (record?.schedule !== schedule) this.#save(archive.name, standing, schedule);
    }
    const names = new Set(archives.map(({ name }) => name));
    for (const name of this.#standings.keys()) if (!names.has(name)) this.#standings.delete(name);
  }

  /** Undefined for an archive that is not in the config. */
  of(archive: string): Readonly<Standing> | undefined {
    return this.#standings.get(archive);
  }

  /** Takes in how a run ended. */
  ended(ending: RunEnding): void {
    const standing = this.#standings.get(ending.archive);
    if (standing === undefined) return;
    if (ending.status === 'committed') {
      standing.health = 'well';
      standing.failures = undefined;
      standing.lastSuccess = successOf(ending, rowsBefore(standing.lastSuccess, ending.run));
      this.#settle(ending.archive, standing, ending.run);
    } else if (isFault(ending)) {
      const { count = 0, since = ending.finishedAt } = standing.failures ?? {};
      standing.health = 'failing';
      standing.failures = { count: count + 1, since };
      standing.lastFailure = failureOf(ending);
    }
  }

  /** Takes in what the destination has. The slots of an archive that was not known before count from there. */
  found(archive: string, manifest: ManifestSummary): void {
    const standing = this.#standings.get(archive);
    if (standing === undefined) return;
    const { run, finishedAt, startedAt, rows, jsonBytes, bytes } = manifest;
    const seconds = (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
    if (standing.lastSuccess === undefined || standing.lastSuccess.finishedAt < finishedAt)
      standing.lastSuccess = successOf(
        { run, finishedAt, rows, jsonBytes, bytes, seconds },
        rowsBefore(standing.lastSuccess, run),
      );
    if (standing.dueSinceIs === 'assumed' && !this.#isAhead(parseRunId(run))) {
      standing.dueSince = parseRunId(run);
      standing.dueSinceIs = 'known';
      this.#save(archive, standing);
    }
    this.#settle(archive, standing, run);
  }

  /** A slot of an archive of windows has come, and nothing is missing any more. It is kept, as no run id says it. */
  settleSlot(archive: string, slot: Date): void {
    const standing = this.#standings.get(archive);
    if (standing === undefined || standing.dueSince >= slot) return;
    standing.dueSince = slot;
    standing.dueSinceIs = 'known';
    this.#save(archive, standing);
  }

  /** A schedule that goes on counts from now: what passed in the pause is not missed. */
  setPaused(archive: string, paused: boolean, now: Date): void {
    const standing = this.#standings.get(archive);
    if (standing === undefined || (standing.schedule === 'paused') === paused) return;
    standing.schedule = paused ? 'paused' : 'on time';
    if (!paused) standing.dueSince = now;
    this.#save(archive, standing);
  }

  /** A paused archive has no slots to be late with. */
  setLate(archive: string, late: boolean): void {
    const standing = this.#standings.get(archive);
    if (standing !== undefined && standing.schedule !== 'paused') standing.schedule = late ? 'late' : 'on time';
  }

  /** Slots after this are due, or will be. */
  settledUntil(archive: string): Date | undefined {
    const standing = this.#standings.get(archive);
    if (standing === undefined) return undefined;
    this.#forgetFuture(archive, standing);
    const { archivedUntil, dueSince } = standing;
    return archivedUntil !== undefined && archivedUntil > dueSince ? archivedUntil : dueSince;
  }

  /** The oldest slot that has come and is not archived; undefined when there is none, and in a pause. */
  oldestDue(archive: string, slots: Slots, now: Date): Date | undefined {
    const standing = this.#standings.get(archive);
    const after = this.settledUntil(archive);
    if (standing === undefined || standing.schedule === 'paused' || after === undefined) return undefined;
    const due = slots.next(after);
    return due !== undefined && due <= now ? due : undefined;
  }

  /** A run by hand settles the slots before it, as it archived what they would have. */
  #settle(archive: string, standing: Standing, run: string): void {
    const time = parseRunId(run);
    if (this.#windowed.has(archive)) return;
    if (this.#isAhead(time)) this.#onAhead(archive, run);
    else if (standing.archivedUntil === undefined || standing.archivedUntil < time) standing.archivedUntil = time;
  }

  /** The clock was set back since: what lies ahead now was settled by a clock that was wrong. */
  #forgetFuture(archive: string, standing: Standing): void {
    if (this.#isAhead(standing.dueSince)) {
      standing.dueSince = new Date(this.#now());
      this.#save(archive, standing);
    }
    const { archivedUntil } = standing;
    if (archivedUntil === undefined || !this.#isAhead(archivedUntil)) return;
    this.#onAhead(archive, formatRunId(archivedUntil));
    const latest = this.#latestCommitted(archive);
    standing.archivedUntil = latest === undefined ? undefined : parseRunId(latest);
  }

  #isAhead(time: Date): boolean {
    return time.getTime() > this.#now() + MOST_AHEAD_MS;
  }

  #latestCommitted(archive: string): string | undefined {
    return this.#history.latestCommitted(archive, formatRunId(new Date(this.#now() + MOST_AHEAD_MS)));
  }

  #load(archive: string, now: Date): Standing {
    const record = this.#history.archive(archive);
    const success = this.#history.lastSuccess(archive);
    const failure = this.#history.lastFailure(archive);
    const latest = this.#latestCommitted(archive);
    const isFailing = failure !== undefined && (success === undefined || success.finishedAt < failure.finishedAt);
    const failures = isFailing ? this.#history.failuresInARow(archive) : undefined;
    return {
      schedule: record?.paused === true ? 'paused' : 'on time',
      health: isFailing ? 'failing' : 'well',
      lastSuccess: success && successOf(success, this.#history.rowsBefore(archive, success.run) ?? null),
      lastFailure: failure && failureOf(failure),
      failures: isFailing ? (failures ?? { count: 1, since: failure.finishedAt }) : undefined,
      archivedUntil: latest === undefined || this.#windowed.has(archive) ? undefined : parseRunId(latest),
      dueSince: record?.dueSince ?? now,
      dueSinceIs: record === undefined ? 'assumed' : 'known',
    };
  }

  #save(
    archive: string,
    { schedule, dueSince }: Standing,
    expression = this.#history.archive(archive)?.schedule,
  ): void {
    this.#history.setArchive(archive, { schedule: expression ?? '', dueSince, paused: schedule === 'paused' });
  }
}

/**
 * When an oldest due slot makes its archive late: after `lateAfter`, or when the next slot comes; of a run that is held up by its
 * pace, that is by so much later.
 */
export function isOverdue(due: Date, slots: Slots, lateAfterMs: number | undefined, now: Date, pausedMs = 0): boolean {
  const ownMs = now.getTime() - pausedMs;
  if (lateAfterMs !== undefined) return ownMs - due.getTime() >= lateAfterMs;
  const next = slots.next(due);
  return next !== undefined && next.getTime() <= ownMs;
}

type Committed = Pick<RunEnding, 'run' | 'finishedAt' | 'rows' | 'jsonBytes' | 'bytes' | 'seconds'>;

function successOf(
  { run, finishedAt, rows, jsonBytes, bytes, seconds }: Committed,
  before: number | null,
): LastSuccess {
  return { run, finishedAt, rows, jsonBytes, bytes, seconds, rowsBefore: before };
}

/** A run that is found committed a second time has the same run before it. */
function rowsBefore(last: LastSuccess | undefined, run: string): number | null {
  if (last === undefined) return null;
  return last.run === run ? last.rowsBefore : last.rows;
}

function failureOf({ run, finishedAt, error }: RunEnding): LastFailure {
  return { run, at: finishedAt, ...(error ?? { code: 'internal', message: '', hint: '' }) };
}
