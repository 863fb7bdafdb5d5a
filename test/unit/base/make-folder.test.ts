import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { makeFolder, makeFolderSync } from '../../../src/base/make-folder.ts';

const root = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-folder-'));
after(() => {
  rmSync(root, { recursive: true });
});

test('a folder is made with those above it, and may be there already', async () => {
  makeFolderSync(path.join(root, 'a/b/c'), 0o700);
  makeFolderSync(path.join(root, 'a/b/c'), 0o700);
  assert.equal(statSync(path.join(root, 'a/b')).mode & 0o777, 0o700);
  assert.equal(await makeFolder(path.join(root, 'a/b')), undefined);
  assert.equal(await makeFolder(path.join(root, 'd/e/f')), path.join(root, 'd'));
  assert.ok(existsSync(path.join(root, 'd/e/f')));
  const both = await Promise.all([makeFolder(path.join(root, 'g/h')), makeFolder(path.join(root, 'g/h'))]);
  assert.ok(both.includes(path.join(root, 'g')));
});

test('a file in the way, and a place where the system makes no folder, are errors and no endless loop', async () => {
  writeFileSync(path.join(root, 'file'), '');
  assert.throws(() => makeFolderSync(path.join(root, 'file/x'), 0o700), /ENOTDIR/);
  assert.throws(() => makeFolderSync(path.join(root, 'file'), 0o700), /EEXIST/);
  if (process.platform !== 'linux') return;
  await assert.rejects(makeFolder('/proc/nothing/here'), /ENOENT/);
  // In a process of its own, as a loop could not be ended here.
  const script =
    "import { makeFolderSync } from './src/base/make-folder.ts'; makeFolderSync('/proc/nothing/here', 0o700);";
  const cwd = path.join(import.meta.dirname, '../../..');
  const { stderr, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd,
    timeout: 20_000,
    encoding: 'utf8',
  });
  assert.equal(signal, null);
  assert.match(stderr, /ENOENT/);
});
