import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Log } from '../../../../src/base/log.ts';
import type { ArchiveConfig } from '../../../../src/config/schema.ts';
import type { History } from '../../../../src/daemon/history/history.ts';
import { Lateness } from '../../../../src/daemon/slots/lateness.ts';
import { Schedule } from '../../../../src/daemon/slots/schedule.ts';
import { Standings } from '../../../../src/daemon/slots/standings.ts';
import type { Manifest } from '../../../../src/ledger/manifest.ts';
import { formatRunId } from '../../../../src/ledger/run-id.ts';

const HOUR_MS = 3_600_000;
const archive = { name: 'events', schedule: '0 * * * *', timezone: 'UTC' } as ArchiveConfig;
const START = new Date('2026-11-23T09:00:00Z');
const NOW = Date.parse('2026-11-23T12:30:00Z');
const history = {
  archive: () => ({ schedule: '0 * * * * UTC', dueSince: START, paused: false }),
  setArchive: () => {},
  lastSuccess: () => undefined,
  lastFailure: () => undefined,
  latestCommitted: () => undefined,
} as unknown as History;

let lines: string[];
let alarms: string[];
let asked: PromiseWithResolvers<Manifest | undefined>[];
let standings: Standings;
let lateness: Lateness;

let isComplete = false;
let pausedMs = 0;

beforeEach(() => {
  mock.timers.enable({ apis: ['Date'], now: NOW });
  lines = [];
  alarms = [];
  asked = [];
  isComplete = false;
  pausedMs = 0;
  const schedule = new Schedule(() => {}, { onSetBack: () => {}, onJump: () => {} });
  schedule.set([archive]);
  standings = new Standings(history);
  standings.set([archive], new Date());
  const write = (_fields: object, message: string): void => void lines.push(message);
  lateness = new Lateness({
    schedule,
    standings,
    log: { warn: write, info: write } as unknown as Log,
    findLatest: () => {
      const answer = Promise.withResolvers<Manifest | undefined>();
      asked.push(answer);
      return answer.promise;
    },
    isComplete: () => Promise.resolve(isComplete),
    pausedMs: () => pausedMs,
    onLate: (name, slot) => alarms.push(`${name} ${formatRunId(slot)}`),
    changed: () => {},
  });
});

afterEach(() => {
  mock.timers.reset();
});

function look(now = new Date()): void {
  lateness.look([archive], now);
}

async function answer(manifest?: Manifest): Promise<void> {
  asked.at(-1)?.resolve(manifest);
  await turn();
}

function slot(hours: number): Date {
  return new Date(START.getTime() + hours * HOUR_MS);
}

/** A run that another host committed. */
function committed(time: Date): Manifest {
  const at = time.toISOString();
  return { run: formatRunId(time), startedAt: at, finishedAt: at, rows: 1, jsonBytes: 1, bytes: 1 } as Manifest;
}

describe('an archive with an overdue slot', () => {
  test('is late once the destination has not got it either; that is reported once', async () => {
    look();
    look();
    assert.equal(asked.length, 1, 'a destination that has not answered is not asked again');
    assert.deepEqual([standings.of('events')?.schedule, alarms], ['on time', []]);
    await answer();
    look();
    assert.equal(standings.of('events')?.schedule, 'late');
    assert.deepEqual([alarms, asked.length], [[`events ${formatRunId(slot(1))}`], 1]);
  });

  test('is late only by its own time while a run is held up by its pace', async () => {
    pausedMs = 3 * HOUR_MS;
    look();
    assert.equal(asked.length, 0, 'it is not even asked for');
    pausedMs = HOUR_MS;
    look();
    await answer();
    look();
    assert.equal(standings.of('events')?.schedule, 'late');
  });

  test('is not late when it is one of windows, and none of them is missing', async () => {
    const windowed = { ...archive, window: { column: 'at', every: 'day', olderThanMs: 0 } } as ArchiveConfig;
    standings.set([windowed], new Date());
    isComplete = true;
    lateness.look([windowed]);
    await answer();
    await turn();
    assert.deepEqual([standings.of('events')?.schedule, alarms], ['on time', []]);
  });

  test('is not late when another host has archived it', async () => {
    look();
    await answer(committed(slot(3)));
    look();
    assert.deepEqual([standings.of('events')?.schedule, alarms, lines], ['on time', [], []]);
    assert.equal(standings.of('events')?.lastSuccess?.run, formatRunId(slot(3)));
  });

  test('is late no longer when its run is committed, and can be late again', async () => {
    look();
    await answer();
    standings.found('events', committed(slot(3)));
    look();
    assert.equal(standings.of('events')?.schedule, 'on time');
    assert.deepEqual(lines, ['archive is late: a slot is overdue', 'archive is no longer late']);
    look(slot(5));
    assert.equal(asked.length, 2);
  });

  test('is not called late when it was paused, or the daemon began to stop, before the destination answered', async () => {
    look();
    standings.setPaused('events', true, new Date());
    await answer();
    assert.deepEqual([standings.of('events')?.schedule, alarms], ['paused', []]);
    standings.setPaused('events', false, START);
    look();
    lateness.close();
    await answer(committed(slot(3)));
    look();
    assert.deepEqual([standings.of('events')?.schedule, alarms, lines, asked.length], ['on time', [], [], 2]);
    assert.equal(standings.of('events')?.lastSuccess, undefined, 'what is closed takes nothing in');
  });
});

test('an archive whose slots are all archived has its destination left alone', () => {
  standings.found('events', committed(slot(3)));
  look();
  look(new Date(slot(4).getTime() + 1));
  assert.equal(asked.length, 0);
});
