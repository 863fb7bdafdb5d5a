import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { crc32, gzipSync } from 'node:zlib';
import { FailureError } from '../../../../src/base/errors.ts';
import { NEVER } from '../../../../src/base/signals.ts';
import type { Inflater } from '../../../../src/format/compress/unpack.ts';
import { isalProblem } from '../../../../src/format/compress/isal.ts';
import { readRows } from '../../../../src/segment/restore/read-rows.ts';
import type { ObjectTask } from '../../../../src/segment/restore/task.ts';
import type { Store } from '../../../../src/store/store.ts';
import { skipWithout } from '../../../support/needs.ts';

const LINES = Buffer.from(Array.from({ length: 50 }, (_, at) => `{"id":${at},"t":"${at * 7919}"}\n`).join(''));
const WHOLE = gzipSync(LINES);

function taskOf(body: Buffer, lines = LINES, isKnown = true): ObjectTask {
  const wanted = isKnown ? body : WHOLE;
  return {
    key: 'a/part-00000.jsonl.gz',
    codec: 'gzip',
    windowBytes: 0,
    maxValueBytes: 1000,
    columns: ['id', 't'].map((name) => ({ name, form: { kind: 'value' } })),
    expected: {
      rows: lines.toString().split('\n').length - 1,
      jsonBytes: lines.length,
      bytes: wanted.length,
      sha256: createHash('sha256').update(wanted).digest('hex'),
      crc32: crc32(lines).toString(16).padStart(8, '0'),
    },
  } as unknown as ObjectTask;
}

/** Rows of the object, or why there are none; and how often it was read. */
async function read(
  inflater: Inflater,
  body: Buffer,
  task = taskOf(body),
): Promise<{ found: string; reads: number; failure?: unknown }> {
  let reads = 0;
  const store = {
    async *read() {
      reads += 1;
      for (let at = 0; at < body.length; at += 100) yield Buffer.from(body.subarray(at, at + 100));
    },
  } as unknown as Store;
  const rows: string[] = [];
  try {
    const hooks = { signal: NEVER, onProgress: () => undefined };
    for await (const piece of readRows(task, store, hooks, inflater)) rows.push(piece.toString());
    return { found: rows.join(''), reads };
  } catch (error) {
    const failure = error instanceof FailureError ? error.failure : error;
    return { found: error instanceof Error ? error.message : '', reads, failure };
  }
}

/** What may become of an object after it was written, and of one that was written by another hand. */
const BODIES: [string, Buffer, Buffer?][] = [
  ['whole', WHOLE],
  ['cut in the middle', WHOLE.subarray(0, WHOLE.length >> 1)],
  ['cut in the trailer', WHOLE.subarray(0, -3)],
  ['empty', Buffer.alloc(0)],
  ['another thing', Buffer.from('<html>no such object</html>')],
  ['one byte too long', Buffer.concat([WHOLE, Buffer.from('x')])],
  ['of two members', Buffer.concat([gzipSync(LINES.subarray(0, 500)), gzipSync(LINES.subarray(500))])],
  ['with more lines', gzipSync(Buffer.concat([LINES, LINES]))],
  ['with a name in its header', Buffer.concat([Buffer.from('1f8b08080000000000036100', 'hex'), WHOLE.subarray(10)])],
  ['with a line that is none', gzipSync(LINES.toString().replace('"id":30', '"id":x')), LINES],
];

test('rows wait until they are granted, piece by piece, where there is a pace', async () => {
  const task = { ...taskOf(WHOLE), pieceBytes: 100 };
  const store = { read: () => Readable.from([WHOLE]) } as unknown as Store;
  const [asked, waiting]: [number[], (() => void)[]] = [[], []];
  const grant = async (bytes: number): Promise<void> => {
    asked.push(bytes);
    await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const rows = readRows(task, store, { signal: NEVER, onProgress: () => undefined, grant }, 'zlib');
  let isOut = false;
  const first = rows.next().finally(() => (isOut = true));
  while (asked.reduce((sum, bytes) => sum + bytes, 0) < LINES.length) {
    const release = waiting.shift();
    assert.equal(isOut, false, 'nothing goes on before all of the slice is granted');
    release?.();
    await new Promise(setImmediate);
  }
  waiting.shift()?.();
  await first;
  assert.ok(Math.max(...asked) <= 100);
  assert.equal(
    asked.reduce((sum, bytes) => sum + bytes, 0),
    LINES.length,
  );
  await rows.return();
});

describe('an object that is restored', { skip: skipWithout('libisal.so.2', isalProblem() ?? false) }, () => {
  for (const [name, body] of BODIES)
    for (const isKnown of [true, false])
      test(`${name} is by ISA-L what it is by zlib${isKnown ? ', also where the manifest has its digest' : ''}`, async () => {
        const task = taskOf(body, LINES, isKnown);
        const [isal, zlib] = [await read('isal', body, task), await read('zlib', body, task)];
        assert.deepEqual([isal.found, isal.failure], [zlib.found, zlib.failure]);
        assert.equal(isal.reads, zlib.failure === undefined ? 1 : 2, 'what is good is read once');
      });

  test('with any bit flipped fails with the same words', async () => {
    for (let bit = 0; bit < WHOLE.length * 8; bit += 13) {
      const damaged = Buffer.from(WHOLE);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      for (const isKnown of [true, false]) {
        const task = taskOf(damaged, LINES, isKnown);
        const [isal, zlib] = [await read('isal', damaged, task), await read('zlib', damaged, task)];
        assert.deepEqual([isal.found, isal.failure], [zlib.found, zlib.failure], `bit ${bit}`);
      }
    }
  });
});
