/** Run now, cancel, pause, resume. The token is asked for once, and is kept in this variable and nowhere else. */
import { request } from './connection.js';
import { h } from './dom.js';

const TOAST_MS = 8000;

let token;

const DONE = {
  run: (name) => `${name}: run requested`,
  cancel: (name) => `${name}: cancel requested`,
  pause: (name) => `${name}: schedule paused`,
  resume: (name) => `${name}: schedule resumed`,
};

/** Does it, and says how that went. Resolves to whether it was done. */
export async function act(name, verb) {
  if (verb === 'cancel' && !(await confirmCancel(name))) return false;
  let complaint;
  for (;;) {
    token ??= await askForToken(name, verb, complaint);
    if (token === undefined) return false;
    try {
      await request(`/api/archives/${encodeURIComponent(name)}/${verb}`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}` },
      });
      toast(DONE[verb](name), 'good');
      return true;
    } catch (error) {
      if (error.status !== 401) {
        toast(`${name}: ${error.message}${error.hint === undefined ? '' : ` – ${error.hint}`}`, 'bad');
        return false;
      }
      token = undefined;
      complaint = `The daemon refused: ${error.message}`;
    }
  }
}

/** A line that is read out, and goes by itself; a problem stays until it is dismissed. */
export function toast(text, kind) {
  const close = h(
    'button',
    { type: 'button', class: 'plain', 'aria-label': 'Dismiss', onclick: () => line.remove() },
    '✕',
  );
  const line = h('p', { class: 'toast', 'data-tone': kind }, h('span', {}, text), close);
  document.getElementById('toasts').append(line);
  if (kind !== 'bad') setTimeout(() => line.remove(), TOAST_MS);
}

function askForToken(name, verb, complaint) {
  const input = h('input', {
    type: 'password',
    id: 'token',
    autocomplete: 'off',
    spellcheck: 'false',
    required: '',
    'aria-describedby': 'token-note',
  });
  return ask({
    title: 'Access token',
    body: [
      complaint !== undefined && h('p', { class: 'complaint', role: 'alert' }, complaint),
      h('label', { for: 'token' }, `Needed to ${verb === 'run' ? 'run' : verb} ${name}`),
      input,
      h(
        'p',
        { class: 'note', id: 'token-note' },
        'It is http.token in the config of the daemon. It stays in this tab, and is gone when the page is closed.',
      ),
    ],
    confirm: 'Continue',
    value: () => (input.value === '' ? undefined : input.value),
  });
}

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

/** A modal dialog; resolves to `value()`, or to undefined when it is dismissed. */
function ask({ title, body, confirm, dismiss = 'Back', value }) {
  return new Promise((resolve) => {
    let answer;
    const form = h(
      'form',
      {
        method: 'dialog',
        onsubmit: () => {
          answer = value();
        },
      },
      h('h2', { id: 'dialog-title' }, title),
      ...body,
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', onclick: () => dialog.close() }, dismiss),
        h('button', { type: 'submit', class: 'primary' }, confirm),
      ),
    );
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
