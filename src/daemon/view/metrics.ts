/**
 * The metrics: each declared once; docs/metrics.md is written from the declarations. The only importer of prom-client.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { isDue } from '../../audit/due.ts';
import { failureLabel } from '../../base/failures.ts';
import { TOOL } from '../../base/tool.ts';
import { memorySum } from '../../config/memory-sum.ts';
import { PAUSE_REASONS } from '../../pace/pauses.ts';
import { WINDOW_STATES } from '../../windows/calendar-lines.ts';
import type { RunProgress } from '../../work/progress.ts';
import { OUTCOMES } from '../../ledger/purge.ts';
import type { PurgeEnding } from '../purge-ending.ts';
import { isUnproved, lastProof, oldestOf, provable, provedOf } from './proof-state.ts';
import { notPurgeable } from './purge-state.ts';
import { latest, resultsOf } from './rehearsal-state.ts';
import { differentOf } from '../rehearsals.ts';
import type { EndingDetails } from '../run-board.ts';
import { kindOfReason, type RunEnding } from '../run-ending.ts';
import type { LastSuccess } from '../slots/standings.ts';
import { describeWorkers, heapLimitBytes, proofMayBeMs, type StateParts } from './state.ts';

export interface MetricDeclaration {
  name: string;
  kind: 'counter' | 'gauge' | 'histogram';
  labels: readonly string[];
  help: string;
}

/** Labels have few values at a time: names of the config, a status, codes of failures, one digest. Never a run id. */
export const METRICS = [
  gauge('pgsluice_build_info', ['version', 'node'], 'Always 1; the labels name the version.'),
  gauge(
    'pgsluice_archive_last_success_timestamp_seconds',
    ['archive'],
    'When the last run was committed; absent before the first.',
  ),
  gauge(
    'pgsluice_archive_due_slot_age_seconds',
    ['archive'],
    'Age of the oldest slot that is due and not archived; 0 when there is none, and in a pause.',
  ),
  gauge(
    'pgsluice_archive_interval_seconds',
    ['archive'],
    'Time between the next two slots; absent without a schedule.',
  ),
  gauge('pgsluice_archive_late', ['archive'], '1 when a slot is overdue: past lateAfter, or the next slot has come.'),
  gauge('pgsluice_archive_failing', ['archive'], '1 when the last run that ended by itself failed.'),
  gauge(
    'pgsluice_archive_head_info',
    ['archive', 'sha256'],
    'Always 1; the label is the digest of the latest manifest, which stands for all before it: see docs/trust.md.',
  ),
  gauge('pgsluice_archive_paused', ['archive'], '1 when the schedule is paused.'),
  gauge('pgsluice_archive_running', ['archive'], '1 when a run is in progress, or waits for its turn.'),
  gauge(
    'pgsluice_archive_standby',
    ['archive'],
    '1 when another host has the run, and this one takes it up should that host be gone.',
  ),
  gauge('pgsluice_archive_waiting_runs', ['archive'], 'Runs that wait behind the one in progress.'),
  counter(
    'pgsluice_runs_total',
    ['archive', 'status', 'reason'],
    'Runs that ended, as committed, failed or skipped; the reason is ok, already-committed, the code of the failure, ' +
      'or why it was skipped.',
  ),
  histogram('pgsluice_run_duration_seconds', [], 'Time that committed runs took, over all archives.'),
  gauge(
    'pgsluice_archive_last_run_seconds',
    ['archive'],
    'Time that the last committed run took; absent before the first.',
  ),
  counter('pgsluice_rows_total', ['archive'], 'Rows in committed runs.'),
  counter('pgsluice_json_bytes_total', ['archive'], 'JSON Lines in committed runs, in bytes before compression.'),
  counter('pgsluice_stored_bytes_total', ['archive'], 'Objects of committed runs, in bytes.'),
  counter(
    'pgsluice_segments_total',
    ['archive', 'outcome', 'reason'],
    'Attempts at segments, as done or failed; the reason is ok, or the code of the failure.',
  ),
  counter('pgsluice_segment_retries_total', ['archive'], 'Attempts at segments beyond their first ones.'),
  counter('pgsluice_s3_retries_total', ['archive'], 'Requests to the destination that were sent again.'),
  gauge('pgsluice_stalled_seconds', ['archive'], 'For how long nothing has moved in the run in progress.'),
  gauge(
    'pgsluice_run_snapshot_age_seconds',
    ['archive'],
    'Age of the snapshot that a run reads; while it is held, the source cannot remove dead rows.',
  ),
  gauge(
    'pgsluice_oldest_snapshot_age_seconds',
    [],
    'Age of the oldest snapshot that a run of this daemon holds; 0 when none does.',
  ),
  gauge(
    'pgsluice_paused_seconds',
    ['archive', 'reason'],
    'For how long the pace of the archive has held its run up now: between, lag or pause-while; 0 for what does not.',
  ),
  counter(
    'pgsluice_pauses_seconds_total',
    ['archive', 'reason'],
    'For how long the pace of the archive has held up its runs that ended.',
  ),
  gauge(
    'pgsluice_windows',
    ['archive', 'state'],
    'Windows of the archive at the last look of the daemon, by state: archived, purged, expired, empty, missing, running, unfinished, ' +
      'failed or damaged; absent without windows.',
  ),
  counter('pgsluice_aborted_uploads_total', ['archive'], 'Uploads of dead runs that were found and aborted.'),
  counter('pgsluice_catch_ups_total', ['archive'], 'Slots that passed unarchived and were begun later.'),
  counter(
    'pgsluice_purged_rows_total',
    ['archive', 'outcome'],
    'Rows of purged runs, by what became of them: deleted, or why they stayed; see docs/purge.md.',
  ),
  counter(
    'pgsluice_purges_total',
    ['archive', 'status', 'reason'],
    'Purges that ended, as purged, stopped, refused, different or failed; the reason is ok, why it was broken off, or the ' +
      'code of what was in its way.',
  ),
  gauge('pgsluice_archive_purging', ['archive'], '1 when a purge is in progress, or waits for its turn.'),
  gauge('pgsluice_purge_due_runs', ['archive'], 'Runs that are due to be purged.'),
  gauge(
    'pgsluice_purge_oldest_due_seconds',
    ['archive'],
    'For how long the oldest run that is not purged has been due; 0 when none is.',
  ),
  gauge(
    'pgsluice_purge_not_purgeable_runs',
    ['archive'],
    'Runs that are old enough, and were refused, are damaged or are left to be purged by hand.',
  ),
  counter(
    'pgsluice_proofs_total',
    ['archive', 'status'],
    'Proofs of runs by standing verification, as proved, different, unreadable (in a cold storage class) or expired.',
  ),
  counter('pgsluice_proved_bytes_total', ['archive'], 'Objects that standing verification has read, in bytes.'),
  gauge('pgsluice_proof_runs', ['archive'], 'Runs whose data is there; absent before the first look.'),
  gauge(
    'pgsluice_proof_due_runs',
    ['archive'],
    'Runs whose last proof is older than audits.verify.every, or that have none.',
  ),
  gauge('pgsluice_proof_unproved_runs', ['archive'], 'Runs that were never proved since their commit.'),
  gauge(
    'pgsluice_proof_oldest_timestamp_seconds',
    ['archive'],
    'When the run with the oldest proof was proved, or committed where it never was; absent without runs.',
  ),
  gauge(
    'pgsluice_proof_oldest_unproved_timestamp_seconds',
    ['archive'],
    'When the run was committed that has waited longest for its first proof; absent when all were proved.',
  ),
  gauge(
    'pgsluice_proof_last_timestamp_seconds',
    ['archive'],
    'When a run of the archive was proved last, whichever host has done it; absent before the first.',
  ),
  gauge(
    'pgsluice_proof_different_runs',
    ['archive'],
    'Runs that are not what their manifests say, and were not proved good since.',
  ),
  counter(
    'pgsluice_rehearsals_total',
    ['archive', 'status'],
    'Rehearsals of restores: equal; different, where a run did not come back; refused (by what stands against the database); failed (on the way); passed (nothing to rehearse with); or stopped.',
  ),
  counter('pgsluice_rehearsed_rows_total', ['archive'], 'Rows that rehearsals have restored.'),
  gauge('pgsluice_rehearsal_runs', ['archive'], 'Runs with rows; absent before the first look.'),
  gauge(
    'pgsluice_rehearsal_rehearsed_runs',
    ['archive'],
    'Of these, runs that came back as they were archived when they were rehearsed last.',
  ),
  gauge(
    'pgsluice_rehearsal_different_runs',
    ['archive'],
    'Runs that did not come back as they were archived when they were rehearsed last.',
  ),
  gauge(
    'pgsluice_rehearsal_last_success_timestamp_seconds',
    ['archive'],
    'When a run of the archive was rehearsed last and came back; absent before the first time.',
  ),
  gauge(
    'pgsluice_rehearsal_failing',
    ['archive'],
    '1 where no restore could be rehearsed when it was the turn of this archive, or its runs could not be looked at, until that is over.',
  ),
  gauge(
    'pgsluice_tables_failing',
    ['entry'],
    '1 when the source of an entry with tables does not say which there are, or some of them can be no archives; absent without such entries.',
  ),
  gauge(
    'pgsluice_former_archives',
    [],
    'Archives that are not in the config, and have runs in its destinations; absent before the first look.',
  ),
  counter(
    'pgsluice_deliveries_total',
    ['kind', 'result'],
    'Alarms by webhook (notify) and by ping, as ok or failed after all attempts.',
  ),
  gauge('pgsluice_worker_heap_bytes', ['slot'], 'Heap of each worker thread that is busy.'),
  gauge('pgsluice_worker_heap_limit_bytes', [], 'What the heap of one worker is capped at.'),
  gauge(
    'pgsluice_memory_limit_bytes',
    [],
    'The sum that the process stays below, as check prints it; compare process_resident_memory_bytes.',
  ),
  gauge('pgsluice_array_buffer_bytes', [], 'Buffers outside of the heap of the main thread.'),
  gauge('pgsluice_pool_threads', [], 'Worker threads that there may be.'),
  gauge('pgsluice_pool_active', [], 'Segments that are worked on.'),
  gauge(
    'pgsluice_hosts',
    ['state'],
    'Other hosts that work on segments of this daemon: live, or silent since it last saw them.',
  ),
  gauge('pgsluice_hosts_threads', [], 'Threads of the hosts that are live.'),
  gauge('pgsluice_pool_waiting', [], 'Segments that wait for a thread.'),
] as const satisfies readonly MetricDeclaration[];

