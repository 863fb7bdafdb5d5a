import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { FailureError } from '../../../src/base/errors.ts';
import type { Log } from '../../../src/base/log.ts';
import type { RunBoard } from '../../../src/daemon/run-board.ts';
import { ABORT_LIMIT_MS, CLOSE_LIMIT_MS, Shutdown } from '../../../src/daemon/shutdown.ts';
import type { Notify } from '../../../src/daemon/systemd/notify.ts';

const DRAIN_TIMEOUT_MS = 60_000;

let steps: string[];
let runsEnd: PromiseWithResolvers<undefined>;
let shutdown: Shutdown;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  steps = [];
  runsEnd = Promise.withResolvers();
  const write = (fields: unknown, message = fields): void => void steps.push(`log: ${String(message)}`);
  shutdown = new Shutdown({ info: write, warn: write, error: write } as unknown as Log);
  for (const name of ['history', 'threads', 'listeners']) shutdown.opened.add(name, () => void steps.push(name));
  shutdown.planning.add('schedule', () => void steps.push('schedule'));
});
afterEach(() => {
  mock.timers.reset();
});

/** A board with one run, which ends when the test says so, or at once when it is aborted. */
const board = {
  entries: [{}],
  drain: (reason: unknown) => {
    steps.push(`drain: ${codeOf(reason)}`);
    return runsEnd.promise;
  },
  abort: async (reason: unknown) => {
    steps.push(`abort: ${codeOf(reason)}`);
    runsEnd.resolve(undefined);
  },
} as unknown as RunBoard;

const notify = {
  stopping: (status: string, atMostMs: number) => steps.push(`systemd: ${status}, ${atMostMs / 1000} s at most`),
} as unknown as Notify;

function codeOf(reason: unknown): string {
  return reason instanceof FailureError ? reason.failure.code : String(reason);
}

function signal(name: string): Promise<void> {
  return shutdown.signal(name, { board, notify, statusLine: () => 'stopping', drainTimeoutMs: DRAIN_TIMEOUT_MS });
}

const BEGIN = ['systemd: stopping, 85 s at most', 'log: daemon stops: no new runs', 'schedule', 'drain: stopped'];
const END = ['listeners', 'threads', 'history', 'log: daemon has stopped'];

describe('a stop', () => {
  test('plans nothing more, waits for the runs in progress, and closes all in reverse', async () => {
    const stopped = signal('SIGTERM');
    assert.equal(shutdown.isStopping, true);
    await turn();
    assert.deepEqual(steps, BEGIN);
    runsEnd.resolve(undefined);
    await stopped;
    await shutdown.ended;
    mock.timers.tick(DRAIN_TIMEOUT_MS);
    assert.deepEqual(steps, [...BEGIN, ...END]);
  });

  test('aborts the runs in progress when their time is over', async () => {
    const stopped = signal('SIGTERM');
    await turn();
    mock.timers.tick(DRAIN_TIMEOUT_MS - 1);
    assert.deepEqual(steps, BEGIN);
    mock.timers.tick(1);
    await stopped;
    assert.deepEqual(steps, [...BEGIN, 'log: runs still in progress are aborted', 'abort: stopped', ...END]);
  });

  test('aborts them at once at a second signal, and takes no notice of a third', async () => {
    const stopped = signal('SIGTERM');
    await turn();
    await Promise.all([signal('SIGINT'), signal('SIGINT')]);
    await stopped;
    await signal('SIGINT');
    assert.deepEqual(steps, [...BEGIN, 'log: runs still in progress are aborted', 'abort: stopped', ...END]);
  });

  test('that is closing already aborts nothing at a further signal', async () => {
    shutdown.opened.add('socket', () => signal('SIGTERM'));
    runsEnd.resolve(undefined);
    await signal('SIGTERM');
    assert.deepEqual(steps, [...BEGIN, ...END]);
  });

  test('waits no longer for runs that do not end when they are aborted, and names them', async () => {
    const deaf = {
      entries: [{ archive: 'events', run: '20261126T021500Z' }],
      drain: () => new Promise(() => undefined),
      abort: async () => undefined,
    } as unknown as RunBoard;
    const stopped = shutdown.signal('SIGTERM', {
      board: deaf,
      notify,
      statusLine: () => 'stopping',
      drainTimeoutMs: 0,
    });
    await turn();
    mock.timers.tick(1);
    await turn();
    mock.timers.tick(ABORT_LIMIT_MS - 1);
    await turn();
    assert.ok(!steps.includes('history'));
    mock.timers.tick(1);
    await stopped;
    await shutdown.ended;
    assert.deepEqual(steps.slice(-END.length - 1), [
      'log: runs that were aborted do not end; they are left, and the next start goes on with them',
      ...END,
    ]);
  });

  test('ends all the same when a part does not close', async () => {
    shutdown.opened.add('a connection', () => new Promise(() => undefined));
    runsEnd.resolve(undefined);
    const stopped = signal('SIGTERM');
    await turn();
    mock.timers.tick(CLOSE_LIMIT_MS);
    await stopped;
    await shutdown.ended;
    assert.deepEqual(steps.slice(-2), ['log: a part of the daemon does not close, and is left', END.at(-1)]);
  });

  test('closes all the rest when one part cannot be closed, and fails', async () => {
    shutdown.opened.add('socket', () => Promise.reject(new Error('it is gone')));
    const stopped = signal('SIGTERM');
    runsEnd.resolve(undefined);
    await assert.rejects(stopped, (error) => {
      return error instanceof AggregateError && String(error.errors).includes('closing socket failed');
    });
    assert.deepEqual(steps, [...BEGIN, ...END.slice(0, -1)]);
  });
});
