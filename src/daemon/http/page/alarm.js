// @ts-check
/** What is wrong, before anything else: how much of it, and a line for each archive that somebody should look at. */
import { badge } from './badge.js';
import { h, setAttribute, setChildren, setText } from './dom.js';
import { count, countdown, dateTime, plural, utc } from './format.js';
import { archivePath } from './paths.js';
import { cut } from './text.js';
import { troublesOf, urgencyOf } from './trouble.js';

/**
 * @import { ArchiveState, State } from '../../view/state.ts'
 * @import { Trouble } from './trouble.js'
 */

const MOST_LINES = 8;
const MOST_OF_A_NAME = 100;
const MOST_OF_A_TEXT = 300;
const MOST_PROBLEMS = 8;

export function createAlarmPanel() {
  const title = h('h2', { id: 'alarm-title' });
  const note = h('p', { class: 'note' });
  const list = h('ul');
  const more = h('p', { class: 'note' });
  const config = createNotice();
  const tables = createNotice();
  const history = createNotice();
  const element = h(
    'section',
    { class: 'panel alarm', 'aria-labelledby': 'alarm-title' },
    h('div', { class: 'row' }, title, note),
    tables.element,
    config.element,
    history.element,
    list,
    more,
  );
  /** @type {Map<string, ReturnType<typeof createLine>>} */
  const lines = new Map();
  /** @type {State | undefined} */
  let state;

  const update = (/** @type {State} */ changed) => {
    state = changed;
    const troubled = changed.archives.filter((archive) => troublesOf(archive).length > 0);
    const worst = troubled.toSorted((a, b) => urgencyOf(a) - urgencyOf(b)).slice(0, MOST_LINES);
    setAttribute(element, 'data-tone', toneOf(changed));
    setText(title, titleOf(changed));
    setText(note, noteOf(changed));
    const names = new Set(worst.map(({ name }) => name));
    for (const name of lines.keys()) if (!names.has(name)) lines.delete(name);
    const elements = worst.map((archive) => {
      const line = lines.get(archive.name) ?? createLine(archive.name);
      lines.set(archive.name, line);
      line.update(archive);
      return line.element;
    });
    setChildren(list, elements);
    list.hidden = elements.length === 0;
    more.hidden = troubled.length <= MOST_LINES;
    setText(more, `and ${plural(troubled.length - MOST_LINES, 'further archive')}, below`);
    showTables(changed.failingEntries);
    showConfig(changed.refusedConfig);
    showHistory(changed.historyProblem);
  };
  const showTables = (/** @type {State['failingEntries']} */ entries) => {
    const [first] = entries;
    tables.update(
      first === undefined
        ? null
        : {
            text: `Which archives the ${plural(entries.length, 'table pattern')} of the config stand for is not known, or not of all tables; those that are known go on.`,
            lines: entries.flatMap(({ name, since, failures, count: all }) =>
              failures.slice(0, 1).map(({ message, code }) => {
                const more = all > 1 ? `, and ${plural(all - 1, 'further problem')}` : '';
                return `${cut(name, MOST_OF_A_NAME)}, since ${dateTime(since)}: ${message} (${code})${more}`;
              }),
            ),
            hint: first.failures[0]?.hint ?? '',
          },
    );
  };
  const showConfig = (/** @type {State['refusedConfig']} */ refused) => {
    config.update(
      refused && {
        text: `The config file was refused ${dateTime(refused.at)}; the one before it stays in force.`,
        lines: refused.problems,
        hint: 'Mend it, ask pgsluice check, then systemctl reload pgsluice: as it is, no daemon would start with it.',
      },
    );
  };
  const showHistory = (/** @type {State['historyProblem']} */ problem) => {
    history.update(
      problem && { text: `Since ${dateTime(problem.at)}: ${problem.message}.`, lines: [], hint: problem.hint },
    );
  };
  const tick = (/** @type {number} */ now) => {
    for (const line of lines.values()) line.tick(now);
    if (state === undefined) return;
    const toned = toneOf(state);
    if (toned === 'good' || toned === 'held') setText(note, wellNote(state, now));
  };
  return { element, update, tick };
}

