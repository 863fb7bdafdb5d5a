import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { aliveKey } from '../../../src/ledger/names.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { LIVENESS } from '../../../src/run/liveness.ts';
import { giveSigns } from '../../../src/run/sign-of-life.ts';
import type { Store } from '../../../src/store/store.ts';
import { aManifest, aPlan, ARCHIVE, changed, RUN, temporaryStore } from '../../support/ledger.ts';

const ALIVE = aliveKey(ARCHIVE, RUN);
let store: Store;
let folder: RunFolder;
/** Resolves with each look at the plan, and with each sign. */
let steps: string[];
let gate: Promise<unknown>;

beforeEach(() => {
  steps = [];
  gate = Promise.resolve();
  const inner = temporaryStore();
  store = changed(inner, {
    head: async (key) => {
      const there = await inner.head(key);
      steps.push('looked');
      return there;
    },
    put: async (key, body, options) => {
      if (key === ALIVE) await gate;
      const result = await inner.put(key, body, options);
      steps.push('put');
      return result;
    },
  });
  folder = new RunFolder(store, ARCHIVE, RUN);
  mock.timers.enable({ apis: ['setInterval'] });
});
afterEach(() => {
  mock.timers.reset();
});

async function own(): Promise<{ etag: string }> {
  const result = await folder.own(aPlan());
  assert.ok(result.outcome === 'written');
  steps = [];
  return { etag: result.etag };
}

async function until(step: string, times: number): Promise<void> {
  while (steps.filter((one) => one === step).length < times) await new Promise((resolve) => setImmediate(resolve));
}

describe('an owner of a run', () => {
  test('gives a sign of life whenever none was given for a while, and no two are equal', async () => {
    const sign = giveSigns({ folder }, await own());
    mock.timers.tick(LIVENESS.signMs);
    await until('put', 1);
    const first = await folder.journalDigest();
    mock.timers.tick(LIVENESS.signMs);
    await until('put', 2);
    assert.notEqual(await folder.journalDigest(), first);
    sign.stop();
    mock.timers.tick(LIVENESS.signMs);
    assert.equal(steps.filter((step) => step === 'put').length, 2);
  });

  test('needs none where a receipt has given one', async () => {
    const sign = giveSigns({ folder }, await own());
    mock.timers.tick(LIVENESS.signMs - 1);
    sign.given();
    mock.timers.tick(LIVENESS.signMs - 1);
    assert.deepEqual(steps, []);
    mock.timers.tick(1);
    await until('put', 1);
    sign.stop();
  });

  test('gives none once somebody else owns the run, or has committed it: it may have been frozen meanwhile', async () => {
    const sign = giveSigns({ folder }, await own());
    await folder.own(aPlan({ owner: 'other' }));
    mock.timers.tick(LIVENESS.signMs);
    await until('looked', 1);
    await folder.commit(folder.seal(aManifest()));
    await new RunFolder(store, ARCHIVE, RUN).clearJournal();
    mock.timers.tick(LIVENESS.signMs);
    await until('looked', 2);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await store.head(ALIVE), undefined);
    sign.stop();
  });

  test('leaves no sign behind when its journal goes', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    gate = promise;
    await own();
    const saying = folder.sayAlive();
    const clearing = folder.clearJournal();
    resolve(undefined);
    await Promise.all([saying, clearing]);
    await folder.sayAlive();
    assert.equal(await store.head(ALIVE), undefined);
  });
});
