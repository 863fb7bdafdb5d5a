// @ts-check
/** Memory against its limits while rows climb, drawn by uPlot. */
import { h, setAttribute, setText } from './dom.js';
import { bytes, clock, compact, count } from './format.js';
import { describe, toColumns } from './series.js';
import { cut } from './text.js';

/**
 * @import uPlot from 'uplot'
 * @import { Columns, Limits, Memory } from './series.js'
 * @typedef {(name: string) => string} ColorOf
 */

const MIB = 1024 ** 2;
const NARROW_PX = 520;
const SHORTEST_SPAN_S = 60;

/** Rows are the first column, as uPlot draws in their order: memory lies over their area. */
const SERIES = /** @type {const} */ ([
  { key: 'rss', column: 2, label: 'RSS of the process', format: bytes },
  { key: 'heap', column: 3, label: 'Largest worker heap', format: bytes },
  { key: 'rows', column: 1, label: 'Rows archived', format: count },
]);

/** The memory chart. Its legend and its words go on when the library that draws cannot be had. */
export function createMemoryChart() {
  const values = SERIES.map(() => h('b'));
  const entry = (/** @type {typeof SERIES[number]} */ { key, label }, /** @type {number} */ index) =>
    h('li', { 'data-series': key }, h('i', { 'aria-hidden': 'true' }), label, ' ', values[index]);
  const limit = h('li', { 'data-series': 'limit' }, h('i', { 'aria-hidden': 'true' }), 'Limit');
  const moment = h('span', { class: 'last' });
  const stage = h('div', { class: 'chart', role: 'img' });
  const legend = h('ul', { class: 'legend row' }, SERIES.map(entry), limit);
  const element = h('figure', { class: 'memory-chart' }, h('figcaption', { class: 'note row' }, legend, moment), stage);
  /** @type {Limits} */
  const limits = { rss: 0, heap: 0 };
  /** @type {typeof uPlot | undefined} */
  let Plot;
  /** @type {uPlot | undefined} */
  let plot;
  /** @type {Columns} */
  let data = [[], [], [], []];

  const showValues = (/** @type {number | null | undefined} */ index) => {
    const at = index ?? data[0].length - 1;
    SERIES.forEach(({ column, format }, series) => {
      const value = values[series];
      if (value !== undefined) setText(value, format(data[column][at]));
    });
    const seconds = index === null || index === undefined ? undefined : data[0][index];
    setText(moment, seconds === undefined ? '' : `at ${clock(seconds * 1000)}`);
  };
  const draw = () => {
    plot?.destroy();
    plot = undefined;
    const size = { width: stage.clientWidth, height: stage.clientHeight };
    if (Plot === undefined || size.width === 0 || data[0].length < 2) return;
    plot = new Plot(chartOptions(size, limits, colorsOf(stage), showValues), data, stage);
  };
  const resize = () => {
    if (plot === undefined || stage.clientWidth < NARROW_PX !== plot.width < NARROW_PX) draw();
    else plot.setSize({ width: stage.clientWidth, height: stage.clientHeight });
  };
  new ResizeObserver(resize).observe(stage);
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  loadPlot().then(
    (loaded) => {
      Plot = loaded;
      draw();
    },
    (/** @type {unknown} */ error) => {
      stage.append(h('p', { class: 'empty' }, `The chart cannot be drawn: ${cut(String(error), 300)}.`));
    },
  );

  const update = (/** @type {Memory} */ memory) => {
    const before = `${limits.rss} ${limits.heap}`;
    limits.rss = memory.rssLimitBytes;
    limits.heap = Math.max(memory.heapLimitBytes, ...memory.workers.map((worker) => worker.heapLimitBytes));
    data = toColumns(memory.samples);
    if (plot === undefined || before !== `${limits.rss} ${limits.heap}`) draw();
    else plot.setData(data);
    if (typeof plot?.cursor.idx !== 'number') showValues(undefined);
    setAttribute(stage, 'aria-label', describe(memory, data, limits));
  };
  return { element, update };
}

/** As it loads, the library asks Intl for the browser's language, which may be one that Intl refuses: en-US@posix. */
async function loadPlot() {
  try {
    Intl.getCanonicalLocales(navigator.language);
  } catch {
    Object.defineProperty(navigator, 'language', { value: 'en-US', configurable: true });
  }
  return (await import('./uplot.js')).default;
}

/**
 * The colours of the scheme in force, as a canvas takes them.
 * @param {HTMLElement} element
 * @returns {ColorOf}
 */
