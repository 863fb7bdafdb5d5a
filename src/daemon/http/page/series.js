// @ts-check
/** The samples of memory as columns that a chart can draw, and as a sentence. */
import { bytes, count } from './format.js';

/**
 * @import { State } from '../../view/state.ts'
 * @typedef {State['memory']} Memory
 * @typedef {{ rss: number, heap: number }} Limits in bytes
 */

/**
 * Columns of the chart: seconds since the epoch, rows since the first sample, and bytes, which are null where there are none.
 * @typedef {[times: number[], rows: number[], rss: (number | null)[], heap: (number | null)[]]} Columns
 */

/** A gap between samples that is longer than this says nothing of what was within: lines end before it. */
const LONGEST_STEP_S = 10;

/**
 * @param {Memory['samples']} samples
 * @returns {Columns}
 */
export function toColumns(samples) {
  /** @type {Columns} */
  const columns = [[], [], [], []];
  const [times, rows, rss, heap] = columns;
  const firstRows = samples[0]?.[4] ?? 0;
  for (const [atMs, rssBytes, heapBytes, , rowsSoFar] of samples) {
    const at = atMs / 1000;
    const before = times.at(-1) ?? at;
    // The clock was set back.
    if (at < before) continue;
    if (at - before > LONGEST_STEP_S) {
      times.push(before + 1);
      rows.push(rows.at(-1) ?? 0);
      rss.push(null);
      heap.push(null);
    }
    times.push(at);
    rows.push(rowsSoFar - firstRows);
    rss.push(rssBytes);
    heap.push(heapBytes === 0 ? null : heapBytes);
  }
  return columns;
}

/**
 * What the chart shows, for those who do not see it.
 * @param {Memory} memory
 * @param {Columns} columns
 * @param {Limits} limits
 */
export function describe(memory, [times, rows, rss, heap], limits) {
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined || times.length < 2) return 'No samples of memory yet.';
  const most = (/** @type {(number | null)[]} */ column) => bytes(Math.max(...column.map(Number)));
  return (
    `Memory over the last ${Math.round((last - first) / 60)} minutes. Resident memory is at ` +
    `${bytes(memory.rssBytes)} of a limit of ${bytes(limits.rss)}, at most ${most(rss)}. The largest worker heap was at ` +
    `most ${most(heap)} of a limit of ${bytes(limits.heap)}. ${count(rows.at(-1))} rows were archived meanwhile.`
  );
}
