import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { FailureError } from '../../../src/base/errors.ts';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import { Pace, type Gate } from '../../../src/pace/pace.ts';
import type { Hold } from '../../../src/pace/pauses.ts';
import { executeRun, type Commit } from '../../../src/run/execute.ts';
import type { Run } from '../../../src/run/run.ts';
import type { Place } from '../../../src/work/place.ts';
import { CUTS, FakeRuns } from '../../support/fake-run.ts';
import { wholeManifest } from '../../support/ledger.ts';
import { PacedClock } from '../../support/paced-clock.ts';
import { recordTo } from '../../support/record-log.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** A run at a pace, whose segments take `segmentMs` each. */
class PacedRun {
  readonly runs = new FakeRuns();
  readonly clock: PacedClock;
  readonly run: Run;
  /** What holds it up. */
  hold: Hold | undefined;
  /** Before it is known whether something does. */
  look = (): Promise<unknown> => Promise.resolve();
  ended = false;

  constructor(pace: ArchiveConfig['pace'] & object, { segmentMs = 0, start = '2026-01-15T12:00:00Z' } = {}) {
    this.clock = new PacedClock(start);
    this.runs.archive = { ...this.runs.archive, pace };
    const gate: Gate = { look: () => this.look().then(() => this.hold) };
    const log = recordTo(this.runs.log);
    const { place } = this.runs;
    const slow: Place = {
      load: place.load,
      run: async (task, signal, hooks) => {
        const outcome = await place.run(task, signal, hooks);
        await this.clock.pass(segmentMs);
        return outcome;
      },
      close: () => place.close(),
    };
    const { clock } = this;
    this.run = this.runs.next({ place: slow, pace: new Pace({ pace, timezone: 'UTC', log, gates: [gate], clock }) });
  }

  begin(): Promise<Commit> {
    const running = executeRun(this.run).finally(() => {
      this.ended = true;
    });
    running.catch(() => undefined);
    return running;
  }

  get begun(): readonly number[] {
    return this.runs.place.begun;
  }

  /** The last digits of the snapshots that its objects are of. */
  async snapshots(): Promise<string> {
    return ((await wholeManifest(this.runs.folder))?.objects ?? []).map(({ snapshot }) => snapshot.slice(-1)).join('');
  }
}

describe('a snapshot that is older than it may become', () => {
  test('is let go once no segment runs, and the run goes on under another one, as resumed', async () => {
    const paced = new PacedRun({ maxSnapshotAgeMs: 1.5 * HOUR_MS }, { segmentMs: HOUR_MS });
    const { manifest } = await paced.begin();
    assert.deepEqual(paced.begun, [0, 1, 2, 3]);
    assert.deepEqual([manifest.consistency, manifest.rows], ['resumed', 40]);
    assert.equal(await paced.snapshots(), '1122');
    assert.equal((await wholeManifest(paced.runs.folder))?.snapshots?.length, 2);
    assert.ok(paced.runs.sessions.every(({ isClosed }) => isClosed));
    assert.ok(paced.run.progress.resumed);
    assert.equal(paced.run.progress.snapshotAt, undefined);
  });

  test('when a segment has not begun yet has one all the same, so that each brings the run forward', async () => {
    const paced = new PacedRun({ maxSnapshotAgeMs: 1000 });
    paced.runs.source.onPlan = () => {
      paced.clock.jump(HOUR_MS);
    };
    const running = paced.begin();
    await paced.clock.passUntil('it ends', () => paced.ended);
    await running;
    assert.equal(await paced.snapshots(), '1234');
  });

  test('when it is planned has a segment all the same, also where earlier snapshots had some', async () => {
    const paced = new PacedRun({ maxSnapshotAgeMs: 1000 });
    // Its age is seen before the first segment may begin.
    paced.look = () => setTimeout(30);
    let plans = 0;
    paced.runs.source.onPlan = () => {
      plans += 1;
      assert.ok(plans <= 4, 'a snapshot has brought the run nothing');
      paced.clock.jump(HOUR_MS);
    };
    const running = paced.begin();
    await paced.clock.passUntil('it ends', () => paced.ended);
    await running;
    assert.equal(await paced.snapshots(), '1234');
  });

  test('is kept to the end where segments mean their rows under it alone', async () => {
    const paced = new PacedRun({ maxSnapshotAgeMs: 1000 }, { segmentMs: HOUR_MS });
    paced.runs.source.cut = CUTS.pages;
    await paced.begin();
    assert.equal(paced.runs.sessions.length, 1);
  });
});

