import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { crc32, gzipSync } from 'node:zlib';
import { FailureError } from '../../../src/base/errors.ts';
import { NEVER } from '../../../src/base/signals.ts';
import type { Config, DestinationConfig } from '../../../src/config/schema.ts';
import { verifyObject, type ObjectToVerify } from '../../../src/segment/verify/object.ts';
import { Problems, type Problem } from '../../../src/segment/verify/problems.ts';
import { openStore } from '../../../src/store/open.ts';
import { VerifyThreads, type ObjectReader } from '../../../src/verify/threads.ts';
import '../../support/bundled-threads.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-verify-'));
const destination = { location: { kind: 'file', folder } } as DestinationConfig;
const store = openStore(destination, NEVER);
const config = {
  workers: { threads: 2, maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 },
  sources: { app: { url: 'postgres://127.0.0.1:1/nowhere' } },
  destinations: { folder: destination },
} as unknown as Config;
const archive = { source: 'app', destination: 'folder' };
const run = { archive: 'events', run: '20261123T021500Z' };

after(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const LINES = Array.from({ length: 5000 }, (_, at) => `{"id":${at},"v":"${at * 7919}"}\n`).join('');

/** An object, and what is said of it. */
function put(key: string, content: string, body: Buffer = gzipSync(content)): ObjectToVerify & { segment: number } {
  writeFileSync(path.join(folder, key), body);
  const object = {
    rows: 5000,
    jsonBytes: LINES.length,
    bytes: body.length,
    sha256: createHash('sha256').update(body).digest('hex'),
    crc32: crc32(LINES).toString(16).padStart(8, '0'),
    firstKey: ['0'],
    lastKey: ['4999'],
  };
  const columns = ['id', 'v'].map((name) => ({ name }));
  return { segment: 0, store, key, object, columns, keyColumns: ['id'], windowBytes: 2 ** 23 };
}

async function found(
  read: ObjectReader,
  toVerify: ObjectToVerify & { segment: number },
): Promise<{ problems: Problem[]; bytes: number }> {
  const problems = new Problems();
  let bytes = 0;
  await read(toVerify, problems, NEVER, (more) => (bytes += more));
  return { problems: problems.list, bytes };
}

test(
  'a thread finds in an object what the thread that asks finds, and says of each failure what it says',
  { skip: os.availableParallelism() < 2 && 'there is no core for a thread' },
  async () => {
    const threads = new VerifyThreads(config, archive, 1);
    try {
      const [inThread, ...more] = threads.start(run, 2, LINES.length);
      assert.ok(inThread !== undefined);
      assert.deepEqual(more, []);
      const whole = put('whole.jsonl.gz', LINES);
      const broken = LINES.replaceAll('"v":"7', '"v":x"7');
      for (const object of [
        whole,
        put('broken.jsonl.gz', broken),
        put('cut.jsonl.gz', LINES, gzipSync(LINES).subarray(0, -9)),
        put('plain.jsonl', LINES, Buffer.from(LINES)),
      ])
        assert.deepEqual(await found(inThread, object), await found(verifyObject, object), object.key);
      const missing = { ...whole, key: 'missing.jsonl.gz' };
      await assert.rejects(found(inThread, missing), (error: unknown) => {
        assert.ok(error instanceof FailureError);
        assert.equal(error.failure.code, 'object-missing');
        return true;
      });
    } finally {
      await threads.close();
    }
  },
);

test('threads start where there is much to read in several objects, and no more than have an object', async () => {
  const many = { ...config, workers: { ...config.workers, threads: 8 } };
  const threads = new VerifyThreads(many, archive, 1000);
  const least = Math.min(7, os.availableParallelism() - 1);
  try {
    assert.equal(threads.start(run, 1, 1e9).length, 0);
    assert.equal(threads.start(run, 100, 1999).length, 0);
    assert.equal(threads.start(run, 2, 1e9).length, Math.min(1, least));
    assert.equal(threads.start(run, 100, 1e9).length, least);
  } finally {
    await threads.close();
  }
});
