import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import { endedAs, PLAN } from '../../../src/ledger/journal.ts';
import { MANIFEST } from '../../../src/ledger/manifest.ts';
import { manifestKey, planKey, receiptKey } from '../../../src/ledger/names.ts';
import { RECEIPTS, RECEIPTS_FORMAT, type Receipt } from '../../../src/ledger/receipts.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { findBrokenOff, findLatestCommitted, listRuns } from '../../../src/ledger/runs.ts';
import type { Store } from '../../../src/store/store.ts';
import {
  aManifest,
  aPlan,
  aReceipt,
  ARCHIVE,
  changed,
  FINGERPRINT,
  receiptsOf,
  RUN,
  temporaryRunFolder,
  wholeManifest,
} from '../../support/ledger.ts';

const TEXT = { contentType: 'application/json' };

async function failureOf(work: Promise<unknown>): Promise<FailureError['failure']> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof FailureError, String(error));
    return error.failure;
  }
  assert.fail('nothing was thrown');
}

async function keysOf(folder: RunFolder): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of folder.list()) keys.push(key.slice(folder.prefix.length));
  return keys;
}

let folder: RunFolder;
let store: Store;

beforeEach(() => {
  folder = temporaryRunFolder();
  ({ store } = folder);
});

/** Writes a document past the folder, as somebody else would. */
async function forge(key: string, content: unknown): Promise<void> {
  await store.put(key, Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)), TEXT);
}

describe('the folder of a run that was never begun', () => {
  test('has nothing', async () => {
    assert.deepEqual(
      [await folder.manifest(), await folder.plan(), await folder.isCommitted(), await folder.isPlanned()],
      [undefined, undefined, false, false],
    );
    assert.deepEqual(await receiptsOf(folder, FINGERPRINT), { receipts: [], empties: [], unreadable: [] });
    assert.deepEqual(await keysOf(folder), []);
    await folder.clearJournal();
  });
});

describe('the plan of a run', () => {
  test('is read as it was written, and is replaced by its ETag only', async () => {
    const first = await folder.own(aPlan(), 'nothing');
    assert.ok(first.outcome === 'written');
    assert.deepEqual(await folder.plan(), { plan: aPlan(), etag: first.etag });
    assert.equal((await folder.own(aPlan({ owner: 'other' }), 'nothing')).outcome, 'exists');
    const second = await folder.own(aPlan({ owner: 'next' }), first.etag);
    assert.ok(second.outcome === 'written');
    assert.equal((await folder.own(aPlan({ owner: 'late' }), first.etag)).outcome, 'changed');
    assert.equal((await folder.plan())?.plan.owner, 'next');
    await folder.own(aPlan({ owner: 'last' }));
    assert.equal((await folder.plan())?.plan.owner, 'last');
  });

  test('keeps how a try ended, in short', async () => {
    const failure = { code: 'internal', stage: 'plan', transient: false, message: 'x'.repeat(1e5), hint: 'h' } as const;
    await folder.own(endedAs(aPlan(), 'failed', failure));
    const stored = (await folder.plan())?.plan.ended?.failure;
    assert.deepEqual([stored?.code, stored?.message.length], ['internal', 10_000]);
  });

  test('of another run is not believed, and stays', async () => {
    for (const other of [aPlan({ archive: 'other' }), aPlan({ run: '20261123T021501Z' })]) {
      await forge(planKey(ARCHIVE, RUN), other);
      const { code, message } = await failureOf(folder.plan());
      assert.equal(code, 'bad-journal');
      assert.match(message, /_pgsluice\/plan\.json is no journal .*: it is that of/);
      assert.ok(await folder.isPlanned());
    }
  });
});

