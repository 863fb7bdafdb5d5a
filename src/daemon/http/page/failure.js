// @ts-check
/** A failure with what to do about it. */
import { h, setText } from './dom.js';
import { setLongText } from './fold.js';
import { cut } from './text.js';

/** @import { ShownFailure } from '../../run-ending.ts' */

const MOST_OF_A_CODE = 100;

/** The three parts of a failure, which can be given another one. */
export function createFailureParts() {
  const code = h('code');
  const message = h('div', { class: 'failure-message' });
  const hint = h('div', { class: 'failure-hint' });
  const update = (/** @type {ShownFailure} */ failure) => {
    setText(code, cut(failure.code, MOST_OF_A_CODE));
    setLongText(message, failure.message);
    setLongText(hint, advice(failure));
  };
  return { code, message, hint, update };
}

/**
 * The panel that says why a run failed.
 * @param {ShownFailure} failure
 */
export function failurePanel(failure) {
  const { code, message, hint, update } = createFailureParts();
  update(failure);
  const head = h('p', { class: 'failure-head' }, h('strong', {}, 'Why it failed '), code);
  return h('section', { class: 'panel failure', 'aria-label': 'Why it failed' }, head, message, hint);
}

/**
 * The same in two lines, within something that says what failed.
 * @param {ShownFailure} failure
 */
export function failureLines(failure) {
  const { code, message, hint, update } = createFailureParts();
  update(failure);
  return [h('div', { class: 'failure-brief row' }, code, message), hint];
}

/**
 * What to do about a failure, and where the documentation that comes with the package tells more of its code.
 * @param {ShownFailure} failure
 */
function advice({ code, hint }) {
  const see = /^[a-z][a-z0-9-]*$/.test(code) ? `See docs/errors.md#${code}.` : '';
  return [hint, see].filter((part) => part !== '').join(' ');
}
