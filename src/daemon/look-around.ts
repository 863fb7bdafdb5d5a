/** Learns from the destinations what was archived and what was left unfinished, takes that up, and then catches up. */
import type { ArchiveConfig } from '../config/schema.ts';
import { FairQueue } from '../work/fair-queue.ts';
import type { History } from './history/history.ts';
import type { Leftovers } from './leftovers.ts';
import type { Purges } from './purges.ts';
import type { RunBoard } from './run-board.ts';
import type { DueRuns } from './slots/due-runs.ts';
import type { Standings } from './slots/standings.ts';
import type { Metrics } from './view/metrics.ts';

export interface LookAroundParts {
  board: RunBoard;
  due: DueRuns;
  purges: Purges;
  standings: Standings;
  history: History;
  metrics: Metrics;
  /** What the destination holds of the archive; see leftovers.ts. Never rejects. */
  findLeftovers: (archive: ArchiveConfig) => Promise<Leftovers>;
  isStopping: () => boolean;
  changed: () => void;
}

/** Archives that are looked at in their destinations at once. */
const LOOKED_AT_ONCE = 4;

export class LookAround {
  readonly #parts: LookAroundParts;

  constructor(parts: LookAroundParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when all have been looked at. Slots that come meanwhile wait: the lock is taken, and what was left goes
   * first.
   */
  async lookAt(archives: readonly ArchiveConfig[]): Promise<void> {
    const places = new FairQueue(LOOKED_AT_ONCE);
    const never = new AbortController().signal;
    const look = (archive: ArchiveConfig): Promise<void> =>
      this.#parts.board.hold(archive.name, () => places.run(archive.name, never, () => this.#lookAt(archive)));
    await Promise.all(archives.map(look));
  }

  async #lookAt(archive: ArchiveConfig): Promise<void> {
    const { findLeftovers, isStopping } = this.#parts;
    if (isStopping()) return;
    const found = await findLeftovers(archive);
    // The history may be closed by now.
    if (isStopping()) return;
    const { name } = archive;
    const { board, due, purges, standings, history, metrics, changed } = this.#parts;
    if (found.latest !== undefined) standings.found(name, found.latest);
    metrics.abortedUploads(name, found.abortedUploads);
    if (found.headSha256 !== undefined) metrics.hasHead(name, found.headSha256);
    for (const run of found.unfinished)
      if (!history.wasCancelled(name, run))
        board.offer(name, { run, trigger: 'taken up', whenBusy: 'append', isWindow: true });
    due.begin(archive);
    purges.offer(name);
    changed();
  }
}
