/** The pictures: memory against its limits while rows climb, by uPlot; and small bars, as SVG. */
import uPlot from './uplot.js';
import { h, setAttribute, setText, svg } from './dom.js';
import { bytes, clock, compact, count } from './format.js';

const MIB = 1024 ** 2;
const NARROW_PX = 520;
const SHORTEST_SPAN_S = 60;

/** A gap between samples that is longer than this says nothing of what was within: lines end before it. */
const LONGEST_STEP_S = 10;

/** Rows are the first column, as uPlot draws in their order: memory lies over their area. */
const SERIES = [
  { key: 'rss', column: 2, label: 'RSS of the process', format: bytes },
  { key: 'heap', column: 3, label: 'Largest worker heap', format: bytes },
  { key: 'rows', column: 1, label: 'Rows archived', format: count },
];

/** The memory chart. `update` gets the `memory` part of the state. */
export function createMemoryChart() {
  const values = SERIES.map(() => h('b'));
  const legend = h(
    'ul',
    { class: 'legend' },
    SERIES.map(({ key, label }, index) =>
      h('li', { 'data-series': key }, h('i', { 'aria-hidden': 'true' }), label, ' ', values[index]),
    ),
    h('li', { 'data-series': 'limit' }, h('i', { 'aria-hidden': 'true' }), 'Limit'),
  );
  const moment = h('span', { class: 'legend-time' });
  const stage = h('div', { class: 'chart', role: 'img' });
  const element = h('figure', { class: 'memory-chart' }, h('figcaption', {}, legend, moment), stage);
  const limits = { rss: undefined, heap: undefined };
  let plot;
  let data = [[], [], [], []];
  let isExact = false;

  const showValues = (index) => {
    const at = index ?? data[0].length - 1;
    SERIES.forEach(({ key, column, format }, series) => {
      setText(values[series], `${key === 'rows' && !isExact ? '~' : ''}${format(data[column][at])}`);
    });
    setText(moment, index === null || index === undefined ? '' : `at ${clock(data[0][at] * 1000)}`);
  };
  const draw = () => {
    plot?.destroy();
    plot = undefined;
    const width = stage.clientWidth;
    if (width === 0 || data[0].length < 2) return;
    plot = new uPlot(chartOptions(width, stage.clientHeight, limits, showValues), data, stage);
  };
  const observer = new ResizeObserver(() => {
    if (plot === undefined || stage.clientWidth < NARROW_PX !== plot.width < NARROW_PX) draw();
    else plot.setSize({ width: stage.clientWidth, height: stage.clientHeight });
  });
  observer.observe(stage);
  const scheme = window.matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', draw);

  const update = (memory) => {
    const heapLimit = Math.max(memory.heapLimitBytes ?? 0, ...memory.workers.map((worker) => worker.heapLimitBytes));
    const before = `${limits.rss} ${limits.heap}`;
    limits.rss = memory.rssLimitBytes ?? undefined;
    // Idle workers are not in the list; their limit stays what it was.
    if (heapLimit > 0) limits.heap = heapLimit;
    data = toSeries(memory.samples);
    // Summed up from rates of a second each, rows are about right only.
    isExact = memory.samples[0]?.[4] !== undefined;
    if (plot === undefined || before !== `${limits.rss} ${limits.heap}`) draw();
    else plot.setData(data);
    if (plot?.cursor.idx === null || plot?.cursor.idx === undefined) showValues();
    setAttribute(stage, 'aria-label', describe(memory, data, limits));
  };
  return { element, update };
}

/**
 * Samples as uPlot's columns. A sample's fifth figure is the number of rows so far; without it, rows are summed up from
 * their rate.
 */
export function toSeries(samples) {
  const columns = [[], [], [], []];
  const [times] = columns;
  const push = (...values) => values.forEach((value, index) => columns[index].push(value));
  const first = samples[0]?.[4];
  let rows = 0;
  for (const [at, rssBytes, heapBytes, rowsPerSecond, rowsSoFar] of samples) {
    const before = times.at(-1) ?? at / 1000;
    const step = at / 1000 - before;
    if (step < 0) continue;
    const isGap = step > LONGEST_STEP_S;
    if (isGap) push(before + 1, rows, null, null);
    rows = rowsSoFar === undefined ? rows + (isGap ? 0 : rowsPerSecond * step) : rowsSoFar - first;
    push(at / 1000, rows, rssBytes, heapBytes === 0 ? null : heapBytes);
  }
  return columns;
}

function describe(memory, [times, rows, rss, heap], limits) {
  if (times.length < 2) return 'No samples of memory yet.';
  const limit = (value) => (value === undefined ? 'without a limit' : `of a limit of ${bytes(value)}`);
  return (
    `Memory over the last ${Math.round((times.at(-1) - times[0]) / 60)} minutes. Resident memory is at ` +
    `${bytes(memory.rssBytes)} ${limit(limits.rss)}, at most ${bytes(Math.max(...rss))}. The largest worker heap was at ` +
    `most ${bytes(Math.max(...heap.map(Number)))} ${limit(limits.heap)}. ${count(rows.at(-1))} rows were archived meanwhile.`
  );
}

