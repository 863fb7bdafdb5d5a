import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FailureError } from '../../../src/base/errors.ts';
import { probeStore, type ProbeSteps } from '../../../src/store/probe.ts';
import type { ProbeResult, Store } from '../../../src/store/store.ts';

/** Keeps what it is given, but for what `faults` does otherwise; `keys` tells what is left in it. */
function storeWith(faults: { altersBody?: boolean; hidesFromList?: boolean }): { store: Store; keys: () => string[] } {
  const objects = new Map<string, Buffer>();
  const store = {
    url: 'memory:///',
    put: async (key: string, body: Buffer) => {
      objects.set(key, faults.altersBody === true ? Buffer.from('something else') : body);
    },
    get: async (key: string) => {
      const body = objects.get(key);
      return body === undefined ? undefined : { body, etag: '"1"' };
    },
    async *list(prefix: string) {
      for (const key of objects.keys()) if (key.startsWith(prefix) && faults.hidesFromList !== true) yield { key };
    },
    listUploads: async () => 'unsupported',
    remove: async (keys: readonly string[]) => {
      for (const key of keys) objects.delete(key);
    },
  };
  return { store: store as unknown as Store, keys: () => [...objects.keys()] };
}

const KEPT = { put: true, complete: false };
const STEPS: ProbeSteps = { conditions: async () => KEPT, clockSkewMs: () => 7, facts: [async () => 'it is a test'] };

describe('the probe of a destination', () => {
  test('says what it can do, and leaves nothing behind', async () => {
    const { store, keys } = storeWith({});
    const told: Partial<ProbeResult>[] = [];
    const facts = ['it is a test'];
    assert.deepEqual(await probeStore(store, STEPS, (found) => told.push(found)), {
      clockSkewMs: 7,
      keeps: KEPT,
      listsUploads: false,
      facts,
    });
    assert.deepEqual(told, [{ clockSkewMs: 7 }, { keeps: KEPT }, { listsUploads: false }, { facts }]);
    assert.deepEqual(keys(), []);
  });

  test('gives a step up that takes too long, after it has told what it found before, and leaves nothing behind', async () => {
    const { store, keys } = storeWith({});
    store.listUploads = () => new Promise(() => undefined);
    const told: Partial<ProbeResult>[] = [];
    await assert.rejects(
      probeStore(store, STEPS, (found) => told.push(found), 100),
      /to list unfinished uploads took more than 0.1 s, and was given up/,
    );
    assert.deepEqual(told, [{ clockSkewMs: 7 }, { keeps: KEPT }]);
    assert.deepEqual(keys(), []);
  });

  test('does not wait once more for a server that hangs', async ({ mock }) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { store } = storeWith({});
    store.put = () => new Promise(() => undefined);
    const asked = mock.method(store, 'remove', () => new Promise(() => undefined));
    const messages: string[] = [];
    probeStore(store, STEPS).catch((error: unknown) => messages.push(String(error)));
    mock.timers.tick(30_000);
    while (asked.mock.callCount() === 0) await nextTurn();
    mock.timers.tick(3_000);
    await nextTurn();
    assert.match(messages.join(), /to write, read and list an object took more than 30\.0 s/);
  });

  for (const [what, faults, message] of [
    ['that gives back something else than it was given', { altersBody: true }, /reads differently/],
    ['that does not list what it has', { hidesFromList: true }, /is not listed/],
  ] as const) {
    test(`${what} fails for good, and leaves nothing behind`, async () => {
      const { store, keys } = storeWith(faults);
      await assert.rejects(probeStore(store, STEPS), (error) => {
        assert.ok(error instanceof FailureError);
        assert.deepEqual([error.failure.code, error.failure.transient], ['probe-failed', false]);
        assert.match(error.message, message);
        return true;
      });
      assert.deepEqual(keys(), []);
    });
  }
});
