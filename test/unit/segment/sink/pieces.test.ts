import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BUDGET } from '../../../../src/base/memory-budget.ts';
import { letGoOfAll } from '../../../../src/base/kept.ts';
import { FIRST_PIECE_BYTES, gatherPieces, PieceMemory } from '../../../../src/segment/sink/pieces.ts';

async function gather(slices: readonly Buffer[], partBytes: number, pieceBytes?: number): Promise<Buffer[]> {
  async function* source(): AsyncGenerator<Buffer, void, undefined> {
    yield* slices;
  }
  const parts: Buffer[] = [];
  for await (const part of gatherPieces(source(), partBytes, new PieceMemory(pieceBytes))) parts.push(part);
  return parts;
}

describe('pieces', () => {
  test('end where a part ends, and are of one size besides', async () => {
    const pieces = await gather([Buffer.alloc(33, 1), Buffer.alloc(20, 2)], 25, 10);
    assert.deepEqual(
      pieces.map(({ length }) => length),
      [10, 10, 5, 10, 10, 5, 3],
    );
  });

  test('are all of one size but the last, and hold what the slices held', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 30 })),
        fc.integer({ min: 1, max: 40 }),
        async (arrays, partBytes) => {
          const slices = arrays.map((array) => Buffer.from(array));
          const parts = await gather(slices, partBytes);
          assert.deepEqual(Buffer.concat(parts), Buffer.concat(slices));
          assert.ok(parts.slice(0, -1).every((part) => part.length === partBytes));
          assert.ok(parts.every((part) => part.length > 0 && part.length <= partBytes));
        },
      ),
    );
  });

  test('own their memory, whole and alone, so that none pins or overwrites another', async () => {
    const parts = await gather([Buffer.alloc(25, 1), Buffer.alloc(25, 2)], 20);
    assert.deepEqual(
      parts.map((part) => part.buffer.byteLength),
      [20, 20, 20],
    );
    assert.equal(new Set(parts.map((part) => part.buffer)).size, 3);
  });

  test('of a small object take little memory, and grow to a whole one when that is full', async () => {
    const [firstBytes, { bytes }] = [FIRST_PIECE_BYTES, BUDGET.pieces];
    const slice = Buffer.alloc(firstBytes, 3);
    const [small, larger] = [await gather([slice], 1024 ** 3), await gather([slice, Buffer.from([4])], 1024 ** 3)];
    assert.deepEqual(
      [small, larger].map((parts) => parts.map((part) => [part.length, part.buffer.byteLength])),
      [[[firstBytes, bytes]], [[firstBytes + 1, bytes]]],
    );
    const [least] = await gather([slice.subarray(1)], 1024 ** 3);
    assert.deepEqual([least?.length, least?.buffer.byteLength], [firstBytes - 1, firstBytes]);
    assert.deepEqual(Buffer.concat(larger), Buffer.concat([slice, Buffer.from([4])]));
  });

  test('are none for an empty source, and no empty one follows a full one', async () => {
    assert.deepEqual(await gather([], 20), []);
    assert.deepEqual(await gather([Buffer.alloc(0)], 20), []);
    assert.equal((await gather([Buffer.alloc(20), Buffer.alloc(20)], 20)).length, 2);
  });

  test('come as soon as they are full, and stop with the error of the source', async () => {
    async function* source(): AsyncGenerator<Buffer, void, undefined> {
      yield Buffer.alloc(45);
      throw new Error('the source broke');
    }
    const seen: number[] = [];
    await assert.rejects(async () => {
      for await (const part of gatherPieces(source(), 20, new PieceMemory())) seen.push(part.length);
    }, /the source broke/);
    assert.deepEqual(seen, [20, 20]);
  });

  test('are made of those that were given back, of this upload and of the one before, until nobody asks for a while', async () => {
    const seen = new Set<unknown>();
    async function upload(bytes: number): Promise<void> {
      const memory = new PieceMemory(10);
      for await (const piece of gatherPieces(toSlices(bytes), 25, memory)) {
        // Those that end with their part are shorter, and go.
        if (piece.length === 10) seen.add(piece.buffer);
        memory.giveBack(piece);
      }
      memory.close();
    }
    async function* toSlices(bytes: number): AsyncGenerator<Buffer, void, undefined> {
      yield Buffer.alloc(bytes, 1);
    }
    await upload(100);
    const before = seen.size;
    await upload(100);
    assert.deepEqual([before, seen.size], [1, 1]);
    await letGoOfAll();
    await upload(100);
    assert.equal(seen.size, 2);
  });
});
