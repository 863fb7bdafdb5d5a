/** The routes: which path answers what. The page, the API, the metrics and the checks of health. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorText } from '../../base/errors.ts';
import { isRunId } from '../../ledger/run-id.ts';
import type { Actions } from '../actions.ts';
import type { PurgeEnding } from '../purge-ending.ts';
import type { RunEnding } from '../run-ending.ts';
import type { State } from '../view/state.ts';
import { readBody } from './body.ts';
import type { EventStream } from './events.ts';
import { replyWithFile, type PageFiles } from './page-files.ts';
import { json, refusal, send, type Reply } from './reply.ts';
import { UnsentReplies } from './unsent.ts';

/** What the routes answer from. */
export interface Backend {
  state: () => State;
  events: EventStream;
  history: (limit: number, archive?: string) => RunEnding[];
  purges: (limit: number, archive?: string) => PurgeEnding[];
  /** Config, next slots and commands; undefined when the config has no such archive. */
  archive: (name: string) => unknown;
  /** Some of its segments, from `from` on; undefined when nothing is known of the run. */
  runDetail: (asked: { archive: string; run: string; from: number }) => Promise<unknown>;
  /** Windows of a year, or of a month. Undefined for an archive without any; rejects when the destination cannot be read. */
  windows: (asked: { archive: string; period: string | undefined }) => Promise<unknown>;
  actions: Actions;
  /** The text of the metrics, and its type. */
  metrics: () => Promise<{ body: string; type: string }>;
  readiness: () => Promise<{ ready: boolean; checks: unknown }>;
  page: PageFiles;
}

/** Refuses a request that may not act; undefined lets it through. */
export type RefuseAction = (request: IncomingMessage) => Reply | undefined;

const DEFAULT_ROWS = 200;
const MOST_ROWS = 2000;
const ACTIONS = ['run', 'cancel', 'pause', 'resume'] as const;

type Action = (typeof ACTIONS)[number];

/** Of all listeners together, as the memory is one. */
const unsent = new UnsentReplies();

/** Answers a request whose host was found right. */
export async function answer(
  backend: Backend,
  request: IncomingMessage,
  response: ServerResponse,
  refuseAction: RefuseAction,
): Promise<void> {
  const url = URL.parse(request.url ?? '/', 'http://daemon');
  const parts = url === null ? undefined : splitPath(url.pathname);
  if (url === null || parts === undefined) {
    send(request, response, refusal(400, 'bad-url', 'the URL cannot be read'));
    return;
  }
  if (url.pathname === '/api/events' && isRead(request)) {
    backend.events.add(request, response);
    return;
  }
  send(request, response, unsent.admit(await reply(backend, request, url, parts, refuseAction), response));
}

async function reply(
  backend: Backend,
  request: IncomingMessage,
  url: URL,
  parts: readonly string[],
  refuseAction: RefuseAction,
): Promise<Reply> {
  const [first, second, name = '', action = ''] = parts;
  if (first === 'api' && second === 'archives' && parts.length === 4 && isAction(action)) {
    if (request.method !== 'POST') return wrongMethod('POST');
    return refuseAction(request) ?? (await act(backend.actions, request, name, action));
  }
  const read = reads(backend, request, url, parts);
  if (read === undefined) return refusal(404, 'not-found', 'there is nothing of this name');
  return isRead(request) ? read() : wrongMethod('GET, HEAD');
}

/** What a path answers to GET; undefined when there is no such path. */
function reads(
  backend: Backend,
  request: IncomingMessage,
  { pathname, searchParams }: URL,
  parts: readonly string[],
): (() => Promise<Reply>) | undefined {
  const [first, second, archive = '', run = ''] = parts;
  if (first === 'api' && second === 'runs' && parts.length === 4)
    return () => replyRun(backend, archive, run, searchParams);
  if (first === 'api' && second === 'archives' && parts.length === 3) return async () => replyArchive(backend, archive);
  if (first === 'api' && second === 'windows' && parts.length === 3)
    return () => replyWindows(backend, archive, searchParams);
  switch (pathname) {
    case '/api/state':
      return async () => json(backend.state());
    case '/api/events':
      return async () => wrongMethod('GET, HEAD');
    case '/api/history':
      return async () => replyHistory(searchParams, (limit, archive) => ({ runs: backend.history(limit, archive) }));
    case '/api/purges':
      return async () => replyHistory(searchParams, (limit, archive) => ({ purges: backend.purges(limit, archive) }));
    case '/metrics':
      return async () => {
        const { body, type } = await backend.metrics();
        return { status: 200, headers: { 'Content-Type': type }, body };
      };
    case '/healthz':
      return async () => json({ ok: true });
    case '/readyz':
      return async () => {
        const { ready, checks } = await backend.readiness();
        return json({ ready, checks }, ready ? 200 : 503);
      };
    case '/health':
      return async () => replyHealth(backend.state());
    default: {
      const file = replyWithFile(backend.page, request, pathname);
      return file === undefined ? undefined : async () => file;
    }
  }
}

