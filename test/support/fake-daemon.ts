/** An API in the words of the daemon that says what a test of the page wants, and states of it. */
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');
const ASSETS = path.join(ROOT, 'src/daemon/http/page');
export const TOKEN = 'open-sesame';
const MIB = 1024 ** 2;
export const HOSTILE = '<img src=x onerror="document.title=`stolen`">';

/** The policy that the daemon sends. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

export type Part = Record<string, unknown>;

export interface State extends Part {
  archives: Part[];
}

/** An API that says what the test wants, in the words of the daemon. */
export class FakeDaemon {
  state: State = stateOf([]);
  runs: Part[] = [];
  page: Part | undefined;
  /** While set, each question is answered with this status. */
  broken: number | undefined;
  readonly posts: { url: string; authorization: string | undefined }[] = [];
  readonly #server = http.createServer((request, answer) => void this.#answer(request, answer));
  readonly #streams = new Set<http.ServerResponse>();

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Says the state to all that listen. */
  say(state: State): void {
    this.state = state;
    for (const stream of this.#streams) stream.write(eventOf(state));
  }

  /** Ends the event streams, as a restart does. */
  hangUp(): void {
    for (const stream of this.#streams) stream.end();
  }

  async #answer(request: http.IncomingMessage, answer: http.ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    answer.setHeader('Content-Security-Policy', POLICY);
    if (!pathname.startsWith('/api/')) return sendFile(pathname, answer);
    if (this.broken !== undefined) {
      sendJson(answer, { error: { code: 'down', message: 'no', hint: 'Wait.' } }, this.broken);
      return;
    }
    if (request.method === 'POST') {
      this.#post(request, answer);
      return;
    }
    if (pathname === '/api/state') {
      sendJson(answer, this.state);
      return;
    }
    if (pathname === '/api/history') {
      sendJson(answer, { runs: this.runs });
      return;
    }
    if (pathname.startsWith('/api/runs/')) {
      sendJson(answer, this.page ?? { error: { code: 'no-such-run', message: 'no such run' } }, this.page ? 200 : 404);
      return;
    }
    answer.writeHead(200, { 'Content-Type': 'text/event-stream' });
    answer.write(eventOf(this.state));
    this.#streams.add(answer);
    answer.on('close', () => this.#streams.delete(answer));
  }

  #post(request: http.IncomingMessage, answer: http.ServerResponse): void {
    const { authorization } = request.headers;
    this.posts.push({ url: request.url ?? '', authorization });
    if (authorization === `Bearer ${TOKEN}`) {
      sendJson(answer, {}, 202);
      return;
    }
    sendJson(answer, { error: { code: 'wrong-token', message: 'wrong token', hint: '' } }, 401);
  }
}

function eventOf(state: State): string {
  return `event: state\ndata: ${JSON.stringify(state)}\n\n`;
}

function sendJson(answer: http.ServerResponse, body: unknown, status = 200): void {
  answer.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

async function sendFile(pathname: string, answer: http.ServerResponse): Promise<void> {
  const name = pathname === '/' ? 'index.html' : path.basename(pathname);
  const file =
    { 'uplot.js': 'uPlot.esm.js', 'uplot.css': 'uPlot.min.css' }[name] === undefined
      ? path.join(ASSETS, name)
      : path.join(ROOT, 'node_modules/uplot/dist', name.endsWith('js') ? 'uPlot.esm.js' : 'uPlot.min.css');
  const type = { '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript' }[
    path.extname(name)
  ];
  const body = await readFile(file).catch(() => undefined);
  answer.writeHead(body === undefined ? 404 : 200, { 'Content-Type': type ?? 'text/plain' }).end(body);
}

/** A state of the daemon with these archives, as it is while rows go through two workers. */
export function stateOf(archives: Part[], changes: Part = {}): State {
  const now = Date.now();
  const samples = Array.from({ length: 300 }, (_none, index) => {
    const isOn = index > 40;
    const wave = Math.sin(index / 3) + Math.sin(index / 1.7);
    return [
      now - (300 - index) * 1000,
      (isOn ? 171 : 96) * MIB + wave * 3 * MIB,
      isOn ? 27 * MIB + (index % 7) * 1.3 * MIB : 0,
      isOn ? 47_000 + wave * 2400 : 0,
      isOn ? (index - 40) * 47_000 : 0,
    ];
  });
  return {
    version: '0.1.0',
    host: 'db-archive-01',
    pid: 4711,
    startedAt: new Date(now - 3 * 86_400_000).toISOString(),
    now: new Date(now).toISOString(),
    stopping: false,
    canAct: false,
    memory: {
      rssBytes: 173 * MIB,
      rssLimitBytes: 384 * MIB,
      heapLimitBytes: 64 * MIB,
      workers: [
        { archive: 'fetch_queue', run: '20261123T021500Z', segment: 3, heapBytes: 31 * MIB, heapLimitBytes: 64 * MIB },
        { archive: 'fetch_queue', run: '20261123T021500Z', segment: 4, heapBytes: 28 * MIB, heapLimitBytes: 64 * MIB },
      ],
      samples,
    },
    queue: { threads: 2, active: 2, waiting: 3 },
    archives,
    ...changes,
  };
}

export function archiveOf(name: string, changes: Part = {}): Part {
  return {
    name,
    subject: `public.${name}`,
    schedule: '15 2 * * *',
    scheduleText: 'every day at 02:15',
    timezone: 'Europe/Berlin',
    nextSlot: inSeconds(15_120),
    paused: false,
    state: 'ok',
    lastSuccess: success(11_000),
    lastFailure: null,
    current: null,
    ...changes,
  };
}

export function inSeconds(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toISOString();
}

export function success(ageSeconds: number): Part {
  return {
    run: '20261122T021500Z',
    finishedAt: inSeconds(-ageSeconds),
    ageSeconds,
    rows: 466_000,
    jsonBytes: 500e6,
    bytes: 101e6,
    seconds: 9.8,
  };
}

export const FAILURE = {
  run: '20261123T020000Z',
  at: inSeconds(-4000),
  code: 'connection-refused',
  message: 'connect ECONNREFUSED 10.2.0.7:9000 while part-00003.jsonl.gz was uploaded',
  hint: 'Is the endpoint up, and reachable from this host? The run goes on from its receipts at the next slot.',
};

export const CURRENT = {
  run: '20261123T021500Z',
  status: 'running',
  segments: 8,
  segmentsDone: 3,
  rows: 213_407,
  estimatedRows: 466_000,
  rowsPerSecond: 47_211,
  jsonBytes: 229e6,
  bytes: 46e6,
  percent: 45.8,
  etaSeconds: 5.4,
  elapsedSeconds: 4.5,
};

/** One archive of each state. */
export function allStates(): Part[] {
  return [
    archiveOf('fetch_queue', { state: 'running', current: CURRENT }),
    archiveOf('page_views', { state: 'failing', lastFailure: FAILURE, lastSuccess: success(93_000) }),
    archiveOf('order_events', { state: 'late', scheduleText: 'every 6 hours', nextSlot: inSeconds(-600) }),
    archiveOf('sessions', { schedule: '0 3 * * 0', scheduleText: 'at 03:00 on Sunday', timezone: 'UTC' }),
    archiveOf('audit_log', { state: 'paused', paused: true, nextSlot: null }),
    archiveOf('invoices', {
      state: 'never',
      lastSuccess: null,
      subject: 'SELECT * FROM invoices WHERE paid_at < :slot',
    }),
    archiveOf('mail_outbox', { schedule: null, scheduleText: null, nextSlot: null }),
  ];
}

/** Runs of these archives, the latest first, with a failure and a skipped one among them. */
export function historyOf(names: readonly string[], each = 20): Part[] {
  return Array.from({ length: each }, (_none, day) =>
    names.map((archive, place) => {
      const status = day === 5 ? 'failed' : day === 9 ? 'skipped' : 'committed';
      const isWhole = status === 'committed';
      const rows = isWhole ? Math.round((466_000 + Math.sin(day + place) * 30_000) / (place + 1)) : 0;
      return {
        archive,
        run: `202611${String(22 - day).padStart(2, '0')}T021500Z`,
        status,
        startedAt: inSeconds(-day * 86_400 - 20),
        finishedAt: inSeconds(-day * 86_400 - 10),
        seconds: status === 'skipped' ? 0 : rows / 47_000 + 2,
        rows,
        objects: isWhole ? 8 : 0,
        jsonBytes: rows * 1073,
        bytes: rows * 217,
        retries: day === 3 ? 1 : 0,
        resumed: day === 4,
        peakHeapBytes: 34 * MIB,
        peakRssBytes: 181 * MIB,
        reason: status === 'skipped' ? 'busy' : null,
        error: status === 'failed' ? FAILURE : null,
      };
    }),
  ).flat();
}

export function runOf(changes: Part = {}): Part {
  const objects = Array.from({ length: 8 }, (_none, index) => ({
    key: `pg/fetch_queue/run=20261122T021500Z/part-${String(index).padStart(5, '0')}.jsonl.gz`,
    rows: 58_250,
    jsonBytes: 62e6,
    bytes: 12.6e6,
    sha256: 'ab'.repeat(32),
    crc32: '0badcafe',
    firstKey: [String(index * 58_250)],
    lastKey: [String((index + 1) * 58_250 - 1)],
  }));
  return {
    archive: 'fetch_queue',
    run: '20261122T021500Z',
    status: 'committed',
    startedAt: inSeconds(-86_420),
    finishedAt: inSeconds(-86_410),
    rows: 466_000,
    segments: objects.map(({ rows, bytes }, index) => ({
      index,
      state: 'done',
      attempts: 1,
      rows,
      bytes,
      error: null,
    })),
    error: null,
    manifest: {
      format: 'pgsluice/manifest/1',
      archive: 'fetch_queue',
      run: '20261122T021500Z',
      rows: 466_000,
      jsonBytes: 500e6,
      bytes: 101e6,
      table: HOSTILE,
      source: { database: 'app', serverVersion: '18.1' },
      consistency: 'single-snapshot',
      objects,
    },
    attempts: historyOf(['fetch_queue'], 1),
    ...changes,
  };
}
