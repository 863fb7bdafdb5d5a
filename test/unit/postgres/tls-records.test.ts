import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { test } from 'node:test';
import fc from 'fast-check';
import { gatherRecords } from '../../../src/postgres/tls-records.ts';

/** Puts records where Node would, by what it was told with the one before. */
class FakeSocket extends EventEmitter {
  [key: symbol]: unknown;
  readonly _handle = { useUserBuffer: (): void => undefined };
  readonly #symbols = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) => Symbol(name));
  pauses = 0;

  constructor() {
    super();
    for (const symbol of this.#symbols) this[symbol] = null;
  }

  pause(): void {
    this.pauses += 1;
  }

  resume(): void {}

  /** A record of bytes that tell their place in the stream. */
  record(from: number, bytes: number): void {
    const [room, take, next] = this.#symbols as [symbol, symbol, symbol];
    const at = this[room] as Buffer;
    assert.ok(at.length >= bytes, 'a record has no room');
    fill(at, from, bytes);
    (this[take] as (bytes: number, at: Buffer) => boolean)(bytes, at);
    this[room] = (this[next] as () => Buffer)();
  }
}

function fill(bytes: Buffer, from: number, count: number): void {
  for (let index = 0; index < count; index += 1) bytes[index] = ((from + index) * 2654435761) >>> 24;
}

test('what was lent stays as it is until more is asked for, however many records come meanwhile', async () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 16_384 }) },
      { weight: 3, arbitrary: fc.constant(8192) },
      { weight: 2, arbitrary: fc.constant('turn' as const) },
      { weight: 2, arbitrary: fc.constant('use' as const) },
    ),
    { minLength: 30, maxLength: 200 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const socket = new FakeSocket();
      const lender = gatherRecords(socket as unknown as TLSSocket)!;
      const lent: Buffer[] = [];
      lender.receive((bytes) => lent.push(bytes));
      let sent = 0;
      let used = 0;
      const use = (): void => {
        for (const bytes of lent.splice(0)) {
          const expected = Buffer.alloc(bytes.length);
          fill(expected, used, bytes.length);
          assert.ok(bytes.equals(expected), `what was lent at ${used} was overwritten`);
          used += bytes.length;
        }
        lender.lendMore();
      };
      for (const step of all) {
        if (step === 'turn') await turn();
        else if (step === 'use') use();
        else {
          socket.record(sent, step);
          sent += step;
        }
      }
      await turn();
      use();
      await turn();
      use();
      assert.equal(used, sent);
    }),
    { numRuns: 200 },
  );
});

test('a socket without the inside of Node is read as any other', () => {
  assert.equal(gatherRecords(Object.assign(new EventEmitter(), { _handle: {} }) as unknown as TLSSocket), undefined);
});