function replyArchive(backend: Backend, name: string): Reply {
  const detail = backend.archive(name);
  return detail === undefined
    ? refusal(404, 'no-such-archive', 'the config has no archive of this name')
    : json(detail);
}

async function replyRun(backend: Backend, archive: string, run: string, query: URLSearchParams): Promise<Reply> {
  const from = query.get('from') ?? '0';
  if (!/^\d{1,7}$/.test(from)) return refusal(400, 'bad-from', 'from must be the number of a segment');
  const detail = isRunId(run) ? await backend.runDetail({ archive, run, from: Number(from) }) : undefined;
  return detail === undefined ? refusal(404, 'no-such-run', 'nothing is known of this run') : json(detail);
}

async function replyWindows(backend: Backend, archive: string, query: URLSearchParams): Promise<Reply> {
  const period = query.get('period') ?? undefined;
  if (period !== undefined && !/^(\d{4}(-\d{2})?|all)$/.test(period))
    return refusal(400, 'bad-period', 'period must be a year, or a month such as 2026-03');
  try {
    const found = await backend.windows({ archive, period });
    return found === undefined
      ? refusal(404, 'no-windows', 'there is no archive of windows of this name')
      : json(found);
  } catch (error) {
    return refusal(503, 'not-readable', `the windows cannot be read now: ${errorText(error)}`);
  }
}

function replyHistory(query: URLSearchParams, list: (limit: number, archive?: string) => object): Reply {
  const limit = Number(query.get('limit') ?? DEFAULT_ROWS);
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_ROWS)
    return refusal(400, 'bad-limit', `limit must be a whole number, 1 to ${MOST_ROWS}`);
  return json(list(limit, query.get('archive') ?? undefined));
}

/** Bad when an archive is late or failing, whatever it does right now; a paused one is neither late nor in the way. */
function replyHealth({ stopping, archives }: State): Reply {
  const shown = archives.map(({ name, state, late, failing, paused, dueSlot, lastSuccess, lastFailure }) => ({
    name,
    state,
    late,
    failing,
    dueSlot,
    lastSuccess: lastSuccess?.finishedAt ?? null,
    error: failing ? lastFailure : null,
    ok: paused || (!late && !failing),
  }));
  const ok = shown.every((archive) => archive.ok);
  return json({ ok, stopping, archives: shown }, ok ? 200 : 503);
}

async function act(actions: Actions, request: IncomingMessage, archive: string, action: Action): Promise<Reply> {
  const body = await readBody(request);
  if (!('values' in body)) return body;
  const { runId } = body.values;
  if (runId !== undefined && (typeof runId !== 'string' || action !== 'run'))
    return refusal(400, 'bad-body', 'the body may have runId, a text, and for run only');
  const done = await actions[action](archive, runId);
  return 'refused' in done
    ? refusal(
        done.refused === 'no-such-archive' ? 404 : done.refused === 'bad-run-id' ? 400 : 409,
        done.refused,
        done.message,
      )
    : json(done, action === 'run' ? 202 : 200);
}

function isAction(text: string): text is Action {
  return (ACTIONS as readonly string[]).includes(text);
}

function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}

function wrongMethod(allowed: string): Reply {
  return refusal(405, 'wrong-method', `only ${allowed} is possible here`, { Allow: allowed });
}

/** The decoded parts of a path; undefined when it cannot be decoded. */
function splitPath(pathname: string): string[] | undefined {
  try {
    return pathname.split('/').slice(1).map(decodeURIComponent);
  } catch {
    return undefined;
  }
}
