// @ts-check
/** The attempts of a run: when, how long, how much, and why it was not more. */
import { badge } from './badge.js';
import { h, setChildren, setText, time } from './dom.js';
import { failureLines } from './failure.js';
import { count, dateTime, duration, plural } from './format.js';
import { cut } from './text.js';

const MOST_OF_A_NAME = 200;

/** @import { RunEnding } from '../../run-ending.ts' */

export function createAttemptsPanel() {
  const note = h('p', { class: 'note' });
  const list = h('ol', { class: 'attempts' });
  const title = h('h2', { id: 'attempts-title' }, 'Attempts');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'attempts-title' },
    h('div', { class: 'panel-head row' }, title, note),
    list,
  );
  const update = (/** @type {RunEnding[]} */ attempts) => {
    element.hidden = attempts.length === 0;
    setText(note, plural(attempts.length, 'attempt'));
    setChildren(list, attempts.map(attemptLine));
  };
  return { element, update };
}

/**
 * The other host that had the run before, or that has it; a reason may name it already.
 * @param {RunEnding} attempt
 */
export function otherHostOf({ status, reason, otherHost }) {
  if (otherHost === null || reason.endsWith(` on ${otherHost}`)) return '';
  return status === 'skipped' ? `in progress on ${otherHost}` : `taken up from ${otherHost}`;
}

/** @param {RunEnding} attempt */
function attemptLine(attempt) {
  const facts = [
    duration(attempt.seconds),
    attempt.rows > 0 ? `${count(attempt.rows)} rows` : '',
    attempt.retries > 0 ? plural(attempt.retries, 'segment retry', 'segment retries') : '',
    attempt.resumed ? 'resumed from receipts' : '',
    attempt.trigger,
    // Of a failure the reason is its code, which stands below.
    attempt.status === 'skipped' || attempt.reason === 'already-committed' ? attempt.reason : '',
    cut(otherHostOf(attempt), MOST_OF_A_NAME),
  ].filter((fact) => fact !== '');
  const when = time(attempt.startedAt, dateTime(attempt.startedAt));
  const line = h('p', {}, badge(attempt.status), ' ', when, h('span', { class: 'note' }, ` ${facts.join(' · ')}`));
  return h('li', {}, line, attempt.error === null ? [] : failureLines(attempt.error));
}
