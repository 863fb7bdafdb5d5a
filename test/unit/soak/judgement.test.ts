import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeSkip, type RunEnding } from '../../../src/daemon/run-ending.ts';
import { formatRunId } from '../../../src/ledger/run-id.ts';
import type { Sample } from '../../soak/lives.ts';
import { describe as describeFindings, type Findings, judge } from '../../soak/report.ts';
import { compareWithHistory, compareWithMetrics, readSkipCounts, type SaidSkip } from '../../soak/skips.ts';
import { SlotBook } from '../../soak/slot-book.ts';
import { trendOf } from '../../soak/trend.ts';

const MIB = 1024 ** 2;
const BEGIN = Date.parse('2026-11-26T04:00:00Z');
const INTERVAL_MS = 5000;

function slotAt(index: number): string {
  return formatRunId(new Date(BEGIN + index * INTERVAL_MS));
}

function ending(index: number, parts: Partial<RunEnding>, atMs = BEGIN + index * INTERVAL_MS): RunEnding {
  const at = new Date(atMs).toISOString();
  return { ...describeSkip('a', slotAt(index), 'schedule', 'busy'), startedAt: at, finishedAt: at, ...parts };
}

describe('a trend', () => {
  const tolerance = { part: 0.1, absolute: 10 };

  test('compares the last third with the first, and forgives peaks and what an allocator leaves', () => {
    const steady = [100, 500, 100, 105, 102, 900, 108, 101, 109];
    assert.deepEqual(trendOf({ name: 'RSS', values: steady, tolerance }), {
      ...{ name: 'RSS', first: 100, last: 108, most: 900, hasGrown: false },
    });
    const growing = [100, 101, 102, 105, 108, 110, 111, 112, 113];
    assert.equal(trendOf({ name: 'RSS', values: growing, tolerance })?.hasGrown, true);
  });

  test('says nothing of a few samples', () => {
    assert.equal(trendOf({ name: 'RSS', values: [1, 2, 3, 400], tolerance }), undefined);
  });
});

describe('skips', () => {
  const METRICS = `# HELP pgsluice_runs_total Runs that ended
pgsluice_runs_total{archive="a",status="committed",reason="ok"} 7
pgsluice_runs_total{archive="a",status="skipped",reason="busy"} 2
pgsluice_runs_total{archive="b",status="skipped",reason="not caught up"} 1
`;
  const skip = (archive: string, reason: string, atMs: number): SaidSkip => ({ archive, run: slotAt(0), reason, atMs });

  test('of the log are those of the metrics, but for what came during the request', () => {
    const counted = { fromMs: 100, untilMs: 110, counts: readSkipCounts(METRICS) };
    const said = [skip('a', 'busy', 50), skip('a', 'busy', 105), skip('b', 'not caught up', 60)];
    assert.deepEqual(compareWithMetrics(said, counted), []);
    assert.deepEqual(compareWithMetrics([...said, skip('b', 'stopping', 200)], counted), []);
    assert.deepEqual(compareWithMetrics([...said, skip('b', 'stopping', 99)], counted), [
      'b skipped as "stopping": 0 in the metrics, 1 to 1 in the log',
    ]);
    assert.deepEqual(compareWithMetrics(said.slice(1), counted), [
      'a skipped as "busy": 2 in the metrics, 0 to 1 in the log',
    ]);
  });

  test('of the log are those of the history, but for what was said right before a kill', () => {
    const said = [skip('a', 'busy', 1000), skip('a', 'busy', 2000)];
    assert.deepEqual(compareWithHistory(said, said, []), []);
    const lost = `a ${slotAt(0)}, skipped as "busy", is not in the`;
    assert.deepEqual(compareWithHistory(said, said.slice(0, 1), []), [`${lost} history`]);
    assert.deepEqual(compareWithHistory(said, said.slice(0, 1), [2050]), []);
    assert.deepEqual(compareWithHistory([], said.slice(0, 1), [2050]), [`${lost} log`]);
  });
});

