/** Chance that can be had again: a test prints its seed, and PGSLUICE_TEST_SEED gives it back. */

export interface Random {
  readonly seed: number;
  /** From `low` to `high`, both included. */
  integer: (low: number, high: number) => number;
  pick: <T>(items: readonly T[]) => T;
}

/** The seed of the environment, or one that no test had before. */
export function newSeed(): number {
  return Number(process.env['PGSLUICE_TEST_SEED'] ?? Date.now() % 1e9);
}

export function openRandom(seed = newSeed()): Random {
  let state = seed >>> 0;
  // mulberry32
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return { seed, integer, pick: (items) => items[integer(0, items.length - 1)]! };
}
