import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { getTasks } from 'node-cron';
import { Schedule } from '../../../../src/daemon/slots/schedule.ts';
import type { ArchiveConfig } from '../../../../src/config/schema.ts';

function archive(name: string, schedule: string | undefined, timezone = 'UTC'): ArchiveConfig {
  return { name, timezone, ...(schedule === undefined ? {} : { schedule }) } as unknown as ArchiveConfig;
}

/** A schedule whose clock the test sets; its own timer is never started. */
function setUp() {
  let now = Date.parse('2026-11-23T10:00:30Z');
  const told: string[] = [];
  const setBack: number[] = [];
  const schedule = new Schedule(
    (name, slots) => told.push(`${name} ${slots.map((slot) => slot.toISOString().slice(11, 16)).join(' ')}`),
    (byMs) => setBack.push(byMs),
    () => now,
  );
  const tickAt = (time: string): string[] => {
    now = Date.parse(time);
    told.length = 0;
    schedule.tick();
    return [...told];
  };
  return { schedule, tickAt, setBack };
}

describe('a schedule', () => {
  test('tells each slot once, when it has come', () => {
    const { schedule, tickAt } = setUp();
    schedule.set([archive('often', '*/5 * * * *'), archive('by-hand', undefined)]);
    assert.deepEqual(schedule.nextSlot('often'), new Date('2026-11-23T10:05Z'));
    assert.equal(schedule.nextSlot('by-hand'), undefined);
    assert.deepEqual(tickAt('2026-11-23T10:04:59.999Z'), []);
    assert.deepEqual(tickAt('2026-11-23T10:05:00.000Z'), ['often 10:05']);
    assert.deepEqual(tickAt('2026-11-23T10:05:00.001Z'), []);
    assert.deepEqual(schedule.nextSlot('often'), new Date('2026-11-23T10:10Z'));
  });

  test('tells all slots that came while the machine slept', () => {
    const { schedule, tickAt } = setUp();
    schedule.set([archive('often', '*/5 * * * *')]);
    assert.deepEqual(tickAt('2026-11-23T10:17:00Z'), ['often 10:05 10:10 10:15']);
  });

  test('loses no slot to a reload, and begins anew where the schedule or its zone has changed', () => {
    const { schedule, tickAt } = setUp();
    schedule.set([archive('same', '*/5 * * * *'), archive('changed', '*/5 * * * *')]);
    tickAt('2026-11-23T10:06:00Z');
    tickAt('2026-11-23T10:09:59Z');
    schedule.set([archive('same', '*/5 * * * *'), archive('changed', '*/5 * * * *', 'Asia/Kathmandu')]);
    assert.deepEqual(schedule.begunAt('same'), new Date('2026-11-23T10:00:30Z'));
    assert.deepEqual(schedule.begunAt('changed'), new Date('2026-11-23T10:09:59Z'));
    assert.deepEqual(tickAt('2026-11-23T10:10:00Z'), ['same 10:10', 'changed 10:10']);
    schedule.set([archive('changed', '*/5 * * * *', 'Asia/Kathmandu')]);
    assert.deepEqual(tickAt('2026-11-23T10:15:00Z'), ['changed 10:15']);
  });

  test('tells no slot twice when the clock is set back a little, and goes on when it is set back by much', () => {
    const { schedule, tickAt, setBack } = setUp();
    schedule.set([archive('often', '*/5 * * * *')]);
    assert.deepEqual(tickAt('2026-11-23T10:05:00Z'), ['often 10:05']);
    assert.deepEqual(tickAt('2026-11-23T10:04:10Z'), []);
    assert.deepEqual(tickAt('2026-11-23T10:05:01Z'), []);
    assert.deepEqual(setBack, []);
    assert.deepEqual(tickAt('2026-11-23T09:01:00Z'), []);
    assert.equal(setBack.length, 1);
    assert.deepEqual(tickAt('2026-11-23T09:05:00Z'), ['often 09:05']);
  });

  test('is fired by node-cron, without the watch, and no more after a stop', async (t) => {
    const armed = t.mock.method(globalThis, 'setTimeout');
    const told = Promise.withResolvers<readonly Date[]>();
    const schedule = new Schedule(
      (_name, slots) => {
        told.resolve(slots);
      },
      () => undefined,
    );
    schedule.set([archive('seconds', '* * * * * *')]);
    assert.equal(getTasks().size, 0);
    schedule.start();
    assert.equal(getTasks().size, 1);
    // Of the timers that there are now, the watch's alone is ours.
    const watch = armed.mock.calls.find(({ stack }) => String(stack.stack).includes('armWatch'));
    clearTimeout(watch?.result);
    const [slot] = await told.promise;
    assert.equal(slot?.getMilliseconds(), 0);
    assert.ok(slot.getTime() <= Date.now());
    schedule.set([]);
    assert.equal(getTasks().size, 0);
    schedule.stop();
  });
});
