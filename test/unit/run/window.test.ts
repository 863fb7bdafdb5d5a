import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FailureError } from '../../../src/base/errors.ts';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import type { Column } from '../../../src/postgres/columns.ts';
import { openCalendar, windowOf, withinWindow, type WindowOption } from '../../../src/run/window.ts';

const OIDS = { date: 1082, timestamp: 1114, timestamptz: 1184, int4: 23 } as const;

function columnOf(name: string, type: keyof typeof OIDS): Column {
  return { name, type, typeOid: 9_000_000, baseTypeOid: OIDS[type] } as Column;
}

function archiveOf(column: string, every = 'day'): ArchiveConfig & { window: WindowOption } {
  return { name: 'events', timezone: 'Europe/Berlin', window: { column, every, olderThanMs: 0 } } as never;
}

describe('the window of a run', () => {
  const columns = [columnOf('a"t', 'timestamptz'), columnOf('day', 'date'), columnOf('id', 'int4')];

  const find = (archive: ReturnType<typeof archiveOf>, at: string) =>
    windowOf(archive, openCalendar(archive, columns), new Date(at));

  test('is half-open, and its bounds are literals of the type below all domains', () => {
    const window = find(archiveOf('a"t'), '2026-03-28T23:00:00Z');
    assert.equal(
      withinWindow(window),
      `"a""t" OPERATOR(pg_catalog.>=) ('2026-03-28T23:00:00Z'::pg_catalog.timestamptz) ` +
        `AND "a""t" OPERATOR(pg_catalog.<) ('2026-03-29T22:00:00Z'::pg_catalog.timestamptz)`,
    );
    const { stretch: _stretch, ...day } = find(archiveOf('day'), '2026-03-29T00:00:00Z');
    // In the zone and in UTC.
    const endsAt = new Date('2026-03-30T00:00:00Z');
    assert.deepEqual(day, { column: 'day', kind: 'date', endsAt, from: '2026-03-29', to: '2026-03-30' });
  });

  test('is none where none begins; the one that holds the time is named', () => {
    assert.throws(
      () => find(archiveOf('a"t'), '2026-03-29T00:00:00Z'),
      ({ failure }: FailureError) => failure.code === 'no-window' && failure.hint.includes('20260328T230000Z'),
    );
  });

  for (const [what, archive, message] of [
    ['is not there', archiveOf('dax'), /no column "dax"; did you mean "day"\?/],
    ['is no time', archiveOf('id'), /"id" is of type int4/],
    ['has no hours', archiveOf('day', 'hour'), /a date, which has no hours/],
    ['is of no table', archiveOf('day', 'partition'), /takes a table that is partitioned by range/],
  ] as const)
    test(`is refused of a column that ${what}`, () => {
      assert.throws(
        () => find(archive, '2026-03-29T00:00:00Z'),
        ({ failure }: FailureError) => failure.code === 'window-column' && message.test(failure.message),
      );
    });
});
