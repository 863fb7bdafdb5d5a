/** A plan of many segments: they lie apart from who owns the run, are written before the plan that names them, and once. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { beforeEach, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { FailureError } from '../../../src/base/errors.ts';
import { writeDocument } from '../../../src/ledger/documents.ts';
import { PLAN, type JournalPlan, type PlanDocument } from '../../../src/ledger/journal.ts';
import { planKey, segmentsKey } from '../../../src/ledger/names.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { SEGMENTS, type SegmentsApart } from '../../../src/ledger/segments-apart.ts';
import type { Store } from '../../../src/store/store.ts';
import { aPlan, ARCHIVE, changed, keySegments, RUN, temporaryStore } from '../../support/ledger.ts';

const JSON_OBJECT = { contentType: 'application/json' };
/** They have 1.3 MB. */
const MANY = 20_000;

let store: Store;
let folder: RunFolder;
let written: { name: string; bytes: number }[];
let plan: JournalPlan;

function folderOf(methods: Partial<Store>): RunFolder {
  return new RunFolder(changed(store, methods), ARCHIVE, RUN);
}

/** Whose writes are in `written`. */
function watched(): RunFolder {
  return folderOf({
    put: (key, body, options) => {
      written.push({
        name: key.slice(key.lastIndexOf('/') + 1),
        bytes: Buffer.isBuffer(body) ? body.length : body.bytes,
      });
      return store.put(key, body, options);
    },
  });
}

beforeEach(() => {
  store = temporaryStore();
  written = [];
  folder = watched();
  plan = aPlan({ segments: keySegments(MANY) });
});

async function problemOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof FailureError, String(error));
    assert.equal(error.failure.code, 'bad-journal');
    return error.failure.message;
  }
  assert.fail('it was read');
}

/** The plan is read as it was written. Without a diff, as that of so many segments would take gigabytes. */
async function requireRead(from: RunFolder): Promise<void> {
  const read = await from.plan();
  assert.ok(isDeepStrictEqual({ ...read?.plan, segments: [...(read?.plan.segments ?? [])] }, plan));
}

describe('a plan of many segments', () => {
  test('is read as it was written, whoever reads it', async () => {
    const { outcome } = await folder.own(plan, 'nothing');
    assert.equal(outcome, 'written');
    await requireRead(folder);
    await requireRead(new RunFolder(store, ARCHIVE, RUN));
  });

  test('has them in a document of its own, which is there before the plan and is written once', async () => {
    const first = await folder.own(plan, 'nothing');
    assert.ok(first.outcome === 'written');
    await folder.under(new AbortController().signal).own({ ...plan, owner: 'next' }, first.etag);
    const taken = watched();
    const { plan: read, etag } = (await taken.plan())!;
    await taken.own({ ...read, committing: { sha256: 'a'.repeat(64), bytes: 1 } }, etag);
    assert.deepEqual(
      written.map(({ name }) => name.replace(/-[0-9a-f]{64}/, '')),
      ['segments.json', 'plan.json', 'plan.json', 'plan.json'],
    );
    assert.ok((written[0]?.bytes ?? 0) > 1024 ** 2);
    for (const { bytes } of written.slice(1)) assert.ok(bytes < 2000, `a plan of ${bytes} bytes`);
  });

  test('of few segments has them itself, as before; and many in the plan itself are read', async () => {
    await folder.own(aPlan());
    assert.deepEqual(
      written.map(({ name }) => name),
      ['plan.json'],
    );
    await store.put(planKey(ARCHIVE, RUN), writeDocument(PLAN, plan, ''), JSON_OBJECT);
    await requireRead(folder);
  });

  test('is outlined without one of them being held, wherever they lie', async () => {
    // What is got is held as a whole.
    const scanning = folderOf({ get: (key) => assert.fail(`${key} is got`) });
    await folder.own(plan);
    assert.deepEqual(await scanning.outline(), { ...plan, segments: { length: MANY } });
    await store.put(planKey(ARCHIVE, RUN), writeDocument(PLAN, plan, ''), JSON_OBJECT);
    assert.deepEqual(await scanning.outline(), { ...plan, segments: { length: MANY } });
  });

  test('says whose the run is without them', async () => {
    await folder.own({ ...plan, host: 'db2' });
    const asked: string[] = [];
    const asking = folderOf({
      get: (key) => assert.fail(`${key} is got`),
      scan: (key, limit, onPiece) => {
        asked.push(key);
        return store.scan(key, limit, onPiece);
      },
    });
    assert.equal((await asking.owner())?.host, 'db2');
    assert.deepEqual(asked, [planKey(ARCHIVE, RUN)]);
  });

  test('is not read past the bytes that its reader takes', async () => {
    await folder.own(plan);
    await assert.rejects(folder.plan(1024 ** 2), (error) => {
      assert.ok(error instanceof FailureError);
      return error.failure.code === 'object-too-large';
    });
  });
});

