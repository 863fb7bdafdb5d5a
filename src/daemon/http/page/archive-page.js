// @ts-check
/** One archive: how it stands, when it runs next, its last good run, the commands for it, its config and its history. */
import { createArchiveRow } from './archive-row.js';
import { copyText } from './clipboard.js';
import { ApiError, request } from './connection.js';
import { contain } from './contain.js';
import { h, setAttribute, setChildren, setText, time } from './dom.js';
import { bytes, change, count, countdown, dateTime, duration, plural } from './format.js';
import { createHistoryPanel } from './history.js';
import { encode, runPath } from './paths.js';
import { cut } from './text.js';

/**
 * @import { ArchiveDetail } from '../../view/archive-detail.ts'
 * @import { ArchiveState, State } from '../../view/state.ts'
 * @import { RunEnding } from '../../run-ending.ts'
 */

const RETRY_MS = 10_000;
const MOST_OF_A_NAME = 200;
const MOST_OF_A_TEXT = 300;

/**
 * Shows the archive for as long as it is in the page; `close` ends that.
 * @param {string} name
 */
export function openArchivePage(name) {
  const heading = h('h1', { tabindex: -1, title: name }, cut(name, MOST_OF_A_NAME));
  const problem = h('p', { class: 'problem tinted', 'data-tone': 'bad', role: 'alert', hidden: true });
  const row = contain('How the archive stands', () => createArchiveRow(name));
  const facts = contain('The facts', createFactsPanel);
  const commands = contain('The commands', createCommandsPanel);
  const config = contain('The config', createConfigPanel);
  const showRuns = (/** @type {RunEnding[]} */ runs) => row.run((part) => part.showHistory(runs));
  const history = contain('The history', () => createHistoryPanel({ onRuns: showRuns }));
  history.run((part) => part.filter(name));
  const standing = h(
    'section',
    { class: 'panel one-archive', 'aria-label': 'How it stands' },
    h('div', { class: 'run-title row' }, heading),
    problem,
    h('ul', { class: 'archives' }, row.element),
  );
  const rest = [facts.element, commands.element, config.element, history.element];
  const element = h(
    'div',
    { class: 'stack' },
    h('nav', { class: 'crumbs', 'aria-label': 'Where this is' }, h('a', { href: '#/' }, 'All archives')),
    standing,
    ...rest,
  );
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let closed = false;
  /** @type {string | undefined} */
  let loadedKey;

  const load = async () => {
    clearTimeout(timer);
    try {
      const detail = /** @type {ArchiveDetail} */ (await request(`/api/archives/${encode(name)}`));
      if (closed) return;
      say('');
      facts.run((part) => part.updateDetail(detail));
      commands.show((part) => part.update(detail));
      config.show((part) => part.update(detail));
    } catch (error) {
      if (closed) return;
      const { status, text } = ApiError.from(error);
      if (status === 404) return;
      say(`Its config could not be loaded: ${text}.`);
      timer = setTimeout(() => void load(), RETRY_MS);
    }
  };
  const say = (/** @type {string} */ text) => {
    setText(problem, cut(text, MOST_OF_A_TEXT));
    problem.hidden = text === '';
  };
  const update = (/** @type {State} */ state) => {
    const archive = state.archives.find((one) => one.name === name);
    for (const part of [row.element, ...rest]) part.hidden = archive === undefined && part !== history.element;
    history.show((part) => part.update(state));
    if (archive === undefined) {
      say(`There is no archive ${cut(name, MOST_OF_A_NAME)} in the config that is in force.`);
      return;
    }
    setAttribute(standing, 'data-actions', state.canAct ? '' : undefined);
    row.show((part) => part.update(archive, state.canAct));
    facts.show((part) => part.update(archive));
    // A config that was reloaded shows in one of these, or in nothing that the page has beside the config.
    const { nextSlot, paused, lastSuccess, lastFailure, failing, current, schedule, source, destination } = archive;
    const runs = [lastSuccess?.run, lastFailure?.run, failing, current?.run, current?.status];
    const key = JSON.stringify([nextSlot, paused, runs, schedule, source, destination]);
    if (key !== loadedKey) void load();
    loadedKey = key;
  };
  const tick = (/** @type {number} */ now) => {
    row.run((part) => part.tick(now));
    facts.run((part) => part.tick(now));
  };
  const close = () => {
    closed = true;
    clearTimeout(timer);
  };
  return { element, heading, update, tick, close };
}

