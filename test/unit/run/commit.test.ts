import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { fail, FailureError } from '../../../src/base/errors.ts';
import type { JournalPlan } from '../../../src/ledger/journal.ts';
import type { Manifest, ManifestSummary } from '../../../src/ledger/manifest.ts';
import { headKey, manifestKey, stagedManifestKey } from '../../../src/ledger/names.ts';
import type { Receipt } from '../../../src/ledger/receipts.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import type { Attempt } from '../../../src/run/attempt.ts';
import { advanceHead, findLink } from '../../../src/run/chain-link.ts';
import { commitAsItStands, commitRun } from '../../../src/run/commit.ts';
import { takeUp } from '../../../src/run/resume.ts';
import type { Session } from '../../../src/run/session.ts';
import type { Store } from '../../../src/store/store.ts';
import { verifyChain } from '../../../src/verify/chain.ts';
import type { CommitWork } from '../../support/commit-flat.ts';
import {
  aManifest,
  aPlan,
  aReceipt,
  ARCHIVE,
  bytesOf,
  changed,
  RUN,
  SNAPSHOT,
  temporaryStore,
  wholeManifest,
} from '../../support/ledger.ts';
import { aRun, aRunPlan, aSession, type TestRun } from './support.ts';

const LATER = { ...SNAPSHOT, id: '00000004-1', takenAt: '2026-11-23T02:30:00.000Z' };

let store: Store;
let attempt: Attempt;
let done: Map<number, Receipt>;

beforeEach(async () => {
  store = temporaryStore();
  const receipts = [0, 1, 2].map((segment) => aReceipt(segment));
  done = new Map(receipts.map((receipt) => [receipt.segment, receipt]));
  const { folder } = aRun(store).run;
  const owned = await folder.own(aPlan(), 'nothing');
  assert.ok(owned.outcome === 'written');
  attempt = {
    session: aSession(),
    plan: aRunPlan(),
    journal: aPlan(),
    etag: owned.etag,
    listed: new Map(),
    isTakenUp: false,
    together: new Map(),
    done,
    empties: new Map(),
  };
  for (const receipt of receipts) {
    const written = await store.put(receipt.key, Buffer.from('test'), { contentType: 'application/gzip' });
    assert.ok(written.outcome === 'written');
    const whole = { ...receipt, etag: written.etag };
    await folder.record([whole]);
    done.set(receipt.segment, whole);
  }
});

async function commitFails(test: TestRun): Promise<FailureError['failure']> {
  await assert.rejects(commitRun(test.run, attempt), FailureError);
  try {
    await commitRun(test.run, attempt);
  } catch (error) {
    return (error as FailureError).failure;
  }
  assert.fail('it was committed');
}

async function keys(): Promise<string[]> {
  const { folder } = aRun(store).run;
  const found: string[] = [];
  for await (const { key } of folder.list()) found.push(key.slice(folder.prefix.length).replace(/[0-9a-f]{64}/, '…'));
  return found;
}

const TEXT = { contentType: 'application/gzip' };

const DATA = ['part-00000.jsonl.gz', 'part-00001.jsonl.gz', 'part-00002.jsonl.gz'];
const STAGED = '_pgsluice/manifest-….json';
const JOURNAL = [
  '_pgsluice/part-00000.json',
  '_pgsluice/part-00001.json',
  '_pgsluice/part-00002.json',
  '_pgsluice/plan.json',
];

test('a run of any number of segments is taken up, committed, and committed as it stands, in the same memory', async () => {
  // As objects, segments, receipts and manifest would take twice the heap.
  const worker = new Worker(new URL('../../support/commit-flat.ts', import.meta.url), {
    workerData: { folder: fileURLToPath(store.url), segments: 12_000 } satisfies CommitWork,
    resourceLimits: { maxOldGenerationSizeMb: 30, maxYoungGenerationSizeMb: 4 },
  });
  try {
    assert.deepEqual(await once(worker, 'message'), ['done']);
  } finally {
    await worker.terminate();
  }
});

