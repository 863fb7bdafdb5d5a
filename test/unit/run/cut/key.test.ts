import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { PlannedSegment } from '../../../../src/ledger/segments.ts';
import type { KeyValues } from '../../../../src/postgres/quantiles.ts';
import type { Compared } from '../../../../src/postgres/row-comparison.ts';
import type { Cut } from '../../../../src/run/cut/cut.ts';
import { cutByKey } from '../../../../src/run/cut/key.ts';
import { keySegments } from '../../../support/ledger.ts';
import { narrowTo } from '../../../../src/segment/narrow.ts';

const ID: Compared = { reference: '"id"', type: 'pg_catalog.int8', operators: 'pg_catalog' };
const TEXT: Compared = { reference: 'q.c2', type: 'pg_catalog.text', operators: 'pg_catalog' };

function cutAt(bounds: KeyValues[], columns: readonly Compared[] = [ID], nullable = false): Cut {
  return cutByKey({
    columns,
    nullable,
    findBounds: () => Promise.resolve(bounds),
    findDescent: () => Promise.resolve(undefined),
  });
}

/** Ascending numbers, no two alike, as the values of a key of one column. */
const ascending = fc
  .uniqueArray(fc.integer({ min: -1000, max: 1000 }), { maxLength: 30 })
  .map((numbers) => numbers.sort((a, b) => a - b).map((number) => [String(number)]));

