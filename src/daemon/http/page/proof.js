// @ts-check
/** How the proofs of an archive stand: in one line, with each run that is not what its manifest says. */
import { h, setChildren, setText } from './dom.js';
import { failureLines } from './failure.js';
import { age, dateTime, duration, plural } from './format.js';
import { cut } from './text.js';

/**
 * @import { ProofState } from '../../view/proof-state.ts'
 */

const MOST_OF_A_RUN = 40;
const MOST_OF_A_KEY = 300;
const MOST_OF_A_MESSAGE = 500;

/** One line below the facts of an archive, and the differences below it. */
export function createProofLine() {
  const text = h('span');
  const differences = h('div');
  const element = h('div', { class: 'proof', hidden: true }, h('p', {}, h('strong', {}, 'Proofs '), text), differences);
  /** @type {string | undefined} */
  let shown;
  const update = (/** @type {ProofState | null} */ proof) => {
    element.hidden = proof === null;
    if (proof === null) return;
    setText(text, parts(proof).join(' · '));
    const key = JSON.stringify([proof.different, proof.differentRuns, proof.failure]);
    if (key === shown) return;
    shown = key;
    setChildren(differences, [...proof.different.flatMap(describeDifferent), ...describeRest(proof)]);
  };
  return { element, update };
}

/** @param {ProofState} proof */
function parts({ runs, due, unproved, oldest, last, current, differentRuns, unreadableRuns }) {
  const run = (/** @type {string} */ name) => cut(name, MOST_OF_A_RUN);
  if (runs === null && current === null && differentRuns === 0) return ['not looked at yet'];
  return [
    differentRuns > 0
      ? `${plural(differentRuns, 'run differs', 'runs differ')} from ${differentRuns === 1 ? 'its manifest' : 'their manifests'}`
      : '',
    current === null ? '' : describeCurrent(current, run(current.run)),
    oldest === null
      ? ''
      : `oldest ${ago(oldest.at)}, ${run(oldest.run)}${oldest.isProved ? '' : ', never proved since its commit'}`,
    last === null ? '' : `last ${ago(last.at)}, ${run(last.run)}`,
    runs === null ? '' : `${plural(runs, 'run')}, ${due} due, ${unproved} never proved`,
    unreadableRuns > 0 ? `${plural(unreadableRuns, 'run')} in a storage class that cannot be read at once` : '',
  ].filter((part) => part !== '');
}

/** @param {string} at */
function ago(at) {
  return age(Math.max(0, (Date.now() - Date.parse(at)) / 1000));
}

/**
 * @param {NonNullable<ProofState['current']>} current
 * @param {string} run
 */
function describeCurrent({ percent, elapsedSeconds, pause }, run) {
  if (pause !== null) return `${run} pauses: ${cut(pause.message, MOST_OF_A_MESSAGE)}`;
  return `reads ${run} ${percent}% in ${duration(elapsedSeconds)}`;
}

/** @param {ProofState['different'][number]} different */
function describeDifferent({ run, foundAt, differences, more }) {
  const head = h(
    'p',
    {},
    h('strong', {}, `${cut(run, MOST_OF_A_RUN)} is not what its manifest says`),
    ` · found ${dateTime(foundAt)}`,
  );
  const lines = differences.map(({ key, line, message }) => {
    const where = line === undefined ? '' : `line ${line}: `;
    return h('li', {}, h('code', {}, cut(key, MOST_OF_A_KEY)), ` ${where}${cut(message, MOST_OF_A_MESSAGE)}`);
  });
  const rest = more > 0 ? [h('li', {}, `and ${plural(more, 'further difference')}`)] : [];
  return [head, h('ul', {}, [...lines, ...rest])];
}

/** @param {ProofState} proof */
function describeRest({ different, differentRuns, failure }) {
  const others = differentRuns - different.length;
  return [
    ...(others > 0 ? [h('p', {}, `and ${plural(others, 'further run')}`)] : []),
    ...(failure === null ? [] : failureLines(failure)),
  ];
}
