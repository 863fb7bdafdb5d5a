import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PackedListing } from '../../../src/ledger/packed-listing.ts';
import { ReceiptsByKey, ReceiptsBySegment } from '../../../src/ledger/packed-receipts.ts';
import { warnOfHeldBytes } from '../../../src/run/held-bytes.ts';
import { aReceipt, keySegments } from '../../support/ledger.ts';
import { aRunPlan } from './support.ts';

/** What is said of a run whose receipts have keys of so many characters. */
function saidOf(segments: number, chars: number): string[] {
  const done = new ReceiptsBySegment('', segments);
  for (let segment = 0; segment < segments; segment += 1)
    done.set(segment, aReceipt(segment, { lastKey: ['x'.repeat(chars)] }));
  const plan = aRunPlan({ segments: keySegments(segments) });
  return warnOfHeldBytes({ plan, done, listed: new PackedListing(''), empties: new ReceiptsByKey('') });
}

test('a run that holds more than is in the sum of `check` says so, and others do not', () => {
  assert.deepEqual(saidOf(3000, 100), []);
  assert.deepEqual(saidOf(3, 1000), []);
  assert.match(saidOf(3000, 7000).join(), /holds 2\d\.\d MiB for its 3,000 segments, .* check reckons with 1\.7 MiB/);
});
