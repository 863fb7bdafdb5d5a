import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, beforeEach, describe, mock, test } from 'node:test';
import type { Failure } from '../../../../src/base/errors.ts';
import type { Log } from '../../../../src/base/log.ts';
import type { ArchiveConfig } from '../../../../src/config/schema.ts';
import { DueRuns } from '../../../../src/daemon/slots/due-runs.ts';
import { type History, openHistory } from '../../../../src/daemon/history/history.ts';
import type { LeftOut, OfferedRun } from '../../../../src/daemon/lane.ts';
import type { RunBoard } from '../../../../src/daemon/run-board.ts';
import { describeSkip, type RunEnding } from '../../../../src/daemon/run-ending.ts';
import { Schedule } from '../../../../src/daemon/slots/schedule.ts';
import { Standings } from '../../../../src/daemon/slots/standings.ts';
import { formatRunId } from '../../../../src/ledger/run-id.ts';

const root = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-due-'));
const log = { info: () => {}, warn: () => {} } as unknown as Log;
const NOW = Date.parse('2026-11-23T10:00:30Z');
const PASSING: Failure = { code: 'connection-refused', stage: 'connect', transient: true, message: '', hint: '' };

let folders = 0;
let history: History;
let offers: string[] = [];
let skips: string[] = [];
let isBusy = false;
/** Runs of the archive that wait already. */
let waiting: string[] = [];
/** Runs of other archives that are in progress. */
let running = 0;

after(() => {
  rmSync(root, { recursive: true });
});
beforeEach(async () => {
  folders += 1;
  history = await openHistory(path.join(root, String(folders)), log);
  offers = [];
  skips = [];
  isBusy = false;
  waiting = [];
  running = 0;
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: NOW });
});
afterEach(() => {
  history.close();
  mock.timers.reset();
});

/** One archive, with a slot every hour; the board only notes what it is offered. */
function setUp(catchUp: ArchiveConfig['catchUp']) {
  const archive = { name: 'events', schedule: '0 * * * *', timezone: 'UTC', catchUp } as unknown as ArchiveConfig;
  const board = {
    offer: (_archive: string, { run, trigger, whenBusy }: OfferedRun) => offers.push(`${run} ${trigger} ${whenBusy}`),
    skip: (_archive: string, { run, reason }: LeftOut) => skips.push(`${run} ${reason}`),
    isBusy: () => isBusy,
    get entries() {
      return Array.from({ length: running }, () => ({ state: 'running' }));
    },
    entryOf: () => undefined,
    waitingOf: () => waiting,
  } as unknown as RunBoard;
  const schedule = new Schedule(() => {}, { onSetBack: () => {}, onJump: () => {} });
  const standings = new Standings(history);
  standings.set([archive], new Date());
  schedule.set([archive]);
  const due = new DueRuns({ board, schedule, standings, history, log, archive: () => archive, onCatchUp: () => {} });
  return { archive, schedule, standings, due };
}

function at(hour: number): Date {
  return new Date(Date.UTC(2026, 10, 23, hour));
}

function ending(slot: Date, parts: Partial<RunEnding> = {}): RunEnding {
  return {
    ...describeSkip('events', formatRunId(slot), 'schedule', 'busy'),
    status: 'committed',
    reason: 'ok',
    ...parts,
  };
}

/** The history of an archive whose last run was of this hour. */
function knownSince(hour: number): void {
  history.setArchive('events', { schedule: '0 * * * * UTC', dueSince: at(0), paused: false });
  history.add(ending(at(hour)));
}

