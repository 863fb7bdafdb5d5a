import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { ArchiveConfig } from '../../../../src/config/schema.ts';
import type { ArchiveRecord, History } from '../../../../src/daemon/history/history.ts';
import { describeSkip, type RunEnding } from '../../../../src/daemon/run-ending.ts';
import { Slots } from '../../../../src/daemon/slots/slots.ts';
import { isOverdue, Standings } from '../../../../src/daemon/slots/standings.ts';
import type { Manifest } from '../../../../src/ledger/manifest.ts';
import { formatRunId } from '../../../../src/ledger/run-id.ts';

const NOW = at(12);
const SCHEDULE = '0 * * * *';
const slots = new Slots(SCHEDULE, 'UTC');

let records: Map<string, ArchiveRecord>;
let attempts: RunEnding[];
let ahead: string[];
let nowMs: number;

beforeEach(() => {
  records = new Map();
  attempts = [];
  ahead = [];
  nowMs = NOW.getTime() + 12 * 3_600_000;
});

function at(hour: number, minute = 0): Date {
  return new Date(Date.UTC(2026, 10, 23, hour, minute));
}

/** A history in memory. */
const history = {
  archive: (name: string) => records.get(name),
  setArchive: (name: string, record: ArchiveRecord) => records.set(name, record),
  lastSuccess: () => attempts.findLast(({ status }) => status === 'committed'),
  lastFailure: () => attempts.findLast(({ status }) => status === 'failed'),
  failuresInARow: () => ({ count: 3, since: at(7).toISOString() }),
  rowsBefore: () => 12,
  latestCommitted: (_archive: string, notAfter: string) =>
    attempts.findLast(({ status, run }) => status === 'committed' && run <= notAfter)?.run,
} as unknown as History;

function standingsOf(changes: Partial<ArchiveConfig> = {}): Standings {
  const standings = new Standings(
    history,
    (_archive, run) => ahead.push(run),
    () => nowMs,
  );
  standings.set([archive(changes)], NOW);
  return standings;
}

function archive(changes: Partial<ArchiveConfig> = {}): ArchiveConfig {
  return { name: 'events', schedule: SCHEDULE, timezone: 'UTC', ...changes } as ArchiveConfig;
}

function ending(slot: Date, parts: Partial<RunEnding> = {}): RunEnding {
  const committed = { status: 'committed', reason: 'ok', finishedAt: slot.toISOString() } as const;
  return { ...describeSkip('events', formatRunId(slot), 'schedule', 'busy'), ...committed, ...parts };
}

function failure(slot: Date, reason = 'table-not-found'): RunEnding {
  return ending(slot, { status: 'failed', reason, error: { code: reason, message: 'no table', hint: 'make one' } });
}

function manifest(slot: Date): Manifest {
  const time = slot.toISOString();
  return { run: formatRunId(slot), startedAt: time, finishedAt: time, rows: 1, jsonBytes: 2, bytes: 3 } as Manifest;
}

describe('an archive that nobody knew', () => {
  test('stands well and on time, and its slots count from now', () => {
    const standings = standingsOf();
    const { schedule, health, dueSinceIs } = standings.of('events')!;
    assert.deepEqual([schedule, health, dueSinceIs], ['on time', 'well', 'assumed']);
    assert.deepEqual(standings.settledUntil('events'), NOW);
    assert.equal(standings.oldestDue('events', slots, NOW), undefined);
    assert.deepEqual(standings.oldestDue('events', slots, at(14)), at(13));
    assert.deepEqual(records.get('events'), { schedule: `${SCHEDULE} UTC`, dueSince: NOW, paused: false });
  });

  test('counts from its latest run in the destination, once that is found, and keeps it', () => {
    const standings = standingsOf();
    standings.found('events', manifest(at(8)));
    standings.found('events', manifest(at(7)));
    assert.deepEqual(standings.oldestDue('events', slots, NOW), at(9));
    assert.equal(standings.of('events')?.lastSuccess?.run, formatRunId(at(8)));
    assert.deepEqual(records.get('events')?.dueSince, at(8));
  });
});

