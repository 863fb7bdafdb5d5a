import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { createArticleTable, createNarrowTable } from '../../../src/demo/article-table.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});

async function linesOf(table: string): Promise<string[]> {
  const { rows } = await database.client.query<{ line: string }>(
    `select row_to_json(t)::text as line from ${table} as t order by id`,
  );
  return rows.map(({ line }) => line);
}

test('an article is about 1 KB as JSON, and compresses as prose does', async () => {
  const progress: number[] = [];
  await createArticleTable(database.client, { rows: 2000, onProgress: (rows) => progress.push(rows) });
  const jsonl = Buffer.from((await linesOf('public.fetch_queue')).map((line) => `${line}\n`).join(''));
  const bytesPerRow = jsonl.length / 2000;
  assert.ok(bytesPerRow > 966 && bytesPerRow < 1030, `${bytesPerRow} bytes a row`);
  const ratio = jsonl.length / gzipSync(jsonl, { level: 6 }).length;
  assert.ok(ratio > 5 && ratio < 7, `a ratio of ${ratio}`);
  assert.deepEqual(progress, [2000]);
});

test('an article has what breaks careless encoders', async () => {
  const all = (await linesOf('public.fetch_queue')).join('\n');
  for (const sample of ['\\"', '\\\\', '\\r\\n\\t', '\\u0001', '🚀', 'ß', '"note":null', '"ok":false']) {
    assert.ok(all.includes(sample), sample);
  }
  assert.match(all, /"fetched_at":"2026-08-01T00:00:17\.318207\+00:00"/);
});

test('the same row number gives the same row in a table of any size', async () => {
  await createArticleTable(database.client, { rows: 10, table: 'public."Small queue"' });
  const small = await linesOf('public."Small queue"');
  assert.deepEqual(small, (await linesOf('public.fetch_queue')).slice(0, 10));
});

test('a narrow row has five numbers', async () => {
  await createNarrowTable(database.client, { rows: 1000 });
  const lines = await linesOf('public.readings');
  assert.equal(lines.length, 1000);
  assert.equal(lines[0], '{"id":1,"a":7919,"b":1000003,"c":0.12109375,"d":0.13}');
});

test('an empty table can be made', async () => {
  await createArticleTable(database.client, { rows: 0, table: 'public.nothing' });
  assert.deepEqual(await linesOf('public.nothing'), []);
});
