import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { getTasks } from 'node-cron';
import { Schedule } from '../../../../src/daemon/slots/schedule.ts';
import type { ArchiveConfig } from '../../../../src/config/schema.ts';

function archive(name: string, schedule: string | undefined, timezone = 'UTC'): ArchiveConfig {
  return { name, timezone, ...(schedule === undefined ? {} : { schedule }) } as unknown as ArchiveConfig;
}

/** A schedule whose clock the test sets; its own timer is never started. */
function setUp() {
  let now = Date.parse('2026-11-23T10:00:30Z');
  let elapsed = 0;
  const told: string[] = [];
  const setBack: number[] = [];
  const jumps: number[] = [];
  const schedule = new Schedule(
    (name, slots) => told.push(`${name} ${slots.map((slot) => slot.toISOString().slice(11, 16)).join(' ')}`),
    { onSetBack: (byMs) => setBack.push(byMs), onJump: (byMs) => jumps.push(byMs) },
    { now: () => now, elapsed: () => elapsed },
  );
  const tickAt = (time: string): string[] => {
    elapsed += Date.parse(time) - now;
    now = Date.parse(time);
    told.length = 0;
    schedule.tick();
    return [...told];
  };
  const jumpBy = (ms: number): string[] => {
    now += ms;
    told.length = 0;
    schedule.tick();
    return [...told];
  };
  return { schedule, tickAt, jumpBy, setBack, jumps, nowIs: () => now };
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
      { onSetBack: () => undefined, onJump: () => undefined },
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

  const SECOND = 1000;
  const DAY = 86_400_000;
  for (const expression of ['* * * * * *', '*/7 * * * * *', '*/5 * * * *', '15 2 * * *', '30 15 2 * * *'])
    for (const begin of ['2026-11-23T10:00:30Z', '2027-03-27T22:00:00Z', '2027-10-30T22:00:00Z'])
      test(`${expression} from ${begin} goes on after the clock has jumped, by a second and by 400 days`, () => {
        const { schedule, tickAt, jumpBy, jumps, nowIs } = setUp();
        tickAt(begin);
        schedule.set([archive('it', expression, 'Europe/Berlin')]);
        for (const by of [1, 59, 3600, 86_400, 60 * 86_400, 400 * 86_400].flatMap((s) => [s * SECOND, -s * SECOND])) {
          jumps.length = 0;
          const told = jumpBy(by).flatMap((line) => line.split(' ').slice(1));
          assert.ok(told.length <= 1000, String(told.length));
          if (by < 0) assert.equal(told.length, 0);
          assert.deepEqual(jumps, Math.abs(by) < 5 * SECOND ? [] : [by]);
          // The next slot is the one that the expression says, whatever was passed over.
          const fresh = setUp();
          fresh.tickAt(new Date(nowIs()).toISOString());
          fresh.schedule.set([archive('it', expression, 'Europe/Berlin')]);
          const next = schedule.nextSlot('it')?.getTime() ?? 0;
          const wanted = fresh.schedule.nextSlot('it')?.getTime() ?? 0;
          // Where the clock was set back by less than a minute, no slot comes twice.
          assert.ok(next === wanted || (by < 0 && by > -60 * SECOND && next > wanted), `${by}: ${next - wanted}`);
        }
      });

  for (const without of ['the watch', 'nothing'])
    test(`has node-cron count nothing slot by slot when the clock has jumped, without ${without}`, async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.parse('2026-11-23T10:00:30.500Z') });
      let elapsed = 0;
      const told: Date[] = [];
      const schedule = new Schedule(
        (_name, slots) => {
          told.push(...slots);
        },
        { onSetBack: () => undefined, onJump: () => undefined },
        { now: () => Date.now(), elapsed: () => elapsed },
      );
      const pass = async (ms: number): Promise<void> => {
        elapsed += ms;
        t.mock.timers.tick(ms);
        await setImmediate();
      };
      const armed = t.mock.method(globalThis, 'setTimeout');
      schedule.set([archive('seconds', '* * * * * *', 'Europe/Berlin')]);
      schedule.start();
      const watch = armed.mock.calls.find(({ stack }) => String(stack.stack).includes('armWatch'));
      // Timers are late, and come in any order: the clock may have jumped right before one of node-cron's.
      if (without === 'the watch') clearTimeout(watch?.result);
      await pass(SECOND);
      assert.equal(told.length, 1);
      const formatted = t.mock.method(Intl.DateTimeFormat.prototype, 'formatToParts');
      t.mock.timers.setTime(Date.now() + DAY);
      await pass(SECOND);
      const slots: number = told.length;
      assert.ok(slots >= 1000 && slots < 1010, String(slots));
      assert.ok(formatted.mock.callCount() < 5000, `${formatted.mock.callCount()} times`);
      await pass(SECOND);
      schedule.stop();
    });
});