describe('an archive that the history knows', () => {
  test('goes on where it stood: its last success, its failure, its pause', () => {
    records.set('events', { schedule: `${SCHEDULE} UTC`, dueSince: at(1), paused: true });
    attempts = [ending(at(8)), failure(at(9))];
    const standing = standingsOf().of('events')!;
    assert.deepEqual([standing.schedule, standing.health, standing.dueSinceIs], ['paused', 'failing', 'known']);
    assert.equal(standing.lastFailure?.hint, 'make one');
    assert.deepEqual(standing.failures, { count: 3, since: at(7).toISOString() });
    assert.equal(standing.lastSuccess?.rowsBefore, 12);
    assert.deepEqual(standing.archivedUntil, at(8));
    attempts.push(ending(at(10)));
    assert.equal(standingsOf().of('events')?.health, 'well', 'a success after the failure');
  });

  test('counts from now when its schedule or its zone is another one, and only then', () => {
    standingsOf();
    records.set('events', { schedule: `${SCHEDULE} UTC`, dueSince: at(1), paused: false });
    assert.deepEqual(standingsOf().of('events')?.dueSince, at(1));
    assert.deepEqual(standingsOf({ timezone: 'Asia/Kathmandu' }).of('events')?.dueSince, NOW);
    assert.equal(records.get('events')?.schedule, `${SCHEDULE} Asia/Kathmandu`);
  });

  test('is not moved by what the destination has, but for what that settles', () => {
    records.set('events', { schedule: `${SCHEDULE} UTC`, dueSince: at(10), paused: false });
    const standings = standingsOf();
    standings.found('events', manifest(at(8)));
    assert.deepEqual(standings.oldestDue('events', slots, NOW), at(11));
    standings.found('events', manifest(at(11)));
    assert.deepEqual(standings.oldestDue('events', slots, NOW), at(12));
  });

  test('is forgotten when the config has it no more', () => {
    const standings = standingsOf();
    standings.set([], NOW);
    assert.equal(standings.of('events'), undefined);
    for (const act of [
      () => standings.ended(failure(at(11))),
      () => standings.found('events', manifest(at(8))),
      () => standings.setPaused('events', true, NOW),
      () => standings.setLate('events', true),
    ])
      act();
    assert.equal(standings.settledUntil('events'), undefined);
  });
});

describe('the end of a run', () => {
  test('by a fault makes the archive fail until one is committed; by an order it does not', () => {
    const standings = standingsOf();
    for (const reason of ['cancelled', 'stopped', 'drained', 'interrupted']) standings.ended(failure(at(9), reason));
    assert.deepEqual([standings.of('events')?.health, standings.of('events')?.lastFailure], ['well', undefined]);
    standings.ended(failure(at(10)));
    assert.deepEqual(
      [standings.of('events')?.health, standings.of('events')?.lastFailure?.run],
      ['failing', formatRunId(at(10))],
    );
    standings.ended(ending(at(11), { status: 'skipped', reason: 'busy' }));
    assert.equal(standings.of('events')?.health, 'failing');
    standings.ended(failure(at(11)));
    assert.deepEqual(standings.of('events')?.failures, { count: 2, since: at(10).toISOString() });
    standings.ended(ending(at(12), { rows: 7 }));
    assert.deepEqual([standings.of('events')?.health, standings.of('events')?.failures], ['well', undefined]);
    standings.ended(ending(at(12), { rows: 7, reason: 'already-committed' }));
    assert.equal(standings.of('events')?.lastSuccess?.rowsBefore, null, 'the same run a second time');
    assert.deepEqual(standings.settledUntil('events'), at(12));
    standings.ended(ending(at(13), { rows: 8 }));
    assert.equal(standings.of('events')?.lastSuccess?.rowsBefore, 7);
  });

  test('settles nothing when it failed, and an older run unsettles nothing', () => {
    records.set('events', { schedule: `${SCHEDULE} UTC`, dueSince: at(8), paused: false });
    const standings = standingsOf();
    standings.ended(failure(at(9)));
    assert.deepEqual(standings.settledUntil('events'), at(8));
    standings.ended(ending(at(11)));
    standings.ended(ending(at(10)));
    assert.deepEqual(standings.settledUntil('events'), at(11));
  });
});

