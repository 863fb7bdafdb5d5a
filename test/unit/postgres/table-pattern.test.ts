import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesPattern, parseTablePattern } from '../../../src/postgres/table-pattern.ts';

const PRINTABLE = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x21 + index));

test('each character between quotes is itself, and without them all but capitals, dots, quotes and wildcards are', () => {
  for (const sign of [...PRINTABLE, ' ', '\n', '日', '😀']) {
    const pattern = parseTablePattern(`public."a${sign.replaceAll('"', '""')}b"`);
    assert.ok(pattern !== undefined, sign);
    assert.ok(matchesPattern(pattern, { schema: 'public', table: `a${sign}b` }), sign);
    assert.ok(!matchesPattern(pattern, { schema: 'public', table: 'a§b' }), sign);
  }
  for (const sign of PRINTABLE.filter((one) => !/[A-Z."*?]/.test(one))) {
    const pattern = parseTablePattern(`event${sign}*`);
    assert.ok(pattern !== undefined, sign);
    assert.ok(matchesPattern(pattern, { schema: 'public', table: `event${sign}1` }), sign);
    assert.ok(!matchesPattern(pattern, { schema: 'public', table: 'event§1' }), sign);
  }
});
