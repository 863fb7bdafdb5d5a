import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StoredRun } from '../../../src/ledger/runs.ts';
import { calendarLines, overviewOf, windowRunOf, type WindowRun } from '../../../src/windows/overview.ts';
import type { WindowedArchive } from '../../../src/windows/window-source.ts';

const NOW = new Date('2026-03-06T12:00:00Z');

function archiveOf(changes: object = {}): WindowedArchive {
  const window = { column: 'at', every: 'day', olderThanMs: 86_400_000, ...changes };
  return { name: 'events', timezone: 'Europe/Berlin', window } as unknown as WindowedArchive;
}

function committed(run: string, from: string, rows = 3): WindowRun {
  const manifest = { run, rows, bytes: 10, finishedAt: 'then', window: { column: 'at', from, to: '' } };
  return windowRunOf({ archive: 'events', run, isCommitted: true, receipts: 0, manifest } as unknown as StoredRun);
}

function unfinished(run: string, failure?: object): WindowRun {
  const journal = failure === undefined ? {} : { ended: { failure } };
  return windowRunOf({ archive: 'events', run, isCommitted: false, receipts: 0, journal } as unknown as StoredRun);
}

function damaged(run: string): WindowRun {
  const problem = { code: 'bad-manifest' };
  return windowRunOf({ archive: 'events', run, isCommitted: true, receipts: 0, problem } as unknown as StoredRun);
}

describe('the windows of an archive', () => {
  const runs = [
    committed('20260227T230000Z', '2026-02-27T23:00:00Z'),
    committed('20260228T230000Z', '2026-02-28T23:00:00Z', 0),
    committed('20260301T230000Z', '2026-03-01T23:00:00Z', 0),
    committed('20260301T230000Z_2', '2026-03-01T23:00:00Z', 2),
    unfinished('20260302T230000Z', { code: 'locked' }),
    unfinished('20260303T230000Z'),
  ];

  test('are those from the first one on that should be there, and those that are', () => {
    const shown = overviewOf(archiveOf(), runs, NOW);
    assert.deepEqual(
      shown.map(({ from, state, run }) => [from.slice(0, 10), state, run]),
      [
        ['2026-02-27', 'archived', '20260227T230000Z'],
        ['2026-02-28', 'empty', '20260228T230000Z'],
        ['2026-03-01', 'archived', '20260301T230000Z_2'],
        ['2026-03-02', 'failed', '20260302T230000Z'],
        ['2026-03-03', 'unfinished', '20260303T230000Z'],
      ],
    );
    assert.equal(overviewOf(archiveOf({ from: '2026-02-26' }), runs, NOW)[0]?.state, 'missing');
    assert.deepEqual(overviewOf(archiveOf(), [], NOW), []);
  });

  test('are damaged where the latest run that is committed cannot be believed', () => {
    const [first, , third] = runs as [WindowRun, WindowRun, WindowRun];
    const hurt = [first, damaged(`${first.run}_2`), damaged('20260228T230000Z'), damaged('20260301T230000Z'), third];
    const again = { ...third, run: '20260301T230000Z_2' };
    const shown = overviewOf(archiveOf(), [...hurt.slice(0, -1), again], new Date('2026-03-03T23:30:00Z'));
    assert.deepEqual(
      shown.map(({ state, run }) => [state, run]),
      [
        ['damaged', `${first.run}_2`],
        ['damaged', '20260228T230000Z'],
        ['empty', '20260301T230000Z_2'],
      ],
    );
  });

  test('are a calendar on a terminal, by the days of the zone', () => {
    const archive = archiveOf();
    assert.deepEqual(calendarLines(archive, overviewOf(archive, runs, NOW)), [
      `2026-02  ${' '.repeat(27)}#`,
      '2026-03  -#!~',
      '',
      '# archived  - empty  ! failed  ~ unfinished',
    ]);
  });

  for (const [every, run, from, line] of [
    ['hour', '20260302T050000Z', '2026-03-02T05:00:00Z', '2026-03-02        #'],
    ['month', '20260131T230000Z', '2026-01-31T23:00:00Z', '2026   #'],
    ['year', '20241231T230000Z', '2024-12-31T23:00:00Z', '2020s       #'],
    ['week', '20260111T230000Z', '2026-01-11T23:00:00Z', '2026   #'],
  ] as const)
    test(`of an ${every} stand in their place`, () => {
      const archive = archiveOf({ every, olderThanMs: 40 * 366 * 86_400_000 });
      assert.equal(calendarLines(archive, overviewOf(archive, [committed(run, from)], NOW))[0], line);
    });
});