function createFactsPanel() {
  const source = createFact('Source');
  const destination = createFact('Destination');
  const schedule = createFact('Schedule');
  const good = createFact('Last good run');
  const slots = h('ol');
  const next = h('div', {}, h('dt', { class: 'note' }, 'Next slots'), h('dd', {}, slots));
  const title = h('h2', { id: 'facts-title' }, 'Facts');
  const parts = [source, destination, schedule, good].map((fact) => fact.element);
  const list = h('dl', { class: 'archive-facts' }, parts, next);
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'facts-title' },
    h('div', { class: 'panel-head row' }, title),
    list,
  );
  /** @type {{ at: string, away: HTMLElement }[]} */
  let shown = [];
  let paused = false;
  const update = (/** @type {ArchiveState} */ archive) => {
    ({ paused } = archive);
    source.update(
      [h('code', {}, cut(archive.source.address, MOST_OF_A_TEXT))],
      `${archive.source.name}, ${archive.subject}`,
    );
    destination.update([h('code', {}, cut(archive.destination.url, MOST_OF_A_TEXT))], archive.destination.name);
    schedule.update(
      [cut(archive.scheduleText ?? 'by hand only', MOST_OF_A_TEXT)],
      archive.schedule === null ? '' : `${archive.schedule}, in ${archive.timezone}`,
    );
    good.update(...goodRun(archive));
  };
  const updateDetail = (/** @type {ArchiveDetail} */ { nextSlots }) => {
    shown = nextSlots.map((at) => ({ at, away: h('span', { class: 'note' }) }));
    setChildren(
      slots,
      shown.length === 0
        ? [h('li', {}, 'none')]
        : shown.map(({ at, away }) => h('li', {}, time(at, dateTime(at)), ' ', away)),
    );
  };
  const tick = (/** @type {number} */ now) => {
    for (const { at, away } of shown) setText(away, paused ? 'paused' : countdown((Date.parse(at) - now) / 1000));
  };
  return { element, update, updateDetail, tick };
}

/**
 * @param {ArchiveState} archive
 * @returns {[(Node | string)[], string]}
 */
function goodRun({ name, lastSuccess }) {
  if (lastSuccess === null) return [['none yet'], ''];
  const { run, finishedAt, rows, rowsBefore, bytes: size, seconds } = lastSuccess;
  const against = change(rows, rowsBefore);
  const facts = [
    `${plural(rows, 'row')}${against === '' ? '' : `, ${against} against the ${count(rowsBefore)} of the run before`}`,
    bytes(size),
    `in ${duration(seconds)}`,
  ];
  const link = h('a', { class: 'mono', href: runPath(name, run) }, run);
  return [[link, ' · ', time(finishedAt, dateTime(finishedAt))], facts.join(' · ')];
}

/** @param {string} label */
function createFact(label) {
  const value = h('dd');
  const note = h('dd', { class: 'note' });
  /** @type {string | undefined} */
  let shown;
  const update = (/** @type {(Node | string)[]} */ parts, /** @type {string} */ detail) => {
    // Made anew only when it says something else, so that focus stays.
    const key = parts.map((part) => (typeof part === 'string' ? part : part.textContent)).join('');
    if (key !== shown) setChildren(value, [h('span', {}, parts)]);
    shown = key;
    setText(note, cut(detail, MOST_OF_A_TEXT));
  };
  return { element: h('div', {}, h('dt', { class: 'note' }, label), value, note), update };
}

function createCommandsPanel() {
  const list = h('ul', { class: 'commands' });
  const title = h('h2', { id: 'commands-title' }, 'Commands');
  const note = h('p', { class: 'note' }, 'on the host of this daemon');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'commands-title' },
    h('div', { class: 'panel-head row' }, title, note),
    list,
  );
  /** @type {string | undefined} */
  let shown;
  const update = (/** @type {ArchiveDetail} */ { commands }) => {
    const key = JSON.stringify(commands);
    if (key === shown) return;
    shown = key;
    setChildren(list, commands.map(describeCommand));
  };
  return { element, update };
}

/** @param {ArchiveDetail['commands'][number]} command */
function describeCommand({ does, command }) {
  const onclick = () => copyText(command, 'The command');
  const copy = h('button', { type: 'button', 'aria-label': `Copy the command to ${does}`, onclick }, 'Copy');
  return h('li', {}, h('span', { class: 'note' }, does), h('code', {}, command), copy);
}

function createConfigPanel() {
  const code = h('pre', { class: 'inset whole', tabindex: 0, role: 'region', 'aria-label': 'Config as YAML' });
  const copy = h('button', { type: 'button', class: 'last', onclick: () => copyText(text, 'The config') }, 'Copy YAML');
  const title = h('h2', { id: 'config-title' }, 'Config');
  const note = h('p', { class: 'note' }, 'in force, with all defaults; secrets are ***');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'config-title' },
    h('div', { class: 'panel-head row' }, title, note, copy),
    code,
  );
  let text = '';
  const update = (/** @type {ArchiveDetail} */ { config }) => {
    text = config;
    setText(code, config);
  };
  return { element, update };
}
