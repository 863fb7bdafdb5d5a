import assert from 'node:assert/strict';
import { once } from 'node:events';
import { linkSync, readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Log } from '../../../src/base/log.ts';
import { registerSecret } from '../../../src/base/secrets.ts';
import type { Config } from '../../../src/config/schema.ts';
import { EventStream } from '../../../src/daemon/http/events.ts';
import { loadPageFiles } from '../../../src/daemon/http/page-files.ts';
import type { Backend } from '../../../src/daemon/http/routes.ts';
import { openControl, openHttp, type Listener } from '../../../src/daemon/http/server.ts';
import { ask, TOKEN, type RequestParts } from '../../support/daemon.ts';

const LARGE_BYTES = 9 * 1024 ** 2;
const SECRET = 'a-password-that-a-server-echoed';
const log = { error: () => {} } as unknown as Log;
const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-http-'));

let config: Config['http'] = { hosts: ['archive.example.com'], token: TOKEN };
let stateText = 'well';
let calls: unknown[] = [];
let events: EventStream;
let listener: Listener;

function backend(): Backend {
  const act = (name: string) => async (archive: string, runId?: string) => {
    calls.push([name, archive, runId]);
    return archive === 'busy' ? { refused: 'busy' as const, message: 'busy' } : { archive };
  };
  return {
    state: () => ({ text: stateText }) as never,
    events,
    purges: () => [],
    history: () => [],
    archive: (name) => (name === 'a b' ? { name } : undefined),
    runDetail: async ({ archive }) => (archive === 'large' ? { text: 'x'.repeat(LARGE_BYTES) } : undefined),
    windows: async ({ archive, period }) => {
      if (archive === 'broken') throw new Error(`refused for ${SECRET}`);
      return archive === 'events' ? { period } : undefined;
    },
    actions: { run: act('run'), cancel: act('cancel'), pause: act('pause'), resume: act('resume') },
    metrics: async () => ({ body: 'a_metric 1\n', type: 'text/plain; version=0.0.4' }),
    readiness: async () => ({ ready: false, checks: [] }),
    page: loadPageFiles(),
  };
}

before(async () => {
  registerSecret(SECRET);
  events = new EventStream(() => ({ text: stateText }));
  listener = await openHttp('127.0.0.1:0', backend(), () => config, log);
});
beforeEach(() => {
  config = { hosts: ['archive.example.com'], token: TOKEN };
  stateText = 'well';
  calls = [];
});
after(async () => {
  events.close();
  await listener.close();
  rmSync(folder, { recursive: true });
});

async function get(target: string, parts: RequestParts = {}) {
  return ask(listener.address + target, parts);
}

async function post(target: string, headers: Record<string, string> = {}, body?: string | Buffer) {
  const own = { Authorization: `Bearer ${TOKEN}`, ...headers };
  return get(target, { method: 'POST', headers: own, ...(body === undefined ? {} : { body }) });
}

/** The code of a refusal. */
function code(answer: { body: string }): string {
  return (JSON.parse(answer.body) as { error: { code: string } }).error.code;
}

