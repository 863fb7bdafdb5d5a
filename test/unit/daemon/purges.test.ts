/** When the daemon purges, and what it remembers of purges. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fail, type Failure } from '../../../src/base/errors.ts';
import type { Config, NotifyConfig } from '../../../src/config/schema.ts';
import { Alarms } from '../../../src/daemon/alarms/alarms.ts';
import type { Deliveries, Delivery } from '../../../src/daemon/alarms/deliveries.ts';
import { describePurge, isPurgeFault } from '../../../src/daemon/purge-ending.ts';
import { Purges } from '../../../src/daemon/purges.ts';
import { describePurging } from '../../../src/daemon/view/purge-state.ts';
import type { PurgeResult } from '../../../src/purge/request.ts';
import { noLines } from '../../../src/purge/tally.ts';

const MINUTE = 60_000;
const CHANGED = 'purge-changed';
let orders: string[];
let paused: Set<string>;
let held: Map<string, Failure>;
let config: Config;
let purges: Purges;

function configOf(changes: Record<string, object> = {}): Config {
  const window = { column: 'at', every: 'day' };
  const archives = {
    w: { name: 'w', source: 'db', destination: 'd', window, purge: { afterMs: 1 } },
    plain: { name: 'plain', source: 'db', destination: 'd', purge: { afterMs: 1 } },
    kept: { name: 'kept', source: 'db', destination: 'd', window },
    ...changes,
  };
  return {
    archives,
    sources: { db: { name: 'db', url: 'postgres://a' } },
    destinations: { d: { url: 's3://b' } },
  } as never;
}

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  orders = [];
  paused = new Set();
  held = new Map();
  config = configOf();
  const board = {
    purges: [],
    offerPurge: (name: string) => void orders.push(`offer ${name}`),
    stopPurge: async (name: string) => {
      orders.push(`stop ${name}`);
      return true;
    },
  };
  purges = new Purges({
    board,
    config: () => config,
    isPaused: (name) => paused.has(name),
    whyHeld: (name) => held.get(name),
  });
});
afterEach(() => {
  mock.timers.reset();
});

function resultOf(run: string, changes: Partial<PurgeResult> = {}): PurgeResult {
  return {
    ...{ archive: 'w', run, status: 'purged', lines: 10, totals: noLines(), totalsBefore: noLines() },
    ...{ wentOn: false, mayGoOn: false, seconds: 1, problems: [], differences: [], warnings: [] },
    ...changes,
  };
}

const ended = (run: string, changes: Partial<PurgeResult> = {}): void => {
  purges.ended(describePurge(resultOf(run, changes), new Date()));
};

function dueOf(...runs: string[]) {
  return runs.map((run, at) => ({ run, rows: 1, dueMs: 1_000_000 - (runs.length - at) * MINUTE, isBegun: false }));
}

describe('a purge', () => {
  test('is asked for of archives of windows with purge: alone, and of none that is paused', () => {
    for (const name of ['w', 'plain', 'kept', 'unknown']) purges.offer(name);
    paused.add('w');
    purges.offer('w');
    assert.deepEqual(orders, ['offer w']);
    assert.deepEqual([purges.of('plain'), purges.of('kept'), purges.of('unknown')], [undefined, undefined, undefined]);
  });

  test('is asked for of no archive that was found damaged, and says why, until it is good again', () => {
    const { failure } = fail('archive-different', { stage: 'verify', message: 'line 3 of an object' });
    held.set('w', failure);
    purges.offer('w');
    purges.passEnded('w', { purged: 0, stoppedBy: 'asked' });
    assert.deepEqual([orders, purges.of('w')?.failure?.code], [[], 'archive-different']);
    held.delete('w');
    purges.offer('w');
    assert.deepEqual([orders, purges.of('w')?.failure], [['offer w'], undefined]);
  });

  test('begins when the next run becomes due, and soon where a run of the table was in the way', () => {
    purges.found('w', { due: [], held: [], nextDueMs: 1_000_000 + 5 * MINUTE });
    purges.passEnded('w', { purged: 0 });
    mock.timers.tick(4 * MINUTE);
    assert.deepEqual(orders, []);
    mock.timers.tick(MINUTE);
    assert.deepEqual(orders, ['offer w']);
    purges.passEnded('w', { purged: 0, stoppedBy: 'run-in-progress' });
    mock.timers.tick(MINUTE);
    assert.deepEqual(orders, ['offer w', 'offer w']);
    purges.found('w', { due: dueOf('1'), held: [], nextDueMs: undefined });
    purges.passEnded('w', { purged: 0, isBlocked: true });
    mock.timers.tick(MINUTE);
    assert.deepEqual(orders, ['offer w', 'offer w', 'offer w'], 'and where somebody was in the way of a partition');
  });

  test('is asked for after six hours at the latest, as clocks may be set', () => {
    purges.found('w', { due: [], held: [], nextDueMs: 1_000_000 + 48 * 60 * MINUTE });
    purges.passEnded('w', { purged: 0 });
    mock.timers.tick(6 * 60 * MINUTE);
    assert.deepEqual(orders, ['offer w']);
  });

  test('keeps no timer after the end of planning, and what ends then plans nothing', () => {
    purges.found('w', { due: [], held: [], nextDueMs: 1_000_000 + 5 * MINUTE });
    const set = mock.method(globalThis, 'setTimeout');
    const clear = mock.method(globalThis, 'clearTimeout');
    try {
      purges.passEnded('w', { purged: 0 });
      const timer: unknown = set.mock.calls[0]?.result;
      assert.ok(timer !== undefined);
      purges.close();
      assert.equal(clear.mock.calls.at(-1)?.arguments[0], timer);
      purges.passEnded('w', { purged: 0, stoppedBy: 'run-in-progress' });
      assert.equal(set.mock.callCount(), 1);
    } finally {
      set.mock.restore();
      clear.mock.restore();
    }
  });

  for (const stoppedBy of ['asked', 'maxDuration'] as const)
    test(`that was broken off waits for the next slot: ${stoppedBy}`, () => {
      purges.found('w', { due: dueOf('1'), held: [], nextDueMs: 1_000_001 });
      purges.passEnded('w', { purged: 0, stoppedBy });
      mock.timers.tick(48 * 60 * MINUTE);
      assert.deepEqual(orders, []);
    });

  test('is stopped by a pause, and by a config that means something else for it; after the end of planning there is none', async () => {
    purges.found('w', { due: [], held: [], nextDueMs: 1_000_000 + 5 * MINUTE });
    purges.passEnded('w', { purged: 0 });
    await purges.paused('w');
    mock.timers.tick(10 * MINUTE);
    assert.deepEqual(orders, ['stop w']);
    const before = config;
    config = configOf();
    purges.reloaded(before);
    assert.deepEqual(orders, ['stop w'], 'nothing has changed');
    config = configOf({ w: { name: 'w', source: 'db', destination: 'd', window: { column: 'at', every: 'day' } } });
    purges.reloaded(before);
    await turn();
    assert.deepEqual(orders, ['stop w', 'stop w'], 'and it is not begun again without purge: in the config');
    config = before;
    purges.reloaded(configOf({ w: {} }));
    purges.close();
    purges.offer('w');
    assert.deepEqual(orders.slice(2), ['offer w']);
  });
});

describe('how the purges of an archive stand', () => {
  test('says what is due, what goes no further, and why', () => {
    const { failure } = fail('purge-came-back', { stage: 'purge', message: 'rows have come back' });
    purges.found('w', { due: dueOf('1', '2', '3'), held: [{ run: '0_2', failure }], nextDueMs: undefined });
    ended('1', { totals: { ...noLines(), deleted: 9, changed: 1 } });
    const problem = { code: 'purge-cascades', message: 'it cascades', hint: 'do not' } as const;
    ended('2', { status: 'refused', problems: [problem, { ...problem, code: 'purge-rule' }] });
    ended('3', { totals: { ...noLines(), locked: 10 }, mayGoOn: true });
    const state = describePurging(purges.of('w'), undefined, new Date())!;
    assert.deepEqual(
      [state.due, state.oldestDue],
      [2, { run: '2', since: new Date(1_000_000 - 2 * MINUTE).toISOString() }],
    );
    assert.deepEqual(
      state.notPurgeable.map(({ run, code }) => `${run} ${code}`),
      ['0_2 purge-came-back', '2 purge-cascades'],
    );
    assert.equal(state.last?.run, '3');
    ended('2');
    assert.deepEqual(
      describePurging(purges.of('w'), undefined, new Date())?.notPurgeable.map(({ run }) => run),
      ['0_2'],
      'what was purged after all is refused no more',
    );
    ended('3', { status: 'refused', problems: [problem] });
    purges.found('w', { due: dueOf('1'), held: [], nextDueMs: undefined });
    assert.equal(
      describePurging(purges.of('w'), undefined, new Date())?.notPurgeableRuns,
      0,
      'what is not due any more is forgotten',
    );
  });

  test('counts what this purge came to, and no outcome backwards', () => {
    const totalsBefore = { ...noLines(), deleted: 5, locked: 5 };
    const totals = { ...noLines(), deleted: 9, changed: 1 };
    const { totalsHere } = describePurge(resultOf('1', { totals, totalsBefore }), new Date());
    assert.deepEqual(totalsHere, { ...noLines(), deleted: 4, changed: 1 });
  });

  test('keeps 50 reasons of one purge', () => {
    const problems = Array.from({ length: 60 }, () => ({ code: 'purge-rule' as const, message: 'a rule', hint: '' }));
    assert.equal(describePurge(resultOf('1', { status: 'refused', problems }), new Date()).problems.length, 50);
  });

  test('another process that has the lock is no fault', () => {
    const error = fail('locked', { stage: 'lock', message: 'another run' }).failure;
    assert.equal(isPurgeFault(describePurge(resultOf('1', { status: 'failed', error }), new Date())), false);
    const lost = fail('session-lost', { stage: 'lock', message: 'it broke' }).failure;
    assert.equal(isPurgeFault(describePurge(resultOf('1', { status: 'failed', error: lost }), new Date())), true);
  });
});

describe('the alarms of purges', () => {
  let sent: string[];
  let alarms: Alarms;
  const purged = (run: string, changes: Partial<PurgeResult> = {}): void => {
    alarms.purged(describePurge(resultOf(run, changes), new Date()));
  };

  beforeEach(() => {
    sent = [];
    const send = ({ body }: Delivery): void => {
      const { event, run, error } = JSON.parse(body) as { event: string; run: string; error: { code: string } };
      sent.push(`${event} ${run} ${error.code}`);
    };
    const notify = [
      { url: 'https://a', on: ['failure', 'recovery', 'late', 'purge'], format: 'json' },
    ] as NotifyConfig[];
    alarms = new Alarms({ send } as unknown as Deliveries, () => ({ notify, archives: {} }) as unknown as Config);
  });

  test('a refusal is told of once for each reason, whatever the run, as long as a run is refused for it', () => {
    const refused = (run: string, code: 'purge-rule' | 'partition-changed'): void => {
      const changes = { status: 'refused' as const, problems: [{ code, message: 'why', hint: 'what helps' }] };
      purged(run, changes);
      ended(run, changes);
    };
    for (let slot = 0; slot < 2; slot += 1) {
      purges.found('w', { due: dueOf('1', '2', '3'), held: [], nextDueMs: undefined });
      alarms.held('w', purges.of('w'));
      refused('1', 'purge-rule');
      refused('2', 'purge-rule');
      refused('3', 'partition-changed');
      purged('4');
      ended('4');
    }
    assert.deepEqual(sent, ['failure 1 purge-rule', 'failure 3 partition-changed']);
    for (const run of ['1', '2']) ended(run);
    alarms.held('w', purges.of('w'));
    refused('2', 'purge-rule');
    refused('3', 'partition-changed');
    assert.deepEqual(sent.slice(2), ['failure 2 purge-rule']);
  });

  test('a damaged archive and a failure are told of once for each run, being stopped never', () => {
    for (const run of ['1', '1', '2']) purged(run, { status: 'different', differences: ['part-00000: other bytes'] });
    const error = fail('connection-lost', { stage: 'purge', message: 'gone' }).failure;
    purged('3', { status: 'failed', error });
    purged('4', { status: 'stopped', stoppedBy: 'maxDuration' });
    assert.deepEqual(sent, [
      'failure 1 purge-archive-damaged',
      'failure 2 purge-archive-damaged',
      'failure 3 connection-lost',
    ]);
  });

  test('rows that were changed, and such that have come back, are told of once', () => {
    purged('1', { totals: { ...noLines(), deleted: 8, changed: 2 } });
    purged('1', {
      totals: { ...noLines(), deleted: 8, changed: 2 },
      totalsBefore: { ...noLines(), deleted: 7, changed: 2 },
    });
    const { failure } = fail('purge-came-back', { stage: 'purge', message: 'rows have come back' });
    purges.found('w', { due: [], held: [{ run: '1_2', failure }], nextDueMs: undefined });
    for (let at = 0; at < 2; at += 1) alarms.held('w', purges.of('w'));
    assert.deepEqual(sent, [`purge 1 ${CHANGED}`, 'purge 1_2 purge-came-back']);
  });
});
