// @ts-check
/** A part of the page that takes no other part down with it: when it fails, it says so in its own place. */
import { h, setText } from './dom.js';
import { cut } from './text.js';

/**
 * Makes a part. `show` gives it new facts: when that goes well, its last problem is over. `run` does anything else with
 * it. A part that cannot be made is a panel that says why.
 * @template {{ element: HTMLElement }} Part
 * @param {string} title
 * @param {() => Part} create
 */
export function contain(title, create) {
  const problem = h('p', { class: 'problem tinted', 'data-tone': 'bad', role: 'alert' });
  const complain = (/** @type {unknown} */ error) => {
    setText(problem, `${title} cannot be shown: ${cut(String(error), 300)}. The other parts go on.`);
  };
  /** @type {Part | undefined} */
  let part;
  try {
    part = create();
  } catch (error) {
    complain(error);
  }
  const element = part?.element ?? h('section', { class: 'panel', 'aria-label': title }, problem);
  const run = (/** @type {(part: Part) => void} */ use) => {
    if (part === undefined) return false;
    try {
      use(part);
      return true;
    } catch (error) {
      complain(error);
      if (problem.parentNode !== element) element.prepend(problem);
      return false;
    }
  };
  const show = (/** @type {(part: Part) => void} */ use) => {
    if (run(use)) problem.remove();
  };
  return { element, run, show };
}