describe('a cut by key', () => {
  test('has each value in exactly one range', async () => {
    await fc.assert(
      fc.asyncProperty(ascending, fc.integer({ min: -1001, max: 1001 }), async (bounds, value) => {
        const segments = await cutAt(bounds).segments();
        const holding = segments.filter(({ range }) => {
          const [lower, upper] = [range!.lower?.[0], range!.upper?.[0]].map((bound) =>
            bound === undefined ? undefined : Number(bound),
          );
          return (lower === undefined || value >= lower) && (upper === undefined || value < upper);
        });
        assert.equal(holding.length, 1);
        assert.deepEqual(
          segments.map(({ index }) => index),
          segments.map((_, at) => at),
        );
      }),
    );
  });

  test('takes its own segments over from a journal, and no others', async () => {
    const damages: ((segments: PlannedSegment[], at: number) => unknown)[] = [
      (segments, at) => segments.splice(at, 1),
      (segments, at) => segments.splice(at, 0, segments[at]!),
      (segments, at) => (segments[at] = { index: at }),
      (segments, at) => (segments[at] = { index: at, pages: { leaf: 1, name: 'a', fromPage: 0, toPage: null } }),
      (segments, at) => (segments[at]!.range!.lower = segments[at]!.range!.lower === null ? ['7'] : null),
      (segments, at) => (segments[at]!.range!.upper = segments[at]!.range!.upper === null ? ['7'] : null),
      (segments, at) => (segments[at]!.range!.lower = ['5000']),
      (segments, at) => (segments[at]!.range!.upper = ['5000']),
      (segments, at) => (segments[at]!.range!.upper = ['5000', 'of another column']),
      (segments) => segments.splice(0),
    ];
    await fc.assert(
      fc.asyncProperty(ascending, fc.nat(), fc.constantFrom(...damages), async (bounds, at, damage) => {
        const cut = cutAt(bounds);
        const segments = JSON.parse(JSON.stringify(await cut.segments())) as PlannedSegment[];
        assert.equal(cut.problem(segments), undefined);
        damage(segments, at % segments.length);
        assert.notEqual(cut.problem(segments), undefined);
      }),
    );
  });

  test('has the server compare its bounds in portions, and each bound with the one after it', async () => {
    const asked: number[] = [];
    const cut = cutByKey({
      columns: [ID],
      nullable: false,
      findBounds: () => Promise.resolve([]),
      findDescent: (bounds) => {
        asked.push(bounds.length);
        const at = bounds.findIndex((bound, index) => Number(bound[0]) > Number(bounds[index + 1]?.[0]));
        return Promise.resolve(at === -1 ? undefined : at);
      },
    });
    const segments = keySegments(25_000);
    assert.equal(await cut.problemByServer?.(segments), undefined);
    assert.deepEqual(asked, [10_000, 10_000, 5001]);
    for (const at of [0, 9_998, 9_999, 10_000, 19_997, 19_998, 24_997]) {
      const before = segments[at]!.range!.upper;
      segments[at]!.range!.upper = ['9999999'];
      assert.equal(await cut.problemByServer?.(segments), `segment ${at + 1} ends before it begins`);
      segments[at]!.range!.upper = before;
    }
  });

  test('refuses bounds that fit together and are of another key', () => {
    const of = (...bounds: (KeyValues | null)[]): PlannedSegment[] =>
      bounds.slice(1).map((upper, index) => ({ index, range: { lower: bounds[index] ?? null, upper } }));
    assert.equal(cutAt([], [ID, TEXT]).problem(of(null, ['1', 'a'], ['2', 'b'], null)), undefined);
    assert.match(cutAt([], [ID, TEXT]).problem(of(null, ['1'], ['2'], null)) ?? '', /has 1 values for a key of 2/);
    assert.match(cutAt([]).problem(of(null, ['1', 'a'], null)) ?? '', /has 2 values for a key of 1/);
  });

  for (const [situation, cut, range, expected] of [
    ['of all rows has an order only', cutAt([]), { lower: null, upper: null }, { orderBy: '"id"' }],
    [
      'between two bounds casts them to the type of the column',
      cutAt([]),
      { lower: ['-5'], upper: ['10'] },
      {
        predicate: `("id") OPERATOR(pg_catalog.>=) ('-5'::pg_catalog.int8) AND ("id") OPERATOR(pg_catalog.<) ('10'::pg_catalog.int8)`,
        orderBy: '"id"',
      },
    ],
    [
      'of a key that may be NULL puts rows without one into the first range',
      cutAt([], [ID], true),
      { lower: null, upper: ['10'] },
      { predicate: `(("id") OPERATOR(pg_catalog.>=) ('10'::pg_catalog.int8)) IS NOT TRUE`, orderBy: '"id"' },
    ],
    [
      'of a key that may be NULL keeps an index in use after the first range',
      cutAt([], [ID], true),
      { lower: ['1'], upper: ['2'] },
      {
        predicate:
          `("id") OPERATOR(pg_catalog.>=) ('1'::pg_catalog.int8)` +
          ` AND (("id") OPERATOR(pg_catalog.>=) ('2'::pg_catalog.int8)) IS NOT TRUE` +
          ` AND ("id") OPERATOR(pg_catalog.<=) ('2'::pg_catalog.int8)`,
        orderBy: '"id"',
      },
    ],
    [
      'quotes whatever stands in a bound',
      cutAt([], [TEXT, ID]),
      { lower: [`'); DROP TABLE t; --`, '1\\'], upper: null },
      {
        predicate: `(q.c2, "id") OPERATOR(pg_catalog.>=) ('''); DROP TABLE t; --'::pg_catalog.text,  E'1\\\\'::pg_catalog.int8)`,
        orderBy: 'q.c2, "id"',
      },
    ],
  ] as const) {
    test(`a range ${situation}`, () => {
      const { lower, upper } = range;
      const segment = { index: 0, range: { lower: lower && [...lower], upper: upper && [...upper] } };
      assert.deepEqual(narrowTo(cut.parts, segment), expected);
    });
  }

  test('says to a person what a range holds', () => {
    const say = (lower: KeyValues | null, upper: KeyValues | null): string =>
      cutAt([]).describe({ index: 0, range: { lower, upper } });
    assert.equal(say(['1', 'a'], ['2', 'b']), 'from (1, a) below (2, b)');
    assert.equal(say(null, ['2']), 'below (2)');
    assert.equal(say(['1'], null), 'from (1)');
  });
});
