// @ts-check
/** One archive: its state, what was, what comes, its last failure, and what can be done about it. */
import { act } from './actions.js';
import { failuresText } from './alarm.js';
import { badge, stateWords, tone } from './badge.js';
import { bars } from './bars.js';
import { h, setAttribute, setChildren, setText } from './dom.js';
import { createFailureParts } from './failure.js';
import { age, change, count, countdown, dateTime, duration, NOTHING, plural, utc } from './format.js';
import { archivePath, runPath } from './paths.js';
import { createProofLine } from './proof.js';
import { createPurgeLine } from './purge.js';
import { createRehearsalLine } from './rehearsal.js';
import { cut } from './text.js';
import { wordsOf } from './trouble.js';

/**
 * @import { ArchiveState } from '../../view/state.ts'
 * @import { LastFailure } from '../../slots/standings.ts'
 * @import { RunEnding } from '../../run-ending.ts'
 * @import { Order } from './actions.js'
 */

const STRIP_RUNS = 16;
/** More of a name or a subject than two lines hold. */
const MOST_OF_A_NAME = 300;

/** @param {string} name */
export function createArchiveRow(name) {
  const badges = h('span', { class: 'row' });
  const where = h('span', { class: 'note' });
  const subject = h('p', { class: 'note mono clip' });
  const places = h('p', { class: 'note clamp' });
  const schedule = createCell('Schedule');
  const last = createCell('Last success');
  const next = createCell('Next run');
  const strip = h('div', { class: 'strip' });
  const failure = createFailureBox();
  const proof = createProofLine();
  const rehearsal = createRehearsalLine();
  const purge = createPurgeLine();
  const actions = createActions(name);
  const link = h('a', { class: 'clamp', href: archivePath(name), title: name }, cut(name, MOST_OF_A_NAME));
  const element = h(
    'li',
    {},
    h(
      'article',
      { class: 'archive', 'aria-label': cut(name, MOST_OF_A_NAME) },
      h('div', { class: 'archive-name' }, h('h3', {}, link), subject, places),
      h('div', { class: 'states row' }, badges, where),
      schedule.element,
      last.element,
      next.element,
      strip,
      actions.element,
      failure.element,
      proof.element,
      rehearsal.element,
      purge.element,
    ),
  );
  /** @type {ArchiveState | undefined} */
  let archive;
  /** @type {string | undefined} */
  let stripKey;
  /** @type {string | undefined} */
  let shownWords;

  const tick = (/** @type {number} */ now) => {
    if (archive === undefined) return;
    setText(last.main, archive.lastSuccess === null ? 'never' : ageOf(archive.lastSuccess.finishedAt, now));
    setText(next.main, nextText(archive, now));
    failure.tick(now);
  };
  /** Gives the words for what it was before; undefined the first time. */
  const update = (/** @type {ArchiveState} */ changed, /** @type {boolean} */ canAct) => {
    const before = shownWords;
    archive = changed;
    const words = wordsOf(archive);
    shownWords = words.map(stateWords).join(', ').toLowerCase();
    if (shownWords !== before) setChildren(badges, words.map(badge));
    setText(where, whereOf(archive));
    const { source, destination } = archive;
    const way = `${source.address} → ${destination.url}`;
    setText(places, cut(way, MOST_OF_A_NAME));
    setAttribute(places, 'title', `${way} (${source.name}, ${destination.name})`);
    setText(subject, cut(archive.subject, MOST_OF_A_NAME));
    setAttribute(subject, 'title', archive.subject);
    setText(schedule.main, cut(archive.scheduleText ?? 'by hand only', MOST_OF_A_NAME));
    setAttribute(schedule.main, 'title', archive.schedule ?? undefined);
    setText(schedule.note, archive.schedule === null ? '' : archive.timezone);
    const success = archive.lastSuccess;
    setText(last.note, lastNote(success));
    const rowsBefore = success?.rowsBefore ?? null;
    setAttribute(last.note, 'title', rowsBefore === null ? undefined : `the run before had ${count(rowsBefore)} rows`);
    setAttribute(last.main, 'title', success === null ? undefined : utc(success.finishedAt));
    setText(next.note, nextNote(archive));
    setAttribute(next.note, 'title', nextTitle(archive));
    failure.update(archive);
    proof.update(archive);
    rehearsal.update(archive.rehearsal);
    purge.update(archive.purge);
    actions.update(archive, canAct);
    return before;
  };
  /** Of all runs of the archive, the latest first. */
  const showHistory = (/** @type {RunEnding[]} */ all) => {
    const runs = all.slice(0, STRIP_RUNS).reverse();
    const key = runs.map(({ run, status }) => run + status).join();
    if (key === stripKey) return;
    stripKey = key;
    setChildren(strip, runs.length === 0 ? [] : [durationStrip(runs)]);
  };
  return { element, update, tick, showHistory };
}

/**
 * @param {string} iso
 * @param {number} now
 */
function ageOf(iso, now) {
  return age((now - Date.parse(iso)) / 1000);
}

/**
 * @param {ArchiveState} archive
 * @param {number} now
 */
function nextText({ paused, nextSlot, nextTry }, now) {
  if (paused) return 'paused';
  const at = nextTry?.at ?? nextSlot;
  return at === null ? NOTHING : countdown((Date.parse(at) - now) / 1000);
}

