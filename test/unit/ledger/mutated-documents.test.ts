/**
 * Documents that somebody has changed in thousands of ways: each is refused by a failure of its own, or is taken for what it
 * says; and whatever it says, the statements that are made from it are those that a correct one gives.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { newSeed } from '../../support/random.ts';
import { KINDS, nameOfKind, type MutatedWork } from '../../support/read-mutated.ts';
import { triesOf } from '../../support/thorough.ts';

const COUNT = triesOf(2_800, 10_000);
/** The longest documents have a megabyte. */
const HEAP = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 16 };

/** The thread, while it lives: one that has died of a document is followed by another. */
let thread: Worker | undefined;
after(() => thread?.terminate());

/** Reads that many changes of a document; resolves to the statements that were made of them. */
async function read(at: number, first: number, count: number): Promise<number> {
  const seed = new Int32Array(new SharedArrayBuffer(4));
  thread ??= new Worker(new URL('../../support/read-mutated.ts', import.meta.url), { resourceLimits: HEAP });
  try {
    thread.postMessage({ at, first, count, seed } satisfies MutatedWork);
    const [statements] = (await once(thread, 'message')) as [number];
    return statements;
  } catch (error) {
    thread = undefined;
    throw new Error(`at the change of seed ${seed[0]}; PGSLUICE_TEST_SEED=${first} has them all`, { cause: error });
  }
}

describe(`${COUNT} changes of plans, receipts and manifests`, () => {
  const first = newSeed();

  for (let at = 0; at < KINDS; at += 1)
    test(`${nameOfKind(at)}: refused, or statements like those of a correct one`, { timeout: 120_000 }, async () => {
      const statements = await read(at, first, Math.ceil(COUNT / KINDS));
      if (nameOfKind(at).startsWith('plan'))
        assert.ok(statements > COUNT / 100, `no more than ${statements} statements were made`);
    });
});
