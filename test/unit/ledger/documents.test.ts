import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as z from 'zod';
import { FailureError } from '../../../src/base/errors.ts';
import { readDocument, writeDocument, type DocumentKind, type Listed } from '../../../src/ledger/documents.ts';
import { PLAN, type PlanDocument } from '../../../src/ledger/journal.ts';
import { describeExcess } from '../../../src/ledger/json-limits.ts';
import { MANIFEST, type Manifest } from '../../../src/ledger/manifest.ts';
import { RECEIPTS, RECEIPTS_FORMAT, type Receipt } from '../../../src/ledger/receipts.ts';
import { aManifest, aPlan, aReceipt, keySegments } from '../../support/ledger.ts';

const URL = 's3://bucket/pg/events/run=20261123T021500Z/_doc.json';

function read<T>(kind: DocumentKind<T>, value: unknown): T {
  return readDocument(kind, Buffer.from(JSON.stringify(value)), URL);
}

function failureOf(work: () => unknown): FailureError['failure'] {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof FailureError, String(error));
    assert.equal(error.failure.transient, false);
    assert.ok(error.failure.message.startsWith(`${URL} `), error.failure.message);
    assert.ok(error.failure.message.length < 1000, 'it shows too much of the document');
    return error.failure;
  }
  assert.fail('nothing was thrown');
}

function receiptsOf(...receipts: Receipt[]): { format: typeof RECEIPTS_FORMAT; receipts: Receipt[] } {
  return { format: RECEIPTS_FORMAT, receipts };
}

/** Each document of ours, and how it is refused when it says something else. */
function testRefusals<T extends object>(
  kind: DocumentKind<T>,
  whole: () => T,
  wrongs: Record<string, [change: (value: T) => unknown, problem: RegExp]>,
): void {
  for (const [what, [change, problem]] of Object.entries(wrongs)) {
    test(`a ${kind.name} with ${what} is refused`, () => {
      const value = structuredClone(whole());
      change(value);
      const failure = failureOf(() => read(kind, value));
      assert.equal(failure.code, kind.code);
      assert.match(failure.message, problem);
      // What we could not read again is not written either.
      assert.equal(failureOf(() => writeDocument(kind, value as Listed<T>, URL)).code, kind.code);
    });
  }
}

