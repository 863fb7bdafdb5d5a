import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { beforeEach, describe, test } from 'node:test';
import type { Log } from '../../../src/base/log.ts';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import { headKey, manifestKey, planKey } from '../../../src/ledger/names.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { advanceHead, findLink } from '../../../src/run/chain-link.ts';
import type { Store } from '../../../src/store/store.ts';
import { verifyChain, type ChainReport } from '../../../src/verify/chain.ts';
import { aManifest, aPlan, ARCHIVE, bytesOf, temporaryStore } from '../../support/ledger.ts';

const [A, B, C, D] = ['20260101T000000Z', '20260102T000000Z', '20260103T000000Z', '20260104T000000Z'] as const;
const JSON_TYPE = { contentType: 'application/json' };
const log = { warn: () => undefined, error: () => undefined } as unknown as Log;

let store: Store;
let minute: number;

beforeEach(() => {
  store = temporaryStore();
  minute = 0;
});

/** What the run would be committed with now. Each is later than those before it, by its own word. */
async function seal(run: string, changes: Partial<Manifest> = {}) {
  const folder = new RunFolder(store, ARCHIVE, run);
  const link = await findLink({ folder, log });
  minute += 1;
  const finishedAt = new Date(Date.UTC(2026, 5, 1, 0, minute)).toISOString();
  const sealed = folder.seal(aManifest(0, { run, finishedAt, ...link.fields, ...changes }));
  return { folder, link, sealed };
}

async function commit(run: string, changes: Partial<Manifest> = {}): Promise<string> {
  const { folder, link, sealed } = await seal(run, changes);
  assert.ok(await advanceHead(folder, link, sealed.sha256));
  await folder.commit(sealed);
  return sealed.sha256;
}

/** Is killed between its head and its manifest, which is returned. */
async function killedWithin(run: string): Promise<Buffer> {
  const { folder, link, sealed } = await seal(run);
  const { sha256, bytes } = sealed;
  await folder.own(aPlan({ run, committing: { sha256, bytes } }));
  assert.ok(await advanceHead(folder, link, sha256));
  return bytesOf(sealed);
}

async function bodyOf(key: string): Promise<Buffer> {
  return (await store.get(key, 1e6))?.body ?? assert.fail(`${key} is not there`);
}

async function change(key: string, edit: (document: Record<string, unknown>) => object): Promise<void> {
  const document = JSON.parse((await bodyOf(key)).toString()) as Record<string, unknown>;
  await store.put(key, Buffer.from(`${JSON.stringify(edit(document), null, 2)}\n`), JSON_TYPE);
}

const manifestOf = (run: string): string => manifestKey(ARCHIVE, run);
const remove = (run: string): Promise<void> => store.remove([manifestOf(run)]);

/** Puts a manifest there that is that of `like`, but for its run and some fields. */
async function insert(run: string, like: string, changes: Record<string, unknown> = {}): Promise<void> {
  const document = JSON.parse((await bodyOf(manifestOf(like))).toString()) as Record<string, unknown>;
  await store.put(manifestOf(run), Buffer.from(JSON.stringify({ ...document, run, ...changes })), JSON_TYPE);
}

const kinds = ({ problems }: ChainReport): string[] => problems.map(({ kind, run }) => `${kind} ${run}`.trimEnd());

