/** Documents of a run in folders by value: what they must say of its segments, and where its objects lie. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import { keysEverNamed, PLAN, type PlanDocument } from '../../../src/ledger/journal.ts';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import { readDocument, writeDocument } from '../../../src/ledger/documents.ts';
import { emptyReceiptKey, journalPrefix, manifestKey, planKey } from '../../../src/ledger/names.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { sweepUploads } from '../../../src/ledger/sweep.ts';
import {
  aManifest,
  aPlan,
  aReceipt,
  ARCHIVE,
  changed,
  receiptsOf,
  RUN,
  temporaryRunFolder,
  wholeManifest,
} from '../../support/ledger.ts';

const PREFIX = `${ARCHIVE}/run=${RUN}/`;

function planByValue(): PlanDocument {
  return aPlan({
    by: 'value',
    partitionBy: ['tenant'],
    segments: [
      { index: 0, partition: ['a/b'] },
      { index: 1, partition: ['c'], range: { lower: null, upper: ['5'] } },
      { index: 2, partition: ['c'], range: { lower: ['5'], upper: null } },
      { index: 3, partition: [null] },
      { index: 4, partition: [''] },
    ],
  });
}

function manifestByValue(): Manifest {
  const manifest = aManifest(3, { partitionBy: ['tenant'], cut: { by: 'value', key: ['id'] } });
  const values = ['a/b', null, ''];
  const folders = ['tenant=a%2Fb', 'tenant=__HIVE_DEFAULT_PARTITION__', 'tenant=__HIVE_DEFAULT_PARTITION__'];
  const objects = manifest.objects.map((object, at) => ({
    ...object,
    key: `pg/${PREFIX}${folders[at] ?? ''}/part-0000${at}.jsonl.gz`,
    partition: { tenant: values[at] ?? null },
  }));
  return { ...manifest, objects };
}

function codeOf(work: () => unknown): string {
  try {
    work();
    return 'none';
  } catch (error) {
    assert.ok(error instanceof FailureError, String(error));
    return `${error.failure.code}: ${error.failure.message}`;
  }
}

describe('a plan by value', () => {
  test('names the folders of its values, and so do the keys of a plan that came before', () => {
    const plan = { ...planByValue(), formerKeys: ['tenant=x/part-00009.jsonl.zst', 'x/part-00009.jsonl.zst'] };
    assert.deepEqual(
      [...keysEverNamed(plan)],
      [
        `${PREFIX}tenant=a%2Fb/part-00000.jsonl.gz`,
        `${PREFIX}tenant=c/part-00001.jsonl.gz`,
        `${PREFIX}tenant=c/part-00002.jsonl.gz`,
        `${PREFIX}tenant=__HIVE_DEFAULT_PARTITION__/part-00003.jsonl.gz`,
        `${PREFIX}tenant=__HIVE_DEFAULT_PARTITION__/part-00004.jsonl.gz`,
        `${PREFIX}tenant=x/part-00009.jsonl.zst`,
      ],
    );
    const body = writeDocument(PLAN, plan, 'url');
    assert.deepEqual(readDocument(PLAN, body, 'url'), plan);
  });

  test('may have no segments, where no row was found', () => {
    const plan = { ...planByValue(), segments: [] };
    assert.deepEqual(readDocument(PLAN, writeDocument(PLAN, plan, 'url'), 'url'), plan);
  });

  const wrongs: Record<string, [change: (plan: PlanDocument) => unknown, problem: RegExp]> = {
    'a value twice': [(plan) => (plan.segments[3]!.partition = ['a/b']), /segments\[3\]: its value is there twice/],
    'segments of one value apart': [
      (plan) => (plan.segments[1]!.partition = ['d']),
      /segments\[1\]: it does not go to the end/,
    ],
    'a range that is missing': [(plan) => delete plan.segments[2]!.range, /segments\[2\]: it does not begin where/],
    'a segment without a value': [
      (plan) => delete plan.segments[0]!.partition,
      /segments\[0\]: it is no segment by value/,
    ],
    'values of other columns': [
      (plan) => (plan.segments[4]!.partition = ['a', 'b']),
      /segments\[4\]: it has values of other columns/,
    ],
    'more columns than values': [
      (plan) => (plan.partitionBy = ['a', 'b']),
      /segments\[0\]: it has 1 values for 2 columns/,
    ],
    'no columns': [(plan) => delete plan.partitionBy, /segments: partitionBy does not go with how they are cut/],
    'pages beside a value': [
      (plan) => (plan.segments[0]!.pages = { leaf: 1, name: 'a', fromPage: 0, toPage: null }),
      /segments\[0\]: it is no segment by value/,
    ],
    'a value that is no text': [
      (plan) => (plan.segments[0]!.partition = [5] as never),
      /segments\[0\]\.partition: must be a list of 1 to 16/,
    ],
    'a value that is longer than a key': [
      (plan) => (plan.segments[0]!.partition = ['x'.repeat(1025)]),
      /partition: must be a list/,
    ],
  };
  for (const [what, [change, problem]] of Object.entries(wrongs))
    test(`is refused with ${what}, and not written`, () => {
      const plan = planByValue();
      change(plan);
      assert.match(
        codeOf(() => readDocument(PLAN, Buffer.from(JSON.stringify(plan)), 'url')),
        problem,
      );
      assert.match(
        codeOf(() => writeDocument(PLAN, plan, 'url')),
        problem,
      );
    });

  test('whose segments lie apart is held to its columns as well', async () => {
    const folder = temporaryRunFolder();
    const segments = Array.from({ length: 1200 }, (_, index) => ({
      index,
      partition: [`${index}${'x'.repeat(1000)}`],
    }));
    await folder.own({ ...planByValue(), segments });
    assert.equal((await folder.plan())?.plan.segments.length, 1200);
    const found = await folder.store.get(planKey(ARCHIVE, RUN), 1e6);
    const forged = { ...(JSON.parse(found?.body.toString() ?? '') as PlanDocument), partitionBy: ['a', 'b'] };
    await folder.store.put(planKey(ARCHIVE, RUN), Buffer.from(JSON.stringify(forged)), {
      contentType: 'application/json',
    });
    await assert.rejects(folder.plan(), /segments\[0\]: it has 1 values for 2 columns/);
  });
});

describe('a manifest by value', () => {
  let folder: RunFolder;
  beforeEach(() => {
    folder = temporaryRunFolder();
  });

  async function read(manifest: Manifest): Promise<Manifest | undefined> {
    await folder.store.put(manifestKey(ARCHIVE, RUN), Buffer.from(JSON.stringify(manifest)), { contentType: 'x' });
    return wholeManifest(folder);
  }

  test('says where its objects lie, wherever the destination was moved to', async () => {
    const manifest = manifestByValue();
    await folder.commit(folder.seal(manifest));
    assert.deepEqual(await wholeManifest(folder), manifest);
    assert.equal(folder.keyOf(manifest.objects[0]!), `${PREFIX}tenant=a%2Fb/part-00000.jsonl.gz`);
    assert.ok(folder.isReadAsData(`${PREFIX}_hidden=1/part-00000.jsonl.gz`));
    assert.ok(!folder.isReadAsData(`${PREFIX}_purge.json`));
  });

  const left = { key: `pg/${PREFIX}other=1/part-00007.jsonl.gz`, rows: 0 };
  test('may name what is left of another layout, which has no rows', async () => {
    const { partition: _, ...object } = manifestByValue().objects[0]!;
    const manifest = manifestByValue();
    manifest.objects.push({ ...object, ...left });
    assert.deepEqual(await read(manifest), manifest);
    const plain = aManifest(1);
    plain.objects.push({ ...object, ...left });
    assert.deepEqual(await read(plain), plain);
  });

  const wrongs: Record<string, [change: (manifest: Manifest) => unknown, problem: RegExp]> = {
    'an object in the folder of another value': [
      ({ objects }) => (objects[0]!.partition = { tenant: 'a' }),
      /objects\[0\]\.key: it does not lie in the folder of its value, events\/run=.*tenant=a\//,
    ],
    'an object in no folder': [
      ({ objects }) => (objects[0]!.key = `pg/${PREFIX}part-00000.jsonl.gz`),
      /objects\[0\]\.key: it does not lie in the folder/,
    ],
    'an object above its folder': [
      ({ objects }) => (objects[0]!.key = `pg/${PREFIX}tenant=a%2Fb/../part-00000.jsonl.gz`),
      /objects\[0\]\.key: it does not lie in events/,
    ],
    'an object without a value': [
      ({ objects }) => delete objects[1]!.partition,
      /objects\[1\]\.partition: it is not one value/,
    ],
    'an object of another column': [
      ({ objects }) => (objects[1]!.partition = { other: '1' }),
      /objects\[1\]\.partition: it is not one value/,
    ],
    'a value too many': [
      ({ objects }) => (objects[1]!.partition = { tenant: null, more: '' }),
      /objects\[1\]\.partition: it is not one value/,
    ],
    'values and no columns': [
      (manifest) => delete manifest.partitionBy,
      /objects\[0\]\.partition: it is not one value/,
    ],
  };
  for (const [what, [change, problem]] of Object.entries(wrongs))
    test(`is not believed with ${what}`, async () => {
      const manifest = manifestByValue();
      change(manifest);
      await assert.rejects(read(manifest), problem);
    });

  /** It has two parts; of columns whose order is none of the alphabet. */
  function large(partitionBy = ['tenant', 'day']): Manifest {
    const manifest = aManifest(5000, { partitionBy, cut: { by: 'value', key: ['id'] } });
    for (const [at, object] of manifest.objects.entries()) {
      const values: Record<string, string> = { tenant: 'a', day: String(at % 7), 7: 'c' };
      object.partition = Object.fromEntries(partitionBy.map((column) => [column, values[column] ?? '']));
      const below = partitionBy.map((column) => `${column}=${values[column] ?? ''}/`).join('');
      object.key = object.key.replace(PREFIX, PREFIX + below);
    }
    return manifest;
  }

  async function countParts(manifest: Manifest): Promise<number> {
    await read(manifest);
    let parts = 0;
    const { store } = folder;
    const counted = changed(store, {
      getPart: (key, from, bytes) => {
        parts += 1;
        return store.getPart(key, from, bytes);
      },
    });
    assert.ok((await new RunFolder(counted, ARCHIVE, RUN).manifest()) !== undefined);
    return parts;
  }

  test('that is large is read once; twice where its objects name the columns in another order', async () => {
    assert.equal(await countParts(large()), 0);
    assert.ok((await countParts(large(['tenant', '7']))) > 0);
  });

  test('is not believed where a late object lies elsewhere, or the columns are others than those of all objects', async () => {
    const late = large();
    late.objects[4990]!.partition = { tenant: 'b', day: '6' };
    await assert.rejects(read(late), /objects\[4990\]\.key: it does not lie in the folder of its value/);
    const bare = large();
    delete bare.objects[0]!.partition;
    await assert.rejects(read(bare), /objects\[0\]\.partition: it is not one value/);
    const { objects } = large();
    for (const columns of [['tenant'], ['tenant', 'day', 'more'], []])
      await assert.rejects(read({ ...large(columns), objects }), /objects\[0\]\.partition: it is not one value/);
    await assert.rejects(read({ ...large(['day', 'tenant']), objects }), /objects\[0\]\.key: .*day=0\/tenant=a\//);
  });

  test('without columns is not believed with an object in a folder', async () => {
    const manifest = aManifest(1);
    manifest.objects[0]!.key = `pg/${PREFIX}tenant=1/part-00000.jsonl.gz`;
    await assert.rejects(read(manifest), /objects\[0\]\.key: it does not lie in the folder of its value/);
  });
});

