import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { UsageError } from '../../../src/base/errors.ts';
import {
  compareRunIds,
  formatGeneration,
  formatRunId,
  generationOf,
  isRunId,
  packRunId,
  parseRunId,
  unpackRunId,
} from '../../../src/ledger/run-id.ts';

describe('a run id', () => {
  test('is the time in UTC to the second', () => {
    assert.equal(formatRunId(new Date('2026-11-23T03:15:00.999+01:00')), '20261123T021500Z');
    assert.deepEqual(parseRunId('20261123T021500Z'), new Date('2026-11-23T02:15:00Z'));
  });

  test('comes back from its time, for every second of four-digit years', () => {
    const limits = {
      min: new Date('0001-01-01T00:00:00Z'),
      max: new Date('9999-12-31T23:59:59Z'),
      noInvalidDate: true,
    };
    fc.assert(
      fc.property(fc.date(limits), (time) => {
        const id = formatRunId(time);
        assert.ok(isRunId(id), id);
        assert.equal(parseRunId(id).getTime(), Math.floor(time.getTime() / 1000) * 1000);
      }),
    );
  });

  test('sorts as its time does', () => {
    const second = fc.integer({ min: 0, max: 4e9 }).map((seconds) => new Date(seconds * 1000));
    fc.assert(
      fc.property(second, second, (a, b) => {
        assert.equal(formatRunId(a) < formatRunId(b), a < b);
      }),
    );
  });

  test('of a further generation names the same time, and comes after those before it as a number', () => {
    const start = new Date('2026-11-23T00:00:00Z');
    const ids = [1, 2, 9, 10, 11, 100].map((generation) => formatGeneration(start, generation));
    assert.deepEqual(ids.slice(0, 2), ['20261123T000000Z', '20261123T000000Z_2']);
    const next = '20261123T000001Z';
    const shuffled = [next, ...ids.toReversed()];
    assert.deepEqual(shuffled.toSorted(compareRunIds), [...ids, next]);
    assert.deepEqual(ids.map(generationOf), [1, 2, 9, 10, 11, 100]);
    for (const id of ids) assert.equal(parseRunId(id).getTime(), start.getTime());
    const packed = shuffled.map((id) => packRunId(id) ?? 0n).sort((a, b) => (a < b ? -1 : 1));
    assert.deepEqual(packed.map(unpackRunId), [...ids, next]);
  });

  for (const text of [
    '20261123T000000Z_',
    '20261123T000000Z_0',
    '20261123T000000Z_1',
    '20261123T000000Z_02',
    '20261123T000000Z_1000000',
    '',
    '20261123',
    '20261123T021500',
    '20261123T0215Z',
    '2026-11-23T02:15:00Z',
    '20260230T000000Z',
    '20261301T000000Z',
    '20261123T240000Z',
    '20261123T236000Z',
    '20261123T235960Z',
    ' 20261123T021500Z',
    '20261123T021500Z\n',
    '../../20261123T021500Z',
  ]) {
    test(`is not ${JSON.stringify(text)}`, () => {
      assert.equal(isRunId(text), false);
      assert.throws(() => parseRunId(text), UsageError);
    });
  }
});
