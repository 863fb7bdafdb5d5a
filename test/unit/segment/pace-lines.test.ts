import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NEVER } from '../../../src/base/signals.ts';
import { Grants } from '../../../src/segment/grants.ts';
import { paceLines } from '../../../src/segment/pace-lines.ts';

describe('lines at a pace', () => {
  test('are the same bytes, in pieces that are granted one by one, and no buffer is read ahead', async () => {
    let read = 0;
    async function* buffers(): AsyncGenerator<Buffer, void, undefined> {
      for (const text of ['abcdefg', '', 'hi', 'jklmno']) {
        read += 1;
        yield Buffer.from(text);
      }
    }
    const wanted: number[] = [];
    const reads: number[] = [];
    const grant = async (bytes: number): Promise<void> => {
      wanted.push(bytes);
      reads.push(read);
    };
    const pieces: string[] = [];
    for await (const piece of paceLines(buffers(), 3, grant)) pieces.push(piece.toString());
    assert.deepEqual(pieces, ['abc', 'def', 'g', 'hi', 'jkl', 'mno']);
    assert.deepEqual(wanted, [3, 3, 1, 2, 3, 3]);
    assert.deepEqual(reads, [1, 1, 1, 3, 4, 4]);
  });
});

describe('grants', () => {
  test('are given in the order in which they were asked for', async () => {
    const wanted: number[] = [];
    const grants = new Grants(NEVER, (bytes) => wanted.push(bytes));
    const order: string[] = [];
    const asks = [grants.ask(10).then(() => order.push('first')), grants.ask(20).then(() => order.push('second'))];
    assert.deepEqual(wanted, [10, 20]);
    grants.granted();
    await asks[0];
    assert.deepEqual(order, ['first']);
    grants.granted();
    await asks[1];
    grants.granted();
  });

  test('are not waited for once the task is dropped', async () => {
    const drop = new AbortController();
    const grants = new Grants(drop.signal, () => undefined);
    const ask = assert.rejects(grants.ask(10), /dropped/);
    drop.abort(new Error('dropped'));
    await ask;
    await assert.rejects(grants.ask(10), /dropped/);
  });
});
