import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codecOf } from '../../../../src/format/compress/codec.ts';

test('the ending of a key tells its codec', () => {
  for (const [key, codec] of [
    ['events/run=20261123T021500Z/part-00000.jsonl.gz', 'gzip'],
    ['events/run=20261123T021500Z/part-00000.jsonl.zst', 'zstd'],
    ['events/run=20261123T021500Z/part-00000.jsonl', 'none'],
    ['odd.jsonl.gz.jsonl', 'none'],
    ['odd.jsonl.zst.jsonl.gz', 'gzip'],
  ] as const)
    assert.equal(codecOf(key), codec, key);
});

test('what has none of our endings has no codec that we know', () => {
  for (const key of ['part-00000.parquet', 'part-00000.gz', 'part-00000.jsonl.gz.tmp', 'part-00000jsonl', ''])
    assert.equal(codecOf(key), undefined, key);
});
