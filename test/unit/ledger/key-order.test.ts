import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareKeys } from '../../../src/ledger/key-order.ts';
import type { ManifestColumn } from '../../../src/ledger/manifest.ts';

function column(encoding: ManifestColumn['encoding'], typeOid = 0): ManifestColumn {
  return { name: 'k', type: '', typeOid, nullable: false, encoding };
}

const BELOW: [string, ManifestColumn, string, string][] = [
  ['integers by their value', column('integer'), '9', '10'],
  ['negative integers', column('integer'), '-10', '-9'],
  ['integers above 2^53', column('integer'), '9223372036854775806', '9223372036854775807'],
  ['decimals by their value', column('number'), '2.5', '10.25'],
  ['booleans', column('boolean'), 'false', 'true'],
  ['dates', column('date'), '2026-01-09', '2026-01-10'],
  [
    'times with and without a fraction',
    column('timestamptz'),
    '2026-01-01T00:00:00+00:00',
    '2026-01-01T00:00:00.5+00:00',
  ],
  ['timestamps to the microsecond', column('timestamp'), '2026-01-01T00:00:00.000001', '2026-01-01T00:00:00.00001'],
  ['uuids', column('string', 2950), '0f000000-0000-0000-0000-000000000000', 'a0000000-0000-0000-0000-000000000000'],
  ['bytea', column('string', 17), '\\x0f', '\\xa0'],
];
for (const [what, key, low, high] of BELOW) {
  test(`orders ${what}`, () => {
    assert.equal(Math.sign(compareKeys([low], [high], [key]) ?? 0), -1);
    assert.equal(Math.sign(compareKeys([high], [low], [key]) ?? 0), 1);
    assert.equal(compareKeys([low], [low], [key]), 0);
  });
}

for (const [what, key, a, b] of [
  ['text, which depends on its collation', column('string', 25), 'a', 'B'],
  ['numbers that a double cannot tell apart', column('number'), '1.00000000000000000001', '1.00000000000000000002'],
  ['NaN', column('number'), 'NaN', '1'],
  ['the infinities of time', column('timestamptz'), '-infinity', '2026-01-01T00:00:00+00:00'],
  ['years before Christ', column('date'), '0044-03-15 BC', '0043-03-15 BC'],
  ['years of five digits', column('date'), '9999-01-01', '10000-01-01'],
  ['NULL', column('integer'), '', '1'],
] as const) {
  test(`leaves ${what} undecided`, () => {
    assert.equal(compareKeys([a], [b], [key]), undefined);
    assert.equal(compareKeys([b], [a], [key]), undefined);
    assert.equal(compareKeys([a], [a], [key]), 0);
  });
}

test('goes by the first column that differs', () => {
  const columns = [column('integer'), column('string', 25), column('integer')];
  assert.equal(Math.sign(compareKeys(['1', 'b', '9'], ['2', 'a', '1'], columns) ?? 0), -1);
  assert.equal(Math.sign(compareKeys(['1', 'b', '9'], ['1', 'b', '1'], columns) ?? 0), 1);
  assert.equal(compareKeys(['1', 'b', '9'], ['1', 'a', '1'], columns), undefined);
});
