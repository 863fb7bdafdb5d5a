import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createTask } from 'node-cron';
import { Slots } from '../../../../src/daemon/slots/slots.ts';
import { triesOf } from '../../../support/thorough.ts';

/** The first slots after a time, in UTC to the minute. */
function slots(expression: string, timezone: string, after: string, count: number): string[] {
  const all = new Slots(expression, timezone);
  const found: string[] = [];
  for (let at: Date | undefined = new Date(after); found.length < count;) {
    at = all.next(at);
    if (at === undefined) break;
    found.push(at.toISOString().slice(0, 16));
  }
  return found;
}

describe('where clocks are set ahead', () => {
  test('a time that the clock skips is due at the moment that it jumps, and the next day as usual', () => {
    assert.deepEqual(slots('15 2 * * *', 'Europe/Berlin', '2027-03-27T00:00Z', 3), [
      '2027-03-27T01:15',
      '2027-03-28T01:00',
      '2027-03-29T00:15',
    ]);
    assert.deepEqual(slots('30 2 * * *', 'America/New_York', '2027-03-13T12:00Z', 2), [
      '2027-03-14T07:00',
      '2027-03-15T06:30',
    ]);
  });

  test('many skipped times are due once, and none of them when the jump is a slot itself', () => {
    assert.deepEqual(slots('*/20 2,3 * * *', 'Europe/Berlin', '2027-03-27T23:00Z', 4), [
      '2027-03-28T01:00',
      '2027-03-28T01:20',
      '2027-03-28T01:40',
      '2027-03-29T00:00',
    ]);
    const day = [new Date('2027-03-28T00:00Z'), new Date('2027-03-28T01:30Z')] as const;
    const found = new Slots('*/20 2,3 * * *', 'Europe/Berlin').between(...day, 10);
    assert.deepEqual(found, [new Date('2027-03-28T01:00Z'), new Date('2027-03-28T01:20Z')]);
  });

  test('midnight may be skipped as well', () => {
    assert.deepEqual(slots('0 0 * * *', 'Africa/Cairo', '2027-04-28T12:00Z', 3), [
      '2027-04-28T22:00',
      '2027-04-29T22:00',
      '2027-04-30T21:00',
    ]);
  });

  test('a schedule for every hour goes on without a gap', () => {
    assert.deepEqual(slots('*/30 * * * *', 'Europe/Berlin', '2027-03-28T00:00Z', 4), [
      '2027-03-28T00:30',
      '2027-03-28T01:00',
      '2027-03-28T01:30',
      '2027-03-28T02:00',
    ]);
  });

  test('a whole day may be skipped', () => {
    assert.deepEqual(slots('15 2 * * *', 'Pacific/Apia', '2011-12-29T00:00Z', 3), [
      '2011-12-29T12:15',
      '2011-12-30T10:00',
      '2011-12-30T12:15',
    ]);
  });
});

describe('where clocks are set back', () => {
  test('a time that the clock shows twice is due the first time only', () => {
    assert.deepEqual(slots('15 2 * * *', 'Europe/Berlin', '2027-10-30T12:00Z', 2), [
      '2027-10-31T00:15',
      '2027-11-01T01:15',
    ]);
    assert.deepEqual(slots('30 1 * * *', 'America/New_York', '2026-10-31T12:00Z', 2), [
      '2026-11-01T05:30',
      '2026-11-02T06:30',
    ]);
    assert.deepEqual(slots('0 0 * * *', 'America/Havana', '2026-10-31T12:00Z', 2), [
      '2026-11-01T04:00',
      '2026-11-02T05:00',
    ]);
  });

  test('a schedule for every hour runs in both, evenly', () => {
    assert.deepEqual(slots('*/30 * * * *', 'Europe/Berlin', '2027-10-31T00:00Z', 4), [
      '2027-10-31T00:30',
      '2027-10-31T01:00',
      '2027-10-31T01:30',
      '2027-10-31T02:00',
    ]);
  });

  test('by half an hour only, as on Lord Howe', () => {
    assert.deepEqual(slots('45 1 * * *', 'Australia/Lord_Howe', '2027-04-02T18:00Z', 2), [
      '2027-04-03T14:45',
      '2027-04-04T15:15',
    ]);
  });
});

test('a zone without changes, and one with a quarter of an hour, have the same time each day', () => {
  assert.deepEqual(slots('15 2 * * *', 'UTC', '2027-03-27T12:00Z', 2), ['2027-03-28T02:15', '2027-03-29T02:15']);
  assert.deepEqual(slots('15 2 * * *', 'Asia/Kathmandu', '2027-03-27T12:00Z', 2), [
    '2027-03-27T20:30',
    '2027-03-28T20:30',
  ]);
});

test('special days are those of node-cron', () => {
  assert.deepEqual(slots('0 3 L * *', 'UTC', '2028-02-01T00:00Z', 2), ['2028-02-29T03:00', '2028-03-31T03:00']);
  assert.deepEqual(slots('0 3 * * 1#2', 'UTC', '2026-11-01T00:00Z', 2), ['2026-11-09T03:00', '2026-12-14T03:00']);
  assert.deepEqual(slots('0 3 29 2 1', 'UTC', '2026-11-01T00:00Z', 2), ['2044-02-29T03:00', '2072-02-29T03:00']);
});

test('away from changes of clocks, the slots are exactly the times that node-cron matches', () => {
  const from = Date.parse('2026-11-28T00:00:00Z');
  // A Saturday, a Sunday and a Monday, or a day more at both sides of the month's end.
  const minutes = triesOf(3, 5) * 24 * 60;
  for (const expression of ['*/7 */5 * * *', '3,33 1-4 * * 1-5', '0 22 28-31 * *', '59 23 * * 0']) {
    for (const timezone of ['UTC', 'Asia/Kolkata', 'America/St_Johns', 'Pacific/Auckland']) {
      const task = createTask(expression, () => undefined, { timezone });
      const wanted = Array.from({ length: minutes }, (_, index) => new Date(from + (index + 1) * 60_000)).filter(
        (time) => task.match(time),
      );
      void task.destroy();
      const found = new Slots(expression, timezone).between(new Date(from), new Date(from + minutes * 60_000), 10_000);
      assert.deepEqual(found, wanted, `${expression} ${timezone}`);
    }
  }
});

test('between two times the latest slots are found, oldest first, with the end and without the start', () => {
  const hourly = new Slots('0 * * * *', 'UTC');
  const [from, until] = [new Date('2026-11-23T00:00Z'), new Date('2026-11-26T05:00Z')];
  const all = hourly.between(from, until, 1000);
  assert.deepEqual([all.length, all[0], all.at(-1)], [77, new Date('2026-11-23T01:00Z'), until]);
  assert.deepEqual(hourly.between(from, until, 2), [new Date('2026-11-26T04:00Z'), until]);
  assert.deepEqual(hourly.between(until, until, 2), []);
  const everySecond = new Slots('* * * * * *', 'UTC').between(new Date(0), until, 3);
  assert.deepEqual(everySecond.at(0), new Date('2026-11-26T04:59:58Z'));
});
