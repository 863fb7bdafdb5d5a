// @ts-check
/** Run now, cancel, pause, resume. The token is asked for once, and is kept in this variable and nowhere else. */
import { ApiError, request } from './connection.js';
import { ask, toast } from './dialog.js';
import { h } from './dom.js';
import { encode } from './paths.js';
import { cut } from './text.js';

/** @typedef {'run' | 'cancel' | 'pause' | 'resume'} Order */

/** @type {Record<Order, string>} */
const DONE = { run: 'run requested', cancel: 'cancel requested', pause: 'schedule paused', resume: 'schedule resumed' };

/** More of a name than a dialog should be filled with. */
const MOST_OF_A_NAME = 100;

/** @type {string | undefined} */
let token;

/**
 * Does it, and says how that went.
 * @param {string} archive
 * @param {Order} order
 */
export async function act(archive, order) {
  const name = cut(archive, MOST_OF_A_NAME);
  if (order === 'cancel' && !(await confirmCancel(name))) return;
  /** @type {string | undefined} */
  let complaint;
  for (;;) {
    token ??= await askForToken(name, order, complaint);
    if (token === undefined) return;
    const problem = await send(archive, order, token);
    if (problem?.status === 401) {
      token = undefined;
      complaint = `The daemon refused: ${cut(problem.message, 300)}`;
      continue;
    }
    if (problem === undefined) toast(`${name}: ${DONE[order]}`, 'good');
    else toast(`${name}: ${problem.text}`, 'bad');
    return;
  }
}

/**
 * Resolves to what went wrong, or to undefined.
 * @param {string} archive
 * @param {Order} order
 * @param {string} bearer
 */
async function send(archive, order, bearer) {
  try {
    const headers = { Authorization: `Bearer ${bearer}` };
    await request(`/api/archives/${encode(archive)}/${order}`, { method: 'POST', headers });
    return undefined;
  } catch (error) {
    return ApiError.from(error);
  }
}

/**
 * @param {string} name
 * @param {Order} order
 * @param {string | undefined} complaint
 */
function askForToken(name, order, complaint) {
  const input = h('input', {
    type: 'password',
    id: 'token',
    autocomplete: 'off',
    spellcheck: 'false',
    required: '',
    'aria-describedby': 'token-note',
  });
  const words =
    'It is http.token in the config of the daemon. It stays in this tab, and is gone when the page is closed.';
  const refused = h('p', { class: 'problem tinted', 'data-tone': 'bad', role: 'alert' }, complaint);
  return ask({
    title: 'Access token',
    body: [
      ...(complaint === undefined ? [] : [refused]),
      h('label', { for: 'token' }, `Needed to ${order} ${name}`),
      input,
      h('p', { class: 'note', id: 'token-note' }, words),
    ],
    confirm: 'Continue',
    value: () => (input.value === '' ? undefined : input.value),
  });
}

/** @param {string} name */
async function confirmCancel(name) {
  const answer = await ask({
    title: 'Cancel this run?',
    body: [h('p', {}, `The run of ${name} stops. Segments that are done are kept: it can go on from them later.`)],
    confirm: 'Cancel the run',
    dismiss: 'Let it run',
    value: () => true,
  });
  return answer === true;
}
