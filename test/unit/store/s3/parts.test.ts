import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { PartMemory, Parts } from '../../../../src/store/s3/parts.ts';

/** Slices that lie in one buffer, as those of a compressor do. */
async function* lent(slices: readonly Uint8Array[]): AsyncGenerator<Buffer, void, undefined> {
  const buffer = Buffer.alloc(64);
  for (const slice of slices) {
    buffer.fill(0xee).set(slice);
    yield buffer.subarray(0, slice.length);
  }
}

async function* broken(error: Error): AsyncGenerator<Buffer, void, undefined> {
  yield Buffer.alloc(45);
  throw error;
}

/** Takes all parts, of which at most `atOnce` are not given back yet. */
async function collect(
  slices: readonly Uint8Array[],
  partBytes: number,
  atOnce: number,
): Promise<{ parts: Buffer[]; memories: number }> {
  const memory = new PartMemory(partBytes);
  const gathered = new Parts(lent(slices), memory);
  const [parts, held, memories]: [Buffer[], Buffer[], Set<unknown>] = [[], [], new Set()];
  for (let isLast = false; !isLast;) {
    const part = await gathered.next();
    ({ isLast } = part);
    memories.add(part.bytes.buffer);
    parts.push(Buffer.from(part.bytes));
    held.push(part.bytes);
    if (held.length > atOnce) memory.giveBack(held.shift()!);
  }
  return { parts, memories: memories.size };
}

describe('parts', () => {
  test('are all of one size but the last, and hold what the slices held, in memory that is used again', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 30 })),
        // A size of which nothing is kept from another test.
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 2 }),
        async (slices, partBytes, atOnce) => {
          const { parts, memories } = await collect(slices, partBytes, atOnce);
          assert.deepEqual(Buffer.concat(parts), Buffer.concat(slices));
          assert.ok(parts.slice(0, -1).every((part) => part.length === partBytes));
          assert.ok(parts.length === 1 || parts.at(-1)!.length > 0);
          assert.ok(memories <= atOnce + 1);
        },
      ),
    );
  });

  test('are one that is empty for an empty body', async () => {
    assert.deepEqual((await collect([], 20, 0)).parts, [Buffer.alloc(0)]);
    assert.deepEqual((await collect([Buffer.alloc(0)], 20, 0)).parts, [Buffer.alloc(0)]);
  });

  test('come once it is known whether they are the last, and end with the error of the body', async () => {
    const error = new Error('the source broke');
    const parts = new Parts(broken(error), new PartMemory(15));
    for (const isLast of [false, false]) assert.equal((await parts.next()).isLast, isLast);
    await assert.rejects(parts.next(), error);
  });

  test('end at once when they are stopped, also for a body that never answers, and never as if that were its end', async () => {
    let isLeft = false;
    async function* stalled(): AsyncGenerator<Buffer, void, undefined> {
      try {
        yield Buffer.alloc(5);
        await new Promise(() => undefined);
      } finally {
        isLeft = true;
      }
    }
    const cause = new Error('stop');
    const waiting = new Parts(stalled(), new PartMemory(50));
    const next = waiting.next();
    await new Promise(setImmediate);
    waiting.stop(cause);
    await assert.rejects(next, cause);
    assert.equal(isLeft, false);

    const between = new Parts(lent([Buffer.alloc(5), Buffer.alloc(5), Buffer.alloc(5)]), new PartMemory(5));
    await between.next();
    between.stop(cause);
    await assert.rejects(between.next(), cause);
  });

  test('use the memory of the upload before, once that is over, and none that was not given back', async () => {
    const first = new PartMemory(60);
    const [one, two] = [first.take(), first.take()];
    first.giveBack(one.subarray(0, 3));
    first.close();
    const second = new PartMemory(60);
    assert.equal(second.take().buffer, one.buffer);
    const other = second.take();
    assert.equal(other.length, 60);
    assert.notEqual(other.buffer, two.buffer);
  });
});