/** @param {ArchiveState} archive */
function nextNote({ nextSlot, nextTry, paused, late, dueSlot }) {
  if (late && dueSlot !== null) return `one is due since ${dateTime(dueSlot)}`;
  if (paused) return '';
  if (nextTry !== null) return `tried again ${dateTime(nextTry.at)}`;
  return nextSlot === null ? '' : dateTime(nextSlot);
}

/**
 * The time in UTC, and by the clock that its schedule means.
 * @param {ArchiveState} archive
 */
function nextTitle({ nextSlot, nextTry, late, dueSlot, timezone }) {
  const at = (late ? dueSlot : null) ?? nextTry?.at ?? nextSlot;
  return at === null ? undefined : `${utc(at)}; ${dateTime(at, timezone)} in ${timezone}`;
}

/** @param {ArchiveState['lastSuccess']} success */
function lastNote(success) {
  if (success === null) return '';
  const against = change(success.rows, success.rowsBefore);
  const told = `${count(success.rows)} rows in ${duration(success.seconds)}`;
  return against === '' ? told : `${told} (${against})`;
}

/**
 * How far the run in progress is, or where it is.
 * @param {ArchiveState} archive
 */
function whereOf({ current }) {
  if (current?.status === 'standby') return `on ${cut(current.holder ?? 'another host', MOST_OF_A_NAME)}`;
  return current?.status === 'running' ? `${Math.floor(current.percent)}%` : '';
}

/** @param {string} label */
function createCell(label) {
  const main = h('span');
  const note = h('span', { class: 'note' });
  return { element: h('div', { class: 'cell' }, h('span', { class: 'note sr-only' }, label), main, note), main, note };
}

function createFailureBox() {
  const when = h('span');
  const link = h('a', { class: 'mono' });
  const { code, message, hint, update: showFailure } = createFailureParts();
  const head = h('p', { class: 'failure-head' }, h('strong', {}, 'Last failure '), when, ' · run ', link, ' · ', code);
  const element = h('div', { class: 'failure' }, head, message, hint);
  /** @type {LastFailure | undefined} */
  let shown;
  /** @type {ArchiveState | undefined} */
  let told;
  const update = (/** @type {ArchiveState} */ archive) => {
    shown = failureToShow(archive);
    element.hidden = shown === undefined;
    if (shown === undefined) return;
    told = archive;
    setAttribute(when, 'title', utc(shown.at));
    setText(link, shown.run);
    setAttribute(link, 'href', runPath(archive.name, shown.run));
    showFailure(shown);
  };
  const tick = (/** @type {number} */ now) => {
    if (shown === undefined || told === undefined) return;
    const row = told.failing ? failuresText(told, now) : '';
    setText(when, `${ageOf(shown.at, now)}${row === '' ? '' : `, ${row}`}`);
  };
  return { element, update, tick };
}

/**
 * A failure that a success came after is a matter of the history.
 * @param {ArchiveState} archive
 */
function failureToShow({ lastFailure, lastSuccess }) {
  if (lastFailure === null) return undefined;
  const isOver = lastSuccess !== null && Date.parse(lastSuccess.finishedAt) > Date.parse(lastFailure.at);
  return isOver ? undefined : lastFailure;
}

/** @param {string} name */
function createActions(name) {
  const button = (/** @type {Order} */ verb, /** @type {string} */ label) => {
    /** @type {HTMLButtonElement} */
    const made = h('button', {
      type: 'button',
      'aria-label': `${label}: ${cut(name, MOST_OF_A_NAME)}`,
      onclick: () => press(made, verb),
    });
    made.append(label);
    return made;
  };
  const press = async (/** @type {HTMLButtonElement} */ pressed, /** @type {Order} */ verb) => {
    pressed.setAttribute('aria-busy', 'true');
    await act(name, verb);
    pressed.removeAttribute('aria-busy');
    // The button may have gone with the state that it was for.
    [pressed, ...all].find(({ hidden }) => !hidden)?.focus();
  };
  const run = button('run', 'Run now');
  const cancel = button('cancel', 'Cancel');
  const pause = button('pause', 'Pause');
  const resume = button('resume', 'Resume');
  const all = [run, cancel, pause, resume];
  const element = h('div', { class: 'buttons row' }, all);
  const update = (/** @type {ArchiveState} */ { current, paused, schedule }, /** @type {boolean} */ canAct) => {
    element.hidden = !canAct;
    run.hidden = current !== null;
    // What another host has can be cancelled there alone.
    cancel.hidden = current === null || current.status === 'standby';
    pause.hidden = paused || schedule === null;
    resume.hidden = !paused;
  };
  return { element, update };
}

/** @param {RunEnding[]} runs */
function durationStrip(runs) {
  const items = runs.map((run) => ({
    value: run.seconds,
    tone: tone(run.status),
    title: `${run.run}: ${stateWords(run.status)}, ${duration(run.seconds)}`,
  }));
  const failed = runs.filter(({ status }) => status === 'failed').length;
  const label = `Duration of the last ${plural(runs.length, 'run')}, ${count(failed)} failed`;
  return bars(items, { slots: STRIP_RUNS, label });
}