describe('slots that passed before the start', () => {
  test('are caught up by the rule of the archive', () => {
    knownSince(7);
    const wanted = {
      last: ['20261123T100000Z catch-up replace'],
      all: [8, 9, 10].map((hour) => `${formatRunId(at(hour))} catch-up append`),
      none: [],
    };
    for (const rule of ['last', 'all', 'none'] as const) {
      [offers, skips] = [[], []];
      const { archive, due } = setUp(rule);
      due.begin(archive);
      assert.deepEqual(offers, wanted[rule], rule);
      // Each one that is left out ends as skipped, with the reason.
      const left = { last: [8, 9], all: [], none: [8, 9, 10] }[rule];
      assert.deepEqual(
        skips,
        left.map((hour) => `${formatRunId(at(hour))} not caught up`),
      );
    }
  });

  test('are not said to be left out when they were begun before, and are taken up', () => {
    knownSince(7);
    waiting = [formatRunId(at(8))];
    const { archive, due } = setUp('last');
    due.begin(archive);
    assert.deepEqual(skips, ['20261123T090000Z not caught up']);
  });

  test('are not said to be left out a second time', () => {
    knownSince(6);
    history.add(ending(at(7), { status: 'skipped', reason: 'busy' }));
    history.add(ending(at(8), { status: 'failed', reason: 'connection-refused' }));
    const { archive, due } = setUp('last');
    due.begin(archive);
    assert.deepEqual(skips, ['20261123T080000Z not caught up', '20261123T090000Z not caught up']);
  });

  test('are none for an archive that nobody knew, whose schedule was changed, or that is paused', () => {
    const unknown = setUp('all');
    unknown.due.begin(unknown.archive);
    history.setArchive('events', { schedule: '30 * * * * UTC', dueSince: at(0), paused: false });
    const changed = setUp('all');
    changed.due.begin(changed.archive);
    history.setArchive('events', { schedule: '0 * * * * UTC', dueSince: at(0), paused: true });
    const paused = setUp('all');
    paused.due.begin(paused.archive);
    assert.deepEqual(offers, []);
  });

  test('count from the latest run of the destination when the history was lost', () => {
    const { archive, standings, due } = setUp('all');
    standings.found('events', { run: formatRunId(at(8)), startedAt: '', finishedAt: '2026-11-23T08:01:00Z' } as never);
    due.begin(archive);
    assert.deepEqual(offers, ['20261123T090000Z catch-up append', '20261123T100000Z catch-up append']);
  });

  test('are left out when their run was cancelled by hand', () => {
    knownSince(9);
    history.add(ending(at(10), { status: 'failed', reason: 'cancelled' }));
    const { archive, due } = setUp('last');
    due.begin(archive);
    assert.deepEqual(offers, []);
  });

  test('are caught up when their run failed', () => {
    knownSince(9);
    history.add(ending(at(10), { status: 'failed', reason: 'connection-refused' }));
    const { archive, due } = setUp('last');
    due.begin(archive);
    assert.deepEqual(offers, ['20261123T100000Z catch-up replace']);
  });
});

describe('slots that come', () => {
  test('run at once, wait or are left out as catchUp says, and in a pause they are skipped', () => {
    mock.timers.setTime(at(11).getTime());
    for (const rule of ['last', 'all', 'none'] as const) setUp(rule).due.come('events', [at(11)]);
    assert.deepEqual(offers, [
      '20261123T110000Z schedule replace',
      '20261123T110000Z schedule append',
      '20261123T110000Z schedule skip',
    ]);
    const { standings, due } = setUp('last');
    standings.setPaused('events', true, new Date());
    due.come('events', [at(11)]);
    assert.deepEqual([offers.length, skips], [3, ['20261123T110000Z paused']]);
  });

  test('after the machine slept are caught up by the rule', () => {
    mock.timers.setTime(at(13).getTime() + 600_000);
    for (const rule of ['last', 'all', 'none'] as const) setUp(rule).due.come('events', [at(12), at(13)]);
    assert.deepEqual(offers, [
      '20261123T130000Z catch-up replace',
      '20261123T120000Z catch-up append',
      '20261123T130000Z catch-up append',
    ]);
  });
});

describe('a slot whose run failed', () => {
  const failed = ending(at(10), { status: 'failed', reason: 'connection-refused' });

  test('is tried again after one minute, then two, while no other run is in progress', () => {
    const { due } = setUp('last');
    assert.equal(due.nextTryOf('events'), undefined);
    due.ended(failed, PASSING, at(9));
    mock.timers.tick(59_999);
    assert.deepEqual(offers, []);
    assert.deepEqual(due.nextTryOf('events'), { run: failed.run, at: new Date(NOW + 60_000) });
    mock.timers.tick(1);
    assert.equal(due.nextTryOf('events'), undefined, 'it has come');
    assert.deepEqual(offers, ['20261123T100000Z catch-up append']);
    due.ended({ ...failed, trigger: 'catch-up' }, PASSING, at(9));
    mock.timers.tick(119_999);
    assert.equal(offers.length, 1);
    mock.timers.tick(1);
    assert.equal(offers.length, 2);
    due.ended(failed, PASSING, at(9));
    isBusy = true;
    mock.timers.tick(240_000);
    assert.equal(offers.length, 2);
  });

  test('is not tried again when the failure stays, was no fault, or catchUp is none, nor when the next slot came or a run was committed', () => {
    const { due } = setUp('last');
    due.ended(failed, { ...PASSING, transient: false }, at(9));
    due.ended({ ...failed, reason: 'cancelled' }, PASSING, at(9));
    due.ended({ ...failed, trigger: 'by hand' }, PASSING, at(9));
    setUp('none').due.ended(failed, PASSING, at(9));
    mock.timers.tick(60_000);
    assert.deepEqual(offers, []);
    due.ended(failed, PASSING, at(9));
    due.ended(ending(at(10)), undefined, at(9));
    due.ended(failed, PASSING, at(9));
    due.come('events', []);
    mock.timers.setTime(at(11).getTime());
    due.come('events', [at(11)]);
    mock.timers.tick(3_600_000);
    assert.deepEqual(offers, ['20261123T110000Z schedule replace']);
  });

  test('is not tried again once the daemon stops, whether it failed before or fails meanwhile', () => {
    const { archive, due } = setUp('all');
    due.ended(failed, PASSING, at(9));
    due.close();
    due.ended({ ...failed, run: formatRunId(at(9)) }, PASSING, at(8));
    due.ended(ending(at(10)), undefined, at(7));
    due.begin(archive);
    mock.timers.setTime(at(11).getTime());
    due.come('events', [at(11)]);
    mock.timers.tick(3_600_000);
    assert.deepEqual([offers, skips], [[], []]);
  });

  test('is taken up after the next success when catchUp is all, once, and those that were committed are not', () => {
    history.add(ending(at(8)));
    history.add(ending(at(9), { status: 'failed', reason: 'connection-refused' }));
    const success = ending(at(10));
    history.add(success);
    setUp('last').due.ended(success, undefined, at(7));
    assert.deepEqual(offers, []);
    setUp('all').due.ended(success, undefined, at(7));
    assert.deepEqual(offers, ['20261123T090000Z catch-up append']);
  });
});