describe('the receipts of a run', () => {
  const record = async (segment: number, fingerprint = FINGERPRINT): Promise<void> => {
    const content = aReceipt(segment, { fingerprint });
    await folder.record([content]);
  };

  const document = (...receipts: Receipt[]): unknown => ({ format: RECEIPTS_FORMAT, receipts });

  test('of several segments stand in one document, by the lowest number; those of the first format in one each', async () => {
    await folder.record([aReceipt(2), aReceipt(5), aReceipt(7)]);
    await forge(receiptKey(ARCHIVE, RUN, 3), { format: 'pgsluice/receipt/1', ...aReceipt(3) });
    const seen: [segment: number, lowest: number][] = [];
    await folder.eachReceipt(
      { fingerprint: FINGERPRINT },
      { receipt: ({ segment }, lowest) => seen.push([segment, lowest]) },
    );
    assert.deepEqual(
      seen.sort(([a], [b]) => a - b),
      [
        [2, 2],
        [3, 3],
        [5, 2],
        [7, 2],
      ],
    );
    assert.equal(await folder.countReceipts({ fingerprint: FINGERPRINT }), 4);
  });

  test('of one segment may be several; it counts once', async () => {
    await folder.record([aReceipt(2), aReceipt(5)]);
    await folder.record([aReceipt(5, { etag: 'late' })]);
    assert.equal((await receiptsOf(folder, FINGERPRINT)).receipts.length, 3);
    assert.equal(await folder.countReceipts(), 2);
  });

  test('are those of the plan, in whatever order they came', async () => {
    for (const segment of [2, 0, 12_345]) await record(segment);
    await record(1, 'e'.repeat(64));
    const { receipts, unreadable } = await receiptsOf(folder, FINGERPRINT);
    assert.deepEqual(receipts, [aReceipt(0), aReceipt(2), aReceipt(12_345)]);
    assert.deepEqual(unreadable, []);
    assert.equal(await folder.countReceipts(), 4);
  });

  test('that cannot be read are told apart from those that can', async () => {
    await record(0);
    const whole = JSON.stringify(document(aReceipt(1)));
    await forge(receiptKey(ARCHIVE, RUN, 1), whole.slice(0, -10));
    await forge(receiptKey(ARCHIVE, RUN, 2), document(aReceipt(3)));
    await forge(
      receiptKey(ARCHIVE, RUN, 3),
      document(aReceipt(3, { key: `${ARCHIVE}/run=${RUN}/part-00004.jsonl.gz` })),
    );
    await forge(receiptKey(ARCHIVE, RUN, 4), document(aReceipt(4, { key: '../other/part-00004.jsonl.gz' })));
    await forge(receiptKey(ARCHIVE, RUN, 5), ' '.repeat(RECEIPTS.maxBytes + 1));
    await forge(receiptKey(ARCHIVE, RUN, 6), document(aReceipt(6), aReceipt(9), aReceipt(7)));
    await forge(receiptKey(ARCHIVE, RUN, 7), document(aReceipt(6), aReceipt(7)));
    await forge(receiptKey(ARCHIVE, RUN, 8), document());
    const { receipts, unreadable } = await receiptsOf(folder, FINGERPRINT);
    assert.deepEqual(receipts, [aReceipt(0)]);
    assert.deepEqual(unreadable.map(({ code }) => code).sort(), [
      ...Array.from({ length: 7 }, () => 'bad-journal'),
      'object-too-large',
    ]);
  });

  test('of a newer version end the reading', async () => {
    await record(0);
    await forge(receiptKey(ARCHIVE, RUN, 1), { format: 'pgsluice/receipt/3', receipts: [] });
    assert.equal((await failureOf(receiptsOf(folder, FINGERPRINT))).code, 'newer-journal');
  });

  test('are told from other objects of the journal by their names', async () => {
    await folder.own(aPlan());
    for (const name of ['alive.json', 'segments-00.json', 'part-0.json', 'part-000001.json', 'deep/part-00000.json'])
      await forge(`${ARCHIVE}/run=${RUN}/_pgsluice/${name}`, 'x');
    await record(0);
    assert.equal((await receiptsOf(folder, FINGERPRINT)).receipts.length, 1);
    assert.equal(await folder.countReceipts(), 1);
  });

  test('of empty segments are told from those of segments, and speak of the object in their name', async () => {
    const key = `${ARCHIVE}/run=${RUN}/part-00000.jsonl.zst`;
    const content = aReceipt(0, { key, rows: 0 });
    await folder.recordEmpty(content);
    await record(0);
    await forge(`${ARCHIVE}/run=${RUN}/_pgsluice/empty-part-00001.jsonl.zst.json`, document(aReceipt(0, { key })));
    const { receipts, empties, unreadable } = await receiptsOf(folder, FINGERPRINT);
    assert.deepEqual([receipts, empties], [[aReceipt(0)], [aReceipt(0, { key, rows: 0 })]]);
    assert.match(unreadable[0]?.message ?? '', /empty-part-00001\.jsonl\.zst\.json is .*it is not that of its name/);
    assert.equal(await folder.countReceipts(), 1);
  });

  test('with a value of a key that could not be read again are not written', async () => {
    const content = aReceipt(0, { firstKey: ['x'.repeat(1024 ** 2 + 1)] });
    assert.match((await failureOf(folder.record([content]))).message, /firstKey: must be a list/);
    assert.deepEqual(await keysOf(folder), []);
  });
});

