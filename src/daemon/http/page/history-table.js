// @ts-check
/** The table of runs that have ended. */
import { otherHostOf } from './attempts.js';
import { badge } from './badge.js';
import { h, setChildren, time } from './dom.js';
import { bytes, count, dateTime, duration, NOTHING, rate } from './format.js';
import { runPath } from './paths.js';
import { createTable, tableRow } from './table.js';
import { cut } from './text.js';

/** @import { RunEnding } from '../../run-ending.ts' */

const COLUMNS = [
  { label: 'Archive' },
  { label: 'Run' },
  { label: 'Status' },
  { label: 'Duration', isFigure: true },
  { label: 'Rows', isFigure: true },
  { label: 'Stored', isFigure: true },
  { label: 'Speed', isFigure: true },
  { label: 'Finished' },
];

const MOST_OF_A_NAME = 200;
/** A browser shows no more of a title. */
const MOST_OF_A_TITLE = 1000;

export function createHistoryTable() {
  const { element, body } = createTable('Runs that have ended, latest first', COLUMNS);
  const update = (/** @type {RunEnding[]} */ runs) => {
    setChildren(body, runs.map(historyRow));
    element.hidden = runs.length === 0;
  };
  return { element, update };
}

/** @param {RunEnding} run */
function historyRow(run) {
  return tableRow(COLUMNS, [
    h('span', { class: 'run-archive clamp', title: run.archive }, cut(run.archive, MOST_OF_A_NAME)),
    h('a', { class: 'mono', href: runPath(run.archive, run.run) }, run.run),
    statusCell(run),
    duration(run.seconds),
    count(run.rows),
    bytes(run.bytes),
    run.seconds > 0 && run.rows > 0 ? rate(run.rows / run.seconds) : NOTHING,
    time(run.finishedAt, dateTime(run.finishedAt)),
  ]);
}

/** @param {RunEnding} run */
function statusCell(run) {
  const { status, error, reason } = run;
  const facts = [error?.code ?? (status === 'skipped' ? reason : ''), otherHostOf(run), pauseOf(run)].filter(
    (fact) => fact !== '',
  );
  const why = facts.length === 0 ? undefined : facts.join(', ');
  const title = cut(error?.message ?? reason, MOST_OF_A_TITLE);
  const note = why === undefined ? undefined : h('span', { class: 'note', title }, cut(why, MOST_OF_A_NAME));
  return h('span', { class: 'row' }, badge(status), note);
}

/**
 * For how long it was held up by its pace.
 * @param {RunEnding} run
 */
function pauseOf({ pausedSeconds }) {
  return pausedSeconds > 0 ? `paused for ${duration(pausedSeconds)}` : '';
}