describe('documents of ours', () => {
  for (const [kind, value] of [
    [MANIFEST, aManifest()],
    [PLAN, aPlan()],
    [RECEIPTS, receiptsOf(aReceipt(2, { lineDigest: '18446744073709551615' }))],
  ] as [DocumentKind<object>, object][]) {
    test(`a ${kind.name} is read as it was written`, () => {
      assert.deepEqual(readDocument(kind, writeDocument(kind, value, URL), URL), value);
    });

    test(`a ${kind.name} that is no JSON, no object or of no format of ours is refused`, () => {
      const body = Buffer.from(JSON.stringify(value));
      for (const wrong of [
        Buffer.alloc(0),
        body.subarray(0, -1),
        Buffer.from('null'),
        Buffer.from('[]'),
        Buffer.from('7'),
      ])
        assert.equal(failureOf(() => readDocument(kind, wrong, URL)).code, kind.code);
      for (const format of [undefined, 7, 'other/plan/1', 'pgsluice/other/2', `${kind.format}0 `, `${kind.format}/x`])
        assert.equal(failureOf(() => read(kind, { ...value, format })).code, kind.code);
    });

    test(`a ${kind.name} of another version is refused by name, whatever else it says`, () => {
      const format = kind.format.replace(/\d$/, '9');
      const newer = failureOf(() => read(kind, { format, tool: { name: 'pgsluice', version: '0.9.1' }, more: [] }));
      assert.equal(newer.code, 'newer-journal');
      assert.match(newer.message, new RegExp(`format ${format}, written by pgsluice 0\\.9\\.1; this is pgsluice`));
      assert.equal(failureOf(() => read(kind, { format, tool: 'x' })).code, 'newer-journal');
    });

    test(`each field of a ${kind.name} is looked at`, () => {
      for (const field of Object.keys(value).filter((name) => name !== 'format')) {
        for (const wrong of [{}, -1, 'x'.repeat(1024 ** 2 + 1)])
          assert.equal(failureOf(() => read(kind, { ...value, [field]: wrong })).code, kind.code, field);
      }
    });
  }

  test('a manifest may have what later versions add; a journal may not', () => {
    const more = {
      ...aManifest(),
      leap: { from: 'x' },
      objects: aManifest().objects.map((one) => ({ ...one, inode: 7 })),
    };
    assert.deepEqual(read(MANIFEST, more), aManifest());
    assert.match(failureOf(() => read(PLAN, { ...aPlan(), more: 1 })).message, /Unrecognized key: "more"/);
    assert.match(
      failureOf(() => read(RECEIPTS, { ...receiptsOf(aReceipt(0)), more: 1 })).message,
      /Unrecognized key: "more"/,
    );
  });

  test('what a document says is shown in short, and so that all of it is seen', () => {
    const long = failureOf(() => read(PLAN, { ...aPlan(), ['\u001b[2Jforged'.repeat(1000)]: 1 }));
    assert.ok(long.message.includes('\\x1b[2Jforged'));
    assert.ok(!long.message.includes('\u001b'));
    const format = `pgsluice/plan/3`;
    const tool = { name: '\u202e'.repeat(1e5), version: '\n' };
    assert.doesNotMatch(failureOf(() => read(PLAN, { format, tool })).message, /[\u202e\n]/);
  });

  testRefusals<Manifest>(MANIFEST, aManifest, {
    'neither a table nor a query': [(value) => delete (value as Partial<Manifest>).table, /either a table or a query/],
    'a table and a query': [(value) => (value.query = 'SELECT 1'), /either a table or a query/],
    'a run id that names no time': [(value) => (value.run = '20261323T021500Z'), /run: /],
    'a window that begins at no time': [
      (value) => (value.window = { column: 'at', from: '2026-02-30', to: '2026-03-01' }),
      /window\.from: there is no such time/,
    ],
    'a window that ends before it begins': [
      (value) => (value.window = { column: 'at', from: '2026-03-01', to: '2026-02-01' }),
      /window: it must end after it begins/,
    ],
    'bounds of a window of two kinds': [
      (value) => (value.window = { column: 'at', from: '2026-03-01', to: '2026-04-01T00:00:00Z' }),
      /window: /,
    ],
    'an end at no time': [
      (value) => (value.finishedAt = '2026-11-23T25:00:00.000Z'),
      /finishedAt: there is no such time/,
    ],
    'rows below zero': [(value) => (value.rows = -1), /rows: /],
    'rows that no number holds exactly': [(value) => (value.objects[1]!.rows = 2 ** 53), /objects\[1\]\.rows: /],
    'half a byte': [(value) => (value.objects[2]!.bytes = 0.5), /objects\[2\]\.bytes: /],
    'a digest in upper case': [(value) => (value.objects[0]!.sha256 = 'AB'.repeat(32)), /objects\[0\]\.sha256: /],
    'a digest that is too short': [(value) => (value.objects[0]!.crc32 = '0123'), /objects\[0\]\.crc32: /],
    'a key that is no list': [(value) => (value.objects[0]!.firstKey = '1' as never), /objects\[0\]\.firstKey: /],
    'values of a key that are no texts': [
      (value) => (value.objects[0]!.lastKey = [1] as never),
      /objects\[0\]\.lastKey: /,
    ],
    'an OID of zero': [(value) => (value.columns[0]!.typeOid = 0), /columns\[0\]\.typeOid: /],
    'an encoding that nobody knows': [
      (value) => (value.columns[0]!.encoding = 'eval' as never),
      /columns\[0\]\.encoding: /,
    ],
    'more columns than Postgres has': [
      (value) => (value.columns = Array.from({ length: 1665 }, () => value.columns[0]!)),
      /columns: .*1664/,
    ],
    'a name that is too long': [(value) => (value.columns[0]!.name = 'x'.repeat(1025)), /columns\[0\]\.name: /],
    'a time that is none': [(value) => (value.finishedAt = 'yesterday'), /finishedAt: /],
    'another consistency': [(value) => (value.consistency = 'most' as never), /consistency: /],
    'no tool': [(value) => delete (value as Partial<Manifest>).tool, /tool: /],
  });

  testRefusals<PlanDocument>(PLAN, aPlan, {
    'a fingerprint that is none': [(value) => (value.fingerprint = 'x'), /fingerprint: /],
    'an unknown cut': [(value) => (value.by = 'hash' as never), /by: /],
    'SQL in a segment': [
      (value) => Object.assign(value.segments[1]!, { from: 'x; DROP TABLE t' }),
      /segments\[1\]: Unrecognized key: "from"/,
    ],
    'SQL in a range': [(value) => Object.assign(value.segments[0]!.range!, { sql: '1' }), /segments\[0\]\.range: /],
    'segments in another order': [(value) => value.segments.reverse(), /segments\[0\]: its index is 2/],
    'a segment twice': [(value) => (value.segments[1] = value.segments[0]!), /segments\[1\]: its index is 0/],
    'a segment too few in the middle': [
      (value) => (value.segments = [value.segments[0]!, { ...value.segments[2]!, index: 1 }]),
      /segments\[1\]: it does not begin where the one before it ends/,
    ],
    'a first segment that leaves rows out': [
      (value) => (value.segments[0]!.range!.lower = ['1']),
      /segments\[0\]: it does not begin/,
    ],
    'a last segment that leaves rows out': [
      (value) => (value.segments[2]!.range!.upper = ['11']),
      /segments\[2\]: it does not go to the end/,
    ],
    'an end in the middle': [
      (value) => (value.segments[0]!.range!.upper = value.segments[1]!.range!.lower = null),
      /segments\[1\]: it does not begin/,
    ],
    'a segment of another cut': [
      (value) => (value.segments[1] = { index: 1, pages: { leaf: 1, name: 'x', fromPage: 0, toPage: null } }),
      /segments\[1\]: it is no segment by key/,
    ],
    'a segment of two cuts': [
      (value) => (value.segments[1]!.pages = { leaf: 1, name: 'x', fromPage: 0, toPage: null }),
      /segments\[1\]: it is no segment by key/,
    ],
    'a segment without a range': [(value) => delete value.segments[1]!.range, /segments\[1\]: it is no segment by key/],
    'ranges where all rows are one segment': [
      (value) => (value.by = 'none'),
      /segments\[0\]: it is no segment by none/,
    ],
    'several segments of all rows': [
      (value) => Object.assign(value, { by: 'none', segments: [{ index: 0 }, { index: 1 }] }),
      /segments\[0\]: it is one of 2/,
    ],
    'an ending without its time': [(value) => (value.ended = { how: 'failed', at: 'now', host: 'h' }), /ended\.at: /],
    'an ending of a kind that nobody knows': [
      (value) => (value.ended = { how: 'lost' as never, at: '2026-11-23T02:15:00.000Z', host: 'h' }),
      /ended\.how: /,
    ],
  });

  test('a plan by pages covers each leaf from its first page to its end', () => {
    const pages = (...ranges: [leaf: number, fromPage: number, toPage: number | null][]): PlanDocument =>
      aPlan({
        by: 'pages',
        segments: ranges.map(([leaf, fromPage, toPage], index) => ({
          index,
          pages: { leaf, name: `leaf ${leaf}`, fromPage, toPage },
        })),
      });
    const together = (segments: [leaf: number, ...others: number[]][] | [[]]): PlanDocument =>
      aPlan({
        by: 'pages',
        segments: segments.map((leaves, index) => ({
          index,
          leaves: leaves.map((leaf) => ({ leaf, name: `leaf ${leaf}` })),
        })),
      });
    const small = together([[7, 8], [9]]);
    assert.deepEqual(read(PLAN, small), small);
    const both = {
      index: 0,
      leaves: [{ leaf: 7, name: 'x' }],
      pages: { leaf: 8, name: 'y', fromPage: 0, toPage: null },
    };
    const whole = pages([7, 0, 10], [7, 10, null], [8, 0, null]);
    assert.deepEqual(read(PLAN, whole), whole);
    for (const [plan, problem] of [
      [together([[7, 8], [8]]), /segments\[1\]: it does not begin/],
      [together([[7, 7]]), /segments\[0\]: it does not begin/],
      [together([[]]), /segments\[0\]: it has no pages/],
      [aPlan({ by: 'pages', segments: [both] }), /segments\[0\]: it is no segment by pages/],
      [aPlan({ by: 'key', segments: small.segments }), /segments\[0\]: it is no segment by key/],
      [pages([7, 1, null]), /segments\[0\]: it does not begin/],
      [pages([7, 0, 10], [7, 11, null]), /segments\[1\]: it does not begin/],
      [pages([7, 0, 10], [7, 9, null]), /segments\[1\]: it does not begin/],
      [pages([7, 0, 10], [8, 0, null]), /segments\[0\]: it does not go to the end/],
      [pages([7, 0, null], [7, 0, null]), /segments\[1\]: it does not begin/],
      [pages([7, 0, 0], [7, 0, null]), /segments\[0\]: it has no pages/],
      [pages([7, 0, 2 ** 32]), /segments\[0\]\.pages/],
      [pages([-1, 0, null]), /segments\[0\]\.pages/],
    ] as const)
      assert.match(failureOf(() => read(PLAN, plan)).message, problem);
  });

  test('a plan by pages of a version that knew leaves by name and SQL loses the SQL', () => {
    const pages = { from: 'ONLY "public"."events"', leaf: 'public.events', fromPage: 0, toPage: null, hasPages: true };
    const { tool: _tool, ...plan } = aPlan({ by: 'pages', segments: [] });
    const earlier = { ...plan, segments: [{ index: 0, pages }] };
    assert.deepEqual(read(PLAN, earlier).segments, [
      { index: 0, pages: { leaf: 0, name: 'public.events', fromPage: 0, toPage: null } },
    ]);
  });

  test('a plan has at least one segment', () => {
    for (const by of ['key', 'pages', 'none'] as const)
      assert.match(failureOf(() => read(PLAN, aPlan({ by, segments: [] }))).message, /there are no segments/);
  });

  const ofSecond = (change: (receipt: Receipt) => unknown) => (value: { receipts: Receipt[] }) =>
    change(value.receipts[1]!);
  testRefusals<{ format: typeof RECEIPTS_FORMAT; receipts: Receipt[] }>(
    RECEIPTS,
    () => receiptsOf(aReceipt(1), aReceipt(2)),
    {
      'a segment below zero': [ofSecond((value) => (value.segment = -1)), /receipts\[1\]\.segment: /],
      'more segments than there may be': [ofSecond((value) => (value.segment = 400_000)), /\.segment: /],
      'a digest of lines that is no number': [ofSecond((value) => (value.lineDigest = '1e9')), /lineDigest: /],
      'a field too many in one of them': [ofSecond((value) => Object.assign(value, { more: 1 })), /receipts\[1\]: /],
      'a snapshot with more than its fields': [
        ofSecond((value) => Object.assign(value.snapshot, { sql: '' })),
        /snapshot: /,
      ],
    },
  );
});

