// @ts-check
/** A manifest to look through: its parts fold, and are made when they are opened; a copy button gives it whole. */
import { copyText } from './clipboard.js';
import { h, setChildren, setText } from './dom.js';
import { bytes, count, plural } from './format.js';
import { cut } from './text.js';

/** @import { Manifest } from '../../../ledger/manifest.ts' */

/** Entries that are shown of one part; a manifest may list ten thousand objects. */
const MOST_ENTRIES = 500;
/** Characters that are shown of a key or a value. */
const MOST_OF_A_VALUE = 500;
const MOST_OF_A_PEEK = 100;
/** Parts that are open from the start have at most this many entries. */
const FEW_ENTRIES = 6;

export function createManifestView() {
  const tree = h('div', { class: 'json inset', tabindex: 0, role: 'region', 'aria-label': 'Manifest as JSON' });
  const note = h('p', { class: 'note' });
  const copy = h(
    'button',
    { type: 'button', class: 'last', onclick: () => copyText(text, 'The manifest') },
    'Copy JSON',
  );
  const nothing = h('p', { class: 'empty' }, 'There is no manifest: this run is not committed, so it is not archived.');
  const title = h('h2', { id: 'manifest-title' }, 'Manifest');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'manifest-title' },
    h('div', { class: 'panel-head row' }, title, note, copy),
    tree,
    nothing,
  );
  let text = '';
  const update = (/** @type {Manifest | null} */ manifest, /** @type {number} */ objects) => {
    tree.hidden = copy.hidden = manifest === null;
    nothing.hidden = manifest !== null;
    const changed = manifest === null ? '' : JSON.stringify(manifest, null, 2);
    if (changed === text) return;
    text = changed;
    setText(note, manifest === null ? '' : summaryOf(manifest, objects));
    setChildren(tree, manifest === null ? [] : entriesOf(manifest, true));
  };
  return { element, update };
}

/**
 * @param {Manifest} manifest
 * @param {number} total
 */
function summaryOf({ objects, rows, bytes: size }, total) {
  const part = objects.length < total ? `; ${count(objects.length)} of the objects are here` : '';
  return `${plural(total, 'object')}, ${count(rows)} rows, ${bytes(size)}${part}`;
}

/**
 * @param {object} value
 * @param {boolean} isTop
 */
function entriesOf(value, isTop) {
  /** @type {[string, unknown][]} */
  const entries = Object.entries(value);
  const nodes = entries.slice(0, MOST_ENTRIES).map(([key, part]) => entry(key, part, isTop));
  const rest = entries.length - MOST_ENTRIES;
  return rest > 0 ? [...nodes, h('p', { class: 'note' }, `and ${count(rest)} more; the copy has them all`)] : nodes;
}

/**
 * @param {string} key
 * @param {unknown} value
 * @param {boolean} isTop
 */
function entry(key, value, isTop) {
  const name = h('span', { class: 'json-key' }, cut(key, MOST_OF_A_VALUE));
  if (typeof value === 'object' && value !== null) return part(name, value, isTop);
  const shown = h('span', { class: `json-${value === null ? 'null' : typeof value}` }, valueText(value));
  return h('p', {}, name, ' ', shown);
}

/** @param {unknown} value */
function valueText(value) {
  const text = JSON.stringify(value);
  if (text.length <= MOST_OF_A_VALUE) return text;
  return `${cut(text, MOST_OF_A_VALUE)} (${count(text.length)} characters; the copy has them all)`;
}

/**
 * @param {Node} name
 * @param {object} value
 * @param {boolean} isTop
 */
function part(name, value, isTop) {
  const size = Object.keys(value).length;
  const isList = Array.isArray(value);
  const facts = `${isList ? `[ ${count(size)} ]` : `{ ${count(size)} }`} ${cut(peek(value), MOST_OF_A_PEEK)}`;
  const element = h('details', {}, h('summary', {}, name, ' ', h('span', { class: 'json-null' }, facts)));
  element.addEventListener('toggle', () => {
    if (element.open && element.children.length === 1) element.append(h('div', {}, entriesOf(value, false)));
  });
  element.open = isTop && !isList && size > 0 && size <= FEW_ENTRIES;
  return element;
}

/**
 * What tells one folded part from the next.
 * @param {object} value
 */
function peek(value) {
  if (Array.isArray(value)) return value.every((item) => typeof item !== 'object') ? value.join(', ') : '';
  /** @type {Record<string, unknown>} */
  const { name, key, id, database } = { ...value };
  const telling = [name, key, id, database].find((item) => typeof item === 'string');
  return telling?.split('/').at(-1) ?? '';
}
