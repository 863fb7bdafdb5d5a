import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fail, toFailure } from '../../../src/base/errors.ts';
import type { Log } from '../../../src/base/log.ts';
import type { Config } from '../../../src/config/schema.ts';
import type { Generation } from '../../../src/daemon/generations.ts';
import type { OfferedRun, WhenBusy } from '../../../src/daemon/lane.ts';
import { RunBoard, type RoundEnding, type StandbyWait } from '../../../src/daemon/run-board.ts';
import type { RunEnding, Trigger } from '../../../src/daemon/run-ending.ts';
import type { RunOptions } from '../../../src/run/run.ts';
import type { runArchive, RunResult } from '../../../src/run/run-archive.ts';
import type { PassEnding, purgeDue } from '../../../src/purge/purge-due.ts';
import type { makeWindows } from '../../../src/windows/make.ts';
import { FairQueue } from '../../../src/work/fair-queue.ts';

const log = { warn: () => {} } as unknown as Log;

/** A run that was begun, and goes on until the test ends it. */
interface Begun {
  archive: string;
  run: string;
  context: RunOptions;
  end: (status?: RunResult['status'], parts?: Partial<RunResult>) => Promise<void>;
}

let begun: Begun[] = [];
let endings: RunEnding[] = [];
let rounds: RoundEnding[] = [];
let generation: Generation;
let board: RunBoard;
/** Runs that other hosts have, and what lets each go on. */
/** Purges that were begun, and go on until the test ends them, or they are asked to stop. */
let passes: { archive: string; isStopped: () => boolean; end: () => Promise<void> }[] = [];
let passEndings: string[] = [];
let isPaused = false;
let waits: { wait: StandbyWait; free: () => void }[] = [];

beforeEach(() => {
  begun = [];
  waits = [];
  endings = [];
  generation = generationOf(['a', 'b', 'c'], 2);
  rounds = [];
  const events = {
    changed: () => {},
    started: () => {},
    ended: (ending: RunEnding) => endings.push(ending),
    roundEnded: (round: RoundEnding) => rounds.push(round),
    purgesFound: () => {},
    purgeEnded: () => {},
    purgesEnded: (archive: string, { stoppedBy }: PassEnding) =>
      passEndings.push(`${archive} ${stoppedBy ?? 'complete'}`),
  };
  isPaused = false;
  passes = [];
  passEndings = [];
  board = new RunBoard(log, () => generation, events, {
    ...{ runArchive: fakeRun, makeWindows: fakeWindows, purgeDue: fakePass, standBy },
    mayPurge: () => !isPaused,
    memoryOf: () => ({ done: new Map(), differentAtMs: new Map() }),
  });
});

function standBy(wait: StandbyWait, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    waits.push({ wait, free: resolve });
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });
}

function generationOf(names: string[], places: number): Generation {
  const archives = Object.fromEntries(names.map((name) => [name, { name }]));
  return { number: 0, config: { archives } as unknown as Config, queue: new FairQueue(places) } as Generation;
}

/** Ends when the test says so, or as a failure at its signal. */
const fakeRun: typeof runArchive = (context, { name: archive }, run) =>
  new Promise((resolve) => {
    const resultOf = (status: RunResult['status'], parts: Partial<RunResult> = {}): RunResult => ({
      ...{ archive, run, status, rows: 0, objects: 0, jsonBytes: 0, bytes: 0, seconds: 0, manifest: null },
      ...{ peakHeapBytes: 0, peakRssBytes: 0, resumed: false },
      ...parts,
    });
    context.signal.addEventListener('abort', () =>
      resolve(resultOf('failed', { error: toFailure(context.signal.reason, 'worker') })),
    );
    const end = async (status: RunResult['status'] = 'committed', parts: Partial<RunResult> = {}): Promise<void> => {
      resolve(resultOf(status, parts));
      await turn();
    };
    begun.push({ archive, run, context, end });
  });

