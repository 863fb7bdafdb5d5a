// @ts-check
/** One run: its figures, why it failed, its segments, its attempts and its manifest. */
import { createAttemptsPanel } from './attempts.js';
import { createBadge } from './badge.js';
import { ApiError, request } from './connection.js';
import { h, setChildren, setText } from './dom.js';
import { failurePanel } from './failure.js';
import { bytes, count, dateTime, duration, rate } from './format.js';
import { createManifestView } from './manifest.js';
import { archivePath, encode } from './paths.js';
import { createPurgePanel } from './purge.js';
import { createSegmentsPanel } from './segments.js';
import { cut } from './text.js';

/** @import { RunDetail } from '../../view/run-detail.ts' */

const REFRESH_MS = 2000;
const RETRY_MS = 10_000;
const MOST_OF_A_NAME = 200;

/**
 * Shows the run for as long as it is in the page; `close` ends that.
 * @param {string} archive
 * @param {string} run
 */
export function openRunPage(archive, run) {
  const name = cut(archive, MOST_OF_A_NAME);
  const state = createBadge('waiting');
  const facts = h('dl', { class: 'figures inset', hidden: true });
  const failure = h('div', { hidden: true });
  let from = 0;
  const segments = createSegmentsPanel((first) => {
    from = first;
    clearTimeout(timer);
    void load();
  });
  const purge = createPurgePanel();
  const attempts = createAttemptsPanel();
  const manifest = createManifestView();
  const problem = h('p', { class: 'problem tinted', 'data-tone': 'bad', role: 'alert', hidden: true });
  const panels = [failure, segments.element, purge.element, attempts.element, manifest.element];
  const content = h('div', { class: 'stack', hidden: true }, panels);
  const id = h('span', { class: 'mono' }, cut(run, MOST_OF_A_NAME));
  const heading = h('h1', { tabindex: -1, title: archive }, h('span', {}, name), ' ', id);
  const trail = [h('a', { href: '#/' }, 'All archives'), ' / ', h('a', { href: archivePath(archive) }, name)];
  const element = h(
    'div',
    { class: 'stack' },
    h('nav', { class: 'crumbs', 'aria-label': 'Where this is' }, trail),
    h('section', { class: 'panel' }, h('div', { class: 'run-title row' }, heading, state.element), problem, facts),
    content,
  );
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let closed = false;

  const load = async () => {
    try {
      const answer = /** @type {RunDetail} */ (
        await request(`/api/runs/${encode(archive)}/${encode(run)}?from=${from}`)
      );
      if (closed) return;
      say(
        answer.destinationError === undefined ? '' : `The destination could not be asked: ${answer.destinationError}.`,
      );
      show(answer);
      if (answer.status === 'running' || answer.status === 'waiting') timer = setTimeout(() => void load(), REFRESH_MS);
    } catch (error) {
      if (closed) return;
      const { status, text } = ApiError.from(error);
      const isUnknown = status === 404;
      say(
        isUnknown
          ? `There is no run ${cut(run, MOST_OF_A_NAME)} of ${name}, neither in the history nor in the destination.`
          : `This run could not be loaded: ${text}.`,
      );
      state.element.hidden = content.hidden;
      if (!isUnknown) timer = setTimeout(() => void load(), RETRY_MS);
    }
  };
  const say = (/** @type {string} */ text) => {
    setText(problem, cut(text, 1000));
    problem.hidden = text === '';
  };
  const show = (/** @type {RunDetail} */ answer) => {
    content.hidden = facts.hidden = state.element.hidden = false;
    state.update(answer.status);
    setChildren(facts, factsOf(answer));
    failure.hidden = answer.error === null;
    setChildren(failure, answer.error === null ? [] : [failurePanel(answer.error)]);
    segments.update(answer);
    purge.update(answer);
    attempts.update(answer.attempts);
    manifest.update(answer.manifest, answer.segmentsTotal);
  };
  void load();
  const close = () => {
    closed = true;
    clearTimeout(timer);
  };
  return { element, heading, close };
}

/** @param {RunDetail} run */
function factsOf(run) {
  const seconds =
    run.finishedAt === null || run.startedAt === null
      ? undefined
      : (Date.parse(run.finishedAt) - Date.parse(run.startedAt)) / 1000;
  const last = run.attempts[0];
  return [
    fact('Rows', count(run.rows), run.rows > 0 && seconds !== undefined && seconds > 0 ? rate(run.rows / seconds) : ''),
    fact('Stored', bytes(run.bytes), run.manifest === null ? '' : `from ${bytes(run.manifest.jsonBytes)} of JSON`),
    fact('Duration', duration(seconds), run.startedAt === null ? '' : `began ${dateTime(run.startedAt)}`),
    fact('Peak worker heap', bytes(last?.peakHeapBytes), last ? `process ${bytes(last.peakRssBytes)}` : ''),
  ];
}

/**
 * @param {string} label
 * @param {string} value
 * @param {string} note
 */
function fact(label, value, note) {
  return h(
    'div',
    {},
    h('dt', { class: 'note' }, label),
    h('dd', { class: 'big' }, value),
    h('dd', { class: 'note' }, note),
  );
}