/** @param {State} state */
function toneOf({ counts, failingEntries, refusedConfig, historyProblem }) {
  if (counts.failing + counts.damaged + failingEntries.length > 0) return 'bad';
  if (counts.late + counts.purgesHeld > 0 || refusedConfig !== null || historyProblem !== null) return 'warn';
  return counts.paused > 0 ? 'held' : 'good';
}

/** @param {State} state */
function titleOf({ counts, failingEntries, refusedConfig, historyProblem }) {
  const told = [
    counts.failing > 0 ? `${count(counts.failing)} failing` : '',
    failingEntries.length > 0 ? `${plural(failingEntries.length, 'table pattern')} failing` : '',
    counts.damaged > 0 ? `${count(counts.damaged)} damaged` : '',
    counts.late > 0 ? `${count(counts.late)} late` : '',
    counts.purgesHeld > 0 ? `${plural(counts.purgesHeld, 'purge')} held` : '',
    refusedConfig === null ? '' : 'config file refused',
    historyProblem === null ? '' : 'history not kept',
  ].filter((part) => part !== '');
  if (told.length > 0) return told.join(', ').replace(/^[a-z]/, (first) => first.toUpperCase());
  return counts.paused > 0 ? `${count(counts.paused)} paused` : 'All is well';
}

/** @param {State} state */
function noteOf({ counts }) {
  const isOfArchives = counts.failing + counts.damaged + counts.late + counts.purgesHeld > 0;
  return [
    `${isOfArchives ? 'of ' : ''}${plural(counts.archives, 'archive')}`,
    counts.paused > 0 ? `${count(counts.paused)} paused` : '',
    counts.standby > 0 ? `${count(counts.standby)} on standby` : '',
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

/**
 * @param {State} state
 * @param {number} now
 */
function wellNote({ archives, counts }, now) {
  const next = archives
    .flatMap(({ name, nextSlot, paused }) => (nextSlot === null || paused ? [] : [{ name, at: Date.parse(nextSlot) }]))
    .sort((a, b) => a.at - b.at)[0];
  const coming =
    next === undefined
      ? 'nothing is scheduled'
      : `next is ${cut(next.name, MOST_OF_A_NAME)}, ${countdown((next.at - now) / 1000)}`;
  const all = plural(counts.archives, 'archive');
  const whole = counts.paused > 0 ? `of ${all} · none is failing or late` : all;
  const standby = counts.standby > 0 ? [`${count(counts.standby)} on standby`] : [];
  return [whole, ...standby, coming].join(' · ');
}

/** @param {string} name */
function createLine(name) {
  const badges = h('span', { class: 'row' });
  const link = h('a', { href: archivePath(name), title: name }, cut(name, MOST_OF_A_NAME));
  const text = h('span');
  const code = h('code');
  const element = h('li', { class: 'row' }, badges, link, text, code);
  /** @type {ArchiveState | undefined} */
  let archive;
  /** @type {string | undefined} */
  let shown;
  const update = (/** @type {ArchiveState} */ changed) => {
    archive = changed;
    const troubles = troublesOf(changed);
    const key = troubles.join();
    if (key !== shown) setChildren(badges, troubles.map(badge));
    shown = key;
    const failure = changed.failing ? changed.lastFailure : null;
    code.hidden = failure === null;
    setText(code, cut(failure?.code ?? '', MOST_OF_A_NAME));
    setAttribute(text, 'title', changed.failingSince === null ? undefined : utc(changed.failingSince));
  };
  const tick = (/** @type {number} */ now) => {
    if (archive === undefined) return;
    const told = archive;
    setText(
      text,
      troublesOf(archive)
        .map((trouble) => describeTrouble(trouble, told, now))
        .join('; '),
    );
  };
  return { element, update, tick };
}

/**
 * @param {Trouble} trouble
 * @param {ArchiveState} archive
 * @param {number} now
 */
function describeTrouble(trouble, archive, now) {
  switch (trouble) {
    case 'failing':
      return failingText(archive, now);
    case 'late':
      return lateText(archive);
    case 'damaged':
      return damagedText(archive);
    case 'held': {
      const { purge } = archive;
      const [first = purge?.failure] = purge?.notPurgeable ?? [];
      return `nothing is purged: ${cut(first?.message ?? '', MOST_OF_A_TEXT)}`;
    }
  }
}

/** @param {ArchiveState} archive */
function lateText({ dueSlot, current }) {
  const due = dueSlot === null ? 'a slot is overdue' : `not archived, due ${dateTime(dueSlot)}`;
  return current?.status === 'running' ? `${due}, runs now` : due;
}

/**
 * `since 24 Nov, 02:16, 3 times in a row, next try in 4m 10s`
 * @param {ArchiveState} archive
 * @param {number} now
 */
function failingText(archive, now) {
  const { failingSince, failuresInARow } = archive;
  const since = failingSince === null ? [] : [`since ${dateTime(failingSince)}`];
  const often = failuresInARow > 1 ? [`${count(failuresInARow)} times in a row`] : [];
  return [...since, ...often, nextText(archive, now)].join(', ');
}

/**
 * The same for where the last failure has been named.
 * @param {ArchiveState} archive
 * @param {number} now
 */
export function failuresText(archive, now) {
  const { failingSince, failuresInARow } = archive;
  const isMore = failingSince !== null && failuresInARow > 1;
  const row = isMore ? [`${count(failuresInARow)} in a row since ${dateTime(failingSince)}`] : [];
  return [...row, nextText(archive, now)].join(', ');
}

/**
 * @param {ArchiveState} archive
 * @param {number} now
 */
function nextText(archive, now) {
  const { current } = archive;
  return current !== null && current.status !== 'standby' ? 'tried again now' : nextTryText(archive, now);
}

/**
 * @param {ArchiveState} archive
 * @param {number} now
 */
function nextTryText({ paused, nextTry, nextSlot }, now) {
  if (paused) return 'not tried again while it is paused';
  const at = nextTry?.at ?? nextSlot;
  if (at === null) return 'not tried again by itself';
  return `next try ${countdown((Date.parse(at) - now) / 1000)} (${dateTime(at)})`;
}

/** @param {ArchiveState} archive */
function damagedText({ proof, rehearsal }) {
  const runs = proof?.differentRuns ?? 0;
  const lost = rehearsal?.differentRuns ?? 0;
  return [
    runs > 0 ? `${plural(runs, 'run')} not as its manifest says` : '',
    lost > 0 ? `${plural(lost, 'run')} did not come back when rehearsed` : '',
  ]
    .filter((part) => part !== '')
    .join(', ');
}

/** Something that is wrong with the daemon itself. */
function createNotice() {
  const text = h('p');
  const list = h('ul', { class: 'mono' });
  const hint = h('p', { class: 'failure-hint' });
  const element = h('div', { class: 'notice', hidden: true }, text, list, hint);
  /** @type {string | undefined} */
  let shown;
  const update = (/** @type {{ text: string, lines: readonly string[], hint: string } | null} */ notice) => {
    element.hidden = notice === null;
    const key = JSON.stringify(notice);
    if (notice === null || key === shown) return;
    shown = key;
    setText(text, cut(notice.text, MOST_OF_A_TEXT * 2));
    const rest = notice.lines.length - MOST_PROBLEMS;
    setChildren(list, [
      ...notice.lines.slice(0, MOST_PROBLEMS).map((line) => h('li', {}, cut(line, MOST_OF_A_TEXT))),
      ...(rest > 0 ? [h('li', {}, `and ${plural(rest, 'further problem')}`)] : []),
    ]);
    setText(hint, cut(notice.hint, MOST_OF_A_TEXT));
  };
  return { element, update };
}
