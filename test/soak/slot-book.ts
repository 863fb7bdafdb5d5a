/** What became of each slot: kept by what the history says and by what lies in the destination, read at the end. */
import type { RunEnding } from '../../src/daemon/run-ending.ts';
import { formatRunId } from '../../src/ledger/run-id.ts';
import type { SaidSkip } from './skips.ts';

/** How one slot ended at last. */
export type SlotOutcome = 'committed' | `skipped: ${string}` | `failed: ${string}` | 'nothing is said';

export interface SlotReport {
  slots: number;
  /** Slots by outcome, over all archives. */
  outcomes: Map<SlotOutcome, number>;
  /** Slots of which no history and no manifest tells. */
  untold: string[];
  /** Skips without a reason, and such whose reason is not true: left out for good, and committed all the same. */
  untrue: string[];
}

interface Slot {
  isCommitted: boolean;
  last: RunEnding | undefined;
  reasons: string[];
  /** When it was said to be left out for good, and when it was said to be committed. */
  leftOutMs: number[];
  committedMs: number[];
}

/** Said at a start of what passed before it. A later start may know better, and take the slot's run up. */
const LEFT_OUT = 'not caught up';

/** Ids of endings that were seen, so that each counts once; those of the last reads suffice. */
const MOST_SEEN = 20_000;

export class SlotBook {
  readonly #slots = new Map<string, Slot>();
  readonly #seen = new Set<string>();
  readonly skips: SaidSkip[] = [];
  /** Attempts that failed, by code. */
  readonly failures = new Map<string, number>();

  /** Takes in rows of the history, newest first, most of them again. */
  add(endings: readonly RunEnding[]): void {
    for (const ending of endings.toReversed()) {
      const { archive, run, status, reason, finishedAt, startedAt } = ending;
      const id = [archive, run, status, reason, startedAt, finishedAt].join(' ');
      if (this.#seen.has(id)) continue;
      this.#remember(id);
      const slot = this.#slotOf(archive, run);
      slot.last = ending;
      if (status === 'committed') {
        slot.isCommitted = true;
        slot.committedMs.push(Date.parse(finishedAt));
      }
      if (status === 'failed') this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
      if (status !== 'skipped') continue;
      slot.reasons.push(reason);
      if (reason === LEFT_OUT) slot.leftOutMs.push(Date.parse(finishedAt));
      this.skips.push({ archive, run, reason, atMs: Date.parse(finishedAt) });
    }
  }

  /** A manifest lies in the destination. */
  committed(archive: string, run: string): void {
    this.#slotOf(archive, run).isCommitted = true;
  }

  /** What became of the slots of these archives, every `intervalMs`, after the first start and before `untilMs`. */
  report(archives: readonly string[], intervalMs: number, startsMs: readonly number[], untilMs: number): SlotReport {
    const report: SlotReport = { slots: 0, outcomes: new Map(), untold: [], untrue: [] };
    const [fromMs = untilMs] = startsMs;
    for (let ms = Math.floor(fromMs / intervalMs + 1) * intervalMs; ms < untilMs; ms += intervalMs)
      for (const archive of archives) this.#judge(report, archive, formatRunId(new Date(ms)), startsMs);
    return report;
  }

  #judge(report: SlotReport, archive: string, run: string, startsMs: readonly number[]): void {
    const slot = this.#slots.get(keyOf(archive, run));
    const outcome = outcomeOf(slot);
    report.slots += 1;
    report.outcomes.set(outcome, (report.outcomes.get(outcome) ?? 0) + 1);
    if (outcome === 'nothing is said') report.untold.push(`${archive} ${run}`);
    if (slot?.reasons.includes('') === true) report.untrue.push(`${archive} ${run}: skipped without a reason`);
    if (slot !== undefined && isTakenBack(slot, startsMs))
      report.untrue.push(`${archive} ${run}: skipped as "${LEFT_OUT}", and committed by the same process`);
  }

  #slotOf(archive: string, run: string): Slot {
    const key = keyOf(archive, run);
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const slot: Slot = { isCommitted: false, last: undefined, reasons: [], leftOutMs: [], committedMs: [] };
    this.#slots.set(key, slot);
    return slot;
  }

  #remember(id: string): void {
    this.#seen.add(id);
    const [oldest] = this.#seen;
    if (this.#seen.size > MOST_SEEN && oldest !== undefined) this.#seen.delete(oldest);
  }
}

function outcomeOf(slot: Slot | undefined): SlotOutcome {
  if (slot === undefined || (!slot.isCommitted && slot.last === undefined)) return 'nothing is said';
  if (slot.isCommitted) return 'committed';
  return slot.last?.status === 'skipped' ? `skipped: ${slot.last.reason}` : `failed: ${slot.last?.reason ?? ''}`;
}

function isTakenBack({ leftOutMs, committedMs }: Slot, startsMs: readonly number[]): boolean {
  return leftOutMs.some((leftMs) =>
    committedMs.some(
      (doneMs) => doneMs >= leftMs && !startsMs.some((startMs) => startMs > leftMs && startMs <= doneMs),
    ),
  );
}

function keyOf(archive: string, run: string): string {
  return `${archive} ${run}`;
}
