import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FailureError } from '../../../src/base/errors.ts';
import { PartitionCalendar } from '../../../src/calendar/partitions.ts';
import { WindowCalendar, type Stretch } from '../../../src/calendar/windows.ts';
import { WindowsAhead } from '../../../src/windows/ahead.ts';
import type { CommittedRun, DamagedRun } from '../../../src/windows/committed.ts';
import { digestFilter } from '../../../src/windows/filter.ts';
import {
  missingWindows,
  MOST_EMPTY,
  nextGeneration,
  requireFewWindows,
  type MissingInput,
} from '../../../src/windows/missing.ts';
import type { WindowedArchive, WindowSource } from '../../../src/windows/window-source.ts';

const DAY_MS = 86_400_000;
const NOW = '2026-03-10T12:00:00Z';

const calendar = new WindowCalendar('timestamptz', 'day', 'UTC');

function archiveOf(window: object = {}): WindowedArchive {
  return {
    name: 'events',
    timezone: 'UTC',
    window: { column: 'at', every: 'day', olderThanMs: DAY_MS, ...window },
  } as unknown as WindowedArchive;
}

/** A source with rows at these times; it counts the looks at it. */
function sourceOf(rows: readonly string[], open?: string): WindowSource & { looks: number } {
  const points = rows.map((row) => Date.parse(row)).sort((a, b) => a - b);
  const source = {
    kind: 'timestamptz' as const,
    calendar,
    createIndex: undefined,
    outsideOf: '',
    looks: 0,
    clock: {
      nowMs: Date.parse(NOW),
      oldestOpen: open === undefined ? undefined : { sinceMs: Date.parse(open), what: 'pid 1' },
    },
    firstRowFrom: (fromMs: number) => {
      source.looks += 1;
      let [low, high] = [0, points.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((points[middle] ?? 0) >= fromMs) high = middle;
        else low = middle + 1;
      }
      return Promise.resolve(points[low]);
    },
    countOutside: () => Promise.resolve(0),
    countIn: ({ fromMs, toMs }: Stretch) =>
      Promise.resolve(points.filter((point) => point >= fromMs && point < toMs).length),
  };
  return source;
}

function runOf(day: string, changes: Partial<CommittedRun> = {}): CommittedRun {
  const next = calendar.format(Date.parse(day) + DAY_MS);
  const window = { column: 'at', from: `${day}T00:00:00Z`, to: next };
  const figures = { rows: 1, objects: 1, jsonBytes: 1, bytes: 1, finishedAt: NOW, filter: digestFilter({}) };
  return { run: `${day.replaceAll('-', '')}T000000Z`, window, ...figures, ...changes };
}

async function missing(input: Partial<MissingInput> & Pick<MissingInput, 'source'>): Promise<string[]> {
  const found: string[] = [];
  for await (const { run } of missingWindows({ archive: archiveOf(), committed: [], damaged: [], ...input }))
    found.push(run);
  return found;
}

