import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PartitionCalendar } from '../../../src/calendar/partitions.ts';
import {
  COLUMN_KINDS,
  LENGTHS,
  WindowCalendar,
  type ColumnKind,
  type WindowLength,
} from '../../../src/calendar/windows.ts';
import { formatRunId } from '../../../src/ledger/run-id.ts';
import { triesOf } from '../../support/thorough.ts';

const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/Sao_Paulo',
  'America/Havana',
  'Pacific/Apia',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
];
const FROM = Date.UTC(1990, 0, 1);
/** Days and hours are many: since then the zones have had the changes of clocks that they are known for, and those of a year. */
const STARTS: Partial<Record<WindowLength, number>> = {
  day: Date.UTC(triesOf(2007, 1990), 0, 1),
  hour: Date.UTC(triesOf(2029, 2028), 0, 1),
};
const UNTIL = Date.UTC(2030, 0, 1);

describe('windows over 40 years', () => {
  // What a date or a timestamp holds is the same in every zone.
  for (const kind of COLUMN_KINDS)
    for (const zone of kind === 'timestamptz' ? ZONES : ['America/Havana'])
      test(`of a ${kind} in ${zone} leave no gap, do not overlap, and have an id each`, () => {
        for (const length of LENGTHS) {
          const calendar = new WindowCalendar(kind, length, zone);
          const ids = new Set<string>();
          let count = 0;
          let before: number | undefined;
          for (const { fromMs, toMs } of calendar.from(STARTS[length] ?? FROM)) {
            assert.ok(fromMs < toMs, new Date(fromMs).toISOString());
            if (before !== undefined) assert.equal(fromMs, before);
            ids.add(formatRunId(new Date(fromMs)));
            count += 1;
            before = toMs;
            if (toMs >= UNTIL) break;
          }
          assert.equal(ids.size, count);
        }
      });

  test('each point lies in the one window that holds it', () => {
    // Not a whole number of days, so that the time of day is another one each time.
    const stepMs = 86_400_000 * triesOf(9.37, 1.37);
    for (const zone of ZONES) {
      const calendar = new WindowCalendar('timestamptz', 'day', zone);
      for (let point = FROM + 1; point < UNTIL; point += stepMs) {
        const window = calendar.holding(point);
        assert.ok(window !== undefined && window.fromMs <= point && point < window.toMs);
        assert.deepEqual(calendar.holding(window.fromMs), window);
        assert.deepEqual(calendar.holding(window.toMs - 1), window);
        assert.deepEqual(calendar.startingAt(window.fromMs), window);
        assert.equal(calendar.startingAt(window.fromMs + 1), undefined);
      }
    }
  });
});

describe('a day', () => {
  for (const [what, zone, date, from, to] of [
    ['of 23 hours', 'Europe/Berlin', '2026-03-29', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'],
    ['of 25 hours', 'Europe/Berlin', '2026-10-25', '2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z'],
    ['whose midnight is skipped', 'America/Sao_Paulo', '2018-11-04', '2018-11-04T03:00:00Z', '2018-11-05T02:00:00Z'],
    ['whose midnight is shown twice', 'America/Havana', '2018-11-04', '2018-11-04T05:00:00Z', '2018-11-05T05:00:00Z'],
  ] as const)
    test(`${what} has the bounds that Postgres gives it`, () => {
      const calendar = new WindowCalendar('timestamptz', 'day', zone);
      const window = calendar.holding(calendar.parse(date) ?? 0);
      assert.equal(window && calendar.format(window.fromMs), from);
      assert.equal(window && calendar.format(window.toMs), to);
    });

  test('that does not exist in the zone is no window of a timestamptz, and one of a date', () => {
    const dates = (kind: ColumnKind): string[] => {
      const calendar = new WindowCalendar(kind, 'day', 'Pacific/Apia');
      const found: string[] = [];
      for (const { fromMs } of calendar.from(calendar.parse('2011-12-29') ?? 0)) {
        found.push(calendar.format(fromMs));
        if (found.length === 3) break;
      }
      return found;
    };
    assert.deepEqual(dates('timestamptz'), ['2011-12-29T10:00:00Z', '2011-12-30T10:00:00Z', '2011-12-31T10:00:00Z']);
    assert.deepEqual(dates('date'), ['2011-12-29', '2011-12-30', '2011-12-31']);
  });
});

describe('the bounds of time', () => {
  test('years before 1 and after 9999 lie in no window', () => {
    const calendar = new WindowCalendar('timestamp', 'year', 'UTC');
    assert.equal(calendar.holding(Date.UTC(0, 0, 1) - 10 ** 15), undefined);
    assert.equal(calendar.holding(Infinity), undefined);
    assert.equal(calendar.holding(Number.NaN), undefined);
    assert.equal(calendar.format(calendar.from(-Infinity).next().value?.fromMs ?? 0), '0001-01-01T00:00:00');
    assert.equal(
      calendar.format(calendar.holding(calendar.parse('9999-12-31') ?? 0)?.fromMs ?? 0),
      '9999-01-01T00:00:00',
    );
  });

  test('a date that is none is not taken', () => {
    const calendar = new WindowCalendar('timestamptz', 'day', 'Europe/Berlin');
    for (const text of ['2026-02-30', '2026-13-01', '2026-1-1', 'yesterday', '', '0000-01-01', '2026-01-01T24:00'])
      assert.equal(calendar.parse(text), undefined, text);
    assert.equal(calendar.parse('2026-01-01'), Date.UTC(2025, 11, 31, 23));
    assert.equal(calendar.parse('2026-01-01T00:00:00Z'), Date.UTC(2026, 0, 1));
  });

  test('a point has passed once it has in the zone and in UTC', () => {
    const noon = Date.UTC(2026, 5, 1);
    assert.equal(new WindowCalendar('date', 'day', 'America/New_York').instantOf(noon), noon + 4 * 3_600_000);
    assert.equal(new WindowCalendar('date', 'day', 'Europe/Berlin').instantOf(noon), noon);
    assert.equal(new WindowCalendar('timestamptz', 'day', 'America/New_York').instantOf(noon), noon);
  });
});

test('windows that are given are found by their points, and those after a gap by what is before it', () => {
  const stretches = [
    { fromMs: 20, toMs: 30 },
    { fromMs: 0, toMs: 10 },
  ];
  const calendar = new PartitionCalendar('timestamptz', 'UTC', stretches);
  const [late, early] = stretches;
  const held = [-1, 0, 9, 10, 19, 20, 30, Number.NaN].map((point) => calendar.holding(point));
  assert.deepEqual(held, [undefined, early, early, undefined, undefined, late, undefined, undefined]);
  assert.deepEqual([calendar.startingAt(20), calendar.startingAt(21)], [late, undefined]);
  assert.deepEqual(
    [-Infinity, 9, 10, 29, 30].map((from) => [...calendar.from(from)].length),
    [2, 2, 1, 1, 0],
  );
});
