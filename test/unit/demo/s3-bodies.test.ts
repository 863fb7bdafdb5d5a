import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { S3Bodies } from '../../../src/demo/s3-bodies.ts';

test('bodies of objects are what was written last, and leave no file when they are gone', (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-test-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const bodies = new S3Bodies(folder);
  const [small, large] = [Buffer.from('small'), Buffer.alloc(100_000, 'x')];
  for (const body of [small, large, large, small, large]) {
    bodies.upsertObject('one', { key: 'a/b', body });
    assert.ok(bodies.readBody('one', 'a/b').equals(body));
    assert.equal(readdirSync(folder).length, body === large ? 1 : 0);
  }
  const piece = Buffer.from('piece');
  bodies.upsertObject('two', { key: 'a/b', body: piece });
  piece.fill('!');
  assert.equal(bodies.readBody('two', 'a/b').toString(), 'piece');
  bodies.deleteObject('one', 'a/b');
  bodies.deleteObject('one', 'never there');
  assert.throws(() => bodies.readBody('one', 'a/b'), /is not there/);
  bodies.completeMultipartUpload('id', 'two', { key: 'c', body: large });
  bodies.deleteObjectsByBucket('two');
  assert.throws(() => bodies.readBody('two', 'c'), /is not there/);
  assert.deepEqual(readdirSync(folder), []);
});