describe('missing are', () => {
  test('all closed windows from the oldest row on, with empty ones between', async () => {
    const source = sourceOf(['2026-03-05T10:00:00Z', '2026-03-07T10:00:00Z', '2026-03-10T01:00:00Z']);
    assert.deepEqual(await missing({ source }), [
      '20260305T000000Z',
      '20260306T000000Z',
      '20260307T000000Z',
      '20260308T000000Z',
    ]);
  });

  test('gaps alone, where the others are committed; nothing is asked for windows that are there', async () => {
    const source = sourceOf([
      '2026-03-05T10:00:00Z',
      '2026-03-06T10:00:00Z',
      '2026-03-07T10:00:00Z',
      '2026-03-08T10:00:00Z',
    ]);
    const committed = [runOf('2026-03-05'), runOf('2026-03-06'), runOf('2026-03-08')];
    assert.deepEqual(await missing({ source, committed }), ['20260307T000000Z']);
    source.looks = 0;
    assert.deepEqual(await missing({ source, committed: [...committed, runOf('2026-03-07')] }), []);
    assert.equal(source.looks, 1);
    const damaged = [{ run: '20260307T000000Z' } as DamagedRun];
    assert.deepEqual(await missing({ source, committed, damaged }), []);
  });

  test('those of a range', async () => {
    const source = sourceOf(['2026-03-05T10:00:00Z', '2026-03-08T10:00:00Z']);
    const range = { fromMs: Date.parse('2026-03-06'), toMs: Date.parse('2026-03-08') };
    assert.deepEqual(await missing({ source, range }), []);
    assert.deepEqual(await missing({ source: sourceOf(['2026-03-05', '2026-03-06', '2026-03-07']), range }), [
      '20260306T000000Z',
      '20260307T000000Z',
    ]);
  });

  test('none before `from` of the config', async () => {
    const source = sourceOf(['2026-03-01T10:00:00Z', '2026-03-07T10:00:00Z', '2026-03-08T10:00:00Z']);
    assert.deepEqual(await missing({ source, archive: archiveOf({ from: '2026-03-07' }) }), [
      '20260307T000000Z',
      '20260308T000000Z',
    ]);
  });

  test('none of a long empty stretch: it is passed over by one look', async () => {
    const source = sourceOf(['0001-01-01T10:00:00Z', '2026-03-08T10:00:00Z']);
    assert.deepEqual(await missing({ source }), ['00010101T000000Z', '20260308T000000Z']);
    assert.equal(source.looks, 2);
  });

  test(`as many as ${MOST_EMPTY} empty windows in a row, and not one more`, async () => {
    const rows = (days: number): WindowSource =>
      sourceOf([new Date(Date.parse('2026-03-08') - days * DAY_MS).toISOString(), '2026-03-08']);
    assert.equal((await missing({ source: rows(MOST_EMPTY + 1) })).length, MOST_EMPTY + 2);
    assert.equal((await missing({ source: rows(MOST_EMPTY + 2) })).length, 2);
  });

  test('none in a table without rows', async () => {
    assert.deepEqual(await missing({ source: sourceOf([]) }), []);
  });

  test('none that an open transaction may still write to; it is named', async () => {
    const source = sourceOf(
      ['2026-03-05T10:00:00Z', '2026-03-06T10:00:00Z', '2026-03-07T10:00:00Z'],
      '2026-03-06T20:00:00Z',
    );
    const held: string[] = [];
    const onHeldOpen = ({ run }: { run: string }, what: string): number => held.push(`${run} ${what}`);
    assert.deepEqual(await missing({ source, onHeldOpen }), ['20260305T000000Z']);
    assert.deepEqual(held, ['20260306T000000Z pid 1']);
  });

  test('none on a standby that does not say how far it is', async () => {
    const source = sourceOf(['2026-03-05T10:00:00Z']);
    source.clock.nowMs = undefined;
    assert.deepEqual(await missing({ source }), []);
  });
});

describe('runs of another kind in the way', () => {
  const source = sourceOf(['2026-03-05T10:00:00Z']);
  for (const [what, run] of [
    [
      'a run from before `window`',
      { run: '20260306T021500Z', rows: 1, objects: 1, jsonBytes: 1, bytes: 1, finishedAt: NOW, filter: '' },
    ],
    [
      'a window of another length',
      runOf('2026-03-05', { window: { column: 'at', from: '2026-03-05T00:00:00Z', to: '2026-03-12T00:00:00Z' } }),
    ],
    [
      'a window of another zone',
      runOf('2026-03-05', {
        run: '20260304T230000Z',
        window: { column: 'at', from: '2026-03-04T23:00:00Z', to: '2026-03-05T23:00:00Z' },
      }),
    ],
    [
      'a window of another column',
      runOf('2026-03-05', { window: { column: 'updated', from: '2026-03-05T00:00:00Z', to: '2026-03-06T00:00:00Z' } }),
    ],
  ] as const)
    test(`${what} is refused by name, and left behind by \`from\``, async () => {
      await assert.rejects(
        missing({ source, committed: [run] }),
        (error: { failure?: { code: string; message: string } }) => {
          assert.equal(error.failure?.code, 'window-mixed');
          assert.match(error.failure.message, new RegExp(run.run));
          return true;
        },
      );
      assert.deepEqual(await missing({ source, committed: [run], archive: archiveOf({ from: '2026-03-12' }) }), []);
    });
});

