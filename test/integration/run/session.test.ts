import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import type { Failure } from '../../../src/base/errors.ts';
import { toFailure } from '../../../src/base/errors.ts';
import type { SourceConfig } from '../../../src/config/schema.ts';
import { openSession, type Session } from '../../../src/run/session.ts';
import { type Edit, type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { message } from '../../support/wire.ts';

let database: TestDatabase;
let proxy: PostgresProxy;

before(async () => {
  database = await testDatabase();
  proxy = await startPostgresProxy(database.url);
});
after(() => proxy.stop());

/** What the server says when it ends a session, in place of its own words; undefined is silence. */
type Words = { type: 'E' | 'N'; state: string; text: string; detail?: string } | undefined;

function bytesOf(words: Words): Buffer | undefined {
  if (words === undefined) return undefined;
  const { type, state, text, detail } = words;
  // The severity is in the server's language.
  const fields = [`SERNST`, `C${state}`, `M${text}`, ...(detail === undefined ? [] : [`D${detail}`])];
  return message(type, Buffer.from(`${fields.join('\0')}\0\0`));
}

let targets = 0;

/** Each has a lock of its own: the server may still be ending the session before, which holds its lock until then. */
function nextTarget(): Parameters<typeof openSession>[0] {
  targets += 1;
  return { source: { url: proxy.url } as SourceConfig, archive: 'events', folderUrl: `file:///events-${targets}` };
}

/** How a session is lost whose backend is ended with these words; without any given, with those of the server. */
async function lose(...words: [Words] | []): Promise<Failure> {
  proxy.onConnection = () =>
    words.length === 0 ? undefined : ({ type }, bytes) => (type === 'E' ? bytesOf(words[0]) : bytes);
  const session: Session = await openSession(nextTarget(), new AbortController().signal);
  const lost = once(session.lost, 'abort');
  await database.client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgsluice events on %'`,
  );
  await lost;
  await assert.rejects(session.require(), (error) => toFailure(error, 'lock').code === 'session-lost');
  await session.close();
  return toFailure(session.lost.reason, 'snapshot');
}

describe('a session that is lost', () => {
  test('has the last words of the server for its cause', async () => {
    const { code, message, cause, hint } = await lose();
    assert.equal(code, 'session-lost');
    assert.match(message, /archive events broke: terminating connection due to administrator command/);
    assert.equal(cause, 'SQLSTATE 57P01');
    assert.match(hint, /stopped or the session was terminated/);
  });

  test('to the recovery of a standby says what to set there', async () => {
    const { code, message, transient, hint } = await lose({
      type: 'E',
      state: '40001',
      text: 'terminating connection due to conflict with recovery',
      detail: 'User query might have needed to see row versions that must be removed.',
    });
    assert.deepEqual([code, transient], ['session-lost', true]);
    assert.match(message, /conflict with recovery User query might have needed/);
    assert.match(hint, /hot_standby_feedback.*max_standby_streaming_delay/);
  });

  test('to a crash has the notice for its cause', async () => {
    const { message, cause } = await lose({ type: 'N', state: '57P02', text: 'because of crash of another process' });
    assert.match(message, /broke: because of crash of another process/);
    assert.equal(cause, 'SQLSTATE 57P02');
  });

  test('without a word says where to look', async () => {
    const { message, cause, hint } = await lose(undefined);
    assert.match(message, /archive events broke$/);
    assert.equal(cause, undefined);
    assert.match(hint, /time-outs of proxies/);
  });
});

/** An ErrorResponse in place of what answers the statement after that many, until the next one may come. */
function endAfter(statements: number): Edit {
  let left = statements;
  return ({ type }, bytes) => {
    if (type === 'Z') left -= 1;
    if (left !== 0 || type === 'Z') return bytes;
    left = -1;
    return bytesOf({ type: 'E', state: '57P01', text: 'terminating connection due to administrator command' });
  };
}

test('a session that is ended while it is opened may be opened again, whatever it was asked then', async () => {
  const codes: string[] = [];
  for (let statements = 1; statements < 30; statements += 1) {
    proxy.onConnection = () => endAfter(statements);
    try {
      const session = await openSession(nextTarget(), new AbortController().signal);
      await session.close();
      break;
    } catch (error) {
      const { code, transient } = toFailure(error, 'snapshot');
      codes.push(`${code}${transient ? '' : ', for good'}`);
    }
  }
  assert.ok(codes.length > 4, `${codes.length} statements`);
  assert.deepEqual([...new Set(codes)], ['connection-lost']);
});

describe('a session with a distant server', () => {
  test('is opened in six round trips after the login, and many who ask for the lock share two', async () => {
    proxy.onConnection = () => undefined;
    proxy.answerMs = 25;
    const target = { source: { url: proxy.url } as SourceConfig, archive: 'far', folderUrl: 'file:///far' };
    const before = proxy.roundTrips;
    const session = await openSession(target, new AbortController().signal);
    // The start, and the two of SCRAM.
    assert.equal(proxy.roundTrips - before, 3 + 6);
    const opened = proxy.roundTrips;
    await Promise.all(Array.from({ length: 20 }, () => session.require()));
    await session.require();
    assert.equal(proxy.roundTrips - opened, 2);
    proxy.answerMs = 0;
    await session.close();
  });
});
