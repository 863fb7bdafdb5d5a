import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { pageRangesOf, type PlannedSegment } from '../../../../src/ledger/segments.ts';
import type { Leaf } from '../../../../src/postgres/table-stats.ts';
import { cutByPages } from '../../../../src/run/cut/pages.ts';
import { narrowTo } from '../../../../src/segment/narrow.ts';

const TABLE = { oid: 100, name: '"t"' };

function leaf(oid: number, pages: number, hasPages = true): Leaf {
  const name = `public.leaf ${oid}`;
  return { oid, name, from: `ONLY "public"."leaf ${oid}"`, pages, bytes: pages * 8192, hasPages, isReadable: true };
}

const someLeaves = fc
  .array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 6 })
  .map((counts) => counts.map((pages, at) => leaf(100 + at, pages)));
const someTarget = fc.integer({ min: 1000, max: 1_000_000 });

describe('a cut by pages', () => {
  test('has each page of each leaf in exactly one range, those to come too', async () => {
    await fc.assert(
      fc.asyncProperty(someLeaves, someTarget, async (leaves, targetBytes) => {
        const segments = await cutByPages({ leaves, table: TABLE, targetBytes }).segments();
        for (const { oid, pages } of leaves) {
          for (const page of [...Array(pages).keys(), pages + 7]) {
            const holding = segments.filter((segment) => holds(segment, oid, page));
            assert.equal(holding.length, 1, `page ${page} of ${pages}`);
          }
        }
      }),
    );
  });

  function holds(segment: PlannedSegment, oid: number, page: number): boolean {
    return pageRangesOf(segment).some(
      ({ leaf, fromPage, toPage }) => leaf === oid && page >= fromPage && (toPage === null || page < toPage),
    );
  }

  test('puts small leaves together up to what a segment is to have, and no more than a statement takes', async () => {
    const sizes = (target: number, ...pages: number[]): Promise<number[]> =>
      cutByPages({ leaves: pages.map((count, at) => leaf(100 + at, count)), table: TABLE, targetBytes: target * 8192 })
        .segments()
        .then((segments) => segments.map((segment) => pageRangesOf(segment).length));
    assert.deepEqual(await sizes(10, 3, 3, 3, 3), [3, 1]);
    // Large ones are cut by themselves, and do not part those that are small.
    assert.deepEqual(await sizes(10, 3, 20, 3), [1, 1, 2]);
    assert.deepEqual(await sizes(1000, ...Array<number>(250).fill(0)), [100, 100, 50]);
  });

  test('reads leaves that are together in one statement, and says so', async () => {
    const three = cutByPages({ leaves: [leaf(100, 1), leaf(101, 0), leaf(102, 2)], table: TABLE, targetBytes: 1e6 });
    const [all, ...others] = await three.segments();
    assert.deepEqual(others, []);
    assert.deepEqual(Object.keys(all!), ['index', 'leaves']);
    assert.deepEqual(narrowTo(three.parts, all!), {
      from: ['ONLY "public"."leaf 100"', 'ONLY "public"."leaf 101" AS "t"', 'ONLY "public"."leaf 102" AS "t"'],
    });
    assert.equal(three.describe(all!), 'public.leaf 100 and 2 other partitions');
    const stranger = { index: 0, leaves: [{ leaf: 103, name: 'x' }] };
    assert.throws(() => narrowTo(three.parts, stranger), /is no part of/);
  });

  test('takes its own segments over from a journal, and no others', async () => {
    const range = ({ pages, leaves }: PlannedSegment): { leaf: number } => pages ?? leaves![0]!;
    const damages: ((segments: PlannedSegment[], at: number) => unknown)[] = [
      (segments, at) => segments.splice(at, 1),
      (segments, at) => segments.splice(at, 0, structuredClone(segments[at]!)),
      (segments, at) => (segments[at] = { index: at, range: { lower: null, upper: null } }),
      (segments, at) => (segments[at] = { index: at, leaves: [] }),
      (segments, at) => (range(segments[at]!).leaf = 99),
      (segments, at) => (range(segments[at]!).leaf = 0),
      (segments, at) => segments[at]!.leaves?.pop() ?? segments.splice(at, 1),
      (segments, at) => segments[at]!.leaves?.push(segments[at]!.leaves[0]!) ?? segments.splice(at, 1),
      (segments) => segments.splice(0),
    ];
    await fc.assert(
      fc.asyncProperty(
        someLeaves,
        someTarget,
        fc.nat(),
        fc.constantFrom(...damages),
        async (leaves, targetBytes, at, damage) => {
          const cut = cutByPages({ leaves, table: TABLE, targetBytes });
          const segments = JSON.parse(JSON.stringify(await cut.segments())) as PlannedSegment[];
          assert.equal(cut.problem(segments), undefined);
          damage(segments, at % segments.length);
          assert.notEqual(cut.problem(segments), undefined);
        },
      ),
    );
  });

  test('takes a plan over that has a segment for each small leaf, as earlier versions made it', () => {
    const leaves = [leaf(100, 1), leaf(101, 0), leaf(102, 2)];
    const cut = cutByPages({ leaves, table: TABLE, targetBytes: 1e6 });
    const segments = leaves.map(({ oid, name }, index) => ({
      index,
      pages: { leaf: oid, name, fromPage: 0, toPage: null },
    }));
    assert.equal(cut.problem(segments), undefined);
    assert.match(cut.problem(segments.slice(1)) ?? '', /leaf 100 is not read to its end/);
  });

  test('takes no bounds over that leave pages out or are no numbers', async () => {
    const damages: ((range: NonNullable<PlannedSegment['pages']>) => unknown)[] = [
      (range) => (range.fromPage += 1),
      (range) => (range.toPage = range.fromPage),
      (range) => (range.toPage = 0.5),
      (range) => (range.toPage = "1,0)'::tid OR true --" as unknown as number),
      (range) => (range.fromPage = '0' as unknown as number),
    ];
    const cut = cutByPages({ leaves: [leaf(100, 9), leaf(101, 5)], table: TABLE, targetBytes: 3 * 8192 });
    const count = (await cut.segments()).length;
    for (const damage of damages) {
      for (let at = 0; at < count; at += 1) {
        const segments = await cut.segments();
        damage(segments[at]!.pages!);
        assert.notEqual(cut.problem(segments), undefined, `${String(damage)} at ${at}`);
      }
    }
  });

  test('refuses bounds that fit together and are no numbers', async () => {
    const cut = cutByPages({ leaves: [leaf(100, 2)], table: TABLE, targetBytes: 8192 });
    const [first, second] = await cut.segments();
    const text = ' 1' as unknown as number;
    first!.pages!.toPage = text;
    second!.pages!.fromPage = text;
    assert.equal(cut.problem([first!, second!]), 'segment 0 has no pages');
  });

  test('refuses a plan from before a partition was attached or detached', async () => {
    const two = cutByPages({ leaves: [leaf(100, 5), leaf(101, 5)], table: TABLE, targetBytes: 8192 });
    const three = cutByPages({ leaves: [leaf(100, 5), leaf(101, 5), leaf(102, 5)], table: TABLE, targetBytes: 8192 });
    assert.match(three.problem(await two.segments()) ?? '', /leaf 102 is not read to its end/);
    assert.match(two.problem(await three.segments()) ?? '', /reads public\.leaf 102 \(OID 102\)/);
  });

  const cut = cutByPages({ leaves: [leaf(100, 9), leaf(101, 9), leaf(102, 0, false)], table: TABLE, targetBytes: 1 });
  const segment = (oid: number, fromPage: number, toPage: number | null): PlannedSegment => ({
    index: 0,
    // The name is for people: nothing may be read by it.
    pages: { leaf: oid, name: 'x; DROP TABLE t', fromPage, toPage },
  });

  for (const [situation, at, expected] of [
    ['all of the table itself by its name', segment(100, 0, null), { from: 'ONLY "public"."leaf 100"' }],
    [
      'pages of a partition under the name of the table',
      segment(101, 3, 6),
      {
        from: 'ONLY "public"."leaf 101" AS "t"',
        predicate: `ctid OPERATOR(pg_catalog.>=) '(3,0)'::pg_catalog.tid AND ctid OPERATOR(pg_catalog.<) '(6,0)'::pg_catalog.tid`,
      },
    ],
    [
      'the last pages with what was added since',
      segment(101, 6, null),
      { from: 'ONLY "public"."leaf 101" AS "t"', predicate: `ctid OPERATOR(pg_catalog.>=) '(6,0)'::pg_catalog.tid` },
    ],
    ['a leaf without pages as a whole', segment(102, 0, 5), { from: 'ONLY "public"."leaf 102" AS "t"' }],
  ] as const) {
    test(`reads ${situation}`, () => {
      assert.deepEqual(narrowTo(cut.parts, at), expected);
    });
  }

  test('reads nothing that the server does not list', () => {
    assert.throws(() => narrowTo(cut.parts, segment(103, 0, null)), /is no part of/);
  });

  test('says to a person what a range holds, by the name that the leaf has now', () => {
    assert.equal(cut.describe(segment(101, 1000, 3000)), 'public.leaf 101, pages 1,000 to 2,999');
    assert.equal(cut.describe(segment(101, 0, null)), 'public.leaf 101, pages 0 on');
    assert.equal(cut.describe(segment(102, 0, null)), 'public.leaf 102');
  });
});
