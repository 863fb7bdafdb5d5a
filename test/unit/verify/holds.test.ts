import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FailureError, fail } from '../../../src/base/errors.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import type { Hold } from '../../../src/store/store.ts';
import { lookAtHolds, type Holds } from '../../../src/verify/holds.ts';
import { aManifest, ARCHIVE, changed, RUN, temporaryStore } from '../../support/ledger.ts';

const CENTURY_MS = 100 * 365 * 86_400_000;
const OBJECT_LOCK = { mode: 'COMPLIANCE', retainMs: CENTURY_MS } as const;

/** Of a run of three objects. */
async function look(hold: (tries: number) => Hold): Promise<Holds | undefined> {
  const tries = new Map<string, number>();
  const store = changed(temporaryStore(), {
    hold: async (key) => {
      tries.set(key, (tries.get(key) ?? 0) + 1);
      return hold(tries.get(key) ?? 0);
    },
  });
  const folder = new RunFolder(store, ARCHIVE, RUN);
  await folder.commit(folder.seal(aManifest(3, { startedAt: new Date().toISOString() })));
  const manifest = await folder.manifest();
  assert.ok(manifest);
  const { signal } = new AbortController();
  const clock = { now: () => 0, pause: () => Promise.resolve() };
  const retry = { attempts: 3, backoffMs: 1, forMs: 1000, clock };
  return lookAtHolds(folder, manifest, () => true, OBJECT_LOCK, { keyPrefix: '', retry, signal });
}

describe('a look at what is held', () => {
  test('tells holds of a hundred years as they are', async () => {
    const until = new Date(Math.ceil((Date.now() + CENTURY_MS) / 1000) * 1000);
    const holds = await look(() => ({ mode: 'COMPLIANCE', until }));
    assert.deepEqual(holds?.warnings(), []);
    const text = until.toISOString().replace('.000Z', 'Z');
    assert.equal(holds.report().latest, text);
    assert.deepEqual(holds.of(1), { mode: 'COMPLIANCE', until: text });
  });

  test('asks again after trouble that passes, and gives up after trouble that does not', async () => {
    const until = new Date(Date.now() + 2 * CENTURY_MS);
    const trouble = fail('throttled', { stage: 'verify', message: 'slow down' });
    const holds = await look((tries) => {
      if (tries < 3) throw trouble;
      return { mode: 'COMPLIANCE', until };
    });
    assert.equal(holds?.report().objects, 3);
    await assert.rejects(
      look(() => {
        throw trouble;
      }),
      (error) => error instanceof FailureError && error.failure.code === 'throttled',
    );
  });
});
