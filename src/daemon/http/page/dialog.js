// @ts-check
/** What asks and what tells: a modal dialog, and lines that go by themselves. */
import { byId, h } from './dom.js';
import { setLongText } from './fold.js';

const TOAST_MS = 8000;

/**
 * A modal dialog; resolves to `value()`, or to undefined when it is dismissed.
 * @template T
 * @param {{ title: string, body: Node[], confirm: string, dismiss?: string, value: () => T }} parts
 * @returns {Promise<T | undefined>}
 */
export function ask({ title, body, confirm, dismiss = 'Back', value }) {
  /** @type {PromiseWithResolvers<T | undefined>} */
  const { promise, resolve } = Promise.withResolvers();
  /** @type {T | undefined} */
  let answer;
  const submit = () => {
    answer = value();
  };
  const back = h('button', { type: 'button' }, dismiss);
  const go = h('button', { type: 'submit', class: 'primary' }, confirm);
  const heading = h('h2', { id: 'dialog-title' }, title);
  const buttons = h('div', { class: 'buttons row' }, back, go);
  const form = h('form', { method: 'dialog', class: 'stack', onsubmit: submit }, heading, ...body, buttons);
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
  back.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => {
    dialog.remove();
    resolve(answer);
  });
  document.body.append(dialog);
  dialog.showModal();
  return promise;
}

/**
 * A line that is read out, and goes by itself; a problem stays until it is dismissed.
 * @param {string} text
 * @param {'good' | 'bad'} kind
 */
export function toast(text, kind) {
  const said = h('div');
  setLongText(said, text);
  const close = h('button', { type: 'button', 'aria-label': 'Dismiss' }, '✕');
  const line = h('div', { class: 'toast row', 'data-tone': kind === 'bad' ? kind : undefined }, said, close);
  close.addEventListener('click', () => line.remove());
  byId('toasts').append(line);
  if (kind !== 'bad') setTimeout(() => line.remove(), TOAST_MS);
}
