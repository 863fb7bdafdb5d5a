/** One run: its segments, its attempts, its errors with what to do about them, and its manifest. */
import { badge, createBadge, stateWords, tone } from './badge.js';
import { ApiError, request } from './connection.js';
import { h, setChildren, setText, time } from './dom.js';
import { advice, bytes, count, dateTime, duration, NOTHING, plural, rate } from './format.js';
import { createManifestView } from './manifest.js';

const REFRESH_MS = 2000;
const RETRY_MS = 10_000;

/** Shows the run for as long as it is in the page; `close` ends that. */
export function openRunPage(archive, run) {
  const state = createBadge('waiting');
  const facts = h('dl', { class: 'figures' });
  const failure = h('div');
  const segments = createSegmentsPanel();
  const attempts = h('section', { class: 'panel', 'aria-labelledby': 'attempts-title' });
  const manifest = createManifestView();
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const content = h('div', { class: 'stack', hidden: true }, failure, segments.element, attempts, manifest.element);
  const heading = h(
    'h1',
    { tabindex: '-1' },
    h('span', { class: 'run-archive' }, archive),
    ' ',
    h('span', { class: 'mono' }, run),
  );
  const element = h(
    'div',
    { class: 'stack' },
    h(
      'nav',
      { class: 'crumbs', 'aria-label': 'Where this is' },
      h('a', { href: '#/' }, 'All archives'),
      ' / ',
      h('a', { href: `#/history/${encodeURIComponent(archive)}` }, archive),
    ),
    h('section', { class: 'panel' }, h('div', { class: 'run-title' }, heading, state.element), problem, facts),
    content,
  );
  let timer;
  let closed = false;

  const load = async () => {
    const answer = await request(`/api/runs/${encodeURIComponent(archive)}/${encodeURIComponent(run)}`).catch(
      (error) => ({ error }),
    );
    if (closed) return;
    if (answer.error instanceof ApiError) {
      say(unloaded(answer.error));
      state.element.hidden = content.hidden;
      if (answer.error.status !== 404) timer = setTimeout(load, RETRY_MS);
      return;
    }
    say(answer.destinationError ? `The destination could not be asked: ${answer.destinationError}.` : '');
    content.hidden = false;
    show(answer);
    if (answer.status === 'running' || answer.status === 'waiting') timer = setTimeout(load, REFRESH_MS);
  };
  const say = (text) => {
    setText(problem, text);
    problem.hidden = text === '';
  };
  const unloaded = ({ status, message }) =>
    status === 404
      ? `There is no run ${run} of ${archive}, neither in the history nor in the destination.`
      : `This run could not be loaded: ${message}.`;
  const show = (answer) => {
    state.element.hidden = false;
    state.update(answer.status);
    setChildren(facts, factsOf(answer));
    setChildren(failure, answer.error === null ? [] : [failureBox(answer.error)]);
    segments.update(answer.segments);
    setChildren(attempts, attemptsOf(answer.attempts ?? []));
    attempts.hidden = (answer.attempts ?? []).length === 0;
    manifest.update(answer.manifest);
  };
  load();
  return {
    element,
    heading,
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}

function factsOf(run) {
  const stored = run.manifest?.bytes ?? run.segments.reduce((sum, segment) => sum + (segment.bytes ?? 0), 0);
  const seconds =
    run.finishedAt === null || run.startedAt === null
      ? undefined
      : (Date.parse(run.finishedAt) - Date.parse(run.startedAt)) / 1000;
  const last = run.attempts?.[0];
  const parts = [
    ['Rows', count(run.rows), run.rows > 0 && seconds > 0 ? rate(run.rows / seconds) : ''],
    ['Stored', bytes(stored), run.manifest ? `from ${bytes(run.manifest.jsonBytes)} of JSON` : ''],
    ['Duration', duration(seconds), run.startedAt === null ? '' : `began ${dateTime(run.startedAt)}`],
    ['Peak worker heap', bytes(last?.peakHeapBytes), last?.peakRssBytes ? `process ${bytes(last.peakRssBytes)}` : ''],
  ];
  return parts.map(([label, value, note]) =>
    h('div', {}, h('dt', {}, label), h('dd', {}, value), h('dd', { class: 'note' }, note)),
  );
}

/** A failure, with what to do about it. */
function failureBox(failure) {
  const { code, message } = failure;
  return h(
    'section',
    { class: 'panel failure', 'aria-label': 'Why it failed' },
    h('p', { class: 'failure-head' }, h('strong', {}, 'Why it failed '), h('code', {}, code)),
    h('p', { class: 'failure-message' }, message),
    h('p', { class: 'failure-hint' }, advice(failure)),
  );
}

function createSegmentsPanel() {
  const note = h('p', { class: 'note' });
  const tiles = h('div', { class: 'tiles', role: 'img' });
  const body = h('tbody');
  const head = ['Segment', 'State', 'Attempts', 'Rows', 'Stored'];
  const columns = head.map((label, index) => h('th', { scope: 'col', class: index > 1 ? 'figure' : undefined }, label));
  const table = h(
    'div',
    { class: 'table' },
    h(
      'table',
      {},
      h('caption', { class: 'sr-only' }, 'Segments of this run'),
      h('thead', {}, h('tr', {}, columns)),
      body,
    ),
  );
  const nothing = h('p', { class: 'empty' }, 'No segments are known of this run.');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'segments-title' },
    h('div', { class: 'panel-head' }, h('h2', { id: 'segments-title' }, 'Segments'), note),
    tiles,
    table,
    nothing,
  );
  const update = (segments) => {
    const done = segments.filter(({ state }) => state === 'done').length;
    setText(note, segments.length === 0 ? '' : `${count(done)} of ${count(segments.length)} done`);
    setChildren(
      tiles,
      segments.map(({ index, state }) => h('i', { 'data-tone': tone(state), title: `${index}: ${stateWords(state)}` })),
    );
    tiles.setAttribute('aria-label', `${count(done)} of ${plural(segments.length, 'segment')} done`);
    tiles.hidden = segments.length < 2;
    setChildren(
      body,
      segments.flatMap((segment) => segmentRows(segment, head)),
    );
    table.hidden = segments.length === 0;
    nothing.hidden = segments.length > 0;
  };
  return { element, update };
}