test('how far the making is goes by the windows without a run, whatever the looks for rows pass over', () => {
  const source = sourceOf([]);
  const input = { archive: archiveOf(), source, committed: [runOf('2026-03-06')], damaged: [] };
  const first = calendar.holding(Date.parse('2026-03-05'))!;
  const ahead = new WindowsAhead(input, first);
  const before = ['2026-03-05', '2026-03-06', '2026-03-08', '2026-03-20'].map((day) =>
    ahead.before(calendar.holding(Date.parse(day))!),
  );
  assert.deepEqual([ahead.total, before], [3, [0, 1, 2, 3]]);
  assert.equal(new WindowsAhead({ ...input, range: { toMs: Date.parse('2026-03-08') } }, first).total, 2);
});

describe('windows that are partitions', () => {
  const point = (day: string): number => Date.parse(`2026-03-${day}T00:00:00Z`);
  const sourceOfPartitions = (...bounds: [string, string][]): WindowSource => ({
    ...sourceOf(['2026-03-01', '2026-03-02T01:00', '2026-03-05']),
    calendar: new PartitionCalendar(
      'timestamptz',
      'UTC',
      bounds.map(([from, to]) => ({ fromMs: point(from), toMs: point(to) })),
    ),
  });
  const archive = archiveOf({ every: 'partition' });
  const partition = { name: 'public.p', oid: 1, bound: '' };
  const made = (from: string, to: string, changes: Partial<CommittedRun> = {}): CommittedRun =>
    runOf(`2026-03-${from}`, {
      window: { column: 'at', from: `2026-03-${from}T00:00:00Z`, to: `2026-03-${to}T00:00:00Z` },
      partition,
      ...changes,
    });

  test('are missing over the gaps between them, oldest first, and no longer once made', async () => {
    const source = sourceOfPartitions(['04', '07'], ['01', '02'], ['08', '20']);
    assert.deepEqual(await missing({ source, archive }), ['20260301T000000Z', '20260304T000000Z']);
    assert.deepEqual(await missing({ source, archive, committed: [made('01', '02')] }), ['20260304T000000Z']);
  });

  test('that were cut anew are matched by their bounds, and get the next generation where their id is taken', async () => {
    const source = sourceOfPartitions(['01', '02'], ['02', '04'], ['04', '06']);
    const former = [made('01', '06'), made('01', '06', { run: '20260301T000000Z_2' })];
    const expected = ['20260301T000000Z_3', '20260302T000000Z', '20260304T000000Z'];
    assert.deepEqual(await missing({ source, archive, committed: former }), expected);
    const again = made('01', '02', { run: '20260301T000000Z_3' });
    assert.deepEqual(await missing({ source, archive, committed: [...former, again] }), expected.slice(1));
  });

  test('are refused over runs that were made of no partition', async () => {
    const source = sourceOfPartitions(['01', '06']);
    await assert.rejects(
      missing({ source, archive, committed: [runOf('2026-03-01')] }),
      ({ failure }: FailureError) => failure.code === 'window-mixed',
    );
  });
});

describe('too many windows', () => {
  test('are refused without `from`, unless long stretches of them are empty', async () => {
    const days = Array.from({ length: 20_010 }, (_, day) =>
      new Date(Date.parse('2026-03-01') - day * DAY_MS).toISOString(),
    );
    const input = { source: sourceOf(days), committed: [], damaged: [] };
    await assert.rejects(
      requireFewWindows({ ...input, archive: archiveOf() }),
      (error: FailureError) =>
        error.failure.code === 'window-count' && error.message.includes('20,000 windows of events'),
    );
    await requireFewWindows({ ...input, archive: archiveOf({ from: '1900-01-01' }) });
    await requireFewWindows({
      source: sourceOf(['0001-01-01T00:00:00Z', '2026-03-01']),
      ...{ committed: [], damaged: [] },
      archive: archiveOf(),
    });
  });
});

test('the next generation comes after the last one as a number', () => {
  const stretch = calendar.holding(Date.parse('2026-03-05'))!;
  const runs = ['20260305T000000Z', '20260305T000000Z_2', '20260305T000000Z_10'].map(
    (run) => ({ run }) as CommittedRun,
  );
  assert.equal(nextGeneration(stretch, runs), '20260305T000000Z_11');
  assert.equal(nextGeneration(stretch, []), '20260305T000000Z');
});