describe('the commit', () => {
  test('writes the manifest as it will be read, where there is none', async () => {
    await folder.commit(folder.seal(aManifest()));
    assert.deepEqual(await wholeManifest(folder), aManifest());
    const second = await failureOf(folder.commit(folder.seal(aManifest(2))));
    assert.deepEqual([second.code, second.transient], ['already-committed', false]);
    assert.deepEqual(await wholeManifest(folder), aManifest());
  });

  for (const [what, kept] of [
    ['other bytes', Buffer.from('{}')],
    ['fewer bytes', Buffer.alloc(0)],
  ] as const) {
    test(`fails where the destination keeps ${what}`, async () => {
      const forgetful = changed(store, { put: (key, _body, options) => store.put(key, kept, options) });
      const failure = await failureOf(new RunFolder(forgetful, ARCHIVE, RUN).commit(folder.seal(aManifest())));
      assert.deepEqual([failure.code, failure.transient], ['manifest-differs', false]);
    });
  }

  test('fails where the destination loses what it has taken', async () => {
    const forgetful = changed(store, { get: () => Promise.resolve(undefined), scan: () => Promise.resolve(undefined) });
    assert.equal(
      (await failureOf(new RunFolder(forgetful, ARCHIVE, RUN).commit(folder.seal(aManifest())))).code,
      'manifest-differs',
    );
  });

  test('leaves the journal to be cleared, and clearing leaves all else', async () => {
    await folder.own(aPlan());
    const content = aReceipt(0);
    await folder.record([content]);
    await forge(aReceipt(0).key, 'test');
    await folder.commit(folder.seal(aManifest(1)));
    assert.deepEqual(await keysOf(folder), [
      '_manifest.json',
      '_pgsluice/part-00000.json',
      '_pgsluice/plan.json',
      'part-00000.jsonl.gz',
    ]);
    await folder.clearJournal();
    assert.deepEqual(await keysOf(folder), ['_manifest.json', 'part-00000.jsonl.gz']);
  });
});

