// @ts-check
/** The link to the daemon: one event stream, opened again with backoff, and honest about how old the data is. */

/**
 * @import { State } from '../../view/state.ts'
 * @typedef {'connecting' | 'live' | 'stale' | 'disconnected'} Phase
 * @typedef {{ phase: Phase, lastAt?: number | undefined, retryAt?: number, problem?: ApiError }} Link
 */

const STALE_AFTER_MS = 15_000;
const GIVE_UP_AFTER_MS = 45_000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const ANSWER_LIMIT_MS = 10_000;

/** An answer of the API that is not what was asked for; status 0 is none at all. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} [status]
   * @param {string} [hint]
   */
  constructor(message, status = 0, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }

  /** @param {unknown} error */
  static from(error) {
    return error instanceof ApiError ? error : new ApiError(String(error));
  }

  /** What to do about it is part of it. */
  get text() {
    return this.hint === undefined ? this.message : `${this.message} – ${this.hint}`;
  }
}

/**
 * The JSON document at `path`. Throws ApiError, with the server's words and hint when it gave any.
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<unknown>}
 */
export async function request(path, options = {}) {
  const answer = await ask(path, options);
  /** @type {unknown} */
  const body = await answer.json().catch(() => undefined);
  if (answer.ok && body !== undefined) return body;
  const { message, hint } = problemIn(body);
  throw new ApiError(
    message ?? `the daemon answered ${answer.status} ${answer.statusText}`.trim(),
    answer.status,
    hint,
  );
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function ask(path, options) {
  try {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    // Cookies are another program's of this host, and the daemon refuses orders that carry any.
    return await fetch(path, { cache: 'no-store', credentials: 'omit', signal, ...options });
  } catch (error) {
    const isLate = error instanceof DOMException && error.name === 'TimeoutError';
    throw new ApiError(isLate ? 'the daemon did not answer in time' : 'the daemon cannot be reached');
  }
}

/**
 * What the body of a refusal says: `{ error: { code, message } }`.
 * @param {unknown} body
 * @returns {{ message?: string, hint?: string }}
 */
function problemIn(body) {
  if (typeof body !== 'object' || body === null || !('error' in body)) return {};
  const { error } = body;
  return typeof error === 'object' && error !== null ? error : {};
}

/**
 * Follows the daemon for as long as the page is open. `onState` gets each document; `onLink` is told whenever the link
 * changes.
 * @param {{ onState: (state: State) => void, onLink: (link: Link) => void }} listeners
 */
export function follow({ onState, onLink }) {
  /** @type {EventSource | undefined} */
  let stream;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retryTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let staleTimer;
  let failures = 0;
  /** @type {number | undefined} */
  let lastAt;

  const receive = (/** @type {State} */ state) => {
    lastAt = Date.now();
    clearTimeout(staleTimer);
    staleTimer = setTimeout(becomeStale, STALE_AFTER_MS);
    onState(state);
    onLink({ phase: 'live', lastAt });
  };
  const becomeStale = () => {
    onLink({ phase: 'stale', lastAt });
    staleTimer = setTimeout(() => {
      lose(new ApiError('the daemon has gone silent'));
    }, GIVE_UP_AFTER_MS - STALE_AFTER_MS);
  };
  const lose = (/** @type {ApiError} */ problem) => {
    stream?.close();
    clearTimeout(staleTimer);
    clearTimeout(retryTimer);
    const waitMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures) * (0.8 + Math.random() * 0.4);
    failures += 1;
    retryTimer = setTimeout(() => void open(), waitMs);
    onLink({ phase: 'disconnected', lastAt, retryAt: Date.now() + waitMs, problem });
  };
  // The document is asked for first: its error has words, that of an event stream has none.
  const open = async () => {
    clearTimeout(retryTimer);
    stream?.close();
    try {
      receive(/** @type {State} */ (await request('/api/state')));
    } catch (error) {
      lose(ApiError.from(error));
      return;
    }
    stream = new EventSource('/api/events');
    stream.addEventListener('state', (event) => {
      failures = 0;
      /** @type {unknown} */
      const state = JSON.parse(String(event.data));
      receive(/** @type {State} */ (state));
    });
    stream.addEventListener('error', () => {
      lose(new ApiError('the event stream has ended'));
    });
  };
  const lookAgain = () => {
    if (document.visibilityState === 'visible' && (lastAt === undefined || Date.now() - lastAt > STALE_AFTER_MS))
      void open();
  };
  document.addEventListener('visibilitychange', lookAgain);
  window.addEventListener('online', lookAgain);
  window.addEventListener('pagehide', () => stream?.close());
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) void open();
  });
  onLink({ phase: 'connecting' });
  void open();
  return { retry: () => void open() };
}
