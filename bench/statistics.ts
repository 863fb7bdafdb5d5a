/** What several rounds come to. */
import type { Measurement } from './measure.ts';

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return { median: (low + high) / 2, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

export function medianOf(values: readonly number[]): number {
  return spreadOf(values).median;
}

/** CPU seconds, and bytes. */
export interface Summary {
  seconds: Spread;
  cpuSeconds: number;
  serverCpuSeconds: number;
  peakRssBytes: number;
}

export function summaryOf(runs: readonly Measurement[]): Summary {
  return {
    seconds: spreadOf(runs.map(({ seconds }) => seconds)),
    cpuSeconds: medianOf(runs.map(({ cpuSeconds }) => cpuSeconds)),
    serverCpuSeconds: medianOf(runs.map(({ serverCpuSeconds }) => serverCpuSeconds)),
    peakRssBytes: Math.max(...runs.map(({ peakRssBytes }) => peakRssBytes)),
  };
}
