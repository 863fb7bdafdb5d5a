import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FailureError } from '../../../src/base/errors.ts';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import type { Column } from '../../../src/postgres/columns.ts';
import { windowOf, withinWindow, type WindowOption } from '../../../src/run/window.ts';

const OIDS = { date: 1082, timestamp: 1114, timestamptz: 1184, int4: 23 } as const;

function columnOf(name: string, type: keyof typeof OIDS): Column {
  return { name, type, typeOid: 9_000_000, baseTypeOid: OIDS[type] } as Column;
}

function archiveOf(column: string, every = 'day'): ArchiveConfig & { window: WindowOption } {
  return { name: 'events', timezone: 'Europe/Berlin', window: { column, every, olderThanMs: 0 } } as never;
}

describe('the window of a run', () => {
  const columns = [columnOf('a"t', 'timestamptz'), columnOf('day', 'date'), columnOf('id', 'int4')];

  test('is half-open, and its bounds are literals of the type below all domains', () => {
    const window = windowOf(archiveOf('a"t'), columns, new Date('2026-03-28T23:00:00Z'));
    assert.equal(
      withinWindow(window),
      `"a""t" OPERATOR(pg_catalog.>=) ('2026-03-28T23:00:00Z'::pg_catalog.timestamptz) ` +
        `AND "a""t" OPERATOR(pg_catalog.<) ('2026-03-29T22:00:00Z'::pg_catalog.timestamptz)`,
    );
    assert.deepEqual(windowOf(archiveOf('day'), columns, new Date('2026-03-29T00:00:00Z')), {
      ...{ column: 'day', kind: 'date', from: '2026-03-29', to: '2026-03-30' },
    });
  });

  test('is none where none begins; the one that holds the time is named', () => {
    assert.throws(
      () => windowOf(archiveOf('a"t'), columns, new Date('2026-03-29T00:00:00Z')),
      ({ failure }: FailureError) => failure.code === 'no-window' && failure.hint.includes('20260328T230000Z'),
    );
  });

  for (const [what, archive, message] of [
    ['is not there', archiveOf('dax'), /no column "dax"; did you mean "day"\?/],
    ['is no time', archiveOf('id'), /"id" is of type int4/],
    ['has no hours', archiveOf('day', 'hour'), /a date, which has no hours/],
  ] as const)
    test(`is refused of a column that ${what}`, () => {
      assert.throws(
        () => windowOf(archive, columns, new Date('2026-03-29T00:00:00Z')),
        ({ failure }: FailureError) => failure.code === 'window-column' && message.test(failure.message),
      );
    });
});
