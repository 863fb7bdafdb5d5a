/**
 * Finds out which archives are late. Before one is called late, its destination is asked, as another host may have
 * archived it.
 */
import type { Log } from '../../base/log.ts';
import type { ArchiveConfig } from '../../config/schema.ts';
import type { ManifestSummary } from '../../ledger/manifest.ts';
import { isOverdue, type Standings } from './standings.ts';
import type { Schedule } from './schedule.ts';

export interface LatenessParts {
  schedule: Schedule;
  standings: Standings;
  log: Log;
  /** Asks the destination for its latest run; undefined when it has none or cannot be asked. Never rejects. */
  findLatest: (archive: ArchiveConfig) => Promise<ManifestSummary | undefined>;
  /** Whether no window of the archive is missing, by its source and its destination. Never rejects. */
  isComplete: (archive: ArchiveConfig) => Promise<boolean>;
  /** For how long the run in progress of an archive was held up by its pace. */
  pausedMs: (archive: string) => number;
  onLate: (archive: string, slot: Date) => void;
  changed: () => void;
}

export class Lateness {
  readonly #parts: LatenessParts;
  /** Archives whose destination is being asked. */
  readonly #asking = new Set<string>();
  #isClosed = false;

  constructor(parts: LatenessParts) {
    this.#parts = parts;
  }

  /** To be called every second or so. */
  look(archives: readonly ArchiveConfig[], now = new Date()): void {
    if (this.#isClosed) return;
    for (const archive of archives) {
      const { name } = archive;
      const isLate = this.#parts.standings.of(name)?.schedule === 'late';
      const due = this.#overdueSlot(archive, now);
      if (due === undefined && isLate) this.#over(name);
      if (due !== undefined && !isLate && !this.#asking.has(name)) void this.#confirm(archive);
    }
  }

  /** Nothing is called late from now on, whatever a destination answers that was asked before. */
  close(): void {
    this.#isClosed = true;
  }

  /** The oldest slot that is due, when it is overdue. */
  #overdueSlot({ name, lateAfterMs }: ArchiveConfig, now: Date): Date | undefined {
    const { schedule, standings } = this.#parts;
    const slots = schedule.slotsOf(name);
    const due = slots && standings.oldestDue(name, slots, now);
    if (slots === undefined || due === undefined) return undefined;
    return isOverdue(due, slots, lateAfterMs, now, this.#parts.pausedMs(name)) ? due : undefined;
  }

  #latestSlot({ name }: ArchiveConfig, now: Date): Date | undefined {
    const { schedule, standings } = this.#parts;
    const after = standings.settledUntil(name);
    return after && schedule.slotsOf(name)?.between(after, now, 1).at(-1);
  }

  async #confirm(archive: ArchiveConfig): Promise<void> {
    const { name } = archive;
    const { standings, log, findLatest, onLate, changed } = this.#parts;
    this.#asking.add(name);
    const latestSlot = this.#latestSlot(archive, new Date());
    const latest = await findLatest(archive);
    const isComplete = archive.window !== undefined && (await this.#parts.isComplete(archive));
    this.#asking.delete(name);
    if (this.#isClosed) return;
    if (latest !== undefined) standings.found(name, latest);
    if (isComplete && latestSlot !== undefined) standings.settleSlot(name, latestSlot);
    const due = this.#overdueSlot(archive, new Date());
    if (due === undefined) return;
    standings.setLate(name, true);
    log.warn({ archive: name, slot: due.toISOString() }, 'archive is late: a slot is overdue');
    onLate(name, due);
    changed();
  }

  #over(archive: string): void {
    this.#parts.standings.setLate(archive, false);
    this.#parts.log.info({ archive }, 'archive is no longer late');
    this.#parts.changed();
  }
}
