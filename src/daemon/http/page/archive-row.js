// @ts-check
/** One archive: its state, what was, what comes, its last failure, and what can be done about it. */
import { act } from './actions.js';
import { createBadge, stateWords, tone } from './badge.js';
import { bars } from './bars.js';
import { h, setAttribute, setChildren, setText } from './dom.js';
import { createFailureParts } from './failure.js';
import { age, count, countdown, dateTime, duration, NOTHING, plural } from './format.js';
import { historyPath, runPath } from './paths.js';
import { createProofLine } from './proof.js';
import { createPurgeLine } from './purge.js';
import { createRehearsalLine } from './rehearsal.js';
import { cut } from './text.js';

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
  const state = createBadge('never');
  const also = createBadge('late');
  const subject = h('p', { class: 'note mono clip' });
  const schedule = createCell('Schedule');
  const last = createCell('Last success');
  const next = createCell('Next run');
  const strip = h('div', { class: 'strip' });
  const failure = createFailureBox();
  const proof = createProofLine();
  const rehearsal = createRehearsalLine();
  const purge = createPurgeLine();
  const actions = createActions(name);
  const link = h('a', { class: 'clamp', href: historyPath(name), title: name }, cut(name, MOST_OF_A_NAME));
  const element = h(
    'li',
    {},
    h(
      'article',
      { class: 'archive', 'aria-label': cut(name, MOST_OF_A_NAME) },
      h('div', { class: 'archive-name' }, h('h3', {}, link), subject),
      h('div', { class: 'states row' }, state.element, also.element),
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

  const tick = (/** @type {number} */ now) => {
    if (archive === undefined) return;
    setText(last.main, archive.lastSuccess === null ? 'never' : ageOf(archive.lastSuccess.finishedAt, now));
    setText(next.main, nextText(archive, now));
    failure.tick(now);
  };
  /** Gives the state that it had before; undefined the first time. */
  const update = (/** @type {ArchiveState} */ changed, /** @type {boolean} */ canAct) => {
    const before = archive?.state;
    archive = changed;
    state.update(archive.state);
    const behind = stateBehind(archive);
    also.element.hidden = behind === undefined;
    if (behind !== undefined) also.update(behind);
    setText(subject, cut(archive.subject, MOST_OF_A_NAME));
    setAttribute(subject, 'title', archive.subject);
    setText(schedule.main, cut(archive.scheduleText ?? 'by hand only', MOST_OF_A_NAME));
    setAttribute(schedule.main, 'title', archive.schedule ?? undefined);
    setText(schedule.note, archive.schedule === null ? '' : archive.timezone);
    const success = archive.lastSuccess;
    setText(last.note, success === null ? '' : `${count(success.rows)} rows in ${duration(success.seconds)}`);
    setAttribute(last.main, 'title', success?.finishedAt);
    setText(next.note, nextNote(archive));
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
function nextText({ paused, nextSlot }, now) {
  if (paused) return 'paused';
  return nextSlot === null ? NOTHING : countdown((Date.parse(nextSlot) - now) / 1000);
}

/** @param {ArchiveState} archive */
function nextNote({ nextSlot, paused, late, dueSlot, timezone }) {
  if (late && dueSlot !== null) return `one is due since ${dateTime(dueSlot, timezone)}`;
  return nextSlot === null || paused ? '' : dateTime(nextSlot, timezone);
}

/**
 * What the one word does not say: that a paused or running archive is failing or late as well.
 * @param {ArchiveState} archive
 */
function stateBehind({ state, late, failing }) {
  if (failing && state !== 'failing') return 'failing';
  return late && state !== 'late' ? 'late' : undefined;
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
  const update = (/** @type {ArchiveState} */ archive) => {
    shown = failureToShow(archive);
    element.hidden = shown === undefined;
    if (shown === undefined) return;
    setText(link, shown.run);
    setAttribute(link, 'href', runPath(archive.name, shown.run));
    showFailure(shown);
  };
  const tick = (/** @type {number} */ now) => {
    if (shown !== undefined) setText(when, ageOf(shown.at, now));
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