describe('the chain of an archive', () => {
  test('of runs made in any order, with generations, is whole, and its head is the digest of the latest manifest', async () => {
    await commit(C);
    await commit(A);
    await commit(`${C}_2`);
    const head = await commit(B);
    const report = await verifyChain(store, ARCHIVE);
    assert.deepEqual(report, {
      ok: true,
      head: { run: B, sha256: head },
      runs: 4,
      beforeChain: [],
      notes: [],
      problems: [],
    });
    assert.equal(head, hash('sha256', await bodyOf(manifestOf(B))));
    const { previous } = JSON.parse((await bodyOf(manifestOf(C))).toString()) as Manifest;
    assert.equal(previous, null);
  });

  test('costs one listing, the head and each manifest once, and looks at no data', async () => {
    for (const run of [A, B, C]) await commit(run);
    const asked: string[] = [];
    const watched = new Proxy(store, {
      get: (target, name: keyof Store) => {
        const value: unknown = target[name];
        if (typeof value !== 'function') return value;
        return (...given: unknown[]): unknown => {
          asked.push(`${name} ${String(given[0])}`);
          return Reflect.apply(value, target, given);
        };
      },
    });
    assert.equal((await verifyChain(watched, ARCHIVE)).ok, true);
    const manifests = [A, B, C].map((run) => `scan ${manifestOf(run)}`);
    assert.deepEqual(asked.sort(), [`get ${headKey(ARCHIVE)}`, `listFolders ${ARCHIVE}/`, ...manifests].sort());
  });

  for (const [which, run] of [
    ['first', A],
    ['second', B],
    ['newest', D],
  ] as const)
    test(`tells that the ${which} manifest was removed, and which one it was`, async () => {
      for (const one of [A, B, C, D]) await commit(one);
      await remove(run);
      const report = await verifyChain(store, ARCHIVE);
      assert.deepEqual([report.ok, kinds(report)], [false, [`removed ${run}`]]);
      assert.equal(report.runs, 3);
    });

  test('tells of two that were removed side by side by the one that was named last', async () => {
    for (const one of [A, B, C, D]) await commit(one);
    await remove(B);
    await remove(C);
    assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), [`removed ${C}`]);
  });

  test('tells that the newest manifest was removed also when others were committed since, or the same run again', async () => {
    await commit(A);
    await commit(B);
    await remove(B);
    await commit(C);
    assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), [`removed ${B}`]);
    await commit(B);
    assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), [`removed ${B}`]);
    store = temporaryStore();
    await commit(A);
    await commit(B);
    await remove(B);
    await commit(B);
    assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), [`removed ${B}`]);
  });

  for (const [which, run] of [
    ['oldest', A],
    ['newest', C],
  ] as const)
    test(`tells that the ${which} manifest was replaced`, async () => {
      for (const one of [A, B, C]) await commit(one);
      await change(manifestOf(run), (manifest) => ({ ...manifest, host: 'another' }));
      assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), [`replaced ${run}`]);
    });

  test('tells of a manifest that cannot be read any more', async () => {
    for (const one of [A, B]) await commit(one);
    await store.put(manifestOf(A), Buffer.from('{}'), JSON_TYPE);
    assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), [`unreadable ${A}`, `replaced ${A}`]);
  });

  test('tells of a manifest that was put in: beside another one, at the begin, behind the head, and as if from before the chain', async () => {
    for (const one of [A, B]) await commit(one);
    const sha256 = hash('sha256', await bodyOf(manifestOf(B)));
    for (const [changes, kind] of [
      [{}, 'forked'],
      [{ previous: null }, 'forked'],
      [{ previous: { run: B, sha256 } }, 'inserted'],
      [{ previous: undefined }, 'inserted'],
    ] as const) {
      await insert(C, B, changes);
      assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), [`${kind} ${C}`]);
    }
  });

  test('tells of two runs that came after the same one, as two hosts make them of which one was set back', async () => {
    await commit(A);
    const head = await bodyOf(headKey(ARCHIVE));
    await commit(B);
    await store.put(headKey(ARCHIVE), head, JSON_TYPE);
    await commit(C);
    const report = await verifyChain(store, ARCHIVE);
    assert.deepEqual(kinds(report), [`forked ${B}`]);
    assert.match(
      report.problems[0]?.message ?? '',
      new RegExp(`^runs ${B}, ${C} each say that they came right after run ${A}$`),
    );
  });

  test('tells of a head that is gone, is none, or is that of another archive', async () => {
    await commit(A);
    await commit(B);
    await change(headKey(ARCHIVE), (head) => ({ ...head, archive: 'others' }));
    assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), ['head']);
    await store.put(headKey(ARCHIVE), Buffer.from('{'), JSON_TYPE);
    assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), ['head']);
    await store.remove([headKey(ARCHIVE)]);
    assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), ['head']);
    // What the manifests say of each other counts all the same.
    await store.remove([manifestKey(ARCHIVE, A)]);
    const found = await verifyChain(store, ARCHIVE);
    assert.deepEqual([kinds(found), found.head], [['head', `removed ${A}`], null]);
  });

  test('tells that the newest manifest was removed and the head set back by a head that was noted, and by nothing else', async () => {
    const first = await commit(A);
    const head = await bodyOf(headKey(ARCHIVE));
    const noted = await commit(B);
    assert.equal((await verifyChain(store, ARCHIVE, noted)).ok, true);
    assert.equal((await verifyChain(store, ARCHIVE, first)).ok, true, 'others were committed since it was noted');
    await remove(B);
    await store.put(headKey(ARCHIVE), head, JSON_TYPE);
    assert.equal((await verifyChain(store, ARCHIVE)).ok, true);
    assert.deepEqual(kinds(await verifyChain(store, ARCHIVE, noted)), ['head']);
  });

  test('says of runs of versions that knew none that they are before it, and fails for none of them', async () => {
    for (const run of [B, A]) {
      await commit(run);
      await change(manifestOf(run), ({ previous: _previous, ...manifest }) => manifest);
    }
    await store.remove([headKey(ARCHIVE)]);
    const { ok, beforeChain, runs, head } = await verifyChain(store, ARCHIVE);
    assert.deepEqual([ok, beforeChain, runs, head], [true, [A, B], 0, null]);
    await commit(C);
    await commit(D);
    const report = await verifyChain(store, ARCHIVE);
    assert.deepEqual([report.ok, report.beforeChain, report.runs], [true, [A, B], 2]);
  });

  test('passes over no run that ends its commit, and removes its plan, between two questions of the next one', async () => {
    const late = await killedWithin(A);
    const racing = new Proxy(store, {
      get: (target, name: keyof Store): unknown => {
        const value: unknown = target[name];
        if (name !== 'head') return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        return async (key: string) => {
          if (key === planKey(ARCHIVE, A)) {
            await target.put(manifestOf(A), late, JSON_TYPE);
            await target.remove([key]);
          }
          return target.head(key);
        };
      },
    });
    const { fields } = await findLink({ folder: new RunFolder(racing, ARCHIVE, B), log });
    assert.deepEqual(fields, { previous: { run: A, sha256: hash('sha256', late) } });
  });

  describe('with a run that was killed between its head and its manifest', () => {
    let late: Buffer;

    beforeEach(async () => {
      await commit(A);
      late = await killedWithin(B);
    });

    test('is whole, and says so of the run', async () => {
      const { ok, runs, notes } = await verifyChain(store, ARCHIVE);
      assert.deepEqual([ok, runs], [true, 1]);
      assert.match(notes.join(), new RegExp(`run ${B} was about to be committed`));
    });

    test('is passed over by the next run, which takes what was before it', async () => {
      await commit(C);
      const { previous, passedOver } = JSON.parse((await bodyOf(manifestOf(C))).toString()) as Manifest;
      assert.equal(previous?.run, A);
      assert.deepEqual(passedOver, [{ run: B, sha256: hash('sha256', late), planned: true }]);
      assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), []);
    });

    test('is passed over also where the next one is killed there, too', async () => {
      await killedWithin(C);
      await commit(D);
      await commit(B);
      await commit(C);
      const report = await verifyChain(store, ARCHIVE);
      assert.deepEqual([kinds(report), report.runs], [[], 4]);
    });

    test('is whole when its manifest comes late, behind a run that has passed it over; and of another one, it is not', async () => {
      await killedWithin(C);
      await commit(D);
      await store.put(manifestOf(B), late, JSON_TYPE);
      const report = await verifyChain(store, ARCHIVE);
      assert.deepEqual([kinds(report), report.runs], [[], 2]);
      assert.match(report.notes.join(), new RegExp(`run ${B} was committed late`));
      const noted = hash('sha256', late);
      assert.deepEqual(kinds(await verifyChain(store, ARCHIVE, noted)), [], 'its host has logged it as the head');
      await remove(B);
      assert.deepEqual(kinds(await verifyChain(store, ARCHIVE, noted)), ['head']);
      await store.put(manifestOf(B), late, JSON_TYPE);
      await change(manifestOf(B), (manifest) => ({ ...manifest, host: 'another' }));
      assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), [`forked ${B}`]);
    });

    test('tells that the run was removed when neither manifest nor plan is there any more', async () => {
      await commit(C);
      await store.remove([planKey(ARCHIVE, B)]);
      assert.deepEqual(kinds(await verifyChain(store, ARCHIVE)), [`removed ${B}`]);
    });
  });
});
