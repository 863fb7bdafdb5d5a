/** All archives: their state, what was, what comes, and what can be done about it. */
import { act } from './actions.js';
import { createBadge, stateWords, tone, URGENCY } from './badge.js';
import { bars } from './charts.js';
import { h, setAttribute, setChildren, setText } from './dom.js';
import { advice, age, count, countdown, dateTime, duration, NOTHING, plural } from './format.js';
import { runPath } from './running.js';

/** From this number on, archives can be searched and filtered. */
const MANY = 6;
const STRIP_RUNS = 16;

export function createArchivesPanel() {
  const rows = new Map();
  const list = h('ul', { class: 'archives' });
  // What the columns are; each cell says it again for those who do not see the columns.
  const head = h(
    'div',
    { class: 'archive archives-head', 'aria-hidden': 'true' },
    ['Archive', 'State', 'Schedule', 'Last success', 'Next run', 'Last runs', ''].map((label) => h('span', {}, label)),
  );
  const nothing = h('p', { class: 'empty' });
  const search = h('input', {
    type: 'search',
    id: 'search',
    placeholder: 'Find an archive',
    'aria-label': 'Find an archive by name, table or state',
    oninput: () => show(),
  });
  const chips = h('div', { class: 'chips', role: 'group', 'aria-label': 'Show only one state' });
  const chipOf = new Map();
  const total = h('p', { class: 'note' });
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'archives-title' },
    h('div', { class: 'panel-head' }, h('h2', { id: 'archives-title' }, 'Archives'), total, chips, search),
    head,
    list,
    nothing,
  );
  let archives = [];
  let only;

  const choose = (state) => {
    only = only === state ? undefined : state;
    show();
  };
  const chip = (state) => {
    const known =
      chipOf.get(state) ??
      h('button', { type: 'button', class: 'chip', 'data-tone': tone(state), onclick: () => choose(state) });
    chipOf.set(state, known);
    setText(
      known,
      `${count(archives.filter((archive) => archive.state === state).length)} ${stateWords(state).toLowerCase()}`,
    );
    setAttribute(known, 'aria-pressed', String(only === state));
    return known;
  };
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/);
    const shown = archives.filter(
      (archive) => (only === undefined || archive.state === only) && matches(archive, words),
    );
    setChildren(
      chips,
      URGENCY.filter((state) => state === only || archives.some((archive) => archive.state === state)).map(chip),
    );
    setChildren(
      list,
      shown.toSorted(byUrgency).map(({ name }) => rows.get(name).element),
    );
    search.hidden = archives.length < MANY;
    nothing.hidden = shown.length > 0;
    head.hidden = shown.length === 0;
    setText(
      nothing,
      archives.length === 0
        ? 'The config has no archives yet. Add one and send SIGHUP to the daemon.'
        : 'No archive matches.',
    );
    setText(
      total,
      shown.length === archives.length
        ? plural(archives.length, 'archive')
        : `${count(shown.length)} of ${plural(archives.length, 'archive')}`,
    );
  };
  const update = (state, announce) => {
    const changes = [];
    for (const archive of state.archives) {
      const row = rows.get(archive.name) ?? createArchiveRow(archive.name);
      const before = row.update(archive, state.canAct);
      rows.set(archive.name, row);
      if (before !== undefined && before !== archive.state)
        changes.push(`${archive.name} is now ${stateWords(archive.state).toLowerCase()}`);
    }
    const names = new Set(state.archives.map(({ name }) => name));
    for (const name of rows.keys()) if (!names.has(name)) rows.delete(name);
    ({ archives } = state);
    setAttribute(element, 'data-actions', state.canAct ? '' : undefined);
    show();
    if (changes.length > 0)
      announce(changes.length > 3 ? `${changes.length} archives changed their state` : changes.join('; '));
  };
  const tick = (now) => {
    for (const row of rows.values()) row.tick(now);
  };
  const showHistory = (runs) => {
    for (const [name, row] of rows)
      row.showHistory(
        runs
          .filter((run) => run.archive === name)
          .slice(0, STRIP_RUNS)
          .reverse(),
      );
  };
  return { element, update, tick, showHistory };
}

