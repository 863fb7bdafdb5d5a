import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { describe, test } from 'node:test';
import { Upload } from '@aws-sdk/lib-storage';
import fc from 'fast-check';
import { PartsInFlight } from '../../../../src/store/s3/parts-in-flight.ts';
import { FIRST_BYTES, PartMemory, Parts } from '../../../../src/store/s3/parts.ts';

interface Cut {
  parts: Parts;
  memory: PartMemory;
  failures: unknown[];
}

const tooLarge = new Error('too large');
const unlimited = { mostParts: Infinity, tooLarge: () => tooLarge };

function cut(
  body: AsyncIterable<Buffer>,
  partBytes: number,
  { memory = new PartMemory(partBytes), mostParts = Infinity } = {},
): Cut {
  const failures: unknown[] = [];
  const onFailure = (error: unknown): void => void failures.push(error);
  const inFlight = { take: () => Promise.resolve() };
  return {
    parts: new Parts(body, { ...unlimited, partBytes, mostParts, memory, inFlight, onFailure }),
    memory,
    failures,
  };
}

/** One buffer, again and again: it is written over once the next slice is asked for. */
async function* lent(slices: readonly Uint8Array[]): AsyncGenerator<Buffer, void, undefined> {
  const buffer = Buffer.alloc(Math.max(0, ...slices.map(({ length }) => length)));
  for (const slice of slices) {
    buffer.set(slice);
    yield buffer.subarray(0, slice.length);
    buffer.fill(0xee);
    await setImmediate();
  }
}

const bytes = (length: number, value = 1): Buffer => Buffer.alloc(length, value);

async function allOf(parts: Parts): Promise<{ partNumber: number; data: Buffer; lastPart?: boolean }[]> {
  const all = [];
  for await (const part of parts) all.push(part);
  return all;
}

/** A body that waits for ever after its slices. */
async function* stalled(slices: readonly Buffer[], left: { early: boolean }): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* slices;
    await new Promise(() => undefined);
  } finally {
    left.early = true;
  }
}

