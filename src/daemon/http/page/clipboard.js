// @ts-check
/** Puts a text on the clipboard, and says so. */
import { toast } from './dialog.js';
import { h } from './dom.js';

/**
 * The clipboard needs a secure origin, as loopback is; elsewhere the text goes by way of a selection.
 * @param {string} text
 * @param {string} what as the beginning of a sentence, such as `The manifest`
 */
export async function copyText(text, what) {
  const copied = await writeText(text).catch(() => copySelected(text));
  if (copied) toast(`${what} is on the clipboard`, 'good');
  else toast('This browser does not let the page copy', 'bad');
}

/** @param {string} text */
async function writeText(text) {
  await navigator.clipboard.writeText(text);
  return true;
}

/** @param {string} text */
function copySelected(text) {
  const area = h('textarea', { class: 'sr-only', value: text, 'aria-hidden': 'true' });
  document.body.append(area);
  area.select();
  // oxlint-disable-next-line typescript/no-deprecated -- where the clipboard is refused, there is no other way
  const copied = document.execCommand('copy');
  area.remove();
  window.getSelection()?.removeAllRanges();
  return copied;
}
