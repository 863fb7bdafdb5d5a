import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fail, FailureError } from '../../../src/base/errors.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { executeRun, type Commit } from '../../../src/run/execute.ts';
import type { Run } from '../../../src/run/run.ts';
import { CUTS, FakeRuns } from '../../support/fake-run.ts';
import { aManifest, aPlan, ARCHIVE, changed, INSTANCE, RUN, wholeManifest } from '../../support/ledger.ts';

const PARTS = ['part-00000.jsonl', 'part-00001.jsonl', 'part-00002.jsonl', 'part-00003.jsonl'];
const WIDE = { code: 'row-too-wide', message: 'row 7 is too wide' } as const;
const PASSING = { code: 'connection-lost', transient: true } as const;

async function failureOf(running: Promise<Commit>): Promise<string> {
  try {
    await running;
  } catch (error) {
    assert.ok(error instanceof FailureError, String(error));
    return error.failure.code;
  }
  assert.fail('the run did not fail');
}

/** Snapshots by segment, as the objects have them. */
async function snapshotsOf({ folder }: FakeRuns): Promise<string[]> {
  return ((await wholeManifest(folder))?.objects ?? []).map(({ snapshot }) => snapshot.slice(-1));
}

describe('a run', () => {
  test('ends with a manifest that names each segment, and leaves no journal', async () => {
    const runs = new FakeRuns();
    const run = runs.next();
    const commit = await executeRun(run);
    assert.equal(commit.status, 'committed');
    assert.equal(commit.manifest.rows, 40);
    assert.equal(commit.manifest.consistency, 'single-snapshot');
    assert.deepEqual(await runs.objects(), ['_manifest.json', ...PARTS]);
    assert.deepEqual(runs.place.begun, [0, 1, 2, 3]);
    assert.equal(run.progress.segmentsDone, 4);
    assert.deepEqual([runs.session.isClosed, runs.session.isCut], [true, false]);
  });

  test('that was committed while it waited for the lock does nothing', async () => {
    const runs = new FakeRuns();
    const { openSession } = runs.next();
    const run = runs.next({
      openSession: async () => {
        await runs.folder.commit(runs.folder.seal(aManifest()));
        return openSession();
      },
    });
    const { status } = await executeRun(run);
    assert.equal(status, 'already-committed');
    assert.deepEqual(runs.place.begun, []);
    assert.deepEqual(await runs.objects(), ['_manifest.json'], 'nothing is written beside a committed run');
    assert.ok(runs.session.isClosed);
  });

  test('that another host has taken up meanwhile commits nothing, and removes nothing', async () => {
    const runs = new FakeRuns();
    runs.source.onLook = async () => {
      await runs.folder.own(aPlan({ owner: 'somebody else' }));
    };
    await runs.store.put(`${runs.folder.prefix}part-00009.jsonl`, Buffer.from('theirs'), { contentType: 'text/plain' });
    const running = executeRun(runs.next());
    assert.equal(await failureOf(running), 'taken-over');
    assert.ok((await runs.objects()).includes('part-00009.jsonl'));
    assert.equal((await runs.folder.plan())?.plan.owner, 'somebody else');
    assert.equal(await runs.folder.isCommitted(), false);
  });
});

describe('a key that a late request of a dead try has written', () => {
  test('is written again in its place, as long as the plan is ours', async () => {
    const runs = new FakeRuns();
    const late = runs.folder.dataKey(1, 'jsonl');
    let writes = 0;
    runs.place.onTask = ({ segment }) => {
      if (segment === 1 && writes === 0) {
        writes += 1;
        writeLate(runs, late);
      }
      return undefined;
    };
    const { manifest } = await executeRun(runs.next());
    assert.deepEqual(runs.place.begun, [0, 1, 1, 2, 3]);
    assert.equal(manifest.rows, 40);
    assert.notEqual((await runs.store.get(late, 1000))?.body.toString(), 'late');
  });

  test('is left to whoever has taken the run over', async () => {
    const runs = new FakeRuns();
    runs.place.onTask = ({ segment }) => {
      if (segment === 1) {
        writeLate(runs, runs.folder.dataKey(1, 'jsonl'));
        writeLate(runs, `${runs.folder.prefix}_pgsluice/plan.json`, JSON.stringify(aPlan({ host: 'db2' })));
      }
      return undefined;
    };
    assert.equal(await failureOf(executeRun(runs.next())), 'taken-over');
    assert.deepEqual(runs.place.begun, [0, 1]);
    assert.equal((await runs.folder.plan())?.plan.host, 'db2', 'their plan was replaced');
  });

  /** At once, as if it came between the look and the write. */
  function writeLate(runs: FakeRuns, key: string, body = 'late'): void {
    const file = path.join(fileURLToPath(runs.store.url), key);
    writeFileSync(`${file}.new`, body);
    renameSync(`${file}.new`, file);
  }
});