function chartOptions(width, height, limits, onCursor) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const narrow = width < NARROW_PX;
  const font = `${narrow ? 11 : 12}px ${style.getPropertyValue('--sans')}`;
  const axis = { font, stroke: color('muted'), ticks: { show: false } };
  const grid = { stroke: color('grid'), width: 1 };
  const top = Math.max(limits.rss ?? 0, limits.heap ?? 0);
  return {
    width,
    height,
    padding: [14, narrow ? 4 : 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (_plot, first, last) => [Math.min(first, last - SHORTEST_SPAN_S), last] },
      bytes: { range: (_plot, _low, high) => [0, Math.max(top, high ?? 0, MIB) * 1.08] },
      rows: { range: (_plot, _low, high) => [0, Math.max(high ?? 0, 1000) * 1.15] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: narrow ? 70 : 90,
        size: 28,
        values: (_plot, splits) => splits.map(clockLabel(splits)),
      },
      {
        ...axis,
        grid,
        scale: 'bytes',
        space: 44,
        size: narrow ? 52 : 64,
        incrs: MIB_STEPS,
        values: (_plot, splits) => splits.map(mibLabel),
      },
      {
        ...axis,
        grid: { show: false },
        scale: 'rows',
        side: 1,
        size: narrow ? 40 : 52,
        values: (_plot, splits) => splits.map(compact),
      },
    ],
    series: [
      {},
      {
        scale: 'rows',
        stroke: color('series-rows'),
        width: 1.5,
        fill: rowsFill(color('series-rows-fill')),
        points: { show: false },
      },
      { scale: 'bytes', stroke: color('series-rss'), width: 2, points: { show: false } },
      { scale: 'bytes', stroke: color('series-heap'), width: 2, points: { show: false } },
    ],
    hooks: {
      setCursor: [(plot) => onCursor(plot.cursor.idx)],
      draw: [(plot) => drawLimits(plot, limits, color, font)],
    },
  };
}

const MIB_STEPS = Array.from({ length: 24 }, (_none, power) => 2 ** power * MIB);

function mibLabel(value) {
  if (value >= 1024 * MIB) return `${Number((value / 1024 / MIB).toFixed(1))} GiB`;
  return value === 0 ? '0' : `${Math.round(value / MIB)} MiB`;
}

/** Seconds are shown only where the ticks are closer than a minute. */
function clockLabel(splits) {
  const fine = splits.length > 1 && splits[1] - splits[0] < 60;
  return (seconds) => (fine ? clock(seconds * 1000) : clock(seconds * 1000).slice(0, 5));
}

function rowsFill(tint) {
  return (plot) => {
    const { top, height } = plot.bbox;
    const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height);
    gradient.addColorStop(0, tint);
    gradient.addColorStop(1, `${tint}00`);
    return gradient;
  };
}

/** Dashed lines at the limits, with their names. */
function drawLimits(plot, limits, color, font) {
  const { ctx, bbox } = plot;
  const ratio = window.devicePixelRatio;
  ctx.save();
  ctx.font = font.replace(/^\d+/, (size) => Number(size) * ratio);
  ctx.textAlign = 'left';
  for (const [name, value, tint, below] of [
    ['RSS limit', limits.rss, 'series-rss', false],
    ['heap limit per worker', limits.heap, 'series-heap', true],
  ]) {
    if (value === undefined) continue;
    const y = plot.valToPos(value, 'bytes', true);
    ctx.lineWidth = 1.25 * ratio;
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.strokeStyle = color(tint);
    ctx.fillStyle = color(tint);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    // Above the upper line and below the lower one, where no series comes.
    ctx.textBaseline = below ? 'top' : 'bottom';
    ctx.fillText(`${name} ${bytes(value)}`, bbox.left + 6 * ratio, y + (below ? 4 : -3) * ratio);
  }
  ctx.restore();
}

const BAR_WIDTH = 6;
const BAR_GAP = 2;
const BARS_HEIGHT = 28;

/** Small bars, oldest first, each `{ value, tone, title }`, with room for `slots` of them. */
export function bars(items, { slots, label }) {
  const step = BAR_WIDTH + BAR_GAP;
  const most = Math.max(...items.map(({ value }) => value), Number.MIN_VALUE);
  return svg(
    'svg',
    {
      class: 'bars',
      viewBox: `0 0 ${slots * step - BAR_GAP} ${BARS_HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': label,
    },
    items.map(({ value, tone, title }, index) => {
      const height = Math.max(2, (value / most) * BARS_HEIGHT);
      return svg(
        'rect',
        { x: index * step, y: BARS_HEIGHT - height, width: BAR_WIDTH, height, rx: 1, 'data-tone': tone },
        svg('title', {}, title),
      );
    }),
  );
}