describe('an archive of windows', () => {
  const round = { archive: 'events', trigger: 'schedule', isComplete: true, failure: undefined } as const;

  test('settles its slot by a round that was complete; how its windows ended plans nothing', () => {
    const { archive, due, standings } = setUp('last');
    Object.assign(archive, { window: { column: 'at', every: 'day' } });
    due.ended(ending(at(1), { status: 'failed', reason: 'failed' }), { transient: true } as Failure, undefined);
    mock.timers.tick(3_600_000);
    assert.deepEqual(offers, []);
    due.roundEnded({ ...round, slot: formatRunId(at(11)) });
    assert.deepEqual(standings.settledUntil('events'), at(11));
  });

  test('is looked at again after a failure that may pass', () => {
    const { archive, due } = setUp('last');
    Object.assign(archive, { window: { column: 'at', every: 'day' } });
    const slot = formatRunId(at(13));
    due.roundEnded({ ...round, slot, isComplete: false, failure: { transient: false } as Failure });
    due.roundEnded({ ...round, slot, trigger: 'by hand', isComplete: false, failure: { transient: true } as Failure });
    mock.timers.tick(3_600_000);
    assert.deepEqual(offers, []);
    due.roundEnded({ ...round, slot, isComplete: false, failure: { transient: true } as Failure });
    mock.timers.tick(60_000);
    assert.deepEqual(offers, [`${slot} catch-up append`]);
    due.close();
  });
});

describe('a slot of a host that has runs in progress', () => {
  const ELSEWHERE = { status: 'skipped', reason: 'locked' } as const;

  test('is left to hosts with less to do for a moment, once another one was seen', () => {
    const { due } = setUp('last');
    running = 3;
    due.come('events', [at(10)]);
    assert.equal(offers.length, 1, 'nobody else was seen');
    due.ended(ending(at(9), ELSEWHERE), undefined, undefined);
    due.come('events', [at(10)]);
    mock.timers.tick(2999);
    assert.equal(offers.length, 1);
    mock.timers.tick(1);
    assert.deepEqual(
      offers,
      Array.from({ length: 2 }, () => '20261123T100000Z schedule replace'),
    );
    running = 0;
    due.come('events', [at(10)]);
    assert.equal(offers.length, 3, 'a host that does nothing waits for nobody');
  });

  test('waits no longer than the next slot, and not past a pause or the end', () => {
    const { due, standings } = setUp('all');
    running = 99;
    due.ended(ending(at(9), ELSEWHERE), undefined, undefined);
    due.come('events', [at(9), at(10)]);
    assert.deepEqual(offers, ['20261123T090000Z catch-up append'], 'what is caught up does not wait');
    due.come('events', [at(10)]);
    assert.equal(offers.length, 2);
    standings.setPaused('events', true, new Date());
    mock.timers.tick(20_000);
    assert.deepEqual([offers.length, skips], [2, ['20261123T100000Z paused']]);
    standings.setPaused('events', false, new Date());
    due.come('events', [at(10)]);
    due.close();
    mock.timers.tick(20_000);
    assert.equal(offers.length, 2);
  });
});