describe('a plan that is followed by another one', () => {
  test('leaves no key behind: what the new plan does not name holds no rows, and the manifest names it', async () => {
    const runs = new FakeRuns();
    runs.place.onTask = ({ segment }) => (segment === 3 ? { ...WIDE, segment } : undefined);
    assert.equal(await failureOf(executeRun(runs.next())), 'row-too-wide');
    runs.archive = { ...runs.archive, compression: { codec: 'zstd', engine: 'auto' } };
    runs.place.onTask = () => undefined;
    await runs.store.put(`${runs.folder.prefix}notes.txt`, Buffer.from('mine'), { contentType: 'text/plain' });
    await executeRun(runs.next());
    const manifest = (await wholeManifest(runs.folder))!;
    assert.deepEqual(
      manifest.objects.map(({ key, rows }) => [key.slice(key.lastIndexOf('/') + 1), rows]),
      [...[0, 1, 2, 3].map((at) => [`part-0000${at}.jsonl.zst`, 10]), ...PARTS.map((part) => [part, 0])],
    );
    assert.deepEqual(
      [manifest.rows, manifest.consistency, new Set(manifest.objects.map(({ snapshot }) => snapshot)).size],
      [40, 'single-snapshot', 1],
    );
    const left = [...PARTS, ...PARTS.map((part) => part.replace('jsonl', 'jsonl.zst'))].sort();
    assert.deepEqual(await runs.objects(), ['_manifest.json', 'notes.txt', ...left]);
    const warned = runs.log.find(({ message }) => message.includes('not of pgsluice'));
    assert.deepEqual(warned?.fields['keys'], [`${runs.folder.prefix}notes.txt`]);
  });

  test('has its empty segments written once, whatever sessions follow', async () => {
    const runs = new FakeRuns();
    runs.place.onTask = ({ segment }) => (segment === 3 ? { ...WIDE, segment } : undefined);
    assert.equal(await failureOf(executeRun(runs.next())), 'row-too-wide');
    runs.archive = { ...runs.archive, compression: { codec: 'zstd', engine: 'auto' } };
    runs.place.onTask = () => undefined;
    const etags: (string | undefined)[] = [];
    runs.source.onLook = async () => {
      etags.push((await runs.store.head(runs.folder.dataKey(3, 'jsonl')))?.etag);
      if (etags.length === 1) throw fail('session-lost', { stage: 'lock', message: 'the lock is gone' });
    };
    await executeRun(runs.next());
    assert.equal(etags.length, 2);
    assert.equal(etags[0], etags[1]);
  });
});

