import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fail, FailureError } from '../../../src/base/errors.ts';
import type { Receipt } from '../../../src/ledger/receipts.ts';
import type { RunFolder } from '../../../src/ledger/run-folder.ts';
import { GATHERING, ReceiptWriter } from '../../../src/run/receipt-writer.ts';
import { aReceipt } from '../../support/ledger.ts';

/** A folder whose writes end when the test says so. */
class HeldFolder {
  /** Numbers of the segments of each document, as it was begun. */
  readonly begun: number[][] = [];
  #end: PromiseWithResolvers<void> = Promise.withResolvers();

  async record(receipts: readonly Receipt[]): Promise<void> {
    this.begun.push(receipts.map(({ segment }) => segment));
    await this.#end.promise;
  }

  async letGo(error?: Error): Promise<void> {
    await turn();
    const ending = this.#end;
    this.#end = Promise.withResolvers();
    if (error === undefined) ending.resolve();
    else ending.reject(error);
    await turn();
  }
}

function writerOf(done: readonly Receipt[] = [], together: [number, number[]][] = []) {
  const folder = new HeldFolder();
  const believed = { done: new Map(done.map((one) => [one.segment, one])), together: new Map(together) };
  const stored: number[] = [];
  const hooks = {
    before: async () => {
      if (!lock.isHeld) throw fail('session-lost', { stage: 'lock', message: 'the lock is gone' });
    },
    onStored: ({ segment }: Receipt) => stored.push(segment),
  };
  const lock = { isHeld: true };
  return { folder, stored, lock, writer: new ReceiptWriter(folder as unknown as RunFolder, believed, hooks) };
}

const usual = GATHERING.ms;

/** Tells of a receipt whether its write was answered. */
function watch(writer: ReceiptWriter, segment: number, changes: Partial<Receipt> = {}): { state: string } {
  const seen = { state: 'waiting' };
  writer.record(aReceipt(segment, changes)).then(
    () => (seen.state = 'done'),
    (error: unknown) => (seen.state = String(error)),
  );
  return seen;
}

describe('the receipts of a run', () => {
  beforeEach(() => {
    GATHERING.ms = 0;
  });
  afterEach(() => {
    GATHERING.ms = usual;
  });

  test('are written one document at a time; what is done meanwhile goes into the next one, in its order', async () => {
    const { folder, writer } = writerOf();
    const first = watch(writer, 3);
    const others = [watch(writer, 5), watch(writer, 0), watch(writer, 4)];
    await turn();
    assert.deepEqual(folder.begun, [[3]]);
    await folder.letGo();
    assert.deepEqual([first.state, ...others.map(({ state }) => state)], ['done', 'waiting', 'waiting', 'waiting']);
    assert.deepEqual(folder.begun, [[3], [0, 4, 5]]);
    await folder.letGo();
    assert.deepEqual(
      others.map(({ state }) => state),
      ['done', 'done', 'done'],
    );
  });

  test('all fail that were to be in a document which could not be written, and no others', async () => {
    const { folder, writer } = writerOf();
    const first = watch(writer, 0);
    const others = [watch(writer, 1), watch(writer, 2)];
    await folder.letGo(fail('access-denied', { stage: 'upload', message: 'no' }));
    assert.match(first.state, /no/);
    assert.match(String(writer.failed.reason), /no/);
    await folder.letGo();
    assert.deepEqual(
      others.map(({ state }) => state),
      ['done', 'done'],
    );
  });

  test('do not lose others that stand in the document which they replace', async () => {
    const { folder, writer } = writerOf([aReceipt(4), aReceipt(9)], [[3, [4, 9]]]);
    watch(writer, 3);
    watch(writer, 12);
    await folder.letGo();
    await folder.letGo();
    assert.deepEqual(folder.begun, [[3, 4, 9], [12]]);
  });

  test('are in one document no more than it may have', async () => {
    const { folder, writer } = writerOf();
    for (let segment = 0; segment < 300; segment += 1) watch(writer, segment);
    for (let segment = 300; segment < 304; segment += 1) watch(writer, segment, { firstKey: ['x'.repeat(600_000)] });
    for (let writes = 0; writes < 5; writes += 1) await folder.letGo();
    assert.deepEqual(
      folder.begun.map(({ length }) => length),
      [1, 256, 45, 2],
    );
  });

  test('that come soon after others wait for more to be written with them, and keep nobody waiting', async () => {
    GATHERING.ms = 1e6;
    const { folder, stored, writer } = writerOf();
    const first = watch(writer, 0);
    await turn();
    assert.deepEqual([first.state, folder.begun], ['waiting', [[0]]]);
    await folder.letGo();
    const others = [watch(writer, 2), watch(writer, 1)];
    await turn();
    assert.deepEqual(
      [first, ...others].map(({ state }) => state),
      ['done', 'done', 'done'],
    );
    assert.deepEqual([folder.begun, stored], [[[0]], [0]]);
    const finishing = writer.finish();
    await turn();
    assert.deepEqual(folder.begun, [[0], [1, 2]]);
    await folder.letGo();
    await finishing;
    assert.deepEqual(stored, [0, 2, 1]);
  });

  test('wait for no more others than there is room for', async () => {
    GATHERING.ms = 1e6;
    const { folder, writer } = writerOf();
    watch(writer, 0);
    await folder.letGo();
    const others = Array.from({ length: 256 }, (_, at) => watch(writer, at + 1));
    await turn();
    assert.deepEqual(
      folder.begun.map(({ length }) => length),
      [1, 256],
    );
    assert.deepEqual(
      others.map(({ state }) => state),
      Array(256).fill('done'),
    );
  });

  test('are not written once the lock is gone, and the run hears of it', async () => {
    GATHERING.ms = 1e6;
    const { folder, lock, stored, writer } = writerOf();
    watch(writer, 0);
    await folder.letGo();
    watch(writer, 1);
    lock.isHeld = false;
    await assert.rejects(
      writer.finish(),
      (error) => error instanceof FailureError && error.failure.code === 'session-lost',
    );
    assert.deepEqual([folder.begun, stored, writer.failed.aborted], [[[0]], [0], true]);
  });
});
