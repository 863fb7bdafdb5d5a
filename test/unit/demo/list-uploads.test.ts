import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerListUploads } from '../../../src/demo/list-uploads.ts';

const initiated = new Date('2026-11-26T02:15:00Z');
const uploads = ['pg/b', 'pg/a&b', 'other/c'].map((key, at) => ({
  uploadId: `id-${at}`,
  bucket: 'demo',
  key,
  initiated,
}));
const book = { multipartUploads: new Map(uploads.map((upload) => [upload.uploadId, upload])) };

test('the embedded S3 lists unfinished uploads below a prefix, and leaves other requests alone', () => {
  const answer = answerListUploads(book, 'GET', '/demo?uploads&prefix=pg%2F') ?? '';
  assert.deepEqual(answer.match(/<Key>[^<]*/g), ['<Key>pg/a&amp;b', '<Key>pg/b']);
  assert.match(answer, /<Bucket>demo<.*<Initiated>2026-11-26T02:15:00.000Z</);
  assert.doesNotMatch(answerListUploads(book, 'GET', '/empty?uploads=') ?? '<Key>', /<Key>/);
  for (const [method, target] of [
    ['POST', '/demo/pg/a?uploads'],
    ['GET', '/demo?list-type=2'],
    ['PUT', '/demo?uploads'],
  ] as const)
    assert.equal(answerListUploads(book, method, target), undefined);
});