describe('a pause', () => {
  test('has no slot due nor late; what passed in it is not missed, and it outlives a restart', () => {
    records.set('events', { schedule: `${SCHEDULE} UTC`, dueSince: at(8), paused: false });
    const standings = standingsOf();
    standings.setLate('events', true);
    assert.equal(standings.of('events')?.schedule, 'late');
    standings.setPaused('events', true, at(12));
    standings.setLate('events', true);
    assert.equal(standings.of('events')?.schedule, 'paused');
    assert.equal(standings.oldestDue('events', slots, at(20)), undefined);
    assert.equal(records.get('events')?.paused, true);
    standings.setPaused('events', false, at(20));
    assert.equal(standings.of('events')?.schedule, 'on time');
    assert.deepEqual(standings.oldestDue('events', slots, at(21)), at(21));
  });

  test('that goes on already is not begun again, so that resuming what goes on forgets no slot', () => {
    records.set('events', { schedule: `${SCHEDULE} UTC`, dueSince: at(8), paused: false });
    const standings = standingsOf();
    standings.setPaused('events', false, NOW);
    assert.deepEqual(standings.oldestDue('events', slots, NOW), at(9));
  });
});

test('a slot is overdue when the next one has come, or after lateAfter if the archive has it', () => {
  assert.equal(isOverdue(at(8), slots, undefined, new Date(at(9).getTime() - 1)), false);
  assert.equal(isOverdue(at(8), slots, undefined, at(9)), true);
  assert.equal(isOverdue(at(8), slots, 600_000, new Date(at(8, 10).getTime() - 1)), false);
  assert.equal(isOverdue(at(8), slots, 600_000, at(8, 10)), true);
  assert.equal(isOverdue(at(8), slots, 7_200_000, at(9)), false);
  const HOUR_MS = 3_600_000;
  assert.equal(isOverdue(at(8), slots, undefined, new Date(at(12).getTime() - 1), 3 * HOUR_MS), false);
  assert.equal(isOverdue(at(8), slots, undefined, at(12), 3 * HOUR_MS), true);
  assert.equal(isOverdue(at(8), slots, 600_000, new Date(at(11, 10).getTime() - 1), 3 * HOUR_MS), false);
  assert.equal(isOverdue(at(8), slots, 600_000, at(11, 10), 3 * HOUR_MS), true);
});

describe('a run that is committed under a clock far ahead', () => {
  const far = new Date(NOW.getTime() + 60 * 86_400_000);

  test('settles no slot once the clock is right again, and is told of', () => {
    const standings = standingsOf();
    attempts.push(ending(at(13)));
    standings.ended(ending(at(13)));
    nowMs = far.getTime();
    attempts.push(ending(far));
    standings.ended(ending(far));
    assert.deepEqual(standings.settledUntil('events'), far);
    nowMs = at(15, 30).getTime();
    assert.deepEqual(standings.settledUntil('events'), at(13));
    assert.deepEqual(standings.oldestDue('events', slots, at(15, 30)), at(14));
    assert.deepEqual(ahead, [formatRunId(far)]);
  });

  test('settles none after a restart either, nor when it lies in the destination', () => {
    nowMs = at(16).getTime();
    attempts.push(ending(at(13)), ending(far));
    records.set('events', { schedule: `${SCHEDULE} UTC`, dueSince: far, paused: false });
    const standings = standingsOf();
    standings.found('events', manifest(far));
    assert.deepEqual(standings.oldestDue('events', slots, at(23)), at(17), 'what was due since then counts from now');
    assert.deepEqual(ahead, [formatRunId(far)]);
  });
});

describe('an archive of windows', () => {
  const window = { column: 'at', every: 'day', olderThanMs: 0 } as const;

  test('has its slots settled by rounds that leave nothing missing, and by no run of a window', () => {
    const standings = standingsOf({ window });
    standings.ended(ending(at(20)));
    standings.found('events', { run: formatRunId(at(21)), finishedAt: '', startedAt: '' } as Manifest);
    assert.deepEqual(standings.oldestDue('events', slots, at(22)), at(22));
    records.clear();
    const fresh = standingsOf({ window });
    fresh.settleSlot('events', at(15));
    assert.deepEqual(fresh.oldestDue('events', slots, at(22)), at(16));
    fresh.settleSlot('events', at(14));
    assert.deepEqual(fresh.oldestDue('events', slots, at(22)), at(16), 'an older slot unsettles nothing');
  });

  test('has them settled over a restart, though windows that are far back were the last ones to be made', () => {
    standingsOf({ window }).settleSlot('events', at(15));
    attempts.push(ending(at(-2000)));
    assert.deepEqual(standingsOf({ window }).oldestDue('events', slots, at(22)), at(16));
  });
});
