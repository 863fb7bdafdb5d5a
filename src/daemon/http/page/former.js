// @ts-check
/** What lies in the destinations of archives that are not in the config: below those that are, so that nobody takes them for kept up. */
import { h, setChildren } from './dom.js';
import { plural } from './format.js';
import { cut } from './text.js';

/**
 * @import { State } from '../../view/state.ts'
 */

const MOST_OF_A_NAME = 100;
const MOST_OF_A_URL = 300;
const MOST_OF_A_RUN = 40;

export function createFormerList() {
  const list = h('ul');
  const line = h(
    'p',
    {},
    h('strong', {}, 'Not in the config'),
    ' · their runs are there, and nothing is archived, purged or audited of them',
  );
  const element = h('div', { class: 'former note', hidden: true }, line, list);
  /** @type {string | undefined} */
  let shown;
  const update = (/** @type {State['former'] | undefined} */ former) => {
    const { archives, count } = former ?? { archives: [], count: 0 };
    element.hidden = count === 0;
    const key = JSON.stringify(former);
    if (key === shown) return;
    shown = key;
    const others = count - archives.length;
    setChildren(list, [
      ...archives.map(describe),
      ...(others > 0 ? [h('li', {}, `and ${plural(others, 'further archive')}`)] : []),
    ]);
  };
  return { element, update };
}

/** @param {NonNullable<State['former']>['archives'][number]} archive */
function describe({ name, url, runs, more, latestRun }) {
  const many = `${more ? 'more than ' : ''}${plural(runs, 'run')}`;
  return h(
    'li',
    {},
    h('strong', {}, cut(name, MOST_OF_A_NAME)),
    ` · ${many}, the latest ${cut(latestRun, MOST_OF_A_RUN)} · `,
    h('code', {}, cut(url, MOST_OF_A_URL)),
  );
}
