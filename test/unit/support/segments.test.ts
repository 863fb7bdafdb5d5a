import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SeenRequest } from '../../support/s3-proxy.ts';
import { uploadedInVain } from '../../support/segments.ts';
import { PREFIX } from '../../support/site.ts';

const FOLDER = `${PREFIX}events/run=20261123T021500Z/`;

function put(name: string, segments: readonly number[] = []): SeenRequest {
  const sent = [Buffer.from(JSON.stringify({ receipts: segments.map((segment) => ({ segment })) }, null, 2))];
  return { operation: 'PutObject', key: FOLDER + name, status: 200, sent } as SeenRequest;
}

test('a segment is uploaded in vain whose receipt was confirmed, wherever in its document it stands', () => {
  const receipts = put('_pgsluice/part-00003.json', [3, 5, 12]);
  const again = [3, 4, 12].map((segment) => put(`part-${String(segment).padStart(5, '0')}.jsonl.gz`));
  assert.deepEqual(uploadedInVain([...again, receipts, ...again], 'events'), [3, 12]);
  assert.deepEqual(uploadedInVain([{ ...receipts, status: 503 }, ...again], 'events'), []);
});
