/** What changes during runs: rows a second of each, and memory over the last ten minutes. */
import type { RunProgress } from '../../work/progress.ts';
import type { BoardEntry } from '../run-board.ts';

/**
 * Epoch ms, resident bytes of the process, bytes of the largest worker heap, rows a second over all runs, rows since
 * the start.
 */
export type Sample = readonly [number, number, number, number, number];

const MOST_SAMPLES = 600;
const RATE_OVER_MS = 5000;

interface Mark {
  atMs: number;
  rows: number;
}

export class Live {
  readonly #samples: Sample[] = [];
  readonly #marks = new WeakMap<BoardEntry, Mark[]>();
  /** Of all runs since the start; segments that are begun again count once. */
  #rows = 0;
  readonly #counted = new WeakMap<RunProgress, number>();

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  /** To be called once a second while anything runs, and now and then besides. */
  sample(entries: readonly BoardEntry[], nowMs: number): void {
    for (const entry of entries) {
      this.#mark(entry, nowMs);
      this.#count(entry.progress);
    }
    const rowsPerSecond = entries.reduce((sum, entry) => sum + this.rowsPerSecond(entry), 0);
    const heaps = entries.flatMap(({ progress }) =>
      [...(progress?.segments.in('running') ?? [])].map(({ heapBytes }) => heapBytes),
    );
    const heapBytes = Math.max(0, ...heaps);
    this.#samples.push([nowMs, process.memoryUsage.rss(), heapBytes, Math.round(rowsPerSecond), this.#rows]);
    if (this.#samples.length > MOST_SAMPLES) this.#samples.shift();
  }

  /** A run is over: its last rows, which no sample has seen. */
  ended(progress: RunProgress | undefined): void {
    this.#count(progress);
  }

  /** Over the last seconds. */
  rowsPerSecond(entry: BoardEntry): number {
    const marks = this.#marks.get(entry) ?? [];
    const [first, last] = [marks[0], marks.at(-1)];
    if (first === undefined || last === undefined || last.atMs === first.atMs) return 0;
    // Segments that are begun again lose rows.
    return Math.max(0, ((last.rows - first.rows) * 1000) / (last.atMs - first.atMs));
  }

  #count(progress: RunProgress | undefined): void {
    if (progress === undefined) return;
    const rows = progress.snapshot()?.rows ?? 0;
    const counted = this.#counted.get(progress) ?? 0;
    this.#rows += Math.max(0, rows - counted);
    this.#counted.set(progress, Math.max(rows, counted));
  }

  #mark(entry: BoardEntry, nowMs: number): void {
    const rows = entry.progress?.snapshot()?.rows;
    if (rows === undefined) return;
    const marks = this.#marks.get(entry) ?? [];
    marks.push({ atMs: nowMs, rows });
    while ((marks[0]?.atMs ?? nowMs) < nowMs - RATE_OVER_MS) marks.shift();
    this.#marks.set(entry, marks);
  }
}
