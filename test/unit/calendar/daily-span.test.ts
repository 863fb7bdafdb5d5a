import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DailySpan, describeSpanProblem } from '../../../src/calendar/daily-span.ts';

const TIMES = 'must be two times of the day, such as 22:00-06:00';

describe('a span of the day', () => {
  for (const [text, problem] of [
    ['22:00-06:00', undefined],
    [' 09:30 - 17:00 ', undefined],
    ['18:00-24:00', undefined],
    ['00:00-24:00', undefined],
    ['22-06', TIMES],
    ['24:00-06:00', TIMES],
    ['22:00-06:60', TIMES],
    ['9:00-17:00', TIMES],
    ['22:00-06:00, 12:00-13:00', TIMES],
    ['06:00-06:00', 'must begin and end at different times'],
  ] as const)
    test(`${text}: ${problem ?? 'is one'}`, () => {
      assert.equal(describeSpanProblem(text), problem);
    });

  for (const [text, zone, at, opens] of [
    // By day, and over midnight; the begin is in it, the end is not.
    ['09:00-17:00', 'UTC', '2026-01-15T08:59:59.999Z', '2026-01-15T09:00:00.000Z'],
    ['09:00-17:00', 'UTC', '2026-01-15T16:59:59.999Z', '2026-01-15T16:59:59.999Z'],
    ['09:00-17:00', 'UTC', '2026-01-15T17:00:00.000Z', '2026-01-16T09:00:00.000Z'],
    ['22:00-06:00', 'UTC', '2026-01-15T23:59:59.000Z', '2026-01-15T23:59:59.000Z'],
    ['22:00-06:00', 'UTC', '2026-01-16T00:00:00.000Z', '2026-01-16T00:00:00.000Z'],
    ['22:00-06:00', 'UTC', '2026-01-16T06:00:00.000Z', '2026-01-16T22:00:00.000Z'],
    ['18:00-24:00', 'UTC', '2026-01-16T23:59:00.000Z', '2026-01-16T23:59:00.000Z'],
    ['18:00-24:00', 'UTC', '2026-01-17T00:00:00.000Z', '2026-01-17T18:00:00.000Z'],
    ['00:00-24:00', 'UTC', '2026-01-17T13:00:00.000Z', '2026-01-17T13:00:00.000Z'],
    // By the clock of the zone, which may be of another date, or off by half an hour.
    ['22:00-06:00', 'Europe/Berlin', '2026-01-15T20:30:00.000Z', '2026-01-15T21:00:00.000Z'],
    ['22:00-06:00', 'America/New_York', '2026-01-15T12:00:00.000Z', '2026-01-16T03:00:00.000Z'],
    ['01:00-02:00', 'Asia/Kathmandu', '2026-01-15T12:00:00.000Z', '2026-01-15T19:15:00.000Z'],
    // Berlin's clock goes from 2:00 to 3:00 at 1:00 UTC of 2026-03-29.
    ['22:00-06:00', 'Europe/Berlin', '2026-03-29T03:59:00.000Z', '2026-03-29T03:59:00.000Z'],
    ['22:00-06:00', 'Europe/Berlin', '2026-03-29T04:00:00.000Z', '2026-03-29T20:00:00.000Z'],
    ['05:00-06:00', 'Europe/Berlin', '2026-03-28T23:00:00.000Z', '2026-03-29T03:00:00.000Z'],
    ['02:30-05:00', 'Europe/Berlin', '2026-03-29T00:59:00.000Z', '2026-03-29T01:00:00.000Z'],
    ['23:00-02:30', 'Europe/Berlin', '2026-03-29T01:00:00.000Z', '2026-03-29T21:00:00.000Z'],
    // What the clock passes over is not there that day.
    ['02:15-02:45', 'Europe/Berlin', '2026-03-28T23:00:00.000Z', '2026-03-30T00:15:00.000Z'],
    // It goes from 3:00 back to 2:00 at 1:00 UTC of 2026-10-25: the hour is there twice.
    ['22:00-06:00', 'Europe/Berlin', '2026-10-25T04:59:00.000Z', '2026-10-25T04:59:00.000Z'],
    ['22:00-06:00', 'Europe/Berlin', '2026-10-25T05:00:00.000Z', '2026-10-25T21:00:00.000Z'],
    ['02:15-02:45', 'Europe/Berlin', '2026-10-25T00:45:00.000Z', '2026-10-25T01:15:00.000Z'],
    ['02:15-02:45', 'Europe/Berlin', '2026-10-25T01:45:00.000Z', '2026-10-26T01:15:00.000Z'],
    ['04:00-05:00', 'Europe/Berlin', '2026-10-24T23:30:00.000Z', '2026-10-25T03:00:00.000Z'],
    // Half an hour of change, and a day that is passed over.
    ['02:00-03:00', 'Australia/Lord_Howe', '2026-10-03T14:00:00.000Z', '2026-10-03T15:30:00.000Z'],
    ['08:00-09:00', 'Pacific/Apia', '2011-12-30T08:00:00.000Z', '2011-12-30T18:00:00.000Z'],
  ] as const)
    test(`${text} in ${zone} opens at ${opens}, asked at ${at}`, () => {
      const span = new DailySpan(text, zone);
      assert.equal(new Date(span.opensAt(Date.parse(at))).toISOString(), opens);
    });

  test('opens at no instant that it does not hold, and at none later than the first, over changes of clocks', () => {
    for (const [zone, lastDay] of [
      ['Europe/Berlin', Date.UTC(2026, 2, 31)],
      ['Europe/Berlin', Date.UTC(2026, 9, 27)],
      ['America/Havana', Date.UTC(2026, 2, 10)],
      ['America/Havana', Date.UTC(2026, 10, 3)],
      ['Australia/Lord_Howe', Date.UTC(2026, 3, 6)],
    ] as const)
      for (const text of ['22:00-06:00', '01:30-02:30', '00:15-00:45']) {
        const span = new DailySpan(text, zone);
        let opens = -1;
        // Backwards, so that the next instant that is held is known.
        for (let at = lastDay; at > lastDay - 4 * 86_400_000; at -= 15 * 60_000) {
          if (span.holds(at)) opens = at;
          if (opens > 0) assert.equal(span.opensAt(at), opens, `${zone} ${text} ${new Date(at).toISOString()}`);
        }
      }
  });
});