const fakePass: typeof purgeDue = ({ signal }, { name: archive }, hooks) =>
  new Promise((resolve) => {
    hooks.begin?.({ run: '20261001T000000Z', rows: 1, dueMs: 0, isBegun: false });
    passes.push({
      archive,
      isStopped: () => signal.aborted,
      // A batch is in progress until the test lets it end.
      end: async () => {
        resolve(signal.aborted ? { purged: 0, stoppedBy: 'asked' } : { purged: 1 });
        for (let at = 0; at < 5; at += 1) await turn();
      },
    });
  });

/** Two windows, one after the other, each as a run that the test ends. */
const fakeWindows: typeof makeWindows = async (options, archive, _known, _request, hooks) => {
  const results: RunResult[] = [];
  for (const run of ['20261101T000000Z', '20261102T000000Z']) {
    const work = (): Promise<RunResult> => {
      hooks?.begin?.(run);
      return fakeRun(options, archive, run);
    };
    const result = await (hooks?.inTurn?.(work) ?? work());
    hooks?.end?.(result);
    results.push(result);
    if (options.signal.aborted) break;
  }
  return results;
};

function offer(archive: string, run: string, whenBusy: WhenBusy = 'append', trigger: Trigger = 'schedule'): void {
  const offered: OfferedRun = { run, trigger, whenBusy };
  board.offer(archive, offered);
}

function begunRuns(): string[] {
  return begun.map(({ archive, run }) => `${archive}${run}`);
}

/** How the runs ended, in their order, such as `a1 committed ok`. */
function ended(): string[] {
  return endings.map(({ archive, run, status, reason }) => `${archive}${run} ${status} ${reason}`);
}

async function endFirst(status?: RunResult['status']): Promise<void> {
  const first = begun.find(({ archive, run }) => board.entryOf(archive)?.run === run);
  await first?.end(status);
}