function colorsOf(element) {
  return (name) => {
    element.style.color = `var(--${name})`;
    return getComputedStyle(element).color;
  };
}

/**
 * @param {{ width: number, height: number }} size
 * @param {Limits} limits
 * @param {ColorOf} color
 * @param {(index: number | null | undefined) => void} onCursor
 * @returns {uPlot.Options}
 */
function chartOptions(size, limits, color, onCursor) {
  const narrow = size.width < NARROW_PX;
  const font = `${narrow ? 11 : 12}px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { font, stroke: color('muted'), ticks: { show: false }, grid: { show: false } };
  const line = { scale: 'bytes', width: 2, points: { show: false } };
  return {
    ...size,
    padding: [14, narrow ? 4 : 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (_plot, first, last) => [Math.min(first, last - SHORTEST_SPAN_S), last] },
      bytes: { range: (_plot, _low, high) => [0, Math.max(limits.rss, limits.heap, high, MIB) * 1.08] },
      rows: { range: (_plot, _low, high) => [0, Math.max(high, 1000) * 1.15] },
    },
    axes: [
      { ...axis, space: narrow ? 70 : 90, size: 28, values: (_plot, splits) => clockLabels(splits) },
      {
        ...axis,
        grid: { stroke: color('none-ground'), width: 1 },
        scale: 'bytes',
        space: 44,
        size: narrow ? 52 : 64,
        incrs: MIB_STEPS,
        values: (_plot, splits) => splits.map(mibLabel),
      },
      {
        ...axis,
        scale: 'rows',
        side: 1,
        size: narrow ? 40 : 52,
        values: (_plot, splits) => splits.map(compact),
      },
    ],
    series: [
      {},
      { ...line, scale: 'rows', stroke: color('series-rows'), width: 1.5, fill: rowsFill(color('series-rows-fill')) },
      { ...line, stroke: color('accent') },
      { ...line, stroke: color('series-heap') },
    ],
    hooks: {
      setCursor: [(plot) => onCursor(plot.cursor.idx)],
      draw: [
        (plot) => {
          // Above the upper line and below the lower one, where no series comes.
          drawLimit(plot, `RSS limit ${bytes(limits.rss)}`, limits.rss, color('accent'), font, false);
          drawLimit(plot, `heap limit per worker ${bytes(limits.heap)}`, limits.heap, color('series-heap'), font, true);
        },
      ],
    },
  };
}

const MIB_STEPS = Array.from({ length: 24 }, (_none, power) => 2 ** power * MIB);

/** @param {number} value */
function mibLabel(value) {
  if (value >= 1024 * MIB) return `${Number((value / 1024 / MIB).toFixed(1))} GiB`;
  return value === 0 ? '0' : `${Math.round(value / MIB)} MiB`;
}

/**
 * Seconds are shown only where the ticks are closer than a minute.
 * @param {number[]} splits
 */
function clockLabels(splits) {
  const [first = 0, second = Infinity] = splits;
  return splits.map((seconds) => clock(seconds * 1000).slice(0, second - first < 60 ? undefined : 5));
}

/**
 * Fades out downwards.
 * @param {string} tint
 * @returns {(plot: uPlot) => CanvasGradient}
 */
function rowsFill(tint) {
  return ({ bbox: { top, height }, ctx }) => {
    const gradient = ctx.createLinearGradient(0, top, 0, top + height);
    gradient.addColorStop(0, tint);
    gradient.addColorStop(1, tint.replace(/^rgb\((.*)\)$/, 'rgba($1, 0)'));
    return gradient;
  };
}

/**
 * A dashed line with its name.
 * @param {uPlot} plot
 * @param {string} name
 * @param {number} value
 * @param {string} tint
 * @param {string} font
 * @param {boolean} below whether its name is below the line
 */
function drawLimit(plot, name, value, tint, font, below) {
  const ratio = window.devicePixelRatio;
  const { ctx, bbox } = plot;
  const y = plot.valToPos(value, 'bytes', true);
  ctx.save();
  ctx.font = font.replace(/^\d+/, (size) => String(Number(size) * ratio));
  ctx.textAlign = 'left';
  ctx.textBaseline = below ? 'top' : 'bottom';
  ctx.lineWidth = 1.25 * ratio;
  ctx.setLineDash([5 * ratio, 4 * ratio]);
  ctx.strokeStyle = tint;
  ctx.fillStyle = tint;
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.fillText(name, bbox.left + 6 * ratio, y + (below ? 4 : -3) * ratio);
  ctx.restore();
}
