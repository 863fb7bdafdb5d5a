// @ts-check
/** What of an archive somebody should look at, whatever else it does; and which archive comes before which. */

/**
 * @import { ArchiveState } from '../../view/state.ts'
 * @typedef {'failing' | 'damaged' | 'late' | 'held'} Trouble
 * @typedef {ArchiveState['state'] | Trouble} Word
 */

/**
 * How urgent it is; the first comes first.
 * @type {Word[]}
 */
export const URGENCY = ['failing', 'damaged', 'late', 'held', 'running', 'standby', 'never', 'paused', 'ok'];

/**
 * The most urgent first.
 * @param {ArchiveState} archive
 * @returns {Trouble[]}
 */
export function troublesOf({ failing, late, proof, rehearsal, purge }) {
  const isDamaged = (proof?.differentRuns ?? 0) > 0 || (rehearsal?.differentRuns ?? 0) > 0;
  const isHeld = purge !== null && (purge.notPurgeableRuns > 0 || purge.failure !== null);
  /** @type {[boolean, Trouble][]} */
  const all = [
    [failing, 'failing'],
    [isDamaged, 'damaged'],
    [late, 'late'],
    [isHeld, 'held'],
  ];
  return all.flatMap(([holds, trouble]) => (holds ? [trouble] : []));
}

/**
 * All that can be said of it in a word: what is wrong first.
 * @param {ArchiveState} archive
 * @returns {Word[]}
 */
export function wordsOf(archive) {
  /** @type {Word[]} */
  const words = [...troublesOf(archive), archive.state, ...(archive.paused ? [/** @type {Word} */ ('paused')] : [])];
  // Of one that is damaged, or whose purge is held, it is no news that it runs on schedule.
  const all = [...new Set(words)];
  return all.length > 1 ? all.filter((word) => word !== 'ok') : all;
}

/** @param {ArchiveState} archive */
export function urgencyOf(archive) {
  return Math.min(...wordsOf(archive).map((word) => URGENCY.indexOf(word)));
}
