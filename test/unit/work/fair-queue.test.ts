import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FairQueue } from '../../../src/work/fair-queue.ts';

const never = new AbortController().signal;

/** A queue whose tasks end when the test says so. */
function watched(places: number) {
  const queue = new FairQueue(places);
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const enter = (name: string, signal = never): Promise<void> =>
    queue.run(name.replace(/\d+$/, ''), signal, async () => {
      started.push(name);
      await new Promise<void>((resolve) => ends.set(name, resolve));
    });
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await turn();
  };
  return { queue, started, enter, end };
}

describe('a fair queue', () => {
  test('lets as many in as it has places, and the next when one leaves', async () => {
    const { queue, started, enter, end } = watched(2);
    const all = ['a1', 'a2', 'a3'].map((name) => enter(name));
    await turn();
    assert.deepEqual(started, ['a1', 'a2']);
    assert.deepEqual([queue.active, queue.waiting], [2, 1]);
    await end('a2');
    assert.deepEqual(started, ['a1', 'a2', 'a3']);
    await end('a1');
    await end('a3');
    await Promise.all(all);
    assert.deepEqual([queue.active, queue.waiting], [0, 0]);
  });

  test('gives a free place to the run that has the fewest, though others came first', async () => {
    const { started, enter, end } = watched(3);
    const all = ['a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'c1', 'b2'].map((name) => enter(name));
    await turn();
    await end('a1');
    assert.equal(started.at(-1), 'b1');
    await end('a2');
    assert.equal(started.at(-1), 'c1');
    // Each of the three has one place now less the one that ends; the first in line wins a tie.
    await end('a3');
    assert.equal(started.at(-1), 'a4');
    await end('b1');
    assert.equal(started.at(-1), 'b2');
    for (const name of ['c1', 'a4', 'b2', 'a5']) await end(name);
    await Promise.all(all);
  });

  test('gives the place back when the work throws, and passes the error on', async () => {
    const queue = new FairQueue(1);
    await assert.rejects(
      queue.run('a', never, () => Promise.reject(new Error('the work failed'))),
      /the work failed/,
    );
    assert.equal(await queue.run('a', never, async () => 'done'), 'done');
  });

  test('lets one that waits go when its signal aborts, with the reason, and never begins its work', async () => {
    const { queue, started, enter, end } = watched(1);
    const abort = new AbortController();
    const first = enter('a1');
    const second = enter('b1', abort.signal);
    const third = enter('c1');
    abort.abort(new Error('no longer wanted'));
    await assert.rejects(second, /no longer wanted/);
    assert.equal(queue.waiting, 1);
    await end('a1');
    assert.deepEqual(started, ['a1', 'c1']);
    await end('c1');
    await Promise.all([first, third]);
  });

  test('does not take one whose signal has aborted before', async () => {
    const { queue, started, enter } = watched(1);
    await assert.rejects(enter('a1', AbortSignal.abort(new Error('too late'))), /too late/);
    assert.deepEqual(started, []);
    assert.deepEqual([queue.active, queue.waiting], [0, 0]);
  });

  test('keeps the place of one that is in when its signal aborts, until its work ends', async () => {
    const { queue, enter, end } = watched(1);
    const abort = new AbortController();
    const inside = enter('a1', abort.signal);
    await turn();
    abort.abort();
    await turn();
    assert.equal(queue.active, 1);
    await end('a1');
    await inside;
    assert.equal(queue.active, 0);
  });

  test('gives a place away while its work steps aside, and waits for another one then', async () => {
    const queue = new FairQueue(1);
    const order: string[] = [];
    const [stepped, back] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    const first = queue.run('a', never, async () => {
      await queue.aside('a', never, async () => {
        stepped.resolve(undefined);
        await back.promise;
      });
      order.push('a goes on');
    });
    await stepped.promise;
    const second = queue.run('b', never, async () => {
      back.resolve(undefined);
      await new Promise((resolve) => setImmediate(resolve));
      order.push('b ends');
    });
    await Promise.all([first, second]);
    assert.deepEqual(order, ['b ends', 'a goes on']);
    assert.equal(queue.active, 0);
  });

  test('has no place too many when one that stepped aside gives up', async () => {
    const queue = new FairQueue(1);
    const stop = new AbortController();
    const work = queue.run('a', never, () =>
      queue.aside('a', stop.signal, () => {
        stop.abort(new Error('cancelled'));
        return Promise.reject(new Error('it gave up'));
      }),
    );
    await assert.rejects(work, /it gave up/);
    assert.equal(queue.active, 0);
    await queue.run('b', never, () => Promise.resolve());
  });

  test('never has more in than places, and does all work, whoever comes, fails and gives up', async () => {
    const task = fc.record({
      run: fc.constantFrom('a', 'b', 'c'),
      turns: fc.nat(4),
      fails: fc.boolean(),
      aborts: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(task, { maxLength: 30 }), async (places, tasks) => {
        const queue = new FairQueue(places);
        let most = 0;
        let done = 0;
        const all = tasks.map(({ run, turns, fails, aborts }) => {
          const abort = new AbortController();
          const result = queue.run(run, abort.signal, async () => {
            most = Math.max(most, queue.active);
            for (let at = 0; at < turns; at += 1) await turn();
            done += 1;
            if (fails) throw new Error('fails');
          });
          if (aborts)
            void turn().then(() => {
              abort.abort(new Error('aborted'));
            });
          return result;
        });
        const settled = await Promise.allSettled(all);
        const dropped = settled.filter(
          ({ status, ...rest }) =>
            status === 'rejected' && String((rest as { reason: unknown }).reason).includes('aborted'),
        );
        assert.ok(most <= places);
        assert.equal(done + dropped.length, tasks.length);
        assert.deepEqual([queue.active, queue.waiting], [0, 0]);
      }),
    );
  });
});