describe('the board', () => {
  test('begins one run of an archive at a time, the oldest first, and each once', async () => {
    for (const run of ['2', '4', '3', '3', '2']) offer('a', run);
    await turn();
    assert.deepEqual([begunRuns(), board.waitingOf('a'), board.isBusy('a')], [['a2'], ['3', '4'], true]);
    for (let at = 0; at < 3; at += 1) await endFirst();
    assert.deepEqual(begunRuns(), ['a2', 'a3', 'a4']);
    assert.deepEqual(ended(), ['a2 committed ok', 'a3 committed ok', 'a4 committed ok']);
    assert.deepEqual([board.entries, board.isBusy('a')], [[], false]);
  });

  test('has as many archives run at once as there are places, and the others wait for their turn', async () => {
    for (const archive of ['a', 'b', 'c']) offer(archive, '1');
    await turn();
    assert.deepEqual(begunRuns(), ['a1', 'b1']);
    assert.deepEqual(
      board.entries.map(({ archive, state }) => `${archive} ${state}`),
      ['a running', 'b running', 'c waiting'],
    );
    await begun[1]?.end();
    assert.deepEqual(begunRuns(), ['a1', 'b1', 'c1']);
  });

  test('has others run in the place of one that is held up by its pace, which waits for a place then', async () => {
    generation = generationOf(['a', 'b'], 1);
    for (const archive of ['a', 'b'])
      board.offer(archive, { run: '20261123T021500Z', trigger: 'schedule', whenBusy: 'append' });
    await turn();
    assert.deepEqual(
      begun.map(({ archive }) => archive),
      ['a'],
    );
    const pause = Promise.withResolvers<undefined>();
    let isBack = false;
    void begun[0]?.context.aside?.(() => pause.promise).then(() => (isBack = true));
    await turn();
    assert.deepEqual(
      begun.map(({ archive }) => archive),
      ['a', 'b'],
    );
    pause.resolve(undefined);
    await turn();
    assert.equal(isBack, false);
    await begun[1]?.end();
    await turn();
    assert.equal(isBack, true);
    await begun[0]?.end();
  });

  test('leaves out a run that does not wait, and lets the latest slot take the place of those that wait', async () => {
    offer('a', '1');
    offer('a', '2', 'skip');
    offer('a', '3', 'replace');
    offer('a', '5', 'replace');
    offer('a', '4', 'replace');
    assert.deepEqual(ended(), ['a2 skipped busy', 'a3 skipped busy', 'a4 skipped busy']);
    assert.deepEqual(board.waitingOf('a'), ['5']);
    offer('a', '6', 'append', 'taken up');
    offer('a', '7', 'replace');
    assert.deepEqual(board.waitingOf('a'), ['6', '7'], 'what was taken up keeps its place');
  });

  test('lets a thousand wait, and leaves out the oldest of more', async () => {
    offer('a', '0000');
    for (let run = 1; run <= 1002; run += 1) offer('a', String(run).padStart(4, '0'));
    assert.equal(board.waitingOf('a').length, 1000);
    assert.deepEqual(ended(), ['a0001 skipped not caught up', 'a0002 skipped not caught up']);
  });

  test('begins nothing in a lane that is held, and goes on when all who hold it have let go', async () => {
    const looks = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    const holds = looks.map(({ promise }) => board.hold('a', () => promise));
    offer('a', '1');
    offer('b', '1');
    await turn();
    assert.deepEqual(begunRuns(), ['b1']);
    looks[0]?.reject(new Error('the bucket is gone'));
    await assert.rejects(holds[0]!, /bucket is gone/);
    assert.deepEqual(begunRuns(), ['b1']);
    looks[1]?.resolve(undefined);
    await holds[1];
    await turn();
    assert.deepEqual(begunRuns(), ['b1', 'a1']);
  });

  test('does not begin the next run while a lane is held, though the one before it has ended', async () => {
    offer('a', '1');
    offer('a', '2');
    await turn();
    const look = Promise.withResolvers<undefined>();
    const held = board.hold('a', () => look.promise);
    await endFirst();
    assert.deepEqual(begunRuns(), ['a1']);
    look.resolve(undefined);
    await held;
    await turn();
    assert.deepEqual(begunRuns(), ['a1', 'a2']);
  });

  test('goes by the config that is in force when a run begins, and leaves out what that has no more', async () => {
    offer('a', '1');
    offer('a', '2');
    offer('c', '1');
    offer('c', '2');
    await turn();
    const before = generation;
    generation = generationOf(['a'], 2);
    for (const { end } of [...begun]) await end();
    assert.deepEqual(begunRuns(), ['a1', 'c1', 'a2']);
    assert.deepEqual(
      begun.map(({ context }) => context.config),
      [before.config, before.config, generation.config],
    );
    assert.deepEqual(ended().at(-1), 'c2 skipped not in the config');
  });

  test('cancels the run in progress with all that wait behind it, and says so once it has ended', async () => {
    assert.equal(await board.cancel('a'), undefined);
    offer('a', '1');
    offer('a', '2');
    await turn();
    assert.equal(await board.cancel('a'), '1');
    assert.deepEqual(ended(), ['a2 skipped cancelled', 'a1 failed cancelled']);
    offer('a', '3');
    await turn();
    assert.deepEqual(begunRuns(), ['a1', 'a3']);
  });

  test('cancels a run that waits for its turn without beginning it', async () => {
    generation = generationOf(['a', 'b'], 1);
    offer('a', '1');
    offer('b', '1');
    await turn();
    assert.equal(await board.cancel('b'), '1');
    assert.deepEqual([begunRuns(), ended()], [['a1'], ['b1 skipped cancelled']]);
  });

  test('drops the slots of a schedule that is no longer in force, and nothing else', async () => {
    for (const [run, trigger] of Object.entries({ 1: 'schedule', 2: 'schedule', 3: 'catch-up', 4: 'taken up' }))
      offer('a', run, 'append', trigger as Trigger);
    offer('a', '5', 'append', 'by hand');
    board.dropSlots('a');
    assert.deepEqual(ended(), ['a2 skipped rescheduled', 'a3 skipped rescheduled']);
    assert.deepEqual(board.waitingOf('a'), ['4', '5']);
  });

  test('drains: runs in progress end by themselves, and no other is begun, neither now nor later', async () => {
    for (const archive of ['a', 'b', 'c']) offer(archive, '1');
    offer('a', '2');
    await turn();
    let isDrained = false;
    const drained = board.drain(new Error('stop')).then(() => {
      isDrained = true;
    });
    await turn();
    assert.deepEqual(ended(), ['a2 skipped stopping', 'c1 skipped stopping']);
    assert.ok(begun.every(({ context }) => context.drain?.aborted === true && !context.signal.aborted));
    offer('b', '2');
    assert.equal(isDrained, false);
    for (const { end } of begun) await end();
    await drained;
    assert.deepEqual(begunRuns(), ['a1', 'b1']);
    assert.deepEqual(ended().slice(2), ['b2 skipped stopping', 'a1 committed ok', 'b1 committed ok']);
  });

  test('aborts the runs in progress, with the reason', async () => {
    offer('a', '1');
    await turn();
    const reason = new Error('it takes too long');
    await board.abort(reason);
    assert.equal(begun[0]?.context.signal.reason, reason);
    assert.equal(endings[0]?.error?.message, 'it takes too long');
  });
});