describe('the book of slots', () => {
  test('has the outcome of each slot, from the history or from a manifest, and names those that nothing tells of', () => {
    const book = new SlotBook();
    const rows = [ending(1, {}), ending(2, { status: 'failed', reason: 'connection-lost' }), ending(3, {})];
    const later = ending(3, { status: 'committed', reason: 'ok' }, BEGIN + 60_000);
    book.add(rows.toReversed());
    book.add([later, ...rows.toReversed()]);
    book.committed('a', slotAt(4));
    const report = book.report(['a'], INTERVAL_MS, [BEGIN], BEGIN + 6 * INTERVAL_MS);
    assert.deepEqual(
      [report.slots, Object.fromEntries(report.outcomes)],
      [5, { 'skipped: busy': 1, 'failed: connection-lost': 1, committed: 2, 'nothing is said': 1 }],
    );
    assert.deepEqual([report.untold, report.untrue], [[`a ${slotAt(5)}`], []]);
    assert.deepEqual([book.skips.length, Object.fromEntries(book.failures)], [2, { 'connection-lost': 1 }]);
  });

  test('names a slot that has no reason, and one that was left out and is committed by the same process', () => {
    const book = new SlotBook();
    const leftOut = { reason: 'not caught up' };
    const done = { status: 'committed', reason: 'ok' } as const;
    book.add([ending(2, done, BEGIN + 90_000), ending(2, leftOut), ending(1, { reason: '' })]);
    const report = (startsMs: number[]): string[] =>
      book.report(['a'], INTERVAL_MS, startsMs, BEGIN + 3 * INTERVAL_MS).untrue;
    assert.deepEqual(report([BEGIN]), [
      `a ${slotAt(1)}: skipped without a reason`,
      `a ${slotAt(2)}: skipped as "not caught up", and committed by the same process`,
    ]);
    assert.deepEqual(report([BEGIN, BEGIN + 60_000]).length, 1);
  });
});

describe('a soak', () => {
  const sample: Sample = { ageMs: 0, rssBytes: 150 * MIB, heapBytes: 30 * MIB, descriptors: 40, connections: 3 };
  const good: Findings = {
    ...{ seed: 1, seconds: 60, starts: 2, kills: 1, disturbances: new Map(), transfers: 10 },
    samples: Array.from({ length: 30 }, () => sample),
    slots: { slots: 10, outcomes: new Map([['committed', 10]]), untold: [], untrue: [] },
    skips: { said: 0, kept: 0, byReason: new Map() },
    failures: new Map([['connection-lost', 2]]),
    troubles: new Map(),
    runs: { verified: 10, resumed: 1, removed: 0 },
    left: { sessions: 0, uploads: [], unfinished: [], journals: [] },
    problems: [],
  };

  test('is good when nothing has grown, nothing is left and each slot is told of', () => {
    assert.deepEqual(judge(good), []);
    assert.match(describeFindings(good), /RSS +150.0 MiB to 150.0 MiB/);
  });

  test('is bad for each thing that is wrong', () => {
    const growing = (name: keyof Sample, by: number): Partial<Findings> => ({
      samples: good.samples.map((one, index) => ({ ...one, [name]: one[name] + index * by })),
    });
    const left = (parts: Partial<Findings['left']>): Partial<Findings> => ({ left: { ...good.left, ...parts } });
    const cases: [Partial<Findings>, RegExp][] = [
      [growing('rssBytes', 2 * MIB), /^RSS has grown/],
      [growing('heapBytes', MIB), /^heap has grown/],
      [growing('descriptors', 2), /^descriptors has grown/],
      [growing('connections', 1), /^connections has grown/],
      [{ slots: { ...good.slots, untold: ['a 1'] } }, /a 1: nothing tells/],
      [{ slots: { ...good.slots, untrue: ['a 1: no'] } }, /a 1: no/],
      [{ failures: new Map([['internal', 1]]) }, /1 attempts failed with internal/],
      [{ runs: { ...good.runs, verified: 0 } }, /no run was committed/],
      [{ problems: ['it differs'] }, /it differs/],
      [left({ sessions: 1 }), /1 sessions are left/],
      [left({ uploads: ['k'] }), /an unfinished upload is left: k/],
      [left({ unfinished: ['a 1'] }), /an unfinished run is left: a 1/],
      [left({ journals: ['k'] }), /a journal of a committed run is left: k/],
    ];
    for (const [change, wanted] of cases) {
      const found = judge({ ...good, ...change });
      assert.equal(found.length, 1, String(wanted));
      assert.match(found[0] ?? '', wanted);
    }
  });
});