describe('HTTP answers', () => {
  test('the page and its files, with a tag by which a browser need not ask again, and nothing beside them', async () => {
    const page = await get('/');
    assert.equal(page.status, 200);
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
    const [, script = ''] = /src="(\/assets\/[^"]+)"/.exec(page.body) ?? [];
    const first = await get(script);
    assert.deepEqual([first.status, first.headers['content-type']], [200, 'text/javascript; charset=utf-8']);
    const again = await get(script, { headers: { 'If-None-Match': `"other", ${first.headers.etag}` } });
    assert.deepEqual([again.status, again.body], [304, '']);
    const chart = await get('/assets/uplot.js');
    assert.match(chart.body, /uPlot/);
    for (const other of [
      '/assets/',
      '/assets/../page-files.ts',
      '/assets/%2e%2e/page-files.ts',
      '/assets//etc/passwd',
      '/page-files.ts',
      '/index.html',
    ])
      assert.equal((await get(other)).status, 404, other);
  });

  test('with headers that keep other sites out', async () => {
    for (const target of ['/', '/api/state', '/nothing']) {
      const { headers } = await get(target);
      assert.equal(
        headers['content-security-policy'],
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      );
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['referrer-policy'], 'no-referrer');
      assert.equal(headers['access-control-allow-origin'], undefined);
      assert.equal(headers['set-cookie'], undefined);
    }
  });

  test('in JSON without secrets, HEAD without a body, and says which methods are possible', async () => {
    stateText = `the server said ${SECRET}`;
    const state = await get('/api/state');
    assert.deepEqual(JSON.parse(state.body), { text: 'the server said ***' });
    const head = await get('/api/state', { method: 'HEAD' });
    assert.deepEqual(
      [head.status, head.body, head.headers['content-length']],
      [200, '', state.headers['content-length']],
    );
    assert.equal((await get('/metrics')).body, 'a_metric 1\n');
    assert.equal((await get('/readyz')).status, 503);
    for (const [method, target, allow] of [
      ['DELETE', '/api/state', 'GET, HEAD'],
      ['POST', '/api/events', 'GET, HEAD'],
      ['GET', '/api/archives/events/run', 'POST'],
      ['OPTIONS', '/', 'GET, HEAD'],
    ] as const) {
      const answer = await get(target, { method });
      assert.deepEqual([answer.status, answer.headers.allow, code(answer)], [405, allow, 'wrong-method']);
    }
    for (const target of ['/nothing', '/api/archives/events/drop', '/api'])
      assert.equal(code(await get(target)), 'not-found', target);
    assert.deepEqual(JSON.parse((await get('/api/windows/events?period=2026-03')).body), { period: '2026-03' });
    assert.equal(code(await get('/api/windows/events?period=2026-03-01')), 'bad-period');
    assert.equal(code(await get('/api/windows/plain')), 'no-windows');
    assert.deepEqual(JSON.parse((await get('/api/archives/a%20b')).body), { name: 'a b' });
    assert.equal(code(await get('/api/archives/other')), 'no-such-archive');
    assert.equal(code(await post('/api/archives/a%20b')), 'wrong-method');
    const broken = await get('/api/windows/broken');
    assert.deepEqual([broken.status, code(broken), broken.body.includes(SECRET)], [503, 'not-readable', false]);
    for (const run of ['yesterday', '20261123T021500Z'])
      assert.equal(code(await get(`/api/runs/events/${run}`)), 'no-such-run', run);
    assert.equal(code(await get('/api/%E0%A4%A')), 'bad-url');
    for (const limit of ['0', '2001', 'x', '1.5']) assert.equal((await get(`/api/history?limit=${limit}`)).status, 400);
  });
});

describe('HTTP refuses', () => {
  test('names that are not its own, as a rebound name would be', async () => {
    for (const host of [
      'localhost',
      'LOCALHOST:80',
      '127.0.0.1',
      '127.9.9.9:1',
      '[::1]:8432',
      'archive.example.com',
      'a.localhost',
    ])
      assert.equal((await get('/api/state', { headers: { Host: host } })).status, 200, host);
    for (const host of [
      'evil.example.com',
      '10.0.0.1',
      'archive.example.com.evil.com',
      '127.0.0.1.evil.com',
      'localhost@evil',
      '[::2]',
    ])
      assert.equal((await get('/healthz', { headers: { Host: host } })).status, 421, host);
  });

  test('actions without the right token, with cookies, and from other sites', async () => {
    for (const authorization of ['', 'Bearer', 'Bearer wrong', `Basic ${TOKEN}`, `Bearer ${TOKEN}x`]) {
      const answer = await post('/api/archives/events/run', { Authorization: authorization });
      assert.deepEqual([answer.status, code(answer)], [401, 'wrong-token'], authorization);
      assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/);
    }
    assert.equal(code(await post('/api/archives/events/run', { Cookie: 'a=b' })), 'cookies');
    for (const origin of ['https://evil.example.com', 'null', 'http://127.0.0.1:1'])
      assert.equal(code(await post('/api/archives/events/run', { Origin: origin })), 'wrong-origin', origin);
    assert.equal(code(await post('/api/archives/events/run', { 'Sec-Fetch-Site': 'cross-site' })), 'wrong-origin');
    assert.deepEqual(calls, []);
    config = { hosts: [] };
    assert.equal(code(await post('/api/archives/events/run')), 'read-only');
    config = { hosts: [], token: 'another-token-of-the-tests' };
    assert.equal((await post('/api/archives/events/run')).status, 401, 'a reload may change the token');
  });

  test('bodies that are large, no JSON, or say more than is known', async () => {
    const json = { 'Content-Type': 'application/json' };
    assert.equal((await post('/api/archives/events/run', json, Buffer.alloc(64 * 1024 + 1, 32))).status, 413);
    const chunked = await post(
      '/api/archives/events/run',
      { ...json, 'Transfer-Encoding': 'chunked' },
      Buffer.alloc(1e5),
    );
    assert.equal(chunked.status, 413);
    assert.equal(code(await post('/api/archives/events/run', {}, '{}')), 'not-json');
    for (const body of ['{', '[]', 'null', '{"runId":1}'])
      assert.equal(code(await post('/api/archives/events/run', json, body)), 'bad-body');
    assert.equal(code(await post('/api/archives/events/pause', json, '{"runId":"20261123T021500Z"}')), 'bad-body');
    assert.deepEqual(calls, []);
  });

  test('a client that does not finish its headers', async () => {
    const socket = net.connect(Number(new URL(listener.address).port), '127.0.0.1');
    socket.write(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 431 /);
    socket.destroy();
  });
});