describe('a round of an archive of windows', () => {
  beforeEach(() => {
    const archives = { w: { name: 'w', window: { column: 'at', every: 'day' } }, a: { name: 'a' } };
    const destinations = { default: { url: 's3://bucket' } };
    for (const one of Object.values(archives)) Object.assign(one, { destination: 'default' });
    const config = { archives, destinations, state: '/nowhere' } as unknown as Config;
    generation = { number: 0, config, queue: new FairQueue(1) } as Generation;
  });

  test('reports each window under its own id, and then itself', async () => {
    offer('w', '20261123T021500Z');
    await turn();
    assert.equal(board.entryOf('w')?.run, '20261101T000000Z');
    await begun[0]?.end();
    await turn();
    assert.equal(board.entryOf('w')?.run, '20261102T000000Z');
    await begun[1]?.end();
    await turn();
    assert.deepEqual(
      endings.map(({ run, status }) => `${run} ${status}`),
      ['20261101T000000Z committed', '20261102T000000Z committed'],
    );
    assert.deepEqual(
      rounds.map(({ slot, isComplete }) => ({ slot, isComplete })),
      [{ slot: '20261123T021500Z', isComplete: true }],
    );
    assert.equal(board.isBusy('w'), false);
  });

  test('lets other archives have their turn between its windows', async () => {
    offer('w', '20261123T021500Z');
    await turn();
    offer('a', '20261123T021501Z');
    await begun[0]?.end();
    await turn();
    assert.deepEqual(
      begun.map(({ archive }) => archive),
      ['w', 'a'],
    );
    await begun[1]?.end();
    await turn();
    assert.equal(begun.at(-1)?.run, '20261102T000000Z');
    await begun.at(-1)?.end();
  });

  test('that is cancelled, or has a failure, is not complete', async () => {
    offer('w', '20261123T021500Z');
    await turn();
    await board.cancel('w');
    assert.deepEqual(
      rounds.map(({ isComplete }) => isComplete),
      [false],
    );
    assert.deepEqual(
      endings.map(({ status, reason }) => `${status} ${reason}`),
      ['failed cancelled'],
    );
    offer('w', '20261124T021500Z');
    await turn();
    await begun[1]?.end('failed');
    await turn();
    await begun[2]?.end();
    await turn();
  });

  test('stands by for a window that another host has, and is then made again from its slot', async () => {
    offer('w', '20261123T021500Z');
    await turn();
    const { failure } = fail('locked', {
      stage: 'lock',
      run: begun[0]!.run,
      message: 'another host has it',
      host: 'db1',
    });
    await begun[0]?.end('failed', { error: failure });
    await turn();
    await begun[1]?.end();
    await turn();
    assert.deepEqual([board.standbys.length, board.entryOf('w')?.holder], [1, 'db1']);
    assert.equal(waits[0]?.wait.run, '20261101T000000Z');
    waits[0].free();
    for (const at of [2, 3]) {
      await turn();
      await turn();
      await begun[at]?.end();
    }
    await turn();
    assert.deepEqual(
      rounds.map(({ slot, isComplete }) => [slot, isComplete]),
      [
        ['20261123T021500Z', false],
        ['20261123T021500Z', true],
      ],
    );
    assert.equal(board.isBusy('w'), false);
  });

  test('is none where the id names a window', async () => {
    board.offer('w', { run: '20261101T000000Z', trigger: 'taken up', whenBusy: 'append', isWindow: true });
    await turn();
    await begun[0]?.end();
    await turn();
    assert.deepEqual(rounds, []);
    assert.deepEqual(
      endings.map(({ run }) => run),
      ['20261101T000000Z'],
    );
  });
});

