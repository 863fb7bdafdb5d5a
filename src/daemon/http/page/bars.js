// @ts-check
/** Small bars, as SVG: a figure of each of the last runs. */
import { svg } from './dom.js';

const BAR_WIDTH = 6;
const BAR_GAP = 2;
const HEIGHT = 28;

/**
 * Bars, oldest first, with room for `slots` of them.
 * @param {{ value: number, tone: string, title: string }[]} items
 * @param {{ slots: number, label: string }} options
 */
export function bars(items, { slots, label }) {
  const step = BAR_WIDTH + BAR_GAP;
  const most = Math.max(...items.map(({ value }) => value), Number.MIN_VALUE);
  const bar = (/** @type {typeof items[0]} */ { value, tone, title }, /** @type {number} */ index) => {
    const height = Math.max(2, (value / most) * HEIGHT);
    const place = { x: index * step, y: HEIGHT - height, width: BAR_WIDTH, height, rx: 1, 'data-tone': tone };
    return svg('rect', place, svg('title', {}, title));
  };
  const box = { viewBox: `0 0 ${slots * step - BAR_GAP} ${HEIGHT}`, preserveAspectRatio: 'none' };
  return svg('svg', { class: 'bars', role: 'img', 'aria-label': label, ...box }, items.map(bar));
}

const SHARE_WIDTH = 400;
const SHARE_HEIGHT = 8;

/**
 * One bar that is cut by how many there are of each; what there are none of is not shown. Words and figures are its label, as
 * a colour alone says nothing to many.
 * @param {string} name
 * @param {{ count: number, tone: string, words: string }[]} shares
 */
export function shareBar(name, shares) {
  const there = shares.filter(({ count }) => count > 0);
  const total = there.reduce((sum, { count }) => sum + count, 0);
  const label = there.map(({ count, words }) => `${count} ${words}`).join(', ');
  let x = 0;
  const parts = there.map(({ count, tone, words }) => {
    const width = (count / total) * SHARE_WIDTH;
    const place = { x, y: 0, width, height: SHARE_HEIGHT, 'data-tone': tone };
    x += width;
    return svg('rect', place, svg('title', {}, `${count} ${words}`));
  });
  const box = { viewBox: `0 0 ${SHARE_WIDTH} ${SHARE_HEIGHT}`, preserveAspectRatio: 'none' };
  return svg(
    'svg',
    { class: 'share-bar', role: 'img', 'aria-label': `${name}: ${label || 'none yet'}`, ...box },
    parts,
  );
}
