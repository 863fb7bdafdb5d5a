// @ts-check
/** All archives: how many stand how, which to show, and their rows, the most urgent first. */
import { createArchiveRow } from './archive-row.js';
import { stateWords, tone } from './badge.js';
import { h, setAttribute, setChildren, setText } from './dom.js';
import { createFormerList } from './former.js';
import { count, plural } from './format.js';
import { cut } from './text.js';
import { URGENCY, urgencyOf, wordsOf } from './trouble.js';

/**
 * @import { ArchiveState, State } from '../../view/state.ts'
 * @import { RunEnding } from '../../run-ending.ts'
 * @import { Word } from './trouble.js'
 */

/** From this number on, archives can be searched. */
const MANY = 6;
/** More that are well than this are folded. */
const MOST_WELL = 8;
/** Changes that are read out one by one. */
const MOST_READ_OUT = 3;
const MOST_OF_A_NAME = 100;

export function createArchivesPanel() {
  /** @type {Map<string, ReturnType<typeof createArchiveRow>>} */
  const rows = new Map();
  const list = h('ul', { class: 'archives' });
  const head = createHead();
  const nothing = h('p', { class: 'empty' });
  const search = h('input', {
    type: 'search',
    id: 'search',
    placeholder: 'Find an archive',
    'aria-label': 'Find an archive by name, table or state',
    oninput: () => show(),
  });
  const chips = createChips(() => show());
  const total = h('p', { class: 'note' });
  const former = createFormerList();
  let isOpen = false;
  const unfold = () => {
    isOpen = !isOpen;
    show();
  };
  const well = h('button', { type: 'button', class: 'more', onclick: unfold });
  const title = h('h2', { id: 'archives-title' }, 'Archives');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'archives-title' },
    h('div', { class: 'panel-head row' }, title, total, chips.element, search),
    head,
    list,
    well,
    nothing,
    former.element,
  );
  /** @type {ArchiveState[]} */
  let archives = [];

  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/);
    const only = chips.update(archives);
    const found = archives
      .filter((archive) => (only === undefined || wordsOf(archive).includes(only)) && matches(archive, words))
      .toSorted(byUrgency);
    const healthy = found.filter(isWell).length;
    const canFold = only === undefined && search.value === '' && healthy > MOST_WELL;
    const shown = canFold && !isOpen ? found.filter((archive) => !isWell(archive)) : found;
    setChildren(
      list,
      shown.flatMap(({ name }) => rows.get(name)?.element ?? []),
    );
    well.hidden = !canFold;
    setText(
      well,
      isOpen
        ? 'Fold those that are well'
        : `Show ${plural(healthy, 'archive')} that ${healthy === 1 ? 'is' : 'are'} well`,
    );
    setAttribute(well, 'aria-expanded', String(isOpen));
    search.hidden = archives.length < MANY;
    nothing.hidden = found.length > 0;
    head.hidden = shown.length === 0;
    const isEmpty = archives.length === 0;
    setText(
      nothing,
      isEmpty ? 'The config has no archives yet. Add one and send SIGHUP to the daemon.' : 'No archive matches.',
    );
    const all = plural(archives.length, 'archive');
    setText(total, found.length === archives.length ? all : `${count(found.length)} of ${all}`);
  };
  const update = (/** @type {State} */ state, /** @type {(text: string) => void} */ announce) => {
    ({ archives } = state);
    former.update(state.former);
    const names = new Set(archives.map(({ name }) => name));
    for (const name of rows.keys()) if (!names.has(name)) rows.delete(name);
    const changes = archives.flatMap((archive) => {
      const row = rows.get(archive.name) ?? createArchiveRow(archive.name);
      rows.set(archive.name, row);
      const before = row.update(archive, state.canAct);
      const now = wordsOf(archive).map(stateWords).join(', ').toLowerCase();
      if (before === undefined || before === now) return [];
      return [`${cut(archive.name, MOST_OF_A_NAME)} is now ${now}`];
    });
    setAttribute(element, 'data-actions', state.canAct ? '' : undefined);
    show();
    if (changes.length > MOST_READ_OUT) announce(`${changes.length} archives changed their state`);
    else if (changes.length > 0) announce(changes.join('; '));
  };
  const tick = (/** @type {number} */ now) => {
    for (const row of rows.values()) row.tick(now);
  };
  const showHistory = (/** @type {RunEnding[]} */ runs) => {
    const byName = Map.groupBy(runs, ({ archive }) => archive);
    for (const [name, row] of rows) row.showHistory(byName.get(name) ?? []);
  };
  return { element, update, tick, showHistory };
}

/** What the columns are; each cell says it again for those who do not see the columns. */
function createHead() {
  const labels = ['Archive', 'State', 'Schedule', 'Last success', 'Next run', 'Last runs'];
  return h(
    'div',
    { class: 'archive archives-head note', 'aria-hidden': 'true' },
    labels.map((label) => h('span', {}, label)),
  );
}

/**
 * How many archives stand how; pressed, only those are shown. `update` gives the state that is chosen.
 * @param {() => void} onChoice
 */
function createChips(onChoice) {
  /** @type {Word | undefined} */
  let only;
  /** @type {Map<Word, HTMLButtonElement>} */
  const known = new Map();
  const element = h('div', { class: 'chips row', role: 'group', 'aria-label': 'Show only one state' });
  const create = (/** @type {Word} */ state) => {
    const choose = () => {
      only = only === state ? undefined : state;
      onChoice();
    };
    return h('button', { type: 'button', class: 'chip note', 'data-tone': tone(state), onclick: choose });
  };
  const update = (/** @type {ArchiveState[]} */ archives) => {
    const shown = URGENCY.flatMap((state) => {
      const number = archives.filter((archive) => wordsOf(archive).includes(state)).length;
      if (number === 0 && state !== only) return [];
      const chip = known.get(state) ?? create(state);
      known.set(state, chip);
      setText(chip, `${count(number)} ${stateWords(state).toLowerCase()}`);
      setAttribute(chip, 'aria-pressed', String(only === state));
      return [chip];
    });
    setChildren(element, shown);
    return only;
  };
  return { element, update };
}

/**
 * Nothing is wrong with it, and it does nothing now.
 * @param {ArchiveState} archive
 */
function isWell(archive) {
  return wordsOf(archive).every((word) => word === 'ok');
}

/**
 * @param {ArchiveState} archive
 * @param {string[]} words
 */
function matches(archive, words) {
  const { name, subject, source, destination } = archive;
  const told = [name, subject, source.address, destination.url, ...wordsOf(archive).map(stateWords)];
  const text = told.join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

/**
 * @param {ArchiveState} a
 * @param {ArchiveState} b
 */
function byUrgency(a, b) {
  return urgencyOf(a) - urgencyOf(b) || (a.name < b.name ? -1 : 1);
}