describe('a run that another host has', () => {
  const locked = fail('locked', { stage: 'lock', message: 'another run holds the lock', host: 'db1' }).failure;

  async function beginAndStandBy(whenBusy: WhenBusy = 'append', trigger: Trigger = 'schedule'): Promise<void> {
    offer('a', '1', whenBusy, trigger);
    await turn();
    await begun.at(-1)?.end('failed', { error: locked });
  }

  test('is reported as skipped, and stood by for: it takes no place, but it keeps its lane', async () => {
    generation = generationOf(['a', 'b'], 1);
    await beginAndStandBy();
    assert.deepEqual(ended(), ['a1 skipped locked']);
    assert.equal(endings[0]?.otherHost, 'db1');
    assert.deepEqual([board.entries, board.standbys.length, board.isBusy('a')], [[], 1, true]);
    const { state, holder } = board.entryOf('a')!;
    assert.deepEqual([state, holder], ['standby', 'db1']);
    waits[0]?.wait.onHolder('db3');
    assert.equal(board.entryOf('a')?.holder, 'db3');
    offer('b', '1');
    offer('a', '2', 'skip');
    offer('a', '3', 'replace');
    await turn();
    assert.deepEqual([begunRuns(), board.waitingOf('a')], [['a1', 'b1'], ['3']]);
    assert.deepEqual(ended().slice(1), ['a2 skipped busy'], 'the next slot decides as if it were in progress here');
  });

  test('is tried when it may be free, as one that was taken up, and again stood by for when it is not', async () => {
    await beginAndStandBy();
    for (const last of [false, true]) {
      waits.at(-1)?.free();
      await turn();
      assert.equal(board.entryOf('a')?.trigger, 'taken up');
      await begun.at(-1)?.end(last ? 'committed' : 'failed', last ? { takenUpFrom: 'db3' } : { error: locked });
    }
    assert.deepEqual(begunRuns(), ['a1', 'a1', 'a1']);
    assert.deepEqual(ended(), ['a1 skipped locked', 'a1 skipped locked', 'a1 committed ok']);
    assert.deepEqual([endings[2]?.otherHost, endings[2]?.trigger, board.isBusy('a')], ['db3', 'taken up', false]);
  });

  test('is left when it ended there as cancelled or failed; by hand, one that was cancelled is gone on with', async () => {
    await beginAndStandBy('append', 'by hand');
    waits[0]?.free();
    await turn();
    offer('b', '1');
    await turn();
    assert.deepEqual(
      begun.map(({ context }) => context.leaves),
      [[], ['cancelled', 'failed'], ['cancelled']],
    );
    const failure = fail('cancelled-elsewhere', { stage: 'journal', message: 'it was cancelled', host: 'db1' }).failure;
    await begun[1]?.end('failed', { error: failure });
    assert.deepEqual(ended(), ['a1 skipped locked', 'a1 skipped cancelled on db1']);
    assert.deepEqual([endings[1]?.error, board.isBusy('a')], [null, false]);
  });

  test('is given up when the daemon stops, and keeps no config in force over a reload', async () => {
    await beginAndStandBy();
    await board.settled();
    generation = generationOf([], 1);
    waits[0]?.free();
    await turn();
    assert.deepEqual(ended().slice(1), ['a1 skipped not in the config']);
    generation = generationOf(['a'], 1);
    await beginAndStandBy();
    await board.drain(new Error('stop'));
    assert.deepEqual(ended().slice(2), ['a1 skipped locked', 'a1 skipped stopping']);
  });
});

