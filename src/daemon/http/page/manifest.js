/** A manifest to look through: its parts fold, and are made when they are opened; a copy button gives it whole. */
import { toast } from './actions.js';
import { h, setChildren } from './dom.js';
import { bytes, count, plural } from './format.js';

/** Entries that are shown of one part; a manifest may list ten thousand objects. */
const MOST_ENTRIES = 500;
const OPEN_DEPTH = 1;

export function createManifestView() {
  const tree = h('div', { class: 'json', tabindex: '0', role: 'region', 'aria-label': 'Manifest as JSON' });
  const note = h('p', { class: 'note' });
  const copy = h('button', { type: 'button', onclick: () => copyText(text) }, 'Copy JSON');
  const nothing = h('p', { class: 'empty' }, 'There is no manifest: this run is not committed, so it is not archived.');
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'manifest-title' },
    h('div', { class: 'panel-head' }, h('h2', { id: 'manifest-title' }, 'Manifest'), note, copy),
    tree,
    nothing,
  );
  let text = '';
  const update = (manifest) => {
    const has = manifest !== null && manifest !== undefined;
    tree.hidden = copy.hidden = !has;
    nothing.hidden = has;
    const changed = has ? JSON.stringify(manifest, null, 2) : '';
    if (changed === text) return;
    text = changed;
    note.textContent = has
      ? `${plural(manifest.objects?.length ?? 0, 'object')}, ${count(manifest.rows)} rows, ${bytes(manifest.bytes)}`
      : '';
    setChildren(tree, has ? entriesOf(manifest, 0) : []);
  };
  return { element, update };
}

function entriesOf(value, depth) {
  const entries = Object.entries(value);
  const nodes = entries.slice(0, MOST_ENTRIES).map(([key, part]) => entry(key, part, depth));
  if (entries.length > MOST_ENTRIES)
    nodes.push(h('p', { class: 'note' }, `and ${count(entries.length - MOST_ENTRIES)} more; the copy has them all`));
  return nodes;
}

function entry(key, value, depth) {
  const name = h('span', { class: 'json-key' }, key);
  if (value === null || typeof value !== 'object')
    return h(
      'p',
      {},
      name,
      ' ',
      h('span', { class: `json-${value === null ? 'null' : typeof value}` }, JSON.stringify(value)),
    );
  const size = Object.keys(value).length;
  const summary = Array.isArray(value) ? `[ ${count(size)} ]` : `{ ${count(size)} }`;
  const part = h(
    'details',
    {},
    h(
      'summary',
      {},
      name,
      ' ',
      h('span', { class: 'json-size' }, summary),
      ' ',
      h('span', { class: 'json-peek' }, peek(value)),
    ),
  );
  const make = () => {
    if (part.open && part.children.length === 1) part.append(h('div', {}, ...entriesOf(value, depth + 1)));
  };
  part.addEventListener('toggle', make);
  part.open = depth < OPEN_DEPTH && size > 0 && size <= 6 && !Array.isArray(value);
  return part;
}

/** What tells one folded part from the next. */
function peek(value) {
  if (Array.isArray(value)) return value.every((part) => typeof part !== 'object') ? value.join(', ') : '';
  const telling = [value.name, value.key, value.id, value.database].find((part) => typeof part === 'string');
  return telling?.split('/').at(-1) ?? '';
}

/** The clipboard needs a secure origin, as loopback is; elsewhere the text goes by way of a selection. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast('The manifest is on the clipboard', 'good');
  } catch {
    const area = h('textarea', { class: 'sr-only', value: text, 'aria-hidden': 'true' });
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    window.getSelection()?.removeAllRanges();
    toast(
      copied ? 'The manifest is on the clipboard' : 'This browser does not let the page copy',
      copied ? 'good' : 'bad',
    );
  }
}
