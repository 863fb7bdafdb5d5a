/**
 * Whether each slot that was skipped has its reason in all three places: a line of the log, a row of the history, a count in
 * the metrics. No clock is believed to be finer than a request: what was said during one may be counted by it or not.
 */

/** A skip as one place tells it; milliseconds. */
export interface SaidSkip {
  archive: string;
  run: string;
  reason: string;
  atMs: number;
}

/** What the metrics of one process counted as skipped, by archive and reason, asked between these two times. */
export interface CountedSkips {
  fromMs: number;
  untilMs: number;
  counts: ReadonlyMap<string, number>;
}

/** The daemon is killed: what it said last may not have come to its history any more. */
const AT_A_KILL_MS = 100;

/** Skips by archive and reason in the text of the metrics. */
export function readSkipCounts(metrics: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [, labels = '', value] of metrics.matchAll(/^pgsluice_runs_total\{([^}]*)\} (\d+)$/gm)) {
    if (!labels.includes('status="skipped"')) continue;
    const [, archive = ''] = /archive="([^"]*)"/.exec(labels) ?? [];
    const [, reason = ''] = /reason="([^"]*)"/.exec(labels) ?? [];
    counts.set(nameOf(archive, reason), Number(value));
  }
  return counts;
}

/** Of one process: what its metrics count as skipped and its log does not say, or the other way round. */
export function compareWithMetrics(said: readonly SaidSkip[], { fromMs, untilMs, counts }: CountedSkips): string[] {
  const names = new Set([...counts.keys(), ...said.map(({ archive, reason }) => nameOf(archive, reason))]);
  return [...names].flatMap((name) => {
    const times = said.filter(({ archive, reason }) => nameOf(archive, reason) === name).map(({ atMs }) => atMs);
    const atLeast = times.filter((atMs) => atMs < fromMs).length;
    const atMost = times.filter((atMs) => atMs <= untilMs).length;
    const counted = counts.get(name) ?? 0;
    return counted >= atLeast && counted <= atMost
      ? []
      : [`${name}: ${counted} in the metrics, ${atLeast} to ${atMost} in the log`];
  });
}

/** What the log says and the history does not, or the other way round. `killsMs` are the times of kills. */
export function compareWithHistory(
  said: readonly SaidSkip[],
  kept: readonly SaidSkip[],
  killsMs: readonly number[],
): string[] {
  const lacks = (from: readonly SaidSkip[], other: readonly SaidSkip[], where: string): string[] => {
    const there = new Map<string, number>();
    for (const skip of other) there.set(idOf(skip), (there.get(idOf(skip)) ?? 0) + 1);
    return from.flatMap((skip) => {
      const left = there.get(idOf(skip)) ?? 0;
      there.set(idOf(skip), left - 1);
      return left > 0 || killsMs.some((killMs) => Math.abs(killMs - skip.atMs) < AT_A_KILL_MS)
        ? []
        : [`${idOf(skip)} is not in the ${where}`];
    });
  };
  return [...lacks(said, kept, 'history'), ...lacks(kept, said, 'log')];
}

function idOf({ archive, run, reason }: SaidSkip): string {
  return `${archive} ${run}, skipped as "${reason}",`;
}

function nameOf(archive: string, reason: string): string {
  return `${archive} skipped as "${reason}"`;
}