describe('the purge of an archive of windows', () => {
  beforeEach(() => {
    const window = { column: 'at', every: 'day' };
    const archives = {
      w: { name: 'w', window, purge: { afterMs: 1 } },
      v: { name: 'v', window, purge: { afterMs: 1 } },
      a: { name: 'a', window },
      p: { name: 'p', purge: { afterMs: 1 } },
    };
    for (const one of Object.values(archives)) Object.assign(one, { destination: 'default' });
    const destinations = { default: { url: 's3://bucket' } };
    const config = { archives, destinations, state: '/nowhere' } as unknown as Config;
    generation = { number: 0, config, queue: new FairQueue(2) } as Generation;
  });

  async function settle(): Promise<void> {
    for (let at = 0; at < 5; at += 1) await turn();
  }

  test('is none without purge: in the config, without windows, and of an archive that is paused', async () => {
    board.offerPurge('a');
    board.offerPurge('p');
    isPaused = true;
    board.offerPurge('w');
    await settle();
    assert.deepEqual([passes, board.purges], [[], []]);
  });

  test('waits for the run in progress and for those that wait behind it, and is no run itself', async () => {
    board.offer('w', { run: '1', trigger: 'by hand', whenBusy: 'append', isWindow: true });
    board.offer('w', { run: '2', trigger: 'by hand', whenBusy: 'append', isWindow: true });
    board.offerPurge('w');
    await settle();
    assert.equal(passes.length, 0);
    await endFirst();
    await settle();
    assert.equal(passes.length, 0);
    await endFirst();
    await settle();
    assert.equal(passes.length, 1);
    assert.deepEqual([board.isBusy('w'), board.entryOf('w'), board.entries], [false, undefined, []]);
    assert.equal(board.purgeOf('w')?.run, '20261001T000000Z');
    await passes[0]?.end();
    assert.deepEqual([board.purges, passEndings], [[], ['w complete']]);
  });

  test('makes room for a run that comes: it stops after its batch, the run goes, and then it goes on', async () => {
    board.offerPurge('w');
    await settle();
    board.offer('w', { run: '1', trigger: 'by hand', whenBusy: 'append', isWindow: true });
    await settle();
    assert.equal(passes[0]?.isStopped(), true);
    assert.deepEqual(begunRuns(), [], 'the batch has not ended');
    await passes[0].end();
    assert.deepEqual([begunRuns(), passes.length], [['w1'], 1]);
    await endFirst();
    await settle();
    assert.equal(passes.length, 2);
    await passes[1]?.end();
  });

  test('is one at a time over all archives', async () => {
    board.offerPurge('w');
    board.offerPurge('v');
    await settle();
    assert.deepEqual(
      board.purges.map(({ archive, state }) => `${archive} ${state}`),
      ['w proving', 'v waiting'],
    );
    await passes[0]?.end();
    assert.equal(passes[1]?.archive, 'v');
    await passes[1].end();
  });

  test('that is stopped by hand stays so; a lane that is held for a look has it stop as well, and goes on with it', async () => {
    board.offerPurge('w');
    await settle();
    const stopped = board.stopPurge('w');
    await passes[0]?.end();
    assert.deepEqual([await stopped, await board.stopPurge('w'), passes.length], [true, false, 1]);
    board.offerPurge('w');
    await settle();
    let isLooking = false;
    const held = board.hold('w', async () => {
      isLooking = true;
    });
    await settle();
    assert.deepEqual([isLooking, passes[1]?.isStopped()], [false, true]);
    await passes[1]?.end();
    await held;
    await settle();
    assert.deepEqual([isLooking, passes.length], [true, 3]);
    await passes[2]?.end();
  });

  test('ends when the daemon stops, after its batch, and none is begun any more', async () => {
    board.offerPurge('w');
    board.offerPurge('v');
    await settle();
    let isDrained = false;
    const drained = board.drain(new Error('stop')).then(() => {
      isDrained = true;
    });
    await settle();
    assert.deepEqual([passes[0]?.isStopped(), isDrained], [true, false]);
    await passes[0]?.end();
    await drained;
    board.offerPurge('w');
    await settle();
    assert.deepEqual([passes.length, board.purges], [1, []]);
  });
});