function matches({ name, subject, state }, words) {
  const text = `${name} ${subject} ${stateWords(state)}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function byUrgency(a, b) {
  const place = (state) => (URGENCY.indexOf(state) + URGENCY.length + 1) % (URGENCY.length + 1);
  return place(a.state) - place(b.state) || (a.name < b.name ? -1 : 1);
}

function createArchiveRow(name) {
  const state = createBadge('never');
  const also = createBadge('late');
  const subject = h('p', { class: 'subject mono' });
  const schedule = createCell('Schedule');
  const last = createCell('Last success');
  const next = createCell('Next run');
  const strip = h('div', { class: 'strip' });
  const failure = createFailureBox();
  const actions = createActions(name);
  const element = h(
    'li',
    {},
    h(
      'article',
      { class: 'archive', 'aria-label': name },
      h(
        'div',
        { class: 'archive-name' },
        h('h3', {}, h('a', { href: `#/history/${encodeURIComponent(name)}`, title: name }, name)),
        subject,
      ),
      h('div', { class: 'states' }, state.element, also.element),
      schedule.element,
      last.element,
      next.element,
      strip,
      actions.element,
      failure.element,
    ),
  );
  let archive;
  let stripKey;

  const tick = (now) => {
    const success = archive.lastSuccess;
    setText(last.main, success === null ? 'never' : age((now - Date.parse(success.finishedAt)) / 1000));
    setText(
      next.main,
      archive.paused
        ? 'paused'
        : archive.nextSlot === null
          ? NOTHING
          : countdown((Date.parse(archive.nextSlot) - now) / 1000),
    );
    failure.tick(now);
  };
  const update = (changed, canAct) => {
    const before = archive?.state;
    archive = changed;
    state.update(archive.state);
    const behind = stateBehind(archive);
    also.element.hidden = behind === undefined;
    if (behind !== undefined) also.update(behind);
    setText(subject, archive.subject);
    setAttribute(subject, 'title', archive.subject);
    setText(schedule.main, archive.scheduleText ?? 'by hand only');
    setAttribute(schedule.main, 'title', archive.schedule ?? undefined);
    setText(schedule.note, archive.schedule === null ? '' : archive.timezone);
    const success = archive.lastSuccess;
    setText(last.note, success === null ? '' : `${count(success.rows)} rows in ${duration(success.seconds)}`);
    setAttribute(last.main, 'title', success?.finishedAt);
    setText(next.note, nextNote(archive));
    failure.update(name, archive.lastFailure, isOver(archive));
    actions.update(archive, canAct);
    return before;
  };
  const showHistory = (runs) => {
    const key = runs.map(({ run, status }) => run + status).join();
    if (key === stripKey) return;
    stripKey = key;
    setChildren(strip, runs.length === 0 ? [] : [durationStrip(runs)]);
  };
  return { element, update, tick, showHistory };
}

function nextNote({ nextSlot, paused, late, dueSlot, timezone }) {
  if (late && dueSlot) return `since ${dateTime(dueSlot, timezone)} one is due`;
  return nextSlot === null || paused ? '' : dateTime(nextSlot, timezone);
}

/** What the one word does not say: that a paused or running archive is failing or late as well. */
function stateBehind({ state, late, failing }) {
  if (failing && state !== 'failing') return 'failing';
  return late && state !== 'late' ? 'late' : undefined;
}

function createCell(label) {
  const main = h('span', { class: 'cell-main' });
  const note = h('span', { class: 'note' });
  return { element: h('div', { class: 'cell' }, h('span', { class: 'label' }, label), main, note), main, note };
}

/** Whether a later success has made the last failure history. */
function isOver({ lastFailure, lastSuccess }) {
  return (
    lastFailure !== null && lastSuccess !== null && Date.parse(lastSuccess.finishedAt) > Date.parse(lastFailure.at)
  );
}

function createFailureBox() {
  const when = h('span');
  const link = h('a', { class: 'mono' });
  const code = h('code');
  const message = h('p', { class: 'failure-message' });
  const hint = h('p', { class: 'failure-hint' });
  const element = h(
    'div',
    { class: 'failure' },
    h('p', { class: 'failure-head' }, h('strong', {}, 'Last failure '), when, ' · run ', link, ' · ', code),
    message,
    hint,
  );
  let at;
  return {
    element,
    update: (name, failure, over) => {
      // A failure that a success came after is a matter of the history.
      element.hidden = failure === null || over;
      if (element.hidden) return;
      at = Date.parse(failure.at);
      setText(link, failure.run);
      setAttribute(link, 'href', runPath(name, failure.run));
      setText(code, failure.code);
      setText(message, failure.message);
      setText(hint, advice(failure));
    },
    tick: (now) => {
      if (!element.hidden) setText(when, age((now - at) / 1000));
    },
  };
}

function createActions(name) {
  const button = (verb, label) =>
    h(
      'button',
      { type: 'button', 'aria-label': `${label}: ${name}`, onclick: (event) => press(event.currentTarget, verb) },
      label,
    );
  const press = async (pressed, verb) => {
    pressed.setAttribute('aria-busy', 'true');
    await act(name, verb);
    pressed.removeAttribute('aria-busy');
    // The button may have gone with the state that it was for.
    (pressed.hidden ? element.querySelector('button:not([hidden])') : pressed)?.focus();
  };
  const buttons = {
    run: button('run', 'Run now'),
    cancel: button('cancel', 'Cancel'),
    pause: button('pause', 'Pause'),
    resume: button('resume', 'Resume'),
  };
  const element = h('div', { class: 'buttons' }, ...Object.values(buttons));
  return {
    element,
    update: ({ current, paused, schedule }, canAct) => {
      element.hidden = !canAct;
      buttons.run.hidden = current !== null;
      buttons.cancel.hidden = current === null;
      buttons.pause.hidden = paused || schedule === null;
      buttons.resume.hidden = !paused;
    },
  };
}

function durationStrip(runs) {
  const items = runs.map((run) => ({
    value: run.seconds ?? 0,
    tone: tone(run.status),
    title: `${run.run}: ${stateWords(run.status)}, ${duration(run.seconds)}`,
  }));
  const failed = runs.filter(({ status }) => status === 'failed').length;
  return bars(items, {
    slots: STRIP_RUNS,
    label: `Duration of the last ${plural(runs.length, 'run')}, ${count(failed)} failed`,
  });
}
