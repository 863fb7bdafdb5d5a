import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail, FailureError } from '../../../src/base/errors.ts';
import type { FailureCode } from '../../../src/base/failures.ts';
import { WindowCalendar } from '../../../src/calendar/windows.ts';
import type { Store } from '../../../src/store/store.ts';
import { committedRuns, type CommittedRun, type DamagedRun } from '../../../src/windows/committed.ts';
import { chooseDamaged, damagedWindows, failureOf } from '../../../src/windows/damaged.ts';
import type { WindowedArchive } from '../../../src/windows/window-source.ts';

const calendar = new WindowCalendar('timestamptz', 'day', 'UTC');
const DAYS = ['20260305T000000Z', '20260306T000000Z', '20260307T000000Z'] as const;

function archiveOf(window: object = {}): WindowedArchive {
  return {
    name: 'events',
    timezone: 'UTC',
    window: { column: 'at', every: 'day', olderThanMs: 0, ...window },
  } as unknown as WindowedArchive;
}

function damagedRun(run: string, code: 'bad-manifest' | 'newer-journal' = 'bad-manifest'): DamagedRun {
  return { run, failure: fail(code, { stage: 'verify', message: 'it is none' }).failure };
}

function goodRun(run: string): CommittedRun {
  return { run } as CommittedRun;
}

function idsOf(runs: readonly { run: string }[]): string[] {
  return runs.map(({ run }) => run);
}

describe('damaged windows', () => {
  const damaged = DAYS.map((run) => damagedRun(run));
  const found = { committed: [], damaged };

  test('are told of in the range that is wanted, and from `from` on', () => {
    const toMs = Date.parse('2026-03-07T00:00:00Z');
    assert.deepEqual(idsOf(damagedWindows(calendar, archiveOf(), found)), DAYS);
    assert.deepEqual(idsOf(damagedWindows(calendar, archiveOf({ from: '2026-03-06' }), found, { toMs })), [DAYS[1]]);
    const choice = { from: '2026-03-06', to: '2026-03-07' };
    assert.deepEqual(idsOf(chooseDamaged(archiveOf(), found, choice)), [DAYS[1]]);
  });

  test('are over with a later good generation, and not with an earlier one', () => {
    const committed = [`${DAYS[0]}_2`, DAYS[1]].map(goodRun);
    const runs = { committed, damaged: [damagedRun(DAYS[0]), damagedRun(`${DAYS[1]}_2`)] };
    assert.deepEqual(idsOf(damagedWindows(calendar, archiveOf(), runs)), [`${DAYS[1]}_2`]);
  });

  test('say how they are made anew, unless a newer version can read them', () => {
    const { hint, archive, run } = failureOf(calendar, 'events', damagedRun(DAYS[0]));
    assert.deepEqual([archive, run], ['events', DAYS[0]]);
    assert.match(hint, /run events --from 2026-03-05T00:00:00Z --to 2026-03-06T00:00:00Z --again/);
    assert.doesNotMatch(failureOf(calendar, 'events', damagedRun(DAYS[0], 'newer-journal')).hint, /--again/);
    assert.doesNotMatch(failureOf(calendar, 'events', damagedRun('20260305T120000Z')).hint, /--again/);
  });
});

/** Where the manifest of the second day cannot be read. */
function storeWhere(failure: FailureError): Store {
  const store = {
    url: 'file:///a/',
    signing: undefined,
    async *listFolders() {
      await Promise.resolve();
      for (const run of DAYS) yield `run=${run}`;
    },
    scan: (key: string) => (key.includes(DAYS[1]) ? Promise.reject(failure) : Promise.resolve(undefined)),
    head: () => Promise.resolve(undefined),
  };
  return store as unknown as Store;
}

test('what keeps a manifest from being read ends the look; what is wrong with it does not', async () => {
  const known = { get: () => undefined, set: () => undefined, save: () => undefined };
  const look = (code: FailureCode) =>
    committedRuns(
      storeWhere(new FailureError({ code, stage: 'verify', transient: false, message: 'no', hint: '' })),
      'events',
      known,
    );
  for (const code of ['bad-manifest', 'misplaced', 'newer-journal', 'untrusted', 'object-too-large'] as const)
    assert.deepEqual(idsOf((await look(code)).damaged), [DAYS[1]], code);
  for (const code of ['connection-lost', 'access-denied'] as const)
    await assert.rejects(look(code), FailureError, code);
});