describe('parts', () => {
  test('are numbered, of one size but the last, which says that it is the last; and hold what the body held', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 30 })),
        fc.integer({ min: 1, max: 40 }),
        async (slices, partBytes) => {
          const { parts } = cut(lent(slices), partBytes);
          const all = await allOf(parts);
          const content = Buffer.concat(slices);
          assert.deepEqual(Buffer.concat(all.map(({ data }) => data)), content);
          assert.equal(parts.bytes, content.length);
          assert.deepEqual(
            all.map(({ partNumber }) => partNumber),
            Array.from({ length: Math.max(1, Math.ceil(content.length / partBytes)) }, (_, index) => index + 1),
          );
          assert.ok(
            all.slice(0, -1).every(({ data, lastPart }) => data.length === partBytes && lastPart === undefined),
          );
          assert.equal(all.at(-1)?.lastPart, true);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('go only when there is room, the last one too', async () => {
    let asked = 0;
    const inFlight = { take: () => (++asked < 3 ? Promise.resolve() : new Promise<void>(() => undefined)) };
    const memory = new PartMemory(10);
    const parts = new Parts(lent([bytes(25)]), {
      ...unlimited,
      ...{ partBytes: 10, memory, inFlight, onFailure: () => undefined },
    });
    const seen: number[] = [];
    void (async () => {
      for await (const { partNumber } of parts) seen.push(partNumber);
    })();
    for (let turn = 0; turn < 20; turn += 1) await setImmediate();
    assert.deepEqual([seen, asked], [[1, 2], 3]);
  });

  test('come to several who ask at once, each to one of them, and then they all hear that it was the last', async () => {
    const { parts } = cut(lent([bytes(25)]), 10);
    const seen: number[] = [];
    const ask = async (): Promise<void> => {
      for await (const { partNumber } of parts) {
        seen.push(partNumber);
        await setImmediate();
      }
    };
    await Promise.all([ask(), ask(), ask(), ask()]);
    assert.deepEqual(seen, [1, 2, 3]);
  });

  test('of one who has enough end, and others who wait hear that there are no more', async () => {
    const { parts } = cut(lent([bytes(5)]), 10);
    const [first, second] = [parts.next(), parts.next()];
    assert.equal((await first).value?.lastPart, true);
    await parts.return();
    assert.deepEqual(await second, { done: true, value: undefined });
  });

  test('of one who fails end at once for others who wait, though there is no room for more', async () => {
    const memory = new PartMemory(10);
    const inFlight = new PartsInFlight(1);
    const parts = new Parts(lent([bytes(35)]), {
      ...unlimited,
      ...{ partBytes: 10, memory, inFlight, onFailure: () => undefined },
    });
    assert.equal((await parts.next()).value?.partNumber, 1);
    const waiting = [parts.next(), parts.next()];
    await parts.return();
    for (const part of [...waiting, parts.next()]) assert.deepEqual(await part, { done: true, value: undefined });
  });

  test('are stopped while the body is stalled: who waits hears why, as does who asks later', async () => {
    const left = { early: false };
    const { parts, failures } = cut(stalled([bytes(15)], left), 10);
    await parts.next();
    const waiting = [parts.next(), parts.next()];
    parts.stop(new Error('no more'));
    for (const part of [...waiting, parts.next()]) await assert.rejects(part, /no more/);
    assert.deepEqual([failures, left.early], [[], false]);
  });

  test('end the body when nobody wants more', async () => {
    const left = { early: false };
    const { parts } = cut(stalled([bytes(15), bytes(15)], left), 10);
    await parts.next();
    await parts.return();
    await setImmediate();
    assert.ok(left.early);
  });

  test('fail with what the body threw, which is told at once', async () => {
    const broken = new Error('the source broke');
    async function* body(): AsyncGenerator<Buffer> {
      yield bytes(45);
      await setImmediate();
      throw broken;
    }
    const { parts, failures } = cut(body(), 20);
    assert.equal((await parts.next()).value?.partNumber, 1);
    assert.equal((await parts.next()).value?.partNumber, 2);
    await assert.rejects(parts.next(), { cause: broken });
    assert.deepEqual(failures, [broken]);
  });

  test('are as many as an object may have, of a body that just fits', async () => {
    const { parts, failures } = cut(lent([bytes(25), bytes(5)]), 10, { mostParts: 3 });
    assert.equal((await allOf(parts)).length, 3);
    assert.deepEqual(failures, []);
  });

  test('fail by the first byte that is too many for an object, though the body is stalled behind it', async () => {
    const { parts, failures } = cut(stalled([bytes(30), bytes(1)], { early: false }), 10, { mostParts: 3 });
    await parts.next();
    await parts.next();
    await assert.rejects(parts.next(), { cause: tooLarge });
    assert.deepEqual(failures, [tooLarge]);
  });

  test('are what lib-storage still lets itself be fed', () => {
    assert.equal(typeof (Upload.prototype as unknown as Record<string, unknown>)['__doConcurrentUpload'], 'function');
  });
});

describe('the memory of parts', () => {
  test('is used again, by the same upload and the next, until it is let go', async () => {
    const memory = new PartMemory(10);
    const seen = new Set<unknown>();
    const upload = async (): Promise<void> => {
      for await (const { data } of cut(lent([bytes(95)]), 10, { memory }).parts) {
        seen.add(data.buffer);
        memory.giveBack(data);
      }
    };
    await upload();
    const before = seen.size;
    await upload();
    assert.deepEqual([before, seen.size], [1, 1]);
    memory.letGo();
    assert.equal(
      [...seen].every((buffer) => (buffer as ArrayBuffer).detached),
      true,
    );
    await upload();
    assert.equal(seen.size, 2);
  });

  test('is not shared by parts of which none was given back', async () => {
    const all = await allOf(cut(lent([bytes(25, 1), bytes(25, 2)]), 20).parts);
    assert.deepEqual(
      all.map(({ data }) => data.buffer.byteLength),
      [20, 20, 20],
    );
    assert.equal(new Set(all.map(({ data }) => data.buffer)).size, 3);
  });

  test('of a small object is little, and grows to that of a part when that is full', async () => {
    const partBytes = 4 * FIRST_BYTES;
    const sizes = async (length: number): Promise<[number, number][]> => {
      const all = await allOf(cut(lent([bytes(length, 3)]), partBytes).parts);
      return all.map(({ data }) => [data.equals(bytes(length, 3)) ? data.length : NaN, data.buffer.byteLength]);
    };
    assert.deepEqual(await sizes(FIRST_BYTES), [[FIRST_BYTES, FIRST_BYTES]]);
    assert.deepEqual(await sizes(FIRST_BYTES + 1), [[FIRST_BYTES + 1, partBytes]]);
  });
});