/** Seconds: a run takes from a moment to a day. */
const BUCKETS = [1, 5, 15, 60, 300, 900, 1800, 3600, 10_800, 36_000, 86_400];

type Names<K> = Extract<(typeof METRICS)[number], { kind: K }>['name'];

export class Metrics {
  readonly #registry = new Registry();
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();
  /** Retries of requests that were counted already. */
  readonly #counted = new WeakMap<RunProgress, number>();
  /** Digests of the latest manifests that are known, by archive. */
  readonly #heads = new Map<string, string>();
  readonly #parts: () => StateParts;

  /** `parts` is what the gauges are read from when somebody asks. */
  constructor(parts: () => StateParts) {
    this.#parts = parts;
    collectDefaultMetrics({ register: this.#registry });
    for (const { name, kind, labels, help } of METRICS) {
      const options = { name, help, labelNames: [...labels], registers: [this.#registry] };
      if (kind === 'gauge') this.#gauges.set(name, new Gauge(options));
      else if (kind === 'counter') this.#counters.set(name, new Counter(options));
      else this.#histograms.set(name, new Histogram({ ...options, buckets: BUCKETS }));
    }
  }

  /** Counts how a run ended. */
  ended(ending: RunEnding, { progress }: EndingDetails): void {
    const { archive, status, reason } = ending;
    const label = status === 'failed' ? failureLabel(reason) : kindOfReason(reason);
    if (progress?.headSha256 !== undefined) this.hasHead(archive, progress.headSha256);
    this.#count('pgsluice_runs_total', { archive, status, reason: label }, 1);
    this.#count('pgsluice_segment_retries_total', { archive }, ending.retries);
    const counts = progress?.counts;
    for (const pause of PAUSE_REASONS) {
      const seconds = (progress?.pauses?.totalMsOf(pause) ?? 0) / 1000;
      if (seconds > 0) this.#count('pgsluice_pauses_seconds_total', { archive, reason: pause }, seconds);
    }
    if (progress !== undefined) this.#countRequestRetries(archive, progress);
    this.#count('pgsluice_aborted_uploads_total', { archive }, counts?.abortedUploads ?? 0);
    this.#count(
      'pgsluice_segments_total',
      { archive, outcome: 'done', reason: 'ok' },
      counts?.segmentsFinishedHere ?? 0,
    );
    for (const [code, attempts] of counts?.failures ?? [])
      this.#count('pgsluice_segments_total', { archive, outcome: 'failed', reason: failureLabel(code) }, attempts);
    if (status !== 'committed' || reason !== 'ok') return;
    this.#histograms.get('pgsluice_run_duration_seconds' satisfies Names<'histogram'>)?.observe(ending.seconds);
    this.#count('pgsluice_rows_total', { archive }, ending.rows);
    this.#count('pgsluice_json_bytes_total', { archive }, ending.jsonBytes);
    this.#count('pgsluice_stored_bytes_total', { archive }, ending.bytes);
  }

  /** The archive has a manifest of this digest as its latest one. */
  hasHead(archive: string, sha256: string): void {
    this.#heads.set(archive, sha256);
  }

  /** Counts how a purge ended. */
  purged({ archive, status, reason, totalsHere }: PurgeEnding): void {
    const label = ENDINGS_OF_PURGES.has(reason) ? reason : failureLabel(reason);
    this.#count('pgsluice_purges_total', { archive, status, reason: label }, 1);
    for (const outcome of OUTCOMES)
      this.#count('pgsluice_purged_rows_total', { archive, outcome }, totalsHere[outcome]);
  }

  /** Counts how a proof ended. */
  proved(archive: string, status: string, bytes: number): void {
    this.#count('pgsluice_proofs_total', { archive, status }, 1);
    this.#count('pgsluice_proved_bytes_total', { archive }, bytes);
  }

  /** Counts how a rehearsal ended. */
  rehearsed(archive: string, status: string, rows: number): void {
    this.#count('pgsluice_rehearsals_total', { archive, status }, 1);
    this.#count('pgsluice_rehearsed_rows_total', { archive }, rows);
  }

  caughtUp(archive: string): void {
    this.#count('pgsluice_catch_ups_total', { archive }, 1);
  }

  abortedUploads(archive: string, count: number): void {
    this.#count('pgsluice_aborted_uploads_total', { archive }, count);
  }

  delivered(kind: string, ok: boolean): void {
    this.#count('pgsluice_deliveries_total', { kind, result: ok ? 'ok' : 'failed' }, 1);
  }

  /** The text that Prometheus reads, and its type. */
  async text(): Promise<{ body: string; type: string }> {
    this.#readGauges();
    return { body: await this.#registry.metrics(), type: this.#registry.contentType };
  }

  #count(name: Names<'counter'>, labels: Record<string, string>, by: number): void {
    this.#counters.get(name)?.inc(labels, by);
  }

  /** Archives may have come or gone, so each gauge begins empty. */
  #readGauges(): void {
    for (const gauge of this.#gauges.values()) gauge.reset();
    const set = (name: Names<'gauge'>, value: number, labels: Record<string, string> = {}): void =>
      this.#gauges.get(name)?.set(labels, value);
    const parts = this.#parts();
    const { config, place } = parts.generation;
    set('pgsluice_build_info', 1, { version: TOOL.version, node: process.version });
    set('pgsluice_memory_limit_bytes', memorySum(config).totalBytes);
    set('pgsluice_worker_heap_limit_bytes', heapLimitBytes(config));
    set('pgsluice_array_buffer_bytes', process.memoryUsage().arrayBuffers);
    set('pgsluice_pool_threads', config.workers.threads);
    set('pgsluice_pool_active', place.load.active);
    set('pgsluice_pool_waiting', place.load.waiting);
    if (place.hosts !== undefined) {
      const live = place.hosts.filter(({ isLive }) => isLive);
      set('pgsluice_hosts', live.length, { state: 'live' });
      set('pgsluice_hosts', place.hosts.length - live.length, { state: 'silent' });
      set(
        'pgsluice_hosts_threads',
        live.reduce((sum, { threads }) => sum + threads, 0),
      );
    }
    for (const [slot, { heapBytes }] of parts.board.entries.flatMap(describeWorkers).entries())
      set('pgsluice_worker_heap_bytes', heapBytes, { slot: String(slot) });
    set('pgsluice_oldest_snapshot_age_seconds', oldestSnapshotAge(parts));
    const former = parts.former.found;
    if (former !== undefined) set('pgsluice_former_archives', former.length);
    const failing = new Set(parts.tables.failing.map(({ name }) => name));
    for (const entry of Object.keys(config.patterns))
      set('pgsluice_tables_failing', Number(failing.has(entry)), { entry });
    for (const archive of Object.keys(config.archives)) {
      readArchive(parts, archive, set);
      const sha256 = this.#heads.get(archive);
      if (sha256 !== undefined) set('pgsluice_archive_head_info', 1, { archive, sha256 });
    }
    for (const { archive, progress } of parts.board.entries)
      if (progress !== undefined) this.#countRequestRetries(archive, progress);
  }

  /** A run tells it while it is in progress, as that is when it matters. */
  #countRequestRetries(archive: string, progress: RunProgress): void {
    const retries = progress.requestRetries;
    this.#count('pgsluice_s3_retries_total', { archive }, retries - (this.#counted.get(progress) ?? 0));
    this.#counted.set(progress, retries);
  }
}

const ENDINGS_OF_PURGES: ReadonlySet<string> = new Set(['ok', 'asked', 'maxDuration', 'run-in-progress']);

/** In seconds; no less than 0, as it is the server's clock that says when it was taken. */
function oldestSnapshotAge({ board }: StateParts): number {
  const ages = board.entries.map(({ progress }) => Date.now() - (progress?.snapshotAt?.getTime() ?? Date.now()));
  return Math.max(0, ...ages) / 1000;
}

type SetGauge = (name: Names<'gauge'>, value: number, labels: Record<string, string>) => void;

function readArchive(parts: StateParts, archive: string, set: SetGauge): void {
  const labels = { archive };
  const standing = parts.standings.of(archive);
  const entry = parts.board.entryOf(archive);
  const now = new Date();
  if (standing?.lastSuccess !== undefined) readLastSuccess(standing.lastSuccess, labels, set);
  set('pgsluice_archive_late', Number(standing?.schedule === 'late'), labels);
  set('pgsluice_archive_failing', Number(standing?.health === 'failing'), labels);
  set('pgsluice_archive_paused', Number(standing?.schedule === 'paused'), labels);
  set('pgsluice_archive_running', Number(entry !== undefined && entry.state !== 'standby'), labels);
  set('pgsluice_archive_standby', Number(entry?.state === 'standby'), labels);
  readPurges(parts, archive, now, set);
  readWindows(parts, archive, set);
  readProofs(parts, archive, set);
  readRehearsals(parts, archive, set);
  set('pgsluice_archive_waiting_runs', parts.board.waitingOf(archive).length, labels);
  if (entry?.progress !== undefined) set('pgsluice_stalled_seconds', entry.progress.stall.seconds, labels);
  const pause = entry?.progress?.pause;
  if (entry !== undefined)
    for (const reason of PAUSE_REASONS)
      set('pgsluice_paused_seconds', pause?.reason === reason ? pause.seconds : 0, { archive, reason });
  const snapshotAt = entry?.state === 'running' ? entry.progress?.snapshotAt : undefined;
  if (snapshotAt !== undefined)
    set('pgsluice_run_snapshot_age_seconds', (now.getTime() - snapshotAt.getTime()) / 1000, labels);
  const slots = parts.schedule.slotsOf(archive);
  const next = parts.schedule.nextSlot(archive);
  if (slots === undefined || next === undefined) return;
  const due = parts.standings.oldestDue(archive, slots, now);
  set('pgsluice_archive_due_slot_age_seconds', due === undefined ? 0 : (now.getTime() - due.getTime()) / 1000, labels);
  const afterNext = slots.next(next);
  if (afterNext !== undefined)
    set('pgsluice_archive_interval_seconds', (afterNext.getTime() - next.getTime()) / 1000, labels);
}

/** Absent before the first look: 0 that are missing would be a promise. */
function readWindows({ calendars }: StateParts, archive: string, set: SetGauge): void {
  const summary = calendars.summaryOf(archive);
  if (summary === undefined) return;
  for (const state of WINDOW_STATES) set('pgsluice_windows', summary.counts[state] ?? 0, { archive, state });
}

/** Absent of an archive that the daemon does not purge. */
function readPurges({ purges, board }: StateParts, archive: string, now: Date, set: SetGauge): void {
  const standing = purges.of(archive);
  if (standing === undefined) return;
  const labels = { archive };
  const oldestMs = Math.min(now.getTime(), ...standing.due.map(({ dueMs }) => dueMs));
  set('pgsluice_archive_purging', Number(board.purgeOf(archive) !== undefined), labels);
  set('pgsluice_purge_due_runs', standing.due.length, labels);
  set('pgsluice_purge_oldest_due_seconds', (now.getTime() - oldestMs) / 1000, labels);
  set('pgsluice_purge_not_purgeable_runs', notPurgeable(standing).length, labels);
}

/** Absent of an archive that the daemon does not verify. */
function readProofs(parts: StateParts, archive: string, set: SetGauge): void {
  const standing = parts.audits.of(archive);
  if (standing === undefined) return;
  const labels = { archive };
  set('pgsluice_proof_different_runs', standing.different.length, labels);
  if (standing.runs === undefined) return;
  const runs = provable(standing);
  const everyMs = proofMayBeMs(parts);
  set('pgsluice_proof_runs', runs.length, labels);
  set('pgsluice_proof_due_runs', runs.filter(({ provedMs }) => isDue(provedMs, everyMs)).length, labels);
  set('pgsluice_proof_unproved_runs', runs.filter(isUnproved).length, labels);
  const last = lastProof(standing);
  if (last !== null) set('pgsluice_proof_last_timestamp_seconds', Date.parse(last.at) / 1000, labels);
  const unproved = oldestOf(runs.filter(isUnproved));
  if (unproved !== undefined)
    set('pgsluice_proof_oldest_unproved_timestamp_seconds', provedOf(unproved) / 1000, labels);
  const oldest = oldestOf(runs);
  if (oldest !== undefined) set('pgsluice_proof_oldest_timestamp_seconds', provedOf(oldest) / 1000, labels);
}

/** Absent of an archive that is not rehearsed. */
function readRehearsals({ rehearsals }: StateParts, archive: string, set: SetGauge): void {
  const standing = rehearsals.of(archive);
  if (standing === undefined) return;
  const labels = { archive };
  set('pgsluice_rehearsal_failing', Number((standing.failure ?? standing.unknown) !== undefined), labels);
  if (standing.findings === undefined) return;
  const { runs, results } = standing.findings;
  const equal = ({ status }: { status: string }): boolean => status === 'equal';
  set('pgsluice_rehearsal_runs', runs.length, labels);
  set('pgsluice_rehearsal_rehearsed_runs', resultsOf(standing).filter(equal).length, labels);
  set('pgsluice_rehearsal_different_runs', differentOf(standing).length, labels);
  const last = latest(results.filter(equal));
  if (last !== undefined) set('pgsluice_rehearsal_last_success_timestamp_seconds', Date.parse(last.at) / 1000, labels);
}

function readLastSuccess({ finishedAt, seconds }: LastSuccess, labels: Record<string, string>, set: SetGauge): void {
  set('pgsluice_archive_last_success_timestamp_seconds', Date.parse(finishedAt) / 1000, labels);
  set('pgsluice_archive_last_run_seconds', seconds, labels);
}

function gauge<const N extends string>(name: N, labels: readonly string[], help: string) {
  return { name, kind: 'gauge', labels, help } as const;
}

function counter<const N extends string>(name: N, labels: readonly string[], help: string) {
  return { name, kind: 'counter', labels, help } as const;
}

function histogram<const N extends string>(name: N, labels: readonly string[], help: string) {
  return { name, kind: 'histogram', labels, help } as const;
}