describe('a document that is made to exhaust memory', () => {
  test('is not parsed when it nests deep, whether in lists, mappings or both', () => {
    for (const opening of ['[', '{"a":', '[{"a":']) {
      const deep = Buffer.from(`{"format":"pgsluice/plan/2","more":${opening.repeat(1e6)}`);
      assert.match(failureOf(() => readDocument(PLAN, deep, URL)).message, /nests deeper than 32 levels/);
    }
  });

  test('is not parsed when it has more values than any document of ours', () => {
    assert.match(describeExcess(Buffer.from(`{"a":[${'[],'.repeat(2_000_001)}0]}`)) ?? '', /more than 4000000 values/);
    assert.equal(describeExcess(Buffer.from(`{"a":[${'[],'.repeat(1_999_990)}0]}`)), undefined);
  });

  test('is not parsed when it has more values than receipts have that are written together', () => {
    const body = Buffer.from(`{"format":"${RECEIPTS_FORMAT}","receipts":[${'[],'.repeat(250_001)}[]]}`);
    assert.match(failureOf(() => readDocument(RECEIPTS, body, URL)).message, /more than 500000 values/);
  });

  test('is not parsed when it has a mapping of more fields than any of ours', () => {
    const mapping = (fields: number): Buffer =>
      Buffer.from(`[[1, 2], {"a": 0${', "b": [1, {"c": 2}, 3]'.repeat(fields - 1)}}, 4]`);
    assert.equal(describeExcess(mapping(1000)), undefined);
    assert.match(describeExcess(mapping(1001)) ?? '', /a mapping of more than 1000 fields/);
  });

  test('is given up at the first bad item of a list', () => {
    const items = Buffer.from(JSON.stringify({ ...aManifest(), objects: Array.from({ length: 300_000 }, () => 0) }));
    const before = process.memoryUsage().heapUsed;
    assert.match(failureOf(() => readDocument(MANIFEST, items, URL)).message, /objects\[0\]: /);
    assert.ok(process.memoryUsage().heapUsed - before < 64 * 1024 ** 2);
  });

  test('and texts may hold brackets, quotes and backslashes as they like', () => {
    const why = `${'[{"\\'.repeat(100)}\\\\"`;
    assert.equal(read(PLAN, aPlan({ why })).why, why);
    assert.equal(describeExcess(Buffer.from('"never closed \\')), undefined);
  });

  test('in a long list is not parsed when all items together have too many values, and may have more than one document', () => {
    const kind: DocumentKind<{ format: string; objects: unknown[] }> = {
      ...{ name: 'journal', format: 'pgsluice/many/1', maxBytes: 1e9, code: 'bad-journal', stage: 'journal' },
      schema: z.object({ format: z.string(), objects: z.array(z.unknown()) }),
      longList: { field: 'objects', item: z.array(z.unknown()), mostItems: 5 },
    };
    const written = (items: number, zeros: number): Buffer =>
      Buffer.from(
        `{"format":"${kind.format}","objects":[${Array(items)
          .fill(`[${'0,'.repeat(zeros)}0]`)
          .join()}]}`,
      );
    const many = readDocument(kind, written(3, 1_500_000), URL);
    assert.equal((many.objects[2] as unknown[]).length, 1_500_001);
    assert.match(failureOf(() => readDocument(kind, written(5, 3_500_000), URL)).message, /more than 16000000 values/);
    assert.match(failureOf(() => readDocument(kind, written(6, 1), URL)).message, /objects\[5\]: there are too many/);
    assert.match(
      failureOf(() => readDocument(kind, written(1, 4_000_000), URL)).message,
      /objects\[0\]: it has more than/,
    );
    const twice = Buffer.from(`{"format":"${kind.format}","objects":[[1]],"objects":[[2]]}`);
    assert.match(failureOf(() => readDocument(kind, twice, URL)).message, /objects: it is there twice/);
  });

  test('a list of more values than may be read is not written', () => {
    const lastKey = Array<string>(1600).fill('');
    const object = { ...aManifest().objects[0]!, firstKey: lastKey, lastKey };
    const objects = { length: 6000, [Symbol.iterator]: () => Array<typeof object>(6000).fill(object).values() };
    assert.match(
      failureOf(() => writeDocument(MANIFEST, { ...aManifest(), objects }, URL)).message,
      /objects: it has more than 16000000 values/,
    );
  });

  test('a list of more items than may be read is not written', () => {
    const objects = { length: 400_001, [Symbol.iterator]: () => [][Symbol.iterator]() };
    assert.match(
      failureOf(() => writeDocument(MANIFEST, { ...aManifest(), objects }, URL)).message,
      /objects\[400000\]: there are too many/,
    );
  });

  test('a plan of ten thousand segments is read and written', () => {
    const plan = aPlan({ segments: keySegments(10_000) });
    assert.deepEqual(readDocument(PLAN, writeDocument(PLAN, plan, URL), URL), plan);
  });
});
