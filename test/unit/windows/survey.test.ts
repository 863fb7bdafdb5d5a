import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../../src/base/errors.ts';
import { endedAs } from '../../../src/ledger/journal.ts';
import { dataKey, manifestKey, verifiedKey } from '../../../src/ledger/names.ts';
import type { PurgeRecord } from '../../../src/ledger/purge.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import type { Store } from '../../../src/store/store.ts';
import type { CommittedRun, KnownRuns } from '../../../src/windows/committed.ts';
import { survey, type KnownPurges } from '../../../src/windows/survey.ts';
import type { WindowedArchive } from '../../../src/windows/window-source.ts';
import { aManifest, aPlan, ARCHIVE, changed, temporaryStore } from '../../support/ledger.ts';

const DAY_MS = 86_400_000;
const OPTIONS = { contentType: 'application/json' };
const TOTALS = { deleted: 5, absent: 1, changed: 1, locked: 0, referenced: 2, inexact: 0, kept: 0 };

function archiveOf(changes: object = {}): WindowedArchive {
  const window = { column: 'at', every: 'day', olderThanMs: 0 };
  return { name: ARCHIVE, timezone: 'UTC', window, ...changes } as unknown as WindowedArchive;
}

function nothingKnown(): KnownRuns {
  const known = new Map<string, CommittedRun>();
  return { get: (run) => known.get(run), set: (run, found) => known.set(run, found), save: () => undefined };
}

/** A committed run with its data, or without. */
async function commit(store: Store, run: string, hasData = true): Promise<RunFolder> {
  const folder = new RunFolder(store, ARCHIVE, run);
  const key = dataKey(ARCHIVE, run, 0, 'jsonl.gz');
  const finishedAt = new Date(Date.now() - 10 * DAY_MS).toISOString();
  const manifest = aManifest(1, { run, finishedAt });
  manifest.objects[0]!.key = key;
  await folder.commit(folder.seal(manifest));
  if (hasData) await store.put(key, Buffer.from('x'), OPTIONS);
  return folder;
}

function purged(run: string, state: PurgeRecord['state']): PurgeRecord {
  return {
    ...{ format: 'pgsluice/purge/1', archive: ARCHIVE, run, state, owner: 'o', host: 'h' },
    ...{ source: { database: 'd', systemIdentifier: '1' }, startedAt: new Date(0).toISOString(), finishedAt: null },
    ...{ tool: { name: 'pgsluice', version: '1' }, totals: TOTALS, next: 1, rounds: 1, stayed: [] },
  };
}

describe('a look at the folders of windows', () => {
  test('tells by one listing which runs are committed, purged, gone, unfinished and failed', async () => {
    const store = temporaryStore();
    const [whole, done, begun, gone, unfinished, failed, robbed] = Array.from(
      { length: 7 },
      (_, day) => `2026030${day + 1}T000000Z`,
    ) as [string, string, string, string, string, string, string];
    await commit(store, whole);
    await (await commit(store, done)).writePurge(purged(done, 'done'), 'nothing');
    await (await commit(store, begun)).writePurge(purged(begun, 'running'), 'nothing');
    await commit(store, gone, false);
    await new RunFolder(store, ARCHIVE, unfinished).own(aPlan({ run: unfinished }));
    const { failure } = fail('locked', { stage: 'plan', message: 'somebody has it' });
    await new RunFolder(store, ARCHIVE, failed).own(endedAs(aPlan({ run: failed }), 'failed', failure));
    await (await commit(store, robbed)).writePurge(purged(robbed, 'done'), 'nothing');
    await store.remove([manifestKey(ARCHIVE, robbed)]);

    const listed: string[] = [];
    const read: string[] = [];
    const watched = changed(store, {
      list: (prefix) => {
        listed.push(prefix);
        return store.list(prefix);
      },
      get: (key, limit) => {
        read.push(key);
        return store.get(key, limit);
      },
    });
    const known = nothingKnown();
    const purges: KnownPurges = new Map();
    const look = async (changes: object = {}): Promise<Record<string, string>> => {
      const { runs } = await survey(watched, archiveOf(changes), known, purges);
      return Object.fromEntries(
        runs.map(({ run, committed, isFailed, isDamaged, isExpired, left }) => [
          run,
          [committed && 'committed', isFailed && 'failed', isDamaged && 'damaged', isExpired && 'expired', left]
            .filter((word) => word !== undefined && word !== false)
            .join(' '),
        ]),
      );
    };
    const expected = {
      [whole]: 'committed',
      [done]: 'committed 3',
      [begun]: 'committed',
      [gone]: 'committed damaged',
      [unfinished]: '',
      [failed]: 'failed',
      [robbed]: 'damaged',
    };
    assert.deepEqual(await look(), expected);
    assert.deepEqual(listed, [`${ARCHIVE}/`]);
    read.length = 0;
    assert.deepEqual(await look({ mayExpireAfterMs: 9 * DAY_MS }), { ...expected, [gone]: 'committed expired' });
    assert.deepEqual(
      read.filter((key) => key.endsWith('_purge.json')),
      [],
      'records that are as they were are not read again',
    );
  });

  test('takes what has lost a part for damaged, whatever its age, and data or a proof without a manifest', async () => {
    const store = temporaryStore();
    const [whole, part, lost, proved] = Array.from({ length: 4 }, (_, day) => `2026030${day + 1}T000000Z`) as [
      string,
      string,
      string,
      string,
    ];
    for (const [run, objects] of [
      [whole, 2],
      [part, 1],
      [lost, 2],
      [proved, 0],
    ] as const) {
      const folder = new RunFolder(store, ARCHIVE, run);
      const manifest = aManifest(2, { run, finishedAt: new Date(0).toISOString() });
      for (const [at, object] of manifest.objects.entries()) object.key = dataKey(ARCHIVE, run, at, 'jsonl.gz');
      await folder.commit(folder.seal(manifest));
      for (let at = 0; at < objects; at += 1)
        await store.put(dataKey(ARCHIVE, run, at, 'jsonl.gz'), Buffer.from('x'), OPTIONS);
    }
    await store.put(verifiedKey(ARCHIVE, proved), Buffer.from('{}'), OPTIONS);
    await store.remove([manifestKey(ARCHIVE, lost), manifestKey(ARCHIVE, proved)]);
    const { runs } = await survey(store, archiveOf({ mayExpireAfterMs: DAY_MS }), nothingKnown());
    assert.deepEqual(
      runs.map(({ run, isDamaged, isExpired = false }) => [run, isDamaged, isExpired]),
      [
        [whole, false, false],
        [part, true, false],
        [lost, true, false],
        [proved, true, false],
      ],
    );
  });

  test('takes a run that was committed while it listed for one in progress', async () => {
    const store = temporaryStore();
    const run = '20260301T000000Z';
    await commit(store, run);
    const listing = changed(store, {
      list: async function* (prefix) {
        for await (const object of store.list(prefix)) if (object.key !== manifestKey(ARCHIVE, run)) yield object;
      },
    });
    const { runs } = await survey(listing, archiveOf(), nothingKnown());
    assert.deepEqual(
      runs.map(({ isDamaged, isFailed }) => [isDamaged, isFailed]),
      [[false, false]],
    );
  });
});