describe('segments that lie apart', () => {
  /** Writes them as somebody else would, and the plan that names them. */
  async function forge(changes: Partial<SegmentsApart>, inPlan: Partial<PlanDocument> = {}): Promise<void> {
    const segments = keySegments(3);
    const document = { format: 'pgsluice/segments/1', archive: ARCHIVE, run: RUN, by: 'key', segments, ...changes };
    const body = Buffer.from(JSON.stringify(document));
    const segmentsIn = { sha256: createHash('sha256').update(body).digest('hex'), bytes: body.length };
    await store.put(segmentsKey(ARCHIVE, RUN, segmentsIn.sha256), body, JSON_OBJECT);
    const named: PlanDocument = { ...aPlan(), segments: [], segmentsIn, ...inPlan };
    await store.put(planKey(ARCHIVE, RUN), Buffer.from(JSON.stringify(named)), JSON_OBJECT);
  }

  test('are the ones of the plan', async () => {
    await forge({});
    assert.deepEqual((await folder.plan())?.plan.segments, keySegments(3));
  });

  /** What only who holds all of them can tell. */
  const isOfAllTogether = new Set(['of another cut', 'that are none']);
  for (const [what, changes, inPlan, problem] of [
    ['of another run', { run: '20261123T021501Z' }, {}, /it is that of/],
    ['of another archive', { archive: 'other' }, {}, /it is that of/],
    ['of another cut', { by: 'pages' }, {}, /segments\[0\]: it is no segment by pages/],
    ['with a gap', { segments: keySegments(3).toSpliced(1, 1) }, {}, /segments\[1\]: its index is 2/],
    ['that are none', { segments: [] }, {}, /segments\[0\]: there are no segments/],
    ['with a field too many', { sql: '' }, {}, /Unrecognized key/],
    ['beside those in the plan', {}, { segments: keySegments(3) }, /segments: they are here, and lie elsewhere/],
    ['of a plan that is cut otherwise', {}, { by: 'none' }, /it is cut by key, and the plan by none/],
    ['that lie nowhere', {}, { segmentsIn: { sha256: 'b'.repeat(64), bytes: 1 } }, /the segments .* are not there/],
  ] as [string, Partial<SegmentsApart>, Partial<PlanDocument>, RegExp][])
    test(`${what} are refused`, async () => {
      await forge(changes, inPlan);
      assert.match(await problemOf(folder.plan()), problem);
      if (!isOfAllTogether.has(what)) assert.match(await problemOf(folder.outline()), problem);
    });

  test('whose bytes were changed are refused', async () => {
    await folder.own(plan);
    const key = segmentsKey(ARCHIVE, RUN, /-([0-9a-f]{64})/.exec(written[0]?.name ?? '')?.[1] ?? '');
    const { body } = (await store.get(key, SEGMENTS.maxBytes))!;
    await store.put(key, Buffer.from(body.toString().replace('["100"]', '["101"]')), JSON_OBJECT);
    for (const read of [() => folder.plan(), () => folder.outline()])
      assert.match(await problemOf(read()), /it is not the one that the plan names/);
  });

  test('and go while the plan is read were those of a run that is committed meanwhile', async () => {
    await folder.own(plan);
    const racing = folderOf({
      scan: async (key, limit, onPiece) => {
        if (key !== planKey(ARCHIVE, RUN)) await folder.clearJournal();
        return store.scan(key, limit, onPiece);
      },
    });
    assert.equal(await racing.plan(), undefined);
    await folder.own({ ...plan, segments: [...plan.segments] });
    assert.equal(await racing.outline(), undefined);
  });
});
