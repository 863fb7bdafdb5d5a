/** What the soak says at its end, and whether it is good. */
import { formatBytes, formatCount, formatDuration } from '../../src/base/units.ts';
import type { Sample } from './lives.ts';
import type { SlotReport } from './slot-book.ts';
import { trendOf, type Trend } from './trend.ts';

export interface Findings {
  seed: number;
  seconds: number;
  starts: number;
  kills: number;
  /** Disturbances by name. */
  disturbances: ReadonlyMap<string, number>;
  transfers: number;
  /** Of the longest life. */
  samples: readonly Sample[];
  slots: SlotReport;
  /** Skips that the log and the history have; the metrics of a life are compared as it ends. */
  skips: { said: number; kept: number; byReason: ReadonlyMap<string, number> };
  /** Attempts that failed, by code. */
  failures: ReadonlyMap<string, number>;
  /** Warnings and errors of the log by message. */
  troubles: ReadonlyMap<string, number>;
  runs: { verified: number; resumed: number; removed: number };
  /** What was left in the end. */
  left: { sessions: number; uploads: string[]; unfinished: string[]; journals: string[] };
  /** Whatever else was found on the way. */
  problems: readonly string[];
}

/** What the start of a life fills for good: compiled code, threads, caches. */
const WARM_UP_PART = 0.1;

const MIB = 1024 ** 2;

/** Codes of failures that are a fault of our own, whatever is done to the daemon. */
const OUR_FAULT = new Set(['internal', 'object-changed', 'row-lost', 'taken-over']);

export function trendsOf(samples: readonly Sample[]): Trend[] {
  const warm = samples.slice(Math.ceil(samples.length * WARM_UP_PART));
  const of = (name: keyof Sample): number[] => warm.map((sample) => sample[name]);
  return [
    trendOf({ name: 'RSS', values: of('rssBytes'), tolerance: { part: 0.1, absolute: 16 * MIB } }),
    trendOf({ name: 'heap', values: of('heapBytes'), tolerance: { part: 0.15, absolute: 6 * MIB } }),
    trendOf({ name: 'descriptors', values: of('descriptors'), tolerance: { part: 0.25, absolute: 12 } }),
    trendOf({ name: 'connections', values: of('connections'), tolerance: { part: 0.25, absolute: 3 } }),
  ].filter((trend) => trend !== undefined);
}

/** All that is wrong, a line for each. */
export function judge(findings: Findings): string[] {
  const { slots, left, failures, problems, runs } = findings;
  const grown = trendsOf(findings.samples).filter(({ hasGrown }) => hasGrown);
  const faults = [...failures].filter(([code]) => OUR_FAULT.has(code));
  return [
    ...problems,
    ...grown.map((trend) => `${trend.name} has grown: ${describeChange(trend)}`),
    ...slots.untold.map((slot) => `${slot}: nothing tells what became of this slot`),
    ...slots.untrue,
    ...faults.map(([code, times]) => `${times} attempts failed with ${code}`),
    ...(runs.verified === 0 ? ['no run was committed'] : []),
    ...(left.sessions === 0 ? [] : [`${left.sessions} sessions are left at the source`]),
    ...left.uploads.map((key) => `an unfinished upload is left: ${key}`),
    ...left.unfinished.map((run) => `an unfinished run is left: ${run}`),
    ...left.journals.map((key) => `a journal of a committed run is left: ${key}`),
  ];
}

export function describe(findings: Findings): string {
  const { slots, skips, runs, left } = findings;
  const longest = findings.samples.at(-1)?.ageMs ?? 0;
  return [
    `soak of ${formatDuration(findings.seconds * 1000)}, seed ${findings.seed}`,
    `daemon: ${findings.starts} starts, ${findings.kills} SIGKILLs; its longest life was ${formatDuration(longest)}`,
    `disturbances: ${list(findings.disturbances)}`,
    `application: ${formatCount(findings.transfers)} transfers`,
    '',
    'over the longest life, median of its first and of its last third:',
    ...trendsOf(findings.samples).map((trend) => `  ${trend.name.padEnd(12)} ${describeChange(trend)}`),
    '',
    `slots: ${formatCount(slots.slots)}: ${list(slots.outcomes)}`,
    `skipped: ${skips.said} in the log, ${skips.kept} in the history: ${list(skips.byReason)}`,
    `attempts that failed: ${list(findings.failures)}`,
    `warnings and errors: ${list(findings.troubles)}`,
    `committed runs: ${formatCount(runs.verified)} verified, ${runs.resumed} of them resumed; ${runs.removed} removed when old`,
    `left: ${left.sessions} sessions, ${left.uploads.length} uploads, ${left.unfinished.length} unfinished runs, ${left.journals.length} objects of journals`,
    '',
  ].join('\n');
}

function describeChange({ name, first, last, most }: Trend): string {
  const inBytes = name === 'RSS' || name === 'heap';
  const [from, to, top] = [first, last, most].map((value) => (inBytes ? formatBytes(value) : formatCount(value)));
  return `${from} to ${to}, at most ${top}`;
}

function list(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.length === 0 ? 'none' : sorted.map(([name, times]) => `${times} ${name}`).join(', ');
}