describe('HTTP acts', () => {
  test('with the token, from its own page or from none', async () => {
    const origin = { Origin: listener.address, 'Sec-Fetch-Site': 'same-origin' };
    const json = { 'Content-Type': 'application/json' };
    assert.equal(
      (await post('/api/archives/events/run', { ...origin, ...json }, '{"runId":"20261123T021500Z"}')).status,
      202,
    );
    assert.equal((await post('/api/archives/a%2Fb%20c/cancel')).status, 200);
    assert.equal(code(await post('/api/archives/busy/pause')), 'busy');
    assert.deepEqual(calls, [
      ['run', 'events', '20261123T021500Z'],
      ['cancel', 'a/b c', undefined],
      ['pause', 'busy', undefined],
    ]);
  });

  test('over a socket without a token; a dead socket is replaced, a living one is not', async () => {
    const socket = path.join(folder, 'deep/control.sock');
    const control = await openControl(socket, backend(), log);
    const answer = await ask(`unix:${socket}:/api/archives/events/resume`, {
      method: 'POST',
      headers: { Host: 'any' },
    });
    assert.equal(answer.status, 200);
    await assert.rejects(openControl(socket, backend(), log), /another daemon/);
    assert.equal((await ask(`unix:${socket}:/healthz`)).status, 200);
    await control.close();
    const dead = net.createServer().listen(path.join(folder, 'dead.sock'));
    await once(dead, 'listening');
    // Its file stays, as after a kill.
    const left = path.join(folder, 'left.sock');
    linkSync(path.join(folder, 'dead.sock'), left);
    dead.close();
    await once(dead, 'close');
    const replaced = await openControl(left, backend(), log);
    assert.equal((await ask(`unix:${left}:/healthz`)).status, 200);
    await replaced.close();
    const file = path.join(folder, 'letters.txt');
    writeFileSync(file, 'of somebody');
    await assert.rejects(openControl(file, backend(), log), /not a socket/);
    assert.equal(readFileSync(file, 'utf8'), 'of somebody');
    await assert.rejects(openControl(path.join(folder, 'x'.repeat(120)), backend(), log), /too long/);
  });
});

