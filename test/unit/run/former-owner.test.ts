import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import type { PlanDocument } from '../../../src/ledger/journal.ts';
import { receiptKey } from '../../../src/ledger/names.ts';
import { requireOwnerGone } from '../../../src/run/former-owner.ts';
import { LIVENESS } from '../../../src/run/liveness.ts';
import type { Store } from '../../../src/store/store.ts';
import { aPlan, ARCHIVE, changed, INSTANCE, RUN, temporaryStore } from '../../support/ledger.ts';
import { aRun, aSession, type TestRun } from './support.ts';

const usual = { ...LIVENESS };
const PROMOTED = { ...INSTANCE, postmasterStart: '2026-11-02T00:00:00.000Z', inRecovery: true };
const JSON_OBJECT = { contentType: 'application/json' };
let store: Store;
let looks: number;
/** Happens between two looks at the journal. */
let meanwhile: () => Promise<unknown>;

beforeEach(() => {
  const inner = temporaryStore();
  looks = 0;
  meanwhile = () => Promise.resolve();
  store = changed(inner, {
    list: async function* (prefix) {
      looks += 1;
      if (looks === 2) await meanwhile();
      yield* inner.list(prefix);
    },
  });
  LIVENESS.silenceMs = 5;
});
afterEach(() => {
  Object.assign(LIVENESS, usual);
});

async function look(changes: Partial<PlanDocument>): Promise<TestRun> {
  const test = aRun(store);
  const plan = aPlan(changes);
  await test.run.folder.own(plan);
  await requireOwnerGone(test.run, aSession(), plan);
  return test;
}

function isLocked(error: unknown): boolean {
  assert.ok(error instanceof FailureError);
  const { code, host, message } = error.failure;
  assert.deepEqual([code, host], ['locked', 'db1']);
  assert.match(
    message,
    /on db1, which is at work.*database app on the server 7442 that was started 2026-11-02.*standby/,
  );
  return true;
}

describe('the host that began a run', () => {
  test('is gone at once when its lock would be of the same instance, as we hold that', async () => {
    await look({ instance: INSTANCE });
    await look({ instance: { ...INSTANCE, inRecovery: true } });
    assert.equal(looks, 0);
  });

  test('is gone at once when it has said how its try ended, whatever server it read', async () => {
    await look({ instance: PROMOTED, ended: { how: 'drained', at: '2026-11-23T02:20:00.000Z', host: 'db1' } });
    assert.equal(looks, 0);
  });

  test('is ourselves, under a session that was lost, perhaps with its server', async () => {
    const { run } = aRun(store);
    await requireOwnerGone(run, aSession(), aPlan({ instance: PROMOTED, owner: `${run.owner}/1` }));
    assert.equal(looks, 0);
    await requireOwnerGone(run, aSession(), aPlan({ instance: PROMOTED, owner: `${run.owner}0/1` }));
    assert.equal(looks, 2);
  });

  for (const [what, instance] of [
    ['of another start of the server', PROMOTED],
    ['of another database', { ...INSTANCE, database: 'other' }],
    ['of a server whose identity it may not ask', { ...INSTANCE, systemIdentifier: null }],
    ['unknown', null],
  ] as const) {
    test(`is watched when its instance is ${what}, and is taken for gone when its journal stays as it is`, async () => {
      const { log } = await look({ instance });
      assert.equal(looks, 2);
      assert.deepEqual(
        log.map(({ level, fields }) => [level, fields['host']]),
        [
          ['info', 'db1'],
          ['warn', 'db1'],
        ],
      );
    });
  }

  for (const [what, change] of [
    ['gives a sign of life', () => aRun(store).run.folder.sayAlive()],
    ['writes a receipt', () => store.put(receiptKey(ARCHIVE, RUN, 3), Buffer.from('{}'), JSON_OBJECT)],
    ['replaces its plan', () => aRun(store).run.folder.own(aPlan({ instance: PROMOTED, why: 'another' }))],
    ['removes its journal after the commit', () => aRun(store).run.folder.clearJournal()],
  ] as const) {
    test(`lives when it ${what} meanwhile`, async () => {
      meanwhile = change;
      await assert.rejects(look({ instance: PROMOTED }), isLocked);
    });
  }

  test('is not waited for by a run that is to end', async () => {
    LIVENESS.silenceMs = usual.silenceMs;
    const { run } = aRun(store);
    const plan = aPlan({ instance: PROMOTED });
    const waiting = (signals: object): Promise<void> => requireOwnerGone({ ...run, ...signals }, aSession(), plan);
    await assert.rejects(waiting({ signal: AbortSignal.abort(new Error('cancelled')) }), { message: 'cancelled' });
    await assert.rejects(
      waiting({ drain: AbortSignal.abort(new Error('stopped')) }),
      (error) => error instanceof FailureError && error.failure.code === 'drained',
    );
  });
});
