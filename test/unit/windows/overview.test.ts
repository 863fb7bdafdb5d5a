import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { calendarLines } from '../../../src/windows/calendar-lines.ts';
import { overviewOf, type WindowRun } from '../../../src/windows/overview.ts';
import type { WindowedArchive } from '../../../src/windows/window-source.ts';

const NOW = new Date('2026-03-06T12:00:00Z');

function archiveOf(changes: object = {}): WindowedArchive {
  const window = { column: 'at', every: 'day', olderThanMs: 86_400_000, ...changes };
  return { name: 'events', timezone: 'Europe/Berlin', window } as unknown as WindowedArchive;
}

function committed(run: string, from: string, rows = 3): WindowRun {
  const figures = { from, to: '', rows, bytes: 10, finishedAt: 'then' };
  return { run, committed: figures, isFailed: false, isDamaged: false };
}

function unfinished(run: string, isFailed = false): WindowRun {
  return { run, committed: undefined, isFailed, isDamaged: false };
}

function damaged(run: string): WindowRun {
  return { run, committed: undefined, isFailed: true, isDamaged: true };
}

describe('the windows of an archive', () => {
  const runs = [
    committed('20260227T230000Z', '2026-02-27T23:00:00Z'),
    committed('20260228T230000Z', '2026-02-28T23:00:00Z', 0),
    committed('20260301T230000Z', '2026-03-01T23:00:00Z', 0),
    committed('20260301T230000Z_2', '2026-03-01T23:00:00Z', 2),
    unfinished('20260302T230000Z', true),
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
      '# 2 archived  - 1 empty  ~ 1 unfinished  ! 1 failed',
      'failed: 2026-03-02T23:00:00Z to 2026-03-03T23:00:00Z (1)',
      'unfinished: 2026-03-03T23:00:00Z to 2026-03-04T23:00:00Z (1)',
    ]);
  });

  test('are purged, expired or running by what is told of their latest run, and empty where the source has no row', () => {
    const [first, second, , third] = runs as [WindowRun, WindowRun, WindowRun, WindowRun];
    const told: WindowRun[] = [
      { ...first, left: 7 },
      { ...second, committed: undefined, isRunning: true },
      { ...third, isExpired: true, left: 0 },
    ];
    const isEmpty = ({ fromMs }: { fromMs: number }): boolean => fromMs >= Date.parse('2026-03-03T00:00:00Z');
    const shown = overviewOf(archiveOf({ from: '2026-02-27' }), told, NOW, { isEmpty });
    assert.deepEqual(
      shown.map(({ state, left }) => [state, left]),
      [
        ['missing', null],
        ['purged', 7],
        ['running', null],
        ['expired', 0],
        ['missing', null],
        ['empty', null],
      ],
    );
    assert.equal(calendarLines(archiveOf(), shown).at(-1), 'purged windows have 7 rows left in the source');
  });

  test('are those up to the last row where a long stretch after it has none', () => {
    const isEmpty = ({ fromMs }: { fromMs: number }): boolean => fromMs > Date.parse('2026-02-28T23:00:00Z');
    const lastOf = (now: string): string | undefined =>
      overviewOf(archiveOf(), runs.slice(0, 1), new Date(now), { isEmpty }).at(-1)?.from;
    assert.equal(lastOf('2026-03-20T12:00:00Z'), '2026-03-17T23:00:00Z');
    assert.equal(lastOf('2026-08-20T12:00:00Z'), '2026-02-28T23:00:00Z');
  });

  test('that are partitions are those that there are, and what there was between them', () => {
    const at = (day: string): number => Date.parse(`2026-02-${day}T00:00:00Z`);
    const madeOf = (run: string, from: string, to: string): WindowRun => {
      const made = committed(`202602${run}T000000Z`, `2026-02-${from}T00:00:00Z`);
      return { ...made, committed: { ...made.committed!, to: `2026-02-${to}T00:00:00Z` } };
    };
    const made = [madeOf('01', '01', '11'), madeOf('11', '11', '21')];
    const archive = archiveOf({ every: 'partition' });
    const stretches = [
      { fromMs: at('01'), toMs: at('06') },
      { fromMs: at('06'), toMs: at('11') },
    ];
    const spans = (shown: ReturnType<typeof overviewOf>): string[] =>
      shown.map(({ from, to, state }) => `${from.slice(8, 10)}-${to.slice(8, 10)} ${state}`);
    assert.deepEqual(spans(overviewOf(archive, made, NOW)), ['01-11 archived', '11-21 archived']);
    const split = [...made, { ...madeOf('01', '01', '06'), run: '20260201T000000Z_2' }];
    assert.deepEqual(spans(overviewOf(archive, split, NOW, { stretches })), [
      '01-06 archived',
      '06-11 missing',
      '11-21 archived',
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