describe('a manifest', () => {
  const read = async (manifest: unknown): Promise<FailureError['failure']> => {
    await forge(manifestKey(ARCHIVE, RUN), manifest);
    return failureOf(folder.manifest());
  };

  test('of another archive or run is not believed', async () => {
    assert.match(
      (await read(aManifest(1, { archive: 'zstd\u001b' }))).message,
      /it is that of zstd\\x1b 20261123T021500Z/,
    );
    const { code, hint } = await read(aManifest(1, { run: '20261123T021501Z' }));
    assert.equal(code, 'misplaced');
    assert.match(hint, /Move it back to events\/run=20261123T021501Z\/ of its destination/);
  });

  test('may name its objects in whatever place the folder was moved from', async () => {
    for (const prefix of ['', 'pg/', 'a/b/events/']) {
      const manifest = aManifest(2);
      for (const object of manifest.objects) object.key = object.key.replace('pg/', prefix);
      await forge(manifestKey(ARCHIVE, RUN), manifest);
      assert.deepEqual(await wholeManifest(folder), manifest);
      assert.deepEqual(
        manifest.objects.map((object) => folder.keyOf(object)),
        [0, 1].map((at) => folder.dataKey(at, 'jsonl.gz')),
      );
    }
  });

  for (const key of [
    'elsewhere/part-00000.jsonl.gz',
    `pg/my${ARCHIVE}/run=${RUN}/part-00000.jsonl.gz`,
    `pg/${ARCHIVE}/run=20261123T021501Z/part-00000.jsonl.gz`,
    `pg/${ARCHIVE}/run=${RUN}/../run=${RUN}x/part-00000.jsonl.gz`,
    `pg/${ARCHIVE}/run=${RUN}/_manifest.json`,
    `pg/${ARCHIVE}/run=${RUN}/_pgsluice/part-00000.json`,
    `pg/${ARCHIVE}/run=${RUN}/part-1.jsonl.gz`,
    `pg/${ARCHIVE}/run=${RUN}/part-000001.jsonl.gz`,
    `pg/${ARCHIVE}/run=${RUN}/part-00000`,
    '',
  ]) {
    test(`that names ${JSON.stringify(key)} is not believed`, async () => {
      const manifest = aManifest(2);
      manifest.objects[1]!.key = key;
      const failure = await read(manifest);
      assert.equal(failure.code, 'bad-manifest');
      assert.match(failure.message, /objects\[1\]\.key: it does not lie in events\/run=20261123T021500Z\//);
    });
  }
});

describe('the runs of an archive', () => {
  const at = (second: number): RunFolder => new RunFolder(store, ARCHIVE, `20261123T02150${second}Z`);
  const commit = (run: RunFolder): Promise<void> => {
    const objects = aManifest(2).objects.map((object) => ({ ...object, key: object.key.replace(RUN, run.run) }));
    return run.commit(run.seal(aManifest(2, { run: run.run, objects })));
  };

  test('are listed with what they are, also where a document cannot be believed', async () => {
    await commit(at(1));
    await forge(manifestKey(ARCHIVE, at(2).run), '{');
    await at(3).own(aPlan({ run: at(3).run }));
    await forge(planKey(ARCHIVE, at(4).run), { format: 'pgsluice/plan/3' });
    await forge(receiptKey(ARCHIVE, at(4).run, 0), '{}');
    await forge(at(5).dataKey(0, 'jsonl'), '');
    await forge(`${ARCHIVE}/run=other/_manifest.json`, '{}');
    await forge(manifestKey(ARCHIVE, at(0).run), aManifest(1, { run: at(1).run }));
    const runs = [];
    for await (const run of listRuns(store, ARCHIVE)) runs.push(run);
    assert.deepEqual(
      runs.map(({ run, isCommitted, manifest, journal, problem, receipts }) => [
        run.slice(-2),
        isCommitted,
        manifest?.objects.length,
        journal?.segments.length,
        problem?.code,
        receipts,
      ]),
      [
        ['0Z', true, undefined, undefined, 'misplaced', 0],
        ['1Z', true, 2, undefined, undefined, 2],
        ['2Z', true, undefined, undefined, 'bad-manifest', 0],
        ['3Z', false, undefined, 3, undefined, 0],
        ['4Z', false, undefined, undefined, 'newer-journal', 0],
        ['5Z', false, undefined, undefined, 'manifest-lost', 0],
      ],
    );
    assert.deepEqual((await findBrokenOff(store, ARCHIVE)).unfinished, [at(3).run, at(4).run]);
    assert.equal((await findLatestCommitted(store, ARCHIVE))?.run, at(2).run);
    assert.equal(await findLatestCommitted(store, 'event'), undefined);
  });
});

test('each document is read with the limit of its kind, as who can write to the bucket may have made it huge', async () => {
  const limits = new Map<string, number>();
  await folder.own(aPlan());
  await folder.record([aReceipt(0)]);
  const measured = new RunFolder(
    changed(store, {
      get: async (key, limitBytes) => {
        limits.set(key, limitBytes);
        return store.get(key, limitBytes);
      },
      scan: async (key, limitBytes, onPiece) => {
        limits.set(key, limitBytes);
        return store.scan(key, limitBytes, onPiece);
      },
    }),
    ARCHIVE,
    RUN,
  );
  await measured.manifest();
  await measured.plan();
  await measured.countReceipts();
  assert.deepEqual(
    limits,
    new Map([
      [manifestKey(ARCHIVE, RUN), MANIFEST.maxBytes],
      [planKey(ARCHIVE, RUN), PLAN.maxBytes],
      [receiptKey(ARCHIVE, RUN, 0), RECEIPTS.maxBytes],
    ]),
  );
});
