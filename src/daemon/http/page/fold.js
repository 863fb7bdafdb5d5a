// @ts-check
/** A text that may be long: what is too long is folded, and made only when it is opened. */
import { h, setChildren } from './dom.js';
import { count } from './format.js';
import { cut } from './text.js';

/** What a message of a server that says what is wrong stays below. */
const MOST_SHOWN = 600;

/**
 * Puts the text in the element, whole or as the head of a fold.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setLongText(element, text) {
  if (texts.get(element) === text) return;
  texts.set(element, text);
  if (text.length > MOST_SHOWN) setChildren(element, [fold(text)]);
  else setChildren(element, text === '' ? [] : [h('span', {}, text)]);
}

/** What each element shows: a fold that somebody has opened stays as it is while its text stays. */
/** @type {WeakMap<HTMLElement, string>} */
const texts = new WeakMap();

/** @param {string} text */
function fold(text) {
  const whole = h('div', { class: 'whole', tabindex: 0, role: 'region', 'aria-label': 'The whole text' });
  const element = h(
    'details',
    {
      class: 'fold',
      ontoggle: () => {
        if (element.open && whole.childNodes.length === 0) whole.append(h('span', {}, text));
      },
    },
    h('summary', {}, `${cut(text, MOST_SHOWN)} `, h('span', { class: 'note' }, `${count(text.length)} characters`)),
    whole,
  );
  return element;
}