describe('what lies in folders by value', () => {
  test('has receipts that a plan which has grown still believes, for the segments that it had', async () => {
    const folder = temporaryRunFolder();
    const [old, own] = ['a'.repeat(64), 'b'.repeat(64)];
    await folder.record([
      aReceipt(0, { fingerprint: old }),
      aReceipt(2, { fingerprint: old }),
      aReceipt(3, { fingerprint: own }),
    ]);
    const empty = aReceipt(9, { key: `${PREFIX}a=1/part-00009.jsonl.gz`, rows: 0, fingerprint: old });
    await folder.recordEmpty(empty);
    const seen: number[] = [];
    const empties: number[] = [];
    const plan = { fingerprint: own, extended: [{ fingerprint: old, segments: 2 }] };
    await folder.eachReceipt(plan, {
      receipt: ({ segment }) => seen.push(segment),
      empty: ({ segment }) => empties.push(segment),
    });
    assert.deepEqual([seen.sort(), empties], [[0, 3], []]);
    assert.deepEqual((await receiptsOf(folder, old)).empties, [empty]);
  });

  test('has receipts of empty segments whose names are as long as ever', async () => {
    const key = `${PREFIX}a=${'x'.repeat(900)}/part-00009.jsonl.gz`;
    const receipt = emptyReceiptKey(ARCHIVE, RUN, key);
    assert.match(receipt.slice(journalPrefix(ARCHIVE, RUN).length), /^empty-[0-9a-f]{64}\.json$/);
    assert.notEqual(receipt, emptyReceiptKey(ARCHIVE, RUN, `${key}x`));
  });

  test('has uploads that are found and aborted', async () => {
    const { store } = temporaryRunFolder();
    const aborted: string[] = [];
    const key = `${PREFIX}tenant=a%2Fb/day=2024-01-01/part-00000.jsonl.gz`;
    const watched = changed(store, {
      listUploads: async () => [{ key, uploadId: '1', startedAt: new Date() }],
      abortUpload: async (found) => void aborted.push(found),
    });
    const log = { warn: () => undefined } as never;
    assert.equal(await sweepUploads(watched, ARCHIVE, log, RUN), 1);
    assert.deepEqual(aborted, [key]);
  });
});