describe('a session that is lost', () => {
  /** Loses the session as that segment is begun, once. */
  function loseAt(runs: FakeRuns, segment: number): void {
    runs.place.onTask = (task) => {
      if (task.segment !== segment) return undefined;
      runs.place.onTask = () => undefined;
      runs.session.lose();
      return undefined;
    };
  }

  test('is followed by a new one, under which segments that were done are not done again', async () => {
    const runs = new FakeRuns();
    loseAt(runs, 2);
    const run = runs.next();
    const commit = await executeRun(run);
    assert.deepEqual(runs.place.begun, [0, 1, 2, 2, 3]);
    assert.equal(runs.source.planned, 1);
    assert.equal(commit.manifest.consistency, 'resumed');
    assert.deepEqual(await snapshotsOf(runs), ['1', '1', '2', '2']);
    assert.deepEqual(
      commit.manifest.snapshots?.map(({ lsn }) => lsn),
      ['0/1', '0/2'],
    );
    assert.ok(run.progress.resumed);
    assert.deepEqual(
      runs.sessions.map(({ isClosed }) => isClosed),
      [true, true],
    );
  });

  test('takes all with it where segments mean their rows under one snapshot only', async () => {
    const runs = new FakeRuns();
    runs.source.cut = CUTS.pages;
    loseAt(runs, 2);
    const commit = await executeRun(runs.next());
    assert.deepEqual(runs.place.begun, [0, 1, 2, 0, 1, 2, 3]);
    assert.equal(commit.manifest.consistency, 'single-snapshot');
    assert.deepEqual(await snapshotsOf(runs), ['2', '2', '2', '2']);
  });

  test('gives no receipt to a segment that was written meanwhile', async () => {
    const runs = new FakeRuns();
    runs.place.onTask = ({ segment }) => {
      // The server says so only when it is asked.
      if (segment === 2) runs.sessions[0]!.holdsLock = false;
      return undefined;
    };
    await executeRun(runs.next());
    assert.deepEqual(runs.place.begun, [0, 1, 2, 2, 3]);
    assert.deepEqual(await snapshotsOf(runs), ['1', '1', '2', '2']);
  });

  test('commits nothing, even when all segments are done', async () => {
    const runs = new FakeRuns();
    runs.source.onDigest = () => {
      runs.sessions[0]!.holdsLock = false;
    };
    const { manifest } = await executeRun(runs.next({ verifySource: true }));
    assert.equal(runs.sessions.length, 2);
    assert.equal(manifest.rows, 40);
  });

  test('is the failure, whatever else failed because of it', async () => {
    const runs = new FakeRuns();
    runs.source.onPlan = () => {
      if (runs.sessions.length > 1) return;
      runs.session.lose();
      throw new Error('Connection terminated unexpectedly');
    };
    assert.equal((await executeRun(runs.next())).status, 'committed');
    assert.equal(runs.sessions.length, 2);
  });

  test('ends the run when so many in turn bring it no further', async () => {
    const runs = new FakeRuns();
    runs.place.onTask = ({ segment }) => {
      if (segment === 1) runs.session.lose();
      return undefined;
    };
    assert.equal(await failureOf(executeRun(runs.next())), 'session-lost');
    assert.equal(runs.sessions.length, 3);
    assert.equal(await runs.folder.isCommitted(), false);
    assert.equal((await runs.folder.plan())?.plan.ended, undefined, 'a run that may go on has not failed');
  });

  test('is not said to be lost where the destination failed before the first segment', async () => {
    const runs = new FakeRuns();
    let failures = 0;
    const busy = changed(runs.store, {
      listUploads: (prefix) => {
        failures += 1;
        if (failures > 1) return runs.store.listUploads(prefix);
        throw fail('throttled', { stage: 'upload', message: 'slow down' });
      },
    });
    await executeRun(runs.next({ folder: new RunFolder(busy, ARCHIVE, RUN) }));
    const said = runs.log.map(({ message }) => message);
    assert.ok(said.some((message) => message.startsWith('the run cannot go on for the moment')));
    assert.ok(!said.some((message) => message.startsWith('session lost')));
  });

  test('is followed by another one as long as each brings a segment', async () => {
    const runs = new FakeRuns();
    const seen = new Set<number>();
    runs.place.onTask = ({ segment }) => {
      if (!seen.has(segment)) runs.session.lose();
      seen.add(segment);
      return undefined;
    };
    runs.archive = { ...runs.archive, retry: { attempts: 2, backoffMs: 0, forMs: 900_000 } };
    await executeRun(runs.next());
    assert.equal(runs.sessions.length, 5);
    assert.deepEqual(await snapshotsOf(runs), ['2', '3', '4', '5']);
  });

  for (const code of ['snapshot-lost', 'lock-not-available', 'relation-rewritten'] as const) {
    test(`as ${code} of a segment says, is not tried again within it`, async () => {
      const runs = new FakeRuns();
      runs.place.onTask = ({ segment }) => {
        if (segment !== 1 || runs.sessions.length > 1) return undefined;
        return { code, transient: true, segment };
      };
      await executeRun(runs.next());
      assert.deepEqual(runs.place.begun, [0, 1, 1, 2, 3]);
      assert.equal(runs.sessions.length, 2);
    });
  }

  test('because a table was rewritten in mid-run leaves nothing of it to be believed', async () => {
    const runs = new FakeRuns();
    runs.source.onLook = () => {
      if (runs.sessions.length === 1)
        throw fail('relation-rewritten', { stage: 'snapshot', message: 'public.events was rewritten' });
    };
    const commit = await executeRun(runs.next());
    assert.deepEqual(runs.place.begun, [0, 1, 2, 3, 0, 1, 2, 3]);
    assert.deepEqual(await snapshotsOf(runs), ['2', '2', '2', '2']);
    assert.equal(commit.manifest.consistency, 'single-snapshot');
  });
});