describe('a pause', () => {
  const LAG: Hold = { reason: 'lag', message: 'behind' };

  /** Until two segments are done, and the third waits. */
  async function paused(cut: 'key' | 'pages'): Promise<{ paced: PacedRun; running: Promise<Commit> }> {
    const paced = new PacedRun({});
    paced.runs.source.cut = CUTS[cut];
    paced.runs.place.onTask = ({ segment }) => {
      if (segment === 1) paced.hold = LAG;
      return undefined;
    };
    const running = paced.begin();
    await paced.clock.passUntil('it pauses', () => paced.run.pace.pauses.current !== undefined);
    assert.deepEqual(paced.begun, [0, 1]);
    return { paced, running };
  }

  test('of up to ten minutes keeps the snapshot', async () => {
    const { paced, running } = await paused('key');
    await paced.clock.pass(9 * MINUTE_MS);
    paced.hold = undefined;
    await paced.clock.passUntil('it ends', () => paced.ended, 1000);
    assert.equal((await running).manifest.consistency, 'single-snapshot');
  });

  test('that is longer costs the snapshot and the lock, and the run goes on when it is over', async () => {
    const { paced, running } = await paused('key');
    await paced.clock.pass(10 * MINUTE_MS);
    await paced.clock.passUntil('the session ends', () => paced.runs.session.isClosed);
    await paced.clock.pass(2 * HOUR_MS);
    assert.equal(paced.runs.sessions.length, 1, 'no other one is opened before it is over');
    assert.equal(paced.run.progress.snapshotAt, undefined);
    paced.hold = undefined;
    await paced.clock.passUntil('it ends', () => paced.ended, 1000);
    assert.equal((await running).manifest.consistency, 'resumed');
    assert.equal(await paced.snapshots(), '1122');
    assert.ok(paced.run.pace.pauses.totalMs >= 2 * HOUR_MS);
  });

  test('that is longer costs nothing where segments mean their rows under one snapshot', async () => {
    const { paced, running } = await paused('pages');
    await paced.clock.pass(2 * HOUR_MS);
    assert.equal(paced.runs.session.isClosed, false);
    paced.hold = undefined;
    await paced.clock.passUntil('it ends', () => paced.ended, 1000);
    assert.equal((await running).manifest.consistency, 'single-snapshot');
  });

  test('ends with the drain in mid-run as well, and what was done by then is not done again', async () => {
    const { paced, running } = await paused('key');
    await paced.clock.pass(HOUR_MS);
    paced.runs.drain.abort(new Error('the daemon stops'));
    await assert.rejects(running, (error) => error instanceof FailureError && error.failure.code === 'drained');
    assert.equal(paced.run.pace.pauses.current, undefined);
    paced.runs.drain = new AbortController();
    const { begun } = paced;
    const done = begun.length;
    const { manifest, status } = await executeRun(paced.runs.next());
    assert.deepEqual([status, manifest.consistency, manifest.objects.length], ['committed', 'resumed', 4]);
    assert.deepEqual(begun.slice(done), [2, 3]);
  });

  test('before the begin holds no session, and no place that other archives wait for', async () => {
    const paced = new PacedRun({});
    paced.hold = LAG;
    const aside: string[] = [];
    paced.run.aside = async (work) => {
      aside.push('away');
      const result = await work();
      aside.push('back');
      return result;
    };
    const running = paced.begin();
    await paced.clock.pass(HOUR_MS);
    assert.equal(paced.runs.sessions.length, 0);
    assert.deepEqual(aside, ['away']);
    paced.hold = undefined;
    await paced.clock.passUntil('it ends', () => paced.ended, 1000);
    await running;
    assert.deepEqual(aside, ['away', 'back']);
  });

  test('ends with the drain: a run that has not begun is left to the next start', async () => {
    const paced = new PacedRun({});
    paced.hold = LAG;
    const running = paced.begin();
    await paced.clock.pass(1000);
    paced.runs.drain.abort(new Error('the daemon stops'));
    await assert.rejects(running, (error) => error instanceof FailureError && error.failure.code === 'drained');
  });
});

describe('a run of some hours of the day', () => {
  for (const [cut, snapshots] of [
    ['key', '1222'],
    ['pages', '1111'],
  ] as const)
    test(`by ${cut} begins in them${cut === 'key' ? ', and so does each segment' : ' alone, and is then done'}`, async () => {
      const pace = { between: '22:00-06:00' };
      const paced = new PacedRun(pace, { segmentMs: 8 * HOUR_MS, start: '2026-01-15T21:00:00Z' });
      paced.runs.source.cut = CUTS[cut];
      const begunAt: number[] = [];
      paced.runs.place.onTask = () => {
        begunAt.push(paced.clock.now());
        return undefined;
      };
      const running = paced.begin();
      await paced.clock.pass(HOUR_MS - 1);
      assert.equal(paced.runs.sessions.length, 0);
      await paced.clock.passUntil('it has begun', () => paced.begun.length > 0, 1);
      if (cut === 'pages') await running;
      else {
        await paced.clock.passUntil('the snapshot is let go', () => paced.runs.session.isClosed, HOUR_MS / 2);
        assert.deepEqual(paced.begun, [0]);
        paced.run.place = paced.runs.place;
        await paced.clock.passUntil('it ends', () => paced.ended, HOUR_MS / 2);
        assert.ok(begunAt[1] !== undefined && begunAt[1] >= Date.parse('2026-01-16T22:00:00Z'));
      }
      await running;
      assert.equal(await paced.snapshots(), snapshots);
    });
});
