/**
 * Ten thousand documents that somebody has changed: each is refused by a failure of its own, or is taken for what it says; and
 * whatever it says, the statements that are made from it are those that a correct one gives.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { newSeed } from '../../support/random.ts';
import { KINDS, nameOfKind, type MutatedWork } from '../../support/read-mutated.ts';

const COUNT = 10_000;
/** The longest documents have a megabyte. */
const HEAP = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 16 };

/** Reads that many changes of a document; resolves to the statements that were made of them. */
async function read(at: number, first: number, count: number): Promise<number> {
  const seed = new Int32Array(new SharedArrayBuffer(4));
  const work: MutatedWork = { at, first, count, seed };
  const worker = new Worker(new URL('../../support/read-mutated.ts', import.meta.url), {
    workerData: work,
    resourceLimits: HEAP,
  });
  try {
    const [statements] = (await once(worker, 'message')) as [number];
    return statements;
  } catch (error) {
    throw new Error(`at the change of seed ${seed[0]}; PGSLUICE_TEST_SEED=${first} has them all`, { cause: error });
  } finally {
    await worker.terminate();
  }
}

describe(`${COUNT} changes of plans, receipts and manifests`, () => {
  const first = newSeed();

  for (let at = 0; at < KINDS; at += 1)
    test(`${nameOfKind(at)}: refused, or statements like those of a correct one`, { timeout: 120_000 }, async () => {
      const statements = await read(at, first, COUNT / KINDS);
      if (nameOfKind(at).startsWith('plan'))
        assert.ok(statements > 100, `no more than ${statements} statements were made`);
    });
});