describe('events', () => {
  async function listen(): Promise<{ next: () => Promise<string>; close: () => void }> {
    const request = http.get(`${listener.address}/api/events`, { agent: false });
    const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
    assert.equal(answer.headers['content-type'], 'text/event-stream; charset=utf-8');
    let text = '';
    answer.setEncoding('utf8').on('data', (more: string) => (text += more));
    answer.on('error', () => {});
    return {
      next: async () => {
        for (;;) {
          const [, data, rest] = /^[^]*?event: state\ndata: (.*)\n\n([^]*)$/.exec(text) ?? [];
          if (data !== undefined) {
            text = rest ?? '';
            return (JSON.parse(data) as { text: string }).text;
          }
          await once(answer, 'data');
        }
      },
      close: () => request.destroy(),
    };
  }

  test('bring the state at once, at each publication, and without secrets', async () => {
    const client = await listen();
    assert.equal(await client.next(), 'well');
    stateText = 'running';
    events.publish();
    assert.equal(await client.next(), 'running');
    stateText = `broken by ${SECRET}`;
    events.publishSoon();
    events.publishSoon();
    assert.equal(await client.next(), 'broken by ***');
    client.close();
  });

  test('go to twenty clients at most, and the place of one that leaves is free again', async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, listen));
    for (const client of clients) await client.next();
    const refused = await get('/api/events');
    assert.deepEqual(
      [refused.status, refused.headers['retry-after'], code(refused)],
      [503, '10', 'too-many-listeners'],
    );
    for (const client of clients) client.close();
    while (events.clients > 0) await new Promise((resolve) => setImmediate(resolve));
    const late = await listen();
    assert.equal(await late.next(), 'well');
    late.close();
  });

  test('drop a client that does not read', async () => {
    const socket = net.connect(Number(new URL(listener.address).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(socket, 'readable');
    socket.pause();
    const before = events.clients;
    assert.ok(before > 0);
    stateText = 'x'.repeat(1_000_000);
    for (let sent = 0; events.clients === before && sent < 100; sent += 1) {
      events.publish();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(events.clients, before - 1);
    socket.destroy();
  });
});

describe('on the wire', () => {
  const port = (): number => Number(new URL(listener.address).port);

  /** Sends these bytes, and resolves to all that comes back until the server hangs up. */
  async function say(bytes: string): Promise<string> {
    const socket = net.connect(port(), '127.0.0.1');
    socket.on('error', () => {});
    socket.end(bytes);
    return text(socket);
  }

  const POST = 'POST /api/archives/events/run HTTP/1.1\r\nHost: localhost\r\n';
  const HIDDEN = `${POST}Authorization: Bearer ${TOKEN}\r\n\r\n`;
  const smuggled: Record<string, string> = {
    'two lengths': `${POST}Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    'a length and chunks': `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    'chunks that are not the last coding': `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${HIDDEN}`,
    'an unknown coding': `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    'a folded header': `${POST}Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${HIDDEN}`,
    'a blank before the colon': `${POST}Content-Length : 5\r\n\r\n12345${HIDDEN}`,
    'a length that is no number': `${POST}Content-Length: +5\r\n\r\n12345${HIDDEN}`,
    'a chunk size that is none': `${POST}Transfer-Encoding: chunked\r\n\r\n0x5\r\n12345\r\n0\r\n\r\n${HIDDEN}`,
    'a bare line feed': `${POST}X: a\nContent-Length: 0\r\n\r\n${HIDDEN}`,
    'a NUL in a header': `${POST}X: a\0b\r\nContent-Length: 0\r\n\r\n${HIDDEN}`,
  };
  for (const [what, bytes] of Object.entries(smuggled)) {
    test(`a request with ${what} is not acted on, nor is what hides behind it`, async () => {
      const answer = await say(bytes);
      assert.doesNotMatch(answer, /^HTTP\/1\.1 2/m);
      assert.deepEqual(calls, []);
    });
  }

  test('a request with two hosts, or none, is refused', async () => {
    for (const hosts of ['Host: localhost\r\nHost: evil.example.com\r\n', ''])
      assert.match(await say(`GET /api/state HTTP/1.1\r\n${hosts}Connection: close\r\n\r\n`), /^HTTP\/1\.1 4/);
  });

  test('another name in the request line than in Host does not get past the guard', async () => {
    const absolute = await say('GET http://localhost/api/state HTTP/1.1\r\nHost: evil.example.com\r\n\r\n');
    assert.match(absolute, /^HTTP\/1\.1 421 /);
  });

  test('clients that never finish a request do not keep others waiting', async () => {
    const slow = Array.from({ length: 60 }, () => net.connect(port(), '127.0.0.1').on('error', () => {}));
    for (const [at, socket] of slow.entries())
      socket.write(at % 2 === 0 ? 'GET /hea' : `${POST}Content-Length: 9\r\n\r\n{`);
    assert.equal((await get('/healthz')).status, 200);
    assert.equal((await post('/api/archives/events/pause')).status, 200);
    for (const socket of slow) socket.destroy();
  });

  test('large answers that nobody takes are bounded in all, and the small ones still come', async () => {
    const idle = Array.from({ length: 8 }, () =>
      net
        .connect(port(), '127.0.0.1')
        .on('error', () => {})
        .pause(),
    );
    try {
      for (const socket of idle)
        socket.write('GET /api/runs/large/20261123T021500Z HTTP/1.1\r\nHost: localhost\r\n\r\n');
      for (const socket of idle) await once(socket, 'readable');
      const refused = await get('/api/runs/large/20261123T021500Z');
      assert.deepEqual([refused.status, code(refused)], [503, 'too-much-unsent']);
      assert.equal((await get('/api/state')).status, 200);
    } finally {
      for (const socket of idle) socket.destroy();
    }
    let again = 503;
    while (again === 503) again = (await get('/api/runs/large/20261123T021500Z')).status;
    assert.equal(again, 200, 'there is room again once they have left');
  });

  test('an action from another site is refused, whatever form it has', async () => {
    for (const headers of [
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
      { Origin: 'null', 'Content-Type': 'text/plain' },
      { Origin: `${listener.address}.evil.example.com`, 'Content-Type': 'application/x-www-form-urlencoded' },
    ])
      assert.equal(code(await post('/api/archives/events/run', headers as Record<string, string>)), 'wrong-origin');
    assert.deepEqual(calls, []);
  });
});