describe('a run whose lock another host has by now', () => {
  /** Its session is lost in the middle; the lock is never free again. */
  function loseLock(runs: FakeRuns, meanwhile: () => Promise<unknown>): Promise<Commit> {
    const { openSession } = runs.next();
    let lost = false;
    runs.place.onTask = ({ segment }) => {
      if (segment === 2) {
        lost = true;
        runs.session.lose();
      }
      return undefined;
    };
    const locked = fail('locked', { stage: 'lock', message: 'another run holds the lock', host: 'db2' });
    return executeRun(
      runs.next({
        openSession: async () => {
          if (!lost) return openSession();
          await meanwhile();
          throw locked;
        },
      }),
    );
  }

  test('ends as taken over, or as committed by it, when it has begun here', async () => {
    const runs = new FakeRuns();
    const taken = loseLock(runs, () => runs.folder.own(aPlan({ owner: 'other', host: 'db2' })));
    assert.equal(await failureOf(taken), 'taken-over');
    const others = new FakeRuns();
    const commit = await loseLock(others, () => others.folder.commit(others.folder.seal(aManifest())));
    assert.equal(commit.status, 'already-committed');
  });

  test('is locked as long as the plan is ours', async () => {
    const runs = new FakeRuns();
    assert.equal(await failureOf(loseLock(runs, () => Promise.resolve())), 'locked');
  });

  test('goes on at once on a server that was promoted: it is the one that began it', async () => {
    const runs = new FakeRuns();
    runs.place.onTask = ({ segment }) => {
      if (segment === 2 && runs.sessions.length === 1) runs.session.lose();
      return undefined;
    };
    const { openSession } = runs.next();
    const run = runs.next({
      openSession: async () => {
        const session = await openSession();
        if (runs.sessions.length === 1) return session;
        runs.session.instance = { ...INSTANCE, postmasterStart: '2026-11-02T00:00:00.000Z' };
        return runs.session;
      },
    });
    assert.equal((await executeRun(run)).status, 'committed');
    assert.equal(run.progress.takenUpFrom, undefined);
  });
});

