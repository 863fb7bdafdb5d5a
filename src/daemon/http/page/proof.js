// @ts-check
/** What an archive is trusted by, and how its proofs stand: in one line, with each run that is not what its manifest says. */
import { shareBar } from './bars.js';
import { h, setChildren, setText } from './dom.js';
import { failureLines } from './failure.js';
import { age, dateTime, duration, plural } from './format.js';
import { factOfRehearsals } from './rehearsal.js';
import { cut } from './text.js';

/**
 * @import { ProofState } from '../../view/proof-state.ts'
 * @import { ArchiveState } from '../../view/state.ts'
 */

const MOST_OF_A_RUN = 40;
const MOST_OF_A_KEY = 300;
const MOST_OF_A_MESSAGE = 500;

/** One line below the facts of an archive, and the differences below it. */
export function createProofLine() {
  const text = h('span');
  const differences = h('div');
  const facts = h('dl', { class: 'proof-facts' });
  const picture = h('div');
  const line = h('p', {}, h('strong', {}, 'Proofs '), text);
  const element = h('div', { class: 'proof', hidden: true }, facts, picture, line, differences);
  /** @type {string | undefined} */
  let shown;
  /** @type {string | undefined} */
  let pictured;
  const update = (/** @type {ArchiveState} */ archive) => {
    const { proof, rehearsal } = archive;
    element.hidden = proof === null && rehearsal === null;
    if (!element.hidden) setChildren(facts, factsOf(archive).map(describeFact));
    for (const part of [picture, line, differences]) part.hidden = proof === null;
    if (proof === null) return;
    setText(text, parts(proof).join(' · '));
    const shares = JSON.stringify(proof.shares);
    if (shares !== pictured) setChildren(picture, [describeShares(proof.shares)]);
    pictured = shares;
    const key = JSON.stringify([proof.different, proof.differentRuns, proof.failure]);
    if (key === shown) return;
    shown = key;
    setChildren(differences, [...proof.different.flatMap(describeDifferent), ...describeRest(proof)]);
  };
  return { element, update };
}

/**
 * What an archive is trusted by, each with the run and the time that it is of.
 * @typedef {{ name: string, run: string, at: string | null, otherwise: string, bad?: string }} Fact
 * @param {ArchiveState} archive
 * @returns {Fact[]}
 */
function factsOf({ proof, rehearsal, lastSuccess }) {
  return [
    { name: 'last archived', run: '', at: lastSuccess?.finishedAt ?? null, otherwise: 'never' },
    ...(proof === null ? [] : factsOfProofs(proof)),
    ...(rehearsal === null ? [] : [factOfRehearsals(rehearsal)]),
  ];
}

/**
 * @param {ProofState} proof
 * @returns {Fact[]}
 */
function factsOfProofs({ runs, last, oldestUnproved }) {
  const without = runs === null ? 'not looked at yet' : undefined;
  return [
    { name: 'last proved', run: last?.run ?? '', at: last?.at ?? null, otherwise: without ?? 'never' },
    {
      name: 'oldest unproved',
      run: oldestUnproved?.run ?? '',
      at: oldestUnproved?.at ?? null,
      otherwise: without ?? 'none, all were proved',
    },
  ];
}

/** @param {Fact} fact */
function describeFact({ name, run, at, otherwise, bad }) {
  const title = at === null ? undefined : `${cut(run, MOST_OF_A_RUN)} ${dateTime(at)}`;
  const value = h('dd', title === undefined ? {} : { title }, at === null ? otherwise : ago(at));
  if (bad !== undefined) value.append(', ', h('strong', { class: 'tinted', 'data-tone': 'bad' }, bad));
  return h('div', {}, h('dt', {}, name), value);
}

/** @param {ProofState['shares']} shares */
function describeShares({ proved, old, unproved, different }) {
  return shareBar('Runs by their proofs', [
    { count: proved, tone: 'good', words: 'proved in time' },
    { count: old, tone: 'warn', words: 'proved too long ago' },
    { count: unproved, tone: 'held', words: 'never proved' },
    { count: different, tone: 'bad', words: 'damaged' },
  ]);
}

/** @param {ProofState} proof */
function parts({ runs, due, unproved, oldest, current, differentRuns, unreadableRuns }) {
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
