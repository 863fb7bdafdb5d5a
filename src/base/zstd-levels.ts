/** What zstd allocates at each level: its own table for content of unknown size (clevels.h of zstd 1.5). */

/** For JSON Lines, mostly smaller than level 3 in half of the time: docs/benchmarks.md. */
export const ZSTD_DEFAULT_LEVEL = 1;

/** Binary logarithms by level, from 1: bytes of the window, entries of the chains, entries of the hash table. */
const LOGS: readonly (readonly [window: number, chains: number, hash: number])[] = [
  [19, 13, 14],
  [20, 15, 16],
  [21, 16, 17],
  [21, 18, 18],
  [21, 18, 19],
  [21, 18, 19],
  [21, 19, 20],
  [21, 19, 20],
  [22, 20, 21],
  [22, 21, 22],
  [22, 21, 22],
  [22, 22, 23],
  [22, 22, 22],
  [22, 22, 23],
  [22, 23, 23],
  [22, 22, 22],
  [23, 23, 22],
  [23, 23, 22],
  [23, 24, 22],
  [25, 25, 23],
  [26, 26, 24],
  [27, 27, 25],
];
const ENTRY_BYTES = 4;

/** How far back a stream of that level looks; a decompressor holds as much. */
export function zstdWindowBytes(level = ZSTD_DEFAULT_LEVEL): number {
  return 2 ** logsOf(level)[0];
}

/** The tables that a compressor of that level finds repetitions with. */
export function zstdTableBytes(level = ZSTD_DEFAULT_LEVEL): number {
  const [, chains, hash] = logsOf(level);
  return ENTRY_BYTES * (2 ** chains + 2 ** hash);
}

function logsOf(level: number): (typeof LOGS)[number] {
  const logs = LOGS[level - 1];
  if (logs === undefined) throw new RangeError(`zstd has no level ${level}`);
  return logs;
}
