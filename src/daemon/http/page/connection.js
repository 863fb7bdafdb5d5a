/** The link to the daemon: one event stream, opened again with backoff, and honest about how old the data is. */

const STALE_AFTER_MS = 15_000;
const GIVE_UP_AFTER_MS = 45_000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const ANSWER_LIMIT_MS = 10_000;

/** An answer of the API that is not what was asked for. */
export class ApiError extends Error {
  constructor(message, { status, hint, code }) {
    super(message);
    this.status = status;
    this.hint = hint;
    this.code = code;
  }
}

/** The JSON document at `path`. Throws ApiError, with the server's words and hint when it gave any. */
export async function request(path, options = {}) {
  let answer;
  try {
    // Cookies are another program's of this host, and the daemon refuses orders that carry any.
    answer = await fetch(path, {
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
      ...options,
    });
  } catch (error) {
    const late = error?.name === 'TimeoutError';
    throw new ApiError(late ? 'the daemon did not answer in time' : 'the daemon cannot be reached', { status: 0 });
  }
  const body = await answer.json().catch(() => undefined);
  if (answer.ok && body !== undefined) return body;
  if (answer.ok && options.method === 'POST') return {};
  const problem = typeof body?.error === 'object' ? body.error : body;
  const said = problem?.message ?? (typeof body?.error === 'string' ? body.error : undefined);
  throw new ApiError(said ?? `the daemon answered ${answer.status} ${answer.statusText}`.trim(), {
    status: answer.status,
    hint: problem?.hint,
    code: problem?.code,
  });
}

/**
 * Follows the daemon for as long as the page is open. `onState` gets each document; `onLink` gets
 * `{ phase: 'connecting' | 'live' | 'stale' | 'disconnected', lastAt, retryAt, problem }` whenever that changes.
 */
export function follow({ onState, onLink }) {
  let stream;
  let retryTimer;
  let staleTimer;
  let failures = 0;
  let lastAt;

  const say = (phase, extra = {}) => {
    onLink({ phase, lastAt, ...extra });
  };
  const receive = (state) => {
    lastAt = Date.now();
    failures = 0;
    clearTimeout(staleTimer);
    staleTimer = setTimeout(becomeStale, STALE_AFTER_MS);
    onState(state);
    say('live');
  };
  const becomeStale = () => {
    say('stale');
    staleTimer = setTimeout(() => {
      lose(new ApiError('the daemon has gone silent', { status: 0 }));
    }, GIVE_UP_AFTER_MS - STALE_AFTER_MS);
  };
  const lose = (problem) => {
    stream?.close();
    clearTimeout(staleTimer);
    clearTimeout(retryTimer);
    const waitMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures) * (0.8 + Math.random() * 0.4);
    failures += 1;
    retryTimer = setTimeout(open, waitMs);
    say('disconnected', { retryAt: Date.now() + waitMs, problem });
  };
  // The document is asked for first: its error has words, that of an event stream has none.
  const open = async () => {
    clearTimeout(retryTimer);
    stream?.close();
    try {
      const soFar = failures;
      receive(await request('/api/state'));
      failures = soFar;
    } catch (error) {
      lose(error);
      return;
    }
    stream = new EventSource('/api/events');
    stream.addEventListener('state', (event) => {
      receive(JSON.parse(event.data));
    });
    stream.addEventListener('error', () => {
      lose(new ApiError('the event stream has ended', { status: 0 }));
    });
  };
  const lookAgain = () => {
    if (document.visibilityState === 'visible' && (lastAt === undefined || Date.now() - lastAt > STALE_AFTER_MS))
      open();
  };
  document.addEventListener('visibilitychange', lookAgain);
  window.addEventListener('online', lookAgain);
  window.addEventListener('pagehide', () => stream?.close());
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) open();
  });
  say('connecting');
  open();
  return { retry: open };
}
