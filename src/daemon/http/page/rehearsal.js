// @ts-check
/** How the rehearsals of an archive stand: in one line, with each run that did not come back. */
import { h, setChildren, setText } from './dom.js';
import { failureLines } from './failure.js';
import { dateTime, duration, plural } from './format.js';
import { cut } from './text.js';

/**
 * @import { RehearsalState } from '../../view/rehearsal-state.ts'
 */

const MOST_OF_A_RUN = 40;
const MOST_OF_A_MESSAGE = 500;
const NOT_BACK = 'did not come back';

/**
 * When a run was rehearsed last, for the facts that an archive is trusted by.
 * @param {RehearsalState} rehearsal
 */
export function factOfRehearsals({ runs, last }) {
  const otherwise = runs === null ? 'not looked at yet' : 'never';
  const fact = { name: 'last rehearsed', run: last?.run ?? '', at: last?.at ?? null, otherwise };
  return last?.status === 'different' ? { ...fact, bad: NOT_BACK } : fact;
}

/** One line below the proofs of an archive, and what did not come back below it. */
export function createRehearsalLine() {
  const text = h('span');
  const details = h('div');
  const line = h('p', {}, h('strong', {}, 'Rehearsals '), text);
  const element = h('div', { class: 'rehearsal', hidden: true }, line, details);
  /** @type {string | undefined} */
  let shown;
  const update = (/** @type {RehearsalState | null} */ rehearsal) => {
    element.hidden = rehearsal === null;
    if (rehearsal === null) return;
    setText(text, parts(rehearsal).join(' · '));
    const key = JSON.stringify([rehearsal.different, rehearsal.differentRuns, rehearsal.failure]);
    if (key === shown) return;
    shown = key;
    setChildren(details, [...rehearsal.different.map(describeDifferent), ...describeRest(rehearsal)]);
  };
  return { element, update };
}

/** @param {RehearsalState} rehearsal */
function parts({ runs, rehearsed, current, differentRuns, failure }) {
  return [
    differentRuns > 0 ? `${plural(differentRuns, 'run')} ${NOT_BACK}` : '',
    current === null ? '' : describeCurrent(current),
    runs === null ? 'not looked at yet' : `${rehearsed} of ${plural(runs, 'run')} came back as archived`,
    failure === null ? '' : 'none could be made the last time',
  ].filter((part) => part !== '');
}

/** @param {NonNullable<RehearsalState['current']>} current */
function describeCurrent({ run, percent, elapsedSeconds, pause }) {
  if (pause !== null) return `${cut(run, MOST_OF_A_RUN)} pauses: ${cut(pause.message, MOST_OF_A_MESSAGE)}`;
  return `restores ${cut(run, MOST_OF_A_RUN)} ${percent}% in ${duration(elapsedSeconds)}`;
}

/** @param {RehearsalState['different'][number]} different */
function describeDifferent({ run, at, message }) {
  const name = h('strong', {}, `${cut(run, MOST_OF_A_RUN)} ${NOT_BACK}`);
  return h('p', {}, name, ` · rehearsed ${dateTime(at)}`, `: ${cut(message ?? '', MOST_OF_A_MESSAGE)}`);
}

/** @param {RehearsalState} rehearsal */
function describeRest({ different, differentRuns, failure }) {
  const others = differentRuns - different.length;
  return [
    ...(others > 0 ? [h('p', {}, `and ${plural(others, 'further run')}`)] : []),
    ...(failure === null ? [] : failureLines(failure)),
  ];
}