function segmentRows({ index, state, attempts, rows, bytes: size, error }, head) {
  const cells = [String(index), badge(state), count(attempts), count(rows), bytes(size)];
  const row = h(
    'tr',
    {},
    cells.map((cell, at) => h('td', { 'data-label': head[at], class: at > 1 ? 'figure' : undefined }, cell)),
  );
  if (!error) return [row];
  const { code, message, hint } = typeof error === 'object' ? error : { message: error };
  const text = h(
    'td',
    { colspan: String(head.length), class: 'segment-error' },
    code ? h('code', {}, code) : undefined,
    ' ',
    message ?? NOTHING,
    hint ? h('span', { class: 'failure-hint' }, hint) : undefined,
  );
  return [row, h('tr', { class: 'of-above' }, text)];
}

function attemptsOf(attempts) {
  return [
    h(
      'div',
      { class: 'panel-head' },
      h('h2', { id: 'attempts-title' }, 'Attempts'),
      h('p', { class: 'note' }, plural(attempts.length, 'attempt')),
    ),
    h('ol', { class: 'attempts' }, attempts.map(attemptLine)),
  ];
}

function attemptLine(attempt) {
  const parts = [
    duration(attempt.seconds),
    attempt.rows > 0 ? `${count(attempt.rows)} rows` : undefined,
    attempt.retries > 0 ? plural(attempt.retries, 'segment retry').replace('retrys', 'retries') : undefined,
    attempt.resumed ? 'resumed from receipts' : undefined,
    attempt.trigger,
    // Of a failure the reason is its code, which stands below.
    attempt.status === 'skipped' || attempt.reason === 'already-committed' ? attempt.reason : undefined,
  ];
  return h(
    'li',
    {},
    h(
      'p',
      {},
      badge(attempt.status),
      ' ',
      attempt.startedAt ? time(attempt.startedAt, dateTime(attempt.startedAt)) : NOTHING,
      h('span', { class: 'note' }, ` ${parts.filter(Boolean).join(' · ')}`),
    ),
    attempt.error
      ? h('p', { class: 'attempt-error' }, h('code', {}, attempt.error.code), ' ', attempt.error.message)
      : undefined,
    attempt.error?.hint ? h('p', { class: 'failure-hint' }, attempt.error.hint) : undefined,
  );
}