describe('the commit of a run', () => {
  test('names the objects of all segments in their order, adds them up, and leaves no journal', async () => {
    attempt.done = new Map([...attempt.done].reverse());
    const { run } = aRun(store);
    const { rows } = await commitRun(run, attempt);
    const manifest = (await wholeManifest(run.folder))!;
    assert.equal(rows, 300);
    assert.deepEqual(
      manifest.objects.map(({ key }) => key),
      DATA.map((name) => `pg/events/run=20261123T021500Z/${name}`),
    );
    assert.deepEqual([manifest.rows, manifest.jsonBytes, manifest.bytes], [300, 3000, 12]);
    assert.deepEqual(
      [manifest.consistency, manifest.snapshots, manifest.snapshot],
      ['single-snapshot', undefined, SNAPSHOT],
    );
    assert.equal(manifest.startedAt, attempt.journal.startedAt);
    assert.deepEqual(await keys(), ['_manifest.json', ...DATA]);
  });

  test('of segments that were read under two snapshots says so', async () => {
    attempt.done.set(2, { ...attempt.done.get(2)!, snapshot: LATER });
    await commitRun(aRun(store).run, attempt);
    const manifest = (await wholeManifest(aRun(store).run.folder))!;
    assert.deepEqual([manifest.consistency, manifest.snapshots], ['resumed', [SNAPSHOT, LATER]]);
    assert.deepEqual(
      manifest.objects.map(({ snapshot }) => snapshot),
      [SNAPSHOT.id, SNAPSHOT.id, LATER.id],
    );
  });

  for (const lost of [0, 1, 2]) {
    test(`with the receipt of segment ${lost} lost fails, writes no manifest and removes nothing`, async () => {
      done.delete(lost);
      const failure = await commitFails(aRun(store));
      assert.deepEqual([failure.code, failure.transient], ['segment-missing', false]);
      assert.match(failure.message, /2 of 3 segments have a receipt/);
      assert.deepEqual(await keys(), [...JOURNAL, ...DATA]);
    });
  }

  test('with a receipt of a segment that the plan does not have instead of one that it has fails', async () => {
    done.delete(1);
    attempt.done.set(3, aReceipt(3));
    assert.equal((await commitFails(aRun(store))).code, 'segment-missing');
  });

  test('of a run that somebody else has taken up, or whose plan is gone, fails and removes nothing', async () => {
    const { folder } = aRun(store).run;
    await folder.own(aPlan({ owner: 'somebody else', host: 'db2' }));
    const failure = await commitFails(aRun(store));
    assert.deepEqual([failure.code, failure.transient], ['taken-over', false]);
    assert.match(failure.message, /taken over by a process on db2/);
    const others = async (): Promise<string[]> => (await keys()).filter((key) => key !== STAGED);
    assert.deepEqual(await others(), [...JOURNAL, ...DATA]);
    await folder.clearJournal();
    assert.equal((await commitFails(aRun(store))).code, 'taken-over');
    assert.deepEqual(await others(), DATA);
  });

  test('of a run that somebody else has committed fails, and leaves theirs', async () => {
    await commitRun(aRun(store).run, attempt);
    const first = await wholeManifest(aRun(store).run.folder);
    assert.equal((await commitFails(aRun(store))).code, 'already-committed');
    assert.deepEqual(await wholeManifest(aRun(store).run.folder), first);
  });

  for (const [what, change] of [
    ['was written again with the same bytes', () => store.put(aReceipt(1).key, Buffer.from('test'), TEXT)],
    ['is shorter', () => store.put(aReceipt(1).key, Buffer.from('tes'), TEXT)],
    ['is gone', () => store.remove([aReceipt(1).key])],
  ] as const) {
    test(`of an object that ${what} fails for good, and the plan does not say that it is being committed`, async () => {
      await change();
      const { run } = aRun(store);
      const failure = await commitFails({ run, log: [] });
      assert.deepEqual([failure.code, failure.transient], ['object-changed', false]);
      assert.match(failure.message, /part-00001\.jsonl\.gz changed after it was uploaded/);
      assert.equal(await run.folder.isCommitted(), false);
      assert.equal((await run.folder.plan())?.plan.committing, undefined);
    });
  }

  test('names empty segments behind the others, in the order of their keys, and none that has changed', async () => {
    for (const segment of [9, 7]) {
      const empty = aReceipt(segment, { rows: 0, jsonBytes: 0, firstKey: null, lastKey: null, snapshot: LATER });
      const written = await store.put(empty.key, Buffer.from('test'), TEXT);
      assert.ok(written.outcome === 'written');
      attempt.empties.set(empty.key, { ...empty, etag: written.etag });
    }
    const { etag = '' } = attempt.empties.get(aReceipt(7).key)!;
    attempt.empties.set(aReceipt(7).key, { ...attempt.empties.get(aReceipt(7).key)!, etag: 'another' });
    const failure = await commitFails(aRun(store));
    assert.match(failure.message, /part-00007\.jsonl\.gz changed after it was uploaded/);
    attempt.empties.set(aReceipt(7).key, { ...attempt.empties.get(aReceipt(7).key)!, etag });
    await commitRun(aRun(store).run, attempt);
    const { objects, rows, bytes } = (await wholeManifest(aRun(store).run.folder))!;
    assert.deepEqual(
      objects.map(({ key, rows, snapshot }) => [key.slice(-18), rows, snapshot]),
      [0, 1, 2, 7, 9].map((segment) => [aReceipt(segment).key.slice(-18), segment < 3 ? 100 : 0, SNAPSHOT.id]),
    );
    assert.deepEqual([rows, bytes], [300, 20]);
  });

  /** Where the manifest is kept before it comes: in the plan when it is short, and beside it. */
  const PLACES = [
    ['in the plan', undefined],
    ['beside the plan', 0],
  ] as const;

  for (const [place, mostInsideBytes] of PLACES)
    test(`keeps the manifest ${place}, which says so, before it comes`, async () => {
      const seen: string[] = [];
      const watched = changed(store, {
        put: async (key, body, options) => {
          seen.push(`${key.slice(key.lastIndexOf('/') + 1)} ${String(options.replaces !== undefined)}`);
          if (key.endsWith('plan.json')) committing = JSON.parse((await bytesOf(body)).toString()) as JournalPlan;
          return store.put(key, body, options);
        },
      });
      let committing: JournalPlan | undefined;
      await commitRun(aRun(watched).run, attempt, mostInsideBytes);
      const body = (await store.get(manifestKey(ARCHIVE, RUN), 1e6))?.body ?? Buffer.alloc(0);
      const sha256 = createHash('sha256').update(body).digest('hex');
      const isInside = mostInsideBytes === undefined;
      assert.deepEqual(seen, [
        ...(isInside ? [] : [`manifest-${sha256}.json false`]),
        'plan.json true',
        '_head.json true',
        '_manifest.json true',
      ]);
      const manifest = isInside ? { manifest: body.toString() } : {};
      assert.deepEqual(committing?.committing, { sha256, bytes: body.length, ...manifest });
      assert.deepEqual(await keys(), ['_manifest.json', ...DATA]);
    });

  /** A commit that is killed right before its manifest. Returns what it would have been. */
  async function killedBeforeManifest(mostInsideBytes?: number): Promise<Buffer> {
    let staged = Buffer.alloc(0);
    const broken = changed(store, {
      put: (key, body, options) => {
        if (!key.endsWith('_manifest.json')) return store.put(key, body, options);
        staged = Buffer.from(body as Buffer);
        return Promise.reject(new Error('killed'));
      },
    });
    await assert.rejects(commitRun(aRun(broken).run, attempt, mostInsideBytes), /killed/);
    return staged;
  }

  async function goOnCommitting(): Promise<ManifestSummary> {
    const { run } = aRun(store);
    const session = aSession({ where: 'id > 7', problem: 'no table' });
    const taken = await takeUp(run, session);
    assert.ok(!('plan' in taken), 'it was planned or resumed');
    return commitAsItStands(run, session, taken);
  }

  for (const [place, mostInsideBytes] of PLACES)
    test(`of a run whose manifest is ${place} is done by whoever takes it up, byte for byte, whatever the source is by then`, async () => {
      const staged = await killedBeforeManifest(mostInsideBytes);
      const manifest = await goOnCommitting();
      assert.equal(manifest.objects.length, 3);
      assert.ok((await store.get(manifestKey(ARCHIVE, RUN), 1e6))?.body.equals(staged));
      assert.deepEqual([manifest.rows, manifest.snapshot], [300, SNAPSHOT]);
      assert.deepEqual(await keys(), ['_manifest.json', ...DATA]);
    });

  const OTHER = '20261122T021500Z';

  /** Another run of the archive is committed, which has no rows. */
  async function commitOther(): Promise<string> {
    const folder = new RunFolder(store, ARCHIVE, OTHER);
    const link = await findLink({ ...aRun(store).run, folder });
    const sealed = folder.seal(aManifest(0, { run: OTHER, ...link.fields }));
    assert.ok(await advanceHead(folder, link, sealed.sha256));
    await folder.commit(sealed);
    return sealed.sha256;
  }

  async function previousOf(): Promise<unknown> {
    return (await aRun(store).run.folder.manifest())?.previous;
  }

  for (const [place, mostInsideBytes] of PLACES)
    test(`of a run whose manifest is ${place} is done behind another run that was committed meanwhile, whose rows are the same`, async () => {
      const staged = JSON.parse((await killedBeforeManifest(mostInsideBytes)).toString()) as Manifest;
      const sha256 = await commitOther();
      const other = await new RunFolder(store, ARCHIVE, OTHER).manifest();
      assert.deepEqual([other?.previous, other?.passedOver?.map(({ run }) => run)], [null, [RUN]]);
      await goOnCommitting();
      const previous = { run: OTHER, sha256 };
      assert.deepEqual(await wholeManifest(aRun(store).run.folder), { ...staged, previous });
      const { ok, runs } = await verifyChain(store, ARCHIVE);
      assert.deepEqual([ok, runs], [true, 2]);
      assert.deepEqual(await keys(), ['_manifest.json', ...DATA]);
    });

  test('whose manifest comes late, behind another run and before its second one, leaves a whole chain', async () => {
    const staged = await killedBeforeManifest();
    await commitOther();
    const late = changed(store, {
      put: async (key, body, options) => {
        if (key === manifestKey(ARCHIVE, RUN)) await store.put(key, staged, options);
        return store.put(key, body, options);
      },
    });
    const { run } = aRun(late);
    const session = aSession();
    const taken = await takeUp(run, session);
    assert.ok(!('plan' in taken));
    await assert.rejects(commitAsItStands(run, session, taken), { message: /written by somebody else/ });
    const { ok, runs, notes } = await verifyChain(store, ARCHIVE);
    assert.deepEqual([ok, runs, notes.length], [true, 1, 1]);
  });

  test('takes its place anew where another run takes it first, as one of a host with another lock', async () => {
    let isFirst = true;
    const raced = changed(store, {
      put: async (key, body, options) => {
        const isRaced = key.endsWith('_head.json') && isFirst;
        isFirst &&= !isRaced;
        if (isRaced) other = await commitOther();
        return store.put(key, body, options);
      },
    });
    let other = '';
    await commitRun(aRun(raced).run, attempt);
    assert.deepEqual(await previousOf(), { run: OTHER, sha256: other });
    const { ok, runs } = await verifyChain(store, ARCHIVE);
    assert.deepEqual([ok, runs], [true, 2]);
    assert.deepEqual(await keys(), ['_manifest.json', ...DATA]);
  });

  test('of an archive whose head cannot be believed fails, and writes no manifest', async () => {
    await store.put(headKey(ARCHIVE), Buffer.from('{}'), { contentType: 'application/json' });
    assert.equal((await commitFails(aRun(store))).code, 'bad-head');
    assert.equal(await aRun(store).run.folder.isCommitted(), false);
  });

  test('of a run whose plan holds another manifest than it says fails for good', async () => {
    await killedBeforeManifest();
    const { folder } = aRun(store).run;
    const found = await folder.plan();
    assert.ok(found?.plan.committing !== undefined);
    await folder.own({ ...found.plan, committing: { ...found.plan.committing, manifest: '{}' } });
    await assert.rejects(goOnCommitting(), { message: /holds another manifest than it says/ });
    assert.equal(await folder.isCommitted(), false);
  });

  test('of such a run is done also where a late receipt of a try that is dead stands in the place of ours', async () => {
    await killedBeforeManifest();
    await aRun(store).run.folder.record([aReceipt(1, { etag: 'of an object that is no more', bytes: 5 })]);
    assert.equal((await goOnCommitting()).rows, 300);
  });

  test('of such a run fails for good where an object is not that of its manifest any more', async () => {
    await killedBeforeManifest();
    await store.put(aReceipt(1).key, Buffer.from('test'), TEXT);
    await assert.rejects(goOnCommitting(), { message: /part-00001.* changed after it was uploaded/ });
    assert.equal(await aRun(store).run.folder.isCommitted(), false);
  });

  for (const [what, body] of [
    ['is gone', undefined],
    ['is another one', Buffer.from('{}')],
  ] as const)
    test(`of such a run fails for good where the manifest that was to be written ${what}`, async () => {
      const staged = await killedBeforeManifest(0);
      const key = stagedManifestKey(ARCHIVE, RUN, createHash('sha256').update(staged).digest('hex'));
      if (body === undefined) await store.remove([key]);
      else await store.put(key, body, TEXT);
      await assert.rejects(goOnCommitting(), { message: /has not the manifest that its plan says/ });
      assert.equal(await aRun(store).run.folder.isCommitted(), false);
    });

  test('asks for the lock right before the manifest', async () => {
    const lost: Session = {
      ...aSession(),
      require: () => Promise.reject(fail('session-lost', { stage: 'lock', message: 'the lock is gone' })),
    };
    attempt.session = lost;
    assert.equal((await commitFails(aRun(store))).code, 'session-lost');
    assert.equal(await aRun(store).run.folder.isCommitted(), false);
  });

  for (const [what, isTakenUp, sweeps] of [
    ['was taken up', true, 1],
    ['had one attempt at each segment', false, 0],
  ] as const)
    test(`of a run that ${what} looks ${sweeps === 1 ? 'once more' : 'no more'} for uploads of dead tries`, async () => {
      let looks = 0;
      const watched = changed(store, { listUploads: (prefix) => ((looks += 1), store.listUploads(prefix)) });
      attempt.isTakenUp = isTakenUp;
      await commitRun(aRun(watched).run, attempt);
      assert.equal(looks, sweeps);
    });

  test('reads the manifest back, and keeps the journal when it is another one', async () => {
    const forgetful = changed(store, {
      put: async (key, content, options) => {
        const body = await bytesOf(content);
        return store.put(key, key.endsWith('_manifest.json') ? body.subarray(0, body.length >> 1) : body, options);
      },
    });
    await assert.rejects(commitRun(aRun(forgetful).run, attempt), /was written, but reads differently/);
    assert.deepEqual(await keys(), ['_manifest.json', ...JOURNAL, ...DATA]);
  });

  test('is one also when the journal cannot be removed', async () => {
    const readOnly = changed(store, { remove: () => Promise.reject(new Error('not allowed')) });
    const { run, log } = aRun(readOnly);
    await commitRun(run, attempt, 0);
    assert.deepEqual(
      log.map(({ level, message }) => [level, message]),
      [['warn', 'the run is committed, but its journal could not be removed']],
    );
    assert.deepEqual(await keys(), ['_manifest.json', STAGED, ...JOURNAL, ...DATA]);
  });

  test('of a manifest that could not be read again fails before it is written', async () => {
    const endless: Receipt = { ...attempt.done.get(1)!, firstKey: ['x'.repeat(1024 ** 2 + 1)] };
    attempt.done.set(1, endless);
    const failure = await commitFails(aRun(store));
    assert.equal(failure.code, 'bad-manifest');
    assert.match(failure.message, /objects\[1\]\.firstKey: must be a list/);
    assert.deepEqual(await keys(), [...JOURNAL, ...DATA]);
  });
});
