/** A chart of the seconds by contender, as an SVG that reads well on a light and on a dark page. */
import { formatCount } from '../src/base/units.ts';
import type { Figures } from './rounds.ts';
import type { BenchTable } from './site.ts';

const WIDTH = 960;
const LABEL_WIDTH = 340;
const VALUE_WIDTH = 60;
const BAR_HEIGHT = 18;
const ROW_HEIGHT = 26;
const TITLE_HEIGHT = 44;
const MARGIN = 16;

/** Colours of middling lightness for the bars; the text follows the reader's scheme. */
const STYLE = `
    text { font: 13px system-ui, sans-serif; fill: #1f2328; }
    .title { font-weight: 600; font-size: 15px; }
    .pgsluice { fill: #1a7f9c; } .script { fill: #a0781e; } .limit { fill: #7a7f87; }
    .spread { stroke: #1f2328; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .spread { stroke: #e6edf3; } }`;

/** Bars from the fastest to the slowest, with a line from the fastest round to the slowest. */
export function drawChart(figures: readonly Figures[], tables: readonly BenchTable[]): string {
  const parts: string[] = [];
  let top = MARGIN;
  for (const table of tables) {
    const own = figures
      .filter((one) => one.table === table && !one.contender.name.endsWith('-null'))
      .toSorted((a, b) => a.seconds.median - b.seconds.median);
    parts.push(...drawTable(own, table, top));
    top += TITLE_HEIGHT + own.length * ROW_HEIGHT + MARGIN;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" role="img" aria-labelledby="title">
  <title id="title">Seconds from the table to the object in S3, by contender; shorter is better</title>
  <style>${STYLE}
  </style>
${parts.map((part) => `  ${part}\n`).join('')}</svg>
`;
}

function drawTable(figures: readonly Figures[], table: BenchTable, top: number): string[] {
  const longest = Math.max(...figures.map(({ seconds }) => seconds.max));
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH - MARGIN) / longest;
  const title = `${table.what}: ${formatCount(table.rows)} rows, seconds, shorter is better`;
  return [
    `<text class="title" x="${MARGIN}" y="${top + 20}">${escape(title)}</text>`,
    ...figures.flatMap((one, index) => drawBar(one, top + TITLE_HEIGHT + index * ROW_HEIGHT, scale)),
  ];
}

function drawBar({ contender, seconds }: Figures, y: number, scale: number): string[] {
  const middle = y + BAR_HEIGHT / 2;
  const [from, width, to] = [seconds.min, seconds.median, seconds.max].map((value) => round(value * scale));
  return [
    `<text x="${LABEL_WIDTH - 10}" y="${middle + 4.5}" text-anchor="end">${escape(contender.label)}</text>`,
    `<rect class="${contender.kind}" x="${LABEL_WIDTH}" y="${y}" width="${width ?? 0}" height="${BAR_HEIGHT}" rx="2"/>`,
    `<line class="spread" x1="${LABEL_WIDTH + (from ?? 0)}" x2="${LABEL_WIDTH + (to ?? 0)}" y1="${middle}" y2="${middle}"/>`,
    `<text x="${round(LABEL_WIDTH + (to ?? 0) + 8)}" y="${middle + 4.5}">${seconds.median.toFixed(2)}</text>`,
  ];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
