// @ts-check
/** Other hosts that work for runs of this daemon: how many of their threads are busy with them, and with what. */
import { h, setAttribute, setChildren, setText } from './dom.js';
import { cut } from './text.js';

/** @import { State } from '../../view/state.ts' */
/** @typedef {NonNullable<State['hosts']>[number]} HostState */

const MOST_OF_A_NAME = 100;
const MOST_HOSTS = 100;
const MOST_TASKS = 6;

export function createHostsList() {
  const title = h('h3', { class: 'note' });
  const list = h('ul');
  const element = h('div', { class: 'workers-part', hidden: true }, title, list);
  /** @type {ReturnType<typeof createHostLine>[]} */
  const lines = [];
  const update = (/** @type {State} */ { hosts = [], version }) => {
    const shown = hosts.slice(0, MOST_HOSTS);
    while (lines.length < shown.length) lines.push(createHostLine());
    shown.forEach((host, index) => lines[index]?.update(host, version));
    setText(title, hosts.length > MOST_HOSTS ? `Hosts, ${MOST_HOSTS} of ${hosts.length}` : 'Hosts');
    setChildren(
      list,
      lines.slice(0, shown.length).map((line) => line.element),
    );
    element.hidden = hosts.length === 0;
  };
  return { element, update };
}

function createHostLine() {
  const name = h('span', { class: 'clip' });
  const bar = h('i');
  const text = h('span', { class: 'note' });
  const tasks = h('span', { class: 'note clip host-tasks' });
  const meter = h('span', { class: 'meter', 'aria-hidden': 'true' }, bar);
  const element = h('li', { class: 'worker' }, name, meter, text, tasks);
  const update = (/** @type {HostState} */ host, /** @type {string} */ ownVersion) => {
    const whole = `${host.host}, process ${host.pid}`;
    const isOther = host.version !== ownVersion;
    setText(name, `${cut(host.host, MOST_OF_A_NAME)}, process ${host.pid}`);
    setAttribute(name, 'title', `${whole}, version ${host.version}`);
    const share = host.threads === 0 ? 0 : Math.min(1, host.tasks.length / host.threads);
    bar.style.inlineSize = `${(share * 100).toFixed(1)}%`;
    setText(text, host.isLive ? `${host.tasks.length} of ${host.threads} busy` : 'silent');
    setText(tasks, isOther ? `version ${cut(host.version, MOST_OF_A_NAME)} does none of this version` : tasksOf(host));
    setAttribute(tasks, 'title', isOther ? undefined : host.tasks.join(', '));
    tasks.hidden = !isOther && host.tasks.length === 0;
  };
  return { element, update };
}

/** @param {HostState} host */
function tasksOf({ tasks }) {
  const shown = tasks.slice(0, MOST_TASKS).map((task) => cut(task, MOST_OF_A_NAME));
  return tasks.length > MOST_TASKS ? `${shown.join(', ')}, …` : shown.join(', ');
}
