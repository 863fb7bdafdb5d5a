// @ts-check
/** What a purge does and did: of an archive in one line, of a run in a panel. */
import { h, setChildren, setText, time } from './dom.js';
import { failureLines } from './failure.js';
import { age, count, dateTime, duration, plural } from './format.js';
import { cut } from './text.js';

/**
 * @import { Totals } from '../../../ledger/purge.ts'
 * @import { PurgeState } from '../../view/purge-state.ts'
 * @import { RunDetail } from '../../view/run-detail.ts'
 */

const MOST_OF_A_RUN = 40;
const MOST_OF_A_PAUSE = 300;

/** Why lines stayed, or were not there. */
const WORDS = Object.entries({
  deleted: 'deleted',
  absent: 'not there any more',
  changed: 'changed since',
  locked: 'locked by somebody',
  referenced: 'referred to by other rows',
  inexact: 'with values that a line does not tell',
  kept: 'kept by a trigger',
});

/** @param {Totals} totals */
export function outcomes(totals) {
  const found = WORDS.flatMap(([outcome, words]) => {
    const lines = totals[/** @type {keyof Totals} */ (outcome)];
    return lines > 0 ? [`${count(lines)} ${words}`] : [];
  });
  return found.length === 0 ? 'no rows' : found.join(', ');
}

/** One line below the facts of an archive, with the first of what does not go. */
export function createPurgeLine() {
  const text = h('span');
  const failure = h('div');
  const element = h('div', { class: 'purge', hidden: true }, h('p', {}, h('strong', {}, 'Purge '), text), failure);
  /** @type {string | undefined} */
  let shown;
  const update = (/** @type {PurgeState | null} */ purge) => {
    element.hidden = purge === null;
    if (purge === null) return;
    setText(text, parts(purge).join(' · '));
    const [first = purge.failure] = purge.notPurgeable;
    const key = JSON.stringify(first);
    if (key === shown) return;
    shown = key;
    setChildren(failure, first === null ? [] : failureLines(first));
  };
  return { element, update };
}

/** @param {PurgeState} purge */
function parts({ current, due, oldestDue, last, notPurgeableRuns }) {
  const run = (/** @type {string} */ name) => cut(name, MOST_OF_A_RUN);
  const sinceMs = oldestDue === null ? 0 : Date.now() - Date.parse(oldestDue.since);
  return [
    current === null ? '' : describeCurrent(current, run(current.run)),
    due > 0 ? `${plural(due, 'run')} due, the oldest since ${age(Math.max(0, sinceMs / 1000))}` : 'nothing is due',
    last === null ? '' : `last ${run(last.run)} ${last.status}: ${outcomes(last.totals)}`,
    notPurgeableRuns > 0 ? `${plural(notPurgeableRuns, 'run does', 'runs do')} not go by themselves` : '',
  ].filter((part) => part !== '');
}

/**
 * @param {NonNullable<PurgeState['current']>} current
 * @param {string} run
 */
function describeCurrent({ state, percent, totals, step, elapsedSeconds, pause }, run) {
  if (state === 'waiting') return 'waits for its turn';
  if (state === 'looking') return 'finds out what is due';
  if (pause !== null) return `${run} pauses: ${cut(pause.message, MOST_OF_A_PAUSE)}`;
  if (step !== null) return `${step} the partition of ${run}, in ${duration(elapsedSeconds)}`;
  const so = totals === null ? '' : `, ${outcomes(totals)}`;
  return `${state} ${run} ${percent}% in ${duration(elapsedSeconds)}${so}`;
}

/** What became of the lines of a run, and the purges of it that this daemon made. */
export function createPurgePanel() {
  const note = h('p', { class: 'note' });
  const facts = h('p');
  const list = h('ol', { class: 'attempts' });
  const title = h('h2', { id: 'purge-title' }, 'Purge');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'purge-title', hidden: true },
    h('div', { class: 'panel-head row' }, title, note),
    facts,
    list,
  );
  const update = (/** @type {Pick<RunDetail, 'purge' | 'purges'>} */ { purge, purges }) => {
    element.hidden = purge === null && purges.length === 0;
    setText(note, purge === null ? 'not begun' : noteOf(purge));
    setText(facts, purge === null ? '' : factsOf(purge));
    setChildren(list, purges.map(purgeLine));
  };
  return { element, update };
}

/** @param {NonNullable<RunDetail['purge']>} purge */
function noteOf({ state, finishedAt, startedAt }) {
  return state === 'done' && finishedAt !== null ? `done ${dateTime(finishedAt)}` : `begun ${dateTime(startedAt)}`;
}

/** @param {NonNullable<RunDetail['purge']>} purge */
function factsOf({ totals, partition }) {
  return partition === undefined
    ? outcomes(totals)
    : `${outcomes(totals)} · partition ${partition.name}: ${partition.state}`;
}

/** @param {RunDetail['purges'][number]} purge */
function purgeLine({ status, reason, startedAt, seconds, totalsHere, problems }) {
  const facts = [duration(seconds), outcomes(totalsHere), reason === 'ok' || problems.length > 0 ? '' : reason];
  const text = ` ${facts.filter((fact) => fact !== '').join(' · ')}`;
  const line = h('p', {}, `${status} `, time(startedAt, dateTime(startedAt)), h('span', { class: 'note' }, text));
  return h('li', {}, line, problems.flatMap(failureLines));
}
