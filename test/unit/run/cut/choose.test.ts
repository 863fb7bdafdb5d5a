import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FailureError } from '../../../../src/base/errors.ts';
import { chooseCut, type CutFacts } from '../../../../src/run/cut/choose.ts';

const TABLE: CutFacts = {
  name: 'public.t',
  kind: 'table',
  key: ['id'],
  canCutKey: true,
  canCutPages: true,
  correlation: 1,
  rowChoice: undefined,
};
const QUERY: CutFacts = { ...TABLE, name: 'query', kind: 'query', canCutPages: false, correlation: undefined };
const NO_KEY = { key: [], canCutKey: false, correlation: undefined };

describe('the cut that is chosen', () => {
  const chosen: [string, Parameters<typeof chooseCut>[0], Partial<CutFacts>, string, RegExp][] = [
    ['none when the config says so', 'none', TABLE, 'none', /segments\.by is none/],
    ['none when the config says so, whatever the rows', 'none', { ...QUERY, rowChoice: 'LIMIT' }, 'none', /is none/],
    ['key when the config says so', 'key', { ...TABLE, correlation: 0 }, 'key', /segments\.by is key/],
    ['pages when the config says so', 'pages', TABLE, 'pages', /segments\.by is pages/],
    [
      'key where the rows lie in its order',
      'auto',
      TABLE,
      'key',
      /in the order of the key \(id\) \(correlation 1\.00\)/,
    ],
    ['key where they lie backwards', 'auto', { ...TABLE, correlation: -0.95 }, 'key', /correlation -0\.95/],
    ['key up to the limit', 'auto', { ...TABLE, correlation: 0.9 }, 'key', /correlation/],
    ['pages below the limit', 'auto', { ...TABLE, correlation: 0.899 }, 'pages', /do not lie in its order/],
    ['pages without statistics', 'auto', { ...TABLE, correlation: undefined }, 'pages', /run ANALYZE/],
    ['pages without a key', 'auto', { ...TABLE, ...NO_KEY }, 'pages', /no primary key/],
    ['key on an old server', 'auto', { ...TABLE, canCutPages: false, correlation: 0 }, 'key', /cannot read ranges/],
    ['none of an old table', 'auto', { ...TABLE, ...NO_KEY, canCutPages: false }, 'none', /a table has no pages/],
    [
      'none of a view',
      'auto',
      { ...TABLE, kind: 'view', ...NO_KEY, canCutPages: false },
      'none',
      /a view has no pages/,
    ],
    [
      'none of what has no partitions yet, whatever the config says',
      'key',
      { ...TABLE, kind: 'partitioned', isLeafless: true, canCutKey: false },
      'none',
      /a partitioned table without partitions/,
    ],
    ['key of a query that names one', 'auto', QUERY, 'key', /the query names the key \(id\)/],
    ['none of a query without a key', 'auto', { ...QUERY, ...NO_KEY }, 'none', /a query without a key/],
    ['key where the snapshot may be let go', 'auto', { ...TABLE, correlation: 0, mustOutlive: true }, 'key', /outlive/],
    ['none of a query with LIMIT', 'auto', { ...QUERY, rowChoice: 'LIMIT' }, 'none', /the query has LIMIT.*other rows/],
    ['none of a filter with LIMIT', 'auto', { ...TABLE, rowChoice: 'LIMIT' }, 'none', /the filter has LIMIT/],
  ];
  for (const [situation, by, facts, expected, why] of chosen) {
    test(`is ${situation}`, () => {
      const choice = chooseCut(by, { ...TABLE, ...facts });
      assert.equal(choice.by, expected);
      assert.match(choice.why, why);
    });
  }

  const refused: [string, 'auto' | 'key' | 'pages', Partial<CutFacts>, RegExp, RegExp][] = [
    [
      'key of a table without one',
      'key',
      NO_KEY,
      /public\.t cannot be cut by key: it has no primary key/,
      /name a key/,
    ],
    ['pages of an old server', 'pages', { canCutPages: false }, /by pages: that takes a table, Postgres 14/, /auto/],
    ['key of a query with LIMIT', 'key', { ...QUERY, rowChoice: 'LIMIT' }, /query has LIMIT/, /same rows each time/],
    [
      'pages or none where the snapshot may be let go',
      'auto',
      { ...NO_KEY, mustOutlive: true },
      /no primary key/,
      /maxSnapshotAge out/,
    ],
    [
      'a choice of rows under several snapshots',
      'auto',
      { ...QUERY, rowChoice: 'LIMIT', mustOutlive: true },
      /query has LIMIT/,
      /maxSnapshotAge out/,
    ],
    ['pages of a filter with LIMIT', 'pages', { rowChoice: 'LIMIT' }, /filter has LIMIT/, /same rows each time/],
  ];
  for (const [situation, by, facts, message, hint] of refused) {
    test(`is never ${situation}, whatever the config says`, () => {
      assert.throws(
        () => chooseCut(by, { ...TABLE, ...facts }),
        (error) => {
          assert.ok(error instanceof FailureError);
          assert.equal(error.failure.code, 'cannot-cut');
          assert.match(error.failure.message, message);
          assert.match(error.failure.hint, hint);
          return true;
        },
      );
    });
  }
});
