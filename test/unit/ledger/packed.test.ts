/** What is held of a run's segments, packed: it is what it was before. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PackedListing } from '../../../src/ledger/packed-listing.ts';
import { PackedReceipts, ReceiptsByKey, ReceiptsBySegment } from '../../../src/ledger/packed-receipts.ts';
import type { Receipt } from '../../../src/ledger/receipts.ts';
import { packed, SegmentList } from '../../../src/ledger/segment-list.ts';
import { aReceipt, ARCHIVE, keySegments, RUN, SNAPSHOT } from '../../support/ledger.ts';

const PREFIX = `${ARCHIVE}/run=${RUN}/`;

describe('packed receipts', () => {
  const other = { ...SNAPSHOT, lsn: null };
  for (const [what, receipt] of [
    ['of a segment', aReceipt(399_999)],
    [
      'with all that it may have',
      aReceipt(7, { etag: 'a-1', lineDigest: '18446744073709551615', longestLine: 2 ** 31 }),
    ],
    ['with an empty ETag', aReceipt(7, { etag: '' })],
    ['without keys, under another snapshot', aReceipt(7, { firstKey: null, lastKey: null, snapshot: other })],
    ['in a folder by value', aReceipt(7, { key: `${PREFIX}tenant=%2F✓/part-00007.jsonl.zst` })],
    ['of another folder', aReceipt(7, { key: 'elsewhere/part-00007.jsonl.gz' })],
    [
      'of another plan, with odd keys',
      aReceipt(7, { fingerprint: 'a'.repeat(64), firstKey: ['', '"\n'], lastKey: [] }),
    ],
  ] as [string, Receipt][])
    test(`${what} are as they were`, () => {
      const receipts = new PackedReceipts(PREFIX);
      receipts.add(aReceipt(0));
      assert.deepEqual(receipts.at(receipts.add(receipt)), receipt);
      assert.deepEqual(receipts.at(0), aReceipt(0));
    });

  test('are in the order of their segments, and the last one of a segment counts', () => {
    const receipts = new ReceiptsBySegment(PREFIX, 5);
    for (const segment of [4, 0, 2]) receipts.set(segment, aReceipt(segment));
    receipts.set(0, aReceipt(0, { rows: 7 }));
    assert.equal(receipts.size, 3);
    assert.deepEqual([...receipts.keys()], [0, 2, 4]);
    assert.deepEqual([...receipts.values()], [aReceipt(0, { rows: 7 }), aReceipt(2), aReceipt(4)]);
    assert.deepEqual(
      [receipts.has(1), receipts.get(1), receipts.get(5), receipts.has(4)],
      [false, undefined, undefined, true],
    );
    assert.throws(() => receipts.set(5, aReceipt(5)), /no segment 5/);
  });

  test('are found by their keys', () => {
    const receipts = new ReceiptsByKey(PREFIX);
    receipts.set(aReceipt(3).key, aReceipt(3));
    assert.deepEqual([...receipts], [[aReceipt(3).key, aReceipt(3)]]);
    assert.equal(receipts.get(aReceipt(4).key), undefined);
  });
});

describe('a packed listing', () => {
  const objects = Array.from({ length: 1000 }, (_, at) => ({
    key: `${PREFIX}${at % 3 === 0 ? 'k=😀/' : ''}part-${String(at).padStart(5, '0')}.jsonl.gz`,
    bytes: at,
    etag: at % 2 === 0 ? '' : `"${at}"`,
  }));
  const inOrder = objects.toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  for (const [how, all] of [
    ['in the order of its keys', inOrder],
    ['in another order', objects.toReversed()],
    ['of one object', inOrder.slice(0, 1)],
    ['of none', []],
  ] as const)
    test(`that came ${how} finds each object, and no other`, () => {
      const listing = new PackedListing(PREFIX);
      for (const object of all) listing.add(object);
      for (const object of all) assert.deepEqual(listing.get(object.key), object);
      for (const key of ['', 'a', '~', 'part-00000.jsonl.gz', 'part-00001.jsonl.g', 'part-00001.jsonl.gza'])
        assert.equal(listing.get(PREFIX + key), undefined, key);
      assert.equal(listing.get(`${'x'.repeat(PREFIX.length)}part-00001.jsonl.gz`), undefined);
      assert.deepEqual([...listing.keys()].sort(), all.map(({ key }) => key).sort());
    });
});

test('segments are packed where they are many, and are as they were', () => {
  assert.deepEqual(packed(keySegments(3)), keySegments(3));
  const value = { index: 2000, partition: [null, 'é'], range: { lower: null, upper: ['1'] } };
  const many = packed(keySegments(2000), [value]);
  assert.ok(many instanceof SegmentList && packed(many) === many);
  assert.equal(many.length, 2001);
  assert.deepEqual([...many].slice(-2), [keySegments(2000)[1999], value]);
  assert.deepEqual([many.at(2000), many.at(7), many.at(2001)], [value, keySegments(2000)[7], undefined]);
  assert.ok(many.heldBytes < 100 * many.length);
});
