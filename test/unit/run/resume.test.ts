import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import type { JournalPlan } from '../../../src/ledger/journal.ts';
import { planKey, receiptKey } from '../../../src/ledger/names.ts';
import type { Receipt } from '../../../src/ledger/receipts.ts';
import type { Attempt } from '../../../src/run/attempt.ts';
import { LIVENESS } from '../../../src/run/liveness.ts';
import { takeUp } from '../../../src/run/resume.ts';
import type { Store } from '../../../src/store/store.ts';
import {
  aManifest,
  aReceipt,
  ARCHIVE,
  changed,
  keySegments,
  receiptsOf,
  RUN,
  SNAPSHOT,
  temporaryStore,
} from '../../support/ledger.ts';
import { aRun, aSession, type Logged, type TestCut } from './support.ts';

let store: Store;
let journal: JournalPlan;

/** A run that was planned under the first snapshot, and whose segments are all done. */
beforeEach(async () => {
  store = temporaryStore();
  ({ journal } = await takeUp(aRun(store).run, aSession({}, SNAPSHOT)));
  for (const segment of [0, 1, 2]) await finish(segment);
});

async function finish(segment: number, changes: Partial<Receipt> = {}): Promise<void> {
  const receipt = aReceipt(segment, { fingerprint: journal.fingerprint, ...changes });
  const written = await store.put(receipt.key, Buffer.from('test'), { contentType: 'application/gzip' });
  assert.ok(written.outcome === 'written');
  await aRun(store).run.folder.record([{ etag: written.etag, ...receipt }]);
}

async function goOn(source: TestCut = {}, snapshot?: typeof SNAPSHOT): Promise<Attempt & { log: Logged[] }> {
  const { run, log } = aRun(store);
  const taken = await takeUp(run, aSession(source, snapshot));
  assert.ok('plan' in taken);
  return { ...taken, log };
}

async function put(key: string, body: string): Promise<void> {
  await store.put(key, Buffer.from(body), { contentType: 'application/json' });
}

function done(attempt: Attempt): number[] {
  return [...attempt.done.keys()].sort((a, b) => a - b);
}

/** Why the run starts over; undefined when it does not. */
function whyOver(log: readonly Logged[]): unknown {
  return log.find(({ message }) => message.startsWith('run starts over'))?.fields['why'];
}