describe('a failure', () => {
  test('of a segment for good ends the run, says so in the journal, and the next run goes on', async () => {
    const runs = new FakeRuns();
    runs.place.onTask = ({ segment }) => (segment === 2 ? { ...WIDE, segment } : undefined);
    assert.equal(await failureOf(executeRun(runs.next())), 'row-too-wide');
    assert.deepEqual(runs.place.begun, [0, 1, 2]);
    assert.equal(runs.sessions.length, 1);
    assert.equal((await runs.folder.plan())?.plan.ended?.failure?.message, 'row 7 is too wide');
    runs.place.onTask = () => undefined;
    await executeRun(runs.next());
    assert.deepEqual(runs.place.begun, [0, 1, 2, 2, 3]);
  });

  test('of a segment that has had all its attempts ends the run, and not only the session', async () => {
    const runs = new FakeRuns();
    runs.place.onTask = ({ segment }) => (segment === 1 ? { ...PASSING, segment } : undefined);
    assert.equal(await failureOf(executeRun(runs.next())), 'connection-lost');
    assert.deepEqual(runs.place.begun, [0, 1, 1, 1]);
    assert.equal(runs.sessions.length, 1);
  });

  test('that passes, around the segments, is worth another session', async () => {
    const runs = new FakeRuns();
    runs.source.onPlan = () => {
      if (runs.sessions.length === 1) throw fail('session-lost', { stage: 'plan', message: 'the server restarts' });
    };
    assert.equal((await executeRun(runs.next())).status, 'committed');
    assert.equal(runs.sessions.length, 2);
  });

  test('to take the lock ends the run at once, and no session is left', async () => {
    const runs = new FakeRuns();
    const run = runs.next({
      openSession: () => Promise.reject(fail('locked', { stage: 'lock', message: 'another run holds the lock' })),
    });
    assert.equal(await failureOf(executeRun(run)), 'locked');
    assert.deepEqual(await runs.objects(), []);
  });
});

describe('a run that is stopped', () => {
  test('by a drain ends the segment in progress, begins no other, and has not failed', async () => {
    const runs = new FakeRuns();
    runs.place.onTask = ({ segment }) => {
      if (segment === 1) runs.drain.abort();
      return undefined;
    };
    assert.equal(await failureOf(executeRun(runs.next())), 'drained');
    assert.deepEqual(runs.place.begun, [0, 1]);
    assert.equal((await runs.folder.plan())?.plan.ended?.how, 'drained');
    assert.equal(await runs.folder.countReceipts(), 2);
    runs.drain = new AbortController();
    await executeRun(runs.next());
    assert.deepEqual(runs.place.begun, [0, 1, 2, 3]);
  });

  test('at once cuts its session, throws the reason, and has not failed', async () => {
    const runs = new FakeRuns();
    const reason = fail('cancelled', { stage: 'worker', message: 'the run was cancelled by hand' });
    runs.place.onTask = ({ segment }) => {
      if (segment === 1) runs.stop.abort(reason);
      return undefined;
    };
    const run: Run = runs.next();
    assert.equal(await failureOf(executeRun(run)), 'cancelled');
    assert.deepEqual([runs.session.isCut, runs.session.isClosed], [true, true]);
    assert.equal(runs.sessions.length, 1);
    const { ended } = (await runs.folder.plan())!.plan;
    assert.deepEqual([ended?.how, ended?.failure], ['cancelled', undefined]);
    assert.equal(await runs.folder.countReceipts(), 1);
  });

  test('in the last moment before its commit is not committed', async () => {
    const runs = new FakeRuns();
    runs.source.onLook = () => {
      runs.stop.abort(fail('cancelled', { stage: 'worker', message: 'the run was cancelled by hand' }));
    };
    assert.equal(await failureOf(executeRun(runs.next())), 'cancelled');
    assert.equal(await runs.folder.isCommitted(), false);
  });
});

describe('an archive that is not what its source says', () => {
  test('is not committed, and nothing of it is believed by the next run', async () => {
    const runs = new FakeRuns();
    runs.source.digest = { rows: 41, sum: 0n };
    assert.equal(await failureOf(executeRun(runs.next({ verifySource: true }))), 'source-mismatch');
    assert.equal(await runs.folder.isCommitted(), false);
    assert.equal((await runs.folder.plan())?.plan.ended?.failure?.code, 'source-mismatch');
    assert.equal(runs.log.filter(({ message }) => message.startsWith('run starts over')).length, 0);
    runs.source.digest = { rows: 40, sum: 0n };
    await executeRun(runs.next({ verifySource: true }));
    assert.deepEqual(runs.place.begun, [0, 1, 2, 3, 0, 1, 2, 3]);
    const over = runs.log.find(({ message }) => message.startsWith('run starts over'));
    assert.match(String(over?.fields['why']), /is not what the source says/);
  });

  test('is committed when both say the same', async () => {
    const runs = new FakeRuns();
    assert.equal((await executeRun(runs.next({ verifySource: true }))).status, 'committed');
  });
});
