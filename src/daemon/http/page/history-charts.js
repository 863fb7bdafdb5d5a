// @ts-check
/** Small charts of duration, rows and bytes, for each archive. */
import { stateWords, tone } from './badge.js';
import { bars } from './bars.js';
import { h } from './dom.js';
import { bytes, compact, duration, plural } from './format.js';
import { historyPath } from './paths.js';
import { cut } from './text.js';

/** @import { RunEnding } from '../../run-ending.ts' */

const CHART_RUNS = 24;
const CHART_ARCHIVES = 6;
const MOST_OF_A_NAME = 200;

/** @type {{ label: string, of: (run: RunEnding) => number, format: (value: number) => string }[]} */
const MEASURES = [
  { label: 'Duration', of: (run) => run.seconds, format: duration },
  { label: 'Rows', of: (run) => run.rows, format: compact },
  { label: 'Stored', of: (run) => run.bytes, format: bytes },
];

/**
 * For the archive that is chosen, or for those that ran last.
 * @param {RunEnding[]} runs the latest first
 * @param {string} archive empty when none is chosen
 */
export function chartCards(runs, archive) {
  const ran = Map.groupBy(
    runs.filter(({ status }) => status !== 'skipped'),
    (run) => run.archive,
  );
  const names = archive === '' ? [...ran.keys()].slice(0, CHART_ARCHIVES) : [archive];
  return names.flatMap((name) => {
    const mine = (ran.get(name) ?? []).slice(0, CHART_RUNS).reverse();
    const latest = mine.at(-1);
    return latest === undefined ? [] : [chartCard(name, mine, latest, names.length === 1)];
  });
}

/**
 * @param {string} name
 * @param {RunEnding[]} runs
 * @param {RunEnding} latest
 * @param {boolean} isWide
 */
function chartCard(name, runs, latest, isWide) {
  const link = h('a', { href: historyPath(name), title: name }, cut(name, MOST_OF_A_NAME));
  return h(
    'section',
    {
      class: `chart-card inset stack${isWide ? ' wide' : ''}`,
      'aria-label': `Last runs of ${cut(name, MOST_OF_A_NAME)}`,
    },
    h('h3', { class: 'clip' }, link),
    MEASURES.map((measure) => chartLine(measure, runs, latest)),
  );
}

/**
 * @param {typeof MEASURES[number]} measure
 * @param {RunEnding[]} runs
 * @param {RunEnding} latest
 */
function chartLine({ label, of, format }, runs, latest) {
  const words = `latest ${format(of(latest))}, highest ${format(Math.max(...runs.map(of)))}`;
  const items = runs.map((run) => ({
    value: of(run),
    tone: tone(run.status),
    title: `${run.run}: ${format(of(run))}, ${stateWords(run.status)}`,
  }));
  return h(
    'div',
    { class: 'chart-line' },
    h('span', { class: 'note' }, label),
    bars(items, { slots: CHART_RUNS, label: `${label} of the last ${plural(runs.length, 'run')}: ${words}` }),
    h('b', {}, format(of(latest))),
  );
}