describe('a run that is taken up', () => {
  test('goes on from its receipts under the plan that it has, with an owner of its own', async () => {
    const attempt = await goOn();
    assert.deepEqual(done(attempt), [0, 1, 2]);
    assert.deepEqual({ ...attempt.journal, owner: '' }, { ...journal, owner: '' });
    assert.equal(attempt.etag, (await aRun(store).run.folder.plan())?.etag);
    assert.notEqual(attempt.journal.owner, journal.owner);
    assert.deepEqual((await aRun(store).run.folder.plan())?.plan, attempt.journal);
    assert.equal(whyOver(attempt.log), undefined);
  });

  test('holds the snapshot that its receipts have in common once', async () => {
    const { done: receipts } = await goOn();
    assert.equal(new Set([...receipts.values()].map(({ snapshot }) => snapshot)).size, 1);
  });

  test('forgets how the last try failed', async () => {
    const failure = { code: 'x', stage: 'plan', message: 'm', hint: 'h' };
    await aRun(store).run.folder.own({
      ...journal,
      ended: { how: 'failed', at: '2026-11-23T02:15:00.000Z', host: 'h', failure },
    });
    assert.equal((await goOn()).journal.ended, undefined);
  });

  for (const [what, damage] of [
    ['is cut', () => put(aReceipt(1).key, 'tes')],
    ['is changed by a bit', () => put(aReceipt(1).key, 'uest'.slice(0, 4))],
    ['is gone', () => store.remove([aReceipt(1).key])],
  ] as const) {
    test(`does a segment again whose object ${what}`, async () => {
      await damage();
      const attempt = await goOn();
      assert.deepEqual(done(attempt), [0, 2]);
      assert.ok(
        attempt.log.some(({ fields, message }) => message.includes('does not match') && fields['segment'] === 1),
      );
    });
  }

  test('reads an object again whose receipt has no ETag, and keeps the one that it has now', async () => {
    for (const segment of [0, 1]) {
      const receipt = aReceipt(segment, { fingerprint: journal.fingerprint });
      await aRun(store).run.folder.record([receipt]);
    }
    await put(aReceipt(1).key, 'tesu');
    const attempt = await goOn();
    assert.deepEqual(done(attempt), [0, 2]);
    assert.equal(attempt.done.get(0)?.etag, (await store.head(aReceipt(0).key))?.etag);
  });

  test('believes that of several receipts of a segment which is of its object, and knows which stand together', async () => {
    const { folder } = aRun(store).run;
    const real = new Map((await receiptsOf(folder, journal.fingerprint)).receipts.map((one) => [one.segment, one]));
    const late = [0, 1, 2].map((segment) => ({ ...real.get(segment)!, etag: 'of a try that is dead' }));
    await folder.record([late[0]!, real.get(1)!, late[2]!]);
    await folder.record([late[1]!, real.get(2)!]);
    const attempt = await goOn();
    assert.deepEqual([...attempt.done].sort(), [...real].filter(([segment]) => segment > 0).sort());
    assert.deepEqual(
      attempt.together,
      // What stands in other documents is not written again.
      new Map([[0, [1]]]),
    );
  });

  test('decides again when somebody else has written a plan meanwhile, and gives up in the end', async () => {
    let others = 2;
    const contended = changed(store, {
      put: async (key, body, options) => {
        if (key.endsWith('plan.json') && others > 0) {
          others -= 1;
          await aRun(store).run.folder.own({ ...journal, owner: `other ${others}`, host: 'db2' });
        }
        return store.put(key, body, options);
      },
    });
    const attempt = await takeUp(aRun(contended).run, aSession());
    assert.deepEqual((await aRun(store).run.folder.plan())?.plan, attempt.journal);
    others = 99;
    await assert.rejects(takeUp(aRun(contended).run, aSession()), { message: /taken over by a process on db2/ });
  });

  test('aborts, overwrites and removes nothing before its plan is ours, and nothing when there is a manifest then', async () => {
    const calls: string[] = [];
    const name = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
    const watched = changed(store, {
      put: (key, body, options) => (calls.push(`put ${name(key)}`), store.put(key, body, options)),
      list: (prefix) => (calls.push('list'), store.list(prefix)),
      listUploads: (prefix) => (calls.push('uploads'), store.listUploads(prefix)),
      abortUpload: (key, uploadId) => (calls.push('abort'), store.abortUpload(key, uploadId)),
      remove: (keys) => (calls.push('remove'), store.remove(keys)),
    });
    await takeUp(aRun(watched).run, aSession());
    assert.deepEqual(calls, ['put plan.json', 'uploads', 'list', 'list']);
    calls.length = 0;
    const { folder } = aRun(store).run;
    await folder.commit(folder.seal(aManifest()));
    await assert.rejects(
      takeUp(aRun(watched).run, aSession()),
      (error) => error instanceof FailureError && error.failure.code === 'already-committed',
    );
    assert.deepEqual(calls, ['put plan.json', 'uploads', 'list']);
  });

  test('is left when its last try was ended elsewhere in a way that the run leaves, and says where', async () => {
    const { folder } = aRun(store).run;
    for (const [how, code] of [
      ['cancelled', 'cancelled-elsewhere'],
      ['failed', 'failed-elsewhere'],
    ] as const) {
      const written = await folder.own({ ...journal, host: 'db1', ended: { how, at: journal.startedAt, host: 'db2' } });
      const { run } = aRun(store);
      await assert.rejects(takeUp({ ...run, leaves: ['cancelled', 'failed'] }, aSession()), (error) => {
        assert.ok(error instanceof FailureError);
        assert.equal(error.failure.host, 'db2');
        assert.equal(error.failure.code, code);
        return true;
      });
      assert.equal((await folder.plan())?.etag, written.outcome === 'written' ? written.etag : '', 'it was written');
    }
    const { run, log } = aRun(store);
    await takeUp({ ...run, leaves: ['cancelled'] }, aSession());
    assert.deepEqual([run.progress.takenUpFrom, log.at(-1)?.message], ['db1', 'the run is taken up from db1']);
  });

  test('keeps in mind what an earlier plan has named and the new one does not, over any number of plans', async () => {
    const former = { ...journal, segments: keySegments(5), formerKeys: ['part-00007.jsonl.zst'] };
    await aRun(store).run.folder.own(former);
    assert.deepEqual((await goOn({ where: 'id > 7' })).journal.formerKeys, [
      'part-00003.jsonl.gz',
      'part-00004.jsonl.gz',
      'part-00007.jsonl.zst',
    ]);
    assert.deepEqual((await goOn({ where: 'id > 8', segments: keySegments(4) })).journal.formerKeys, [
      'part-00004.jsonl.gz',
      'part-00007.jsonl.zst',
    ]);
  });

  test('goes on with a plan of the first format, which does not say whose lock its owner holds', async (t) => {
    const { silenceMs } = LIVENESS;
    t.after(() => (LIVENESS.silenceMs = silenceMs));
    LIVENESS.silenceMs = 1;
    const { extension: _1, formerKeys: _2, instance: _3, ...first } = journal;
    await put(planKey(ARCHIVE, RUN), JSON.stringify({ ...first, format: 'pgsluice/plan/1' }));
    const attempt = await goOn();
    assert.deepEqual(done(attempt), [0, 1, 2]);
    assert.deepEqual([attempt.journal.format, attempt.journal.extension], ['pgsluice/plan/2', 'jsonl.gz']);
  });

  test('does a segment again whose receipt is gone, cannot be read or is of another plan, and says so', async () => {
    await store.remove([receiptKey(ARCHIVE, RUN, 0)]);
    await put(receiptKey(ARCHIVE, RUN, 1), '{"format": "pgsluice/rec');
    await finish(2, { fingerprint: '0'.repeat(64) });
    const attempt = await goOn();
    assert.deepEqual(done(attempt), []);
    assert.deepEqual(
      attempt.log.filter(({ level }) => level === 'warn').map(({ message }) => message),
      ['a receipt cannot be read; its segments are done again'],
    );
  });

  test('does not believe receipts of segments that its plan does not have', async () => {
    await finish(3);
    assert.deepEqual(done(await goOn()), [0, 1, 2]);
  });

  test('whose segments mean their rows under one snapshot only goes on when all are done, else starts over', async () => {
    assert.deepEqual(done(await goOn({ survivesSnapshot: false })), [0, 1, 2]);
    await finish(1, { snapshot: { ...SNAPSHOT, takenAt: '2026-11-23T02:16:00.000Z' } });
    const attempt = await goOn({ survivesSnapshot: false });
    assert.deepEqual(done(attempt), []);
    assert.match(String(whyOver(attempt.log)), /under the lost snapshot only/);
  });

  for (const [what, source, why] of [
    ['its archive reads other rows', { where: 'id > 7' }, /has changed since this run was begun/],
    [
      'its segments are no cut of what the catalogue lists',
      { problem: 'segment 1 is odd' },
      /no plan of this table: segment 1 is odd/,
    ],
  ] as const) {
    test(`starts over when ${what}`, async () => {
      const attempt = await goOn(source);
      assert.deepEqual(done(attempt), []);
      assert.match(String(whyOver(attempt.log)), why);
      assert.deepEqual((await aRun(store).run.folder.plan())?.plan, attempt.journal);
      assert.equal(await aRun(store).run.folder.countReceipts(), 3, 'something was removed');
    });
  }

  test('starts over without a plan, and takes nothing of the receipts that outlived it', async () => {
    await store.remove([planKey(ARCHIVE, RUN)]);
    assert.deepEqual(done(await goOn({ where: 'id > 7' })), []);
  });

  for (const [what, body, code] of [
    ['cannot be read', '{"format": "pgsluice/plan/2", "archive', 'bad-journal'],
    ['has fields that nobody knows', '{"format": "pgsluice/plan/2", "from": "x; DROP TABLE t"}', 'bad-journal'],
    [
      'is of a newer version',
      '{"format": "pgsluice/plan/3", "tool": {"name": "pgsluice", "version": "2.0.0"}}',
      'newer-journal',
    ],
  ] as const) {
    test(`fails when its plan ${what}, and removes nothing of it`, async () => {
      await put(planKey(ARCHIVE, RUN), body);
      await assert.rejects(goOn(), (error) => error instanceof FailureError && error.failure.code === code);
      assert.equal((await store.get(planKey(ARCHIVE, RUN), 1000))?.body.toString(), body);
      assert.equal(await aRun(store).run.folder.countReceipts(), 3);
    });
  }

  test('fails when a receipt is of a newer version, and removes nothing', async () => {
    await put(receiptKey(ARCHIVE, RUN, 1), '{"format": "pgsluice/receipt/3"}');
    await assert.rejects(goOn(), (error) => error instanceof FailureError && error.failure.code === 'newer-journal');
    await store.remove([receiptKey(ARCHIVE, RUN, 1)]);
    assert.equal(await aRun(store).run.folder.countReceipts(), 2);
  });
});
