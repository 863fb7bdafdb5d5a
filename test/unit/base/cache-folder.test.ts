import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { makeCacheFolder } from '../../../src/base/cache-folder.ts';

const USER = process.geteuid?.() ?? -1;

describe('the folder of compiled code', () => {
  let home: string;

  beforeEach(() => {
    home = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-cache-'));
  });
  afterEach(() => {
    rmSync(home, { recursive: true });
  });

  /** With exactly these permissions, whatever the umask. */
  function makeFolder(name: string, mode: number): string {
    const folder = path.join(home, name);
    mkdirSync(folder);
    chmodSync(folder, mode);
    return folder;
  }

  test('is made among the caches of the user, closed to all others', () => {
    const folder = path.join(home, '.cache/pgsluice');
    assert.equal(makeCacheFolder({ HOME: home }, USER), folder);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(makeCacheFolder({ HOME: home }, USER), folder);
    const other = path.join(home, 'caches');
    assert.equal(makeCacheFolder({ HOME: home, XDG_CACHE_HOME: other }, USER), path.join(other, 'pgsluice'));
  });

  test('is the one that systemd has made', () => {
    const folder = makeFolder('of-service', 0o700);
    assert.equal(makeCacheFolder({ CACHE_DIRECTORY: `${folder}:/elsewhere`, HOME: home }, USER), folder);
  });

  for (const mode of [0o770, 0o707, 0o755, 0o1777])
    test(`is not used with the permissions ${mode.toString(8)}`, () => {
      assert.equal(makeCacheFolder({ CACHE_DIRECTORY: makeFolder('open', mode) }, USER), undefined);
    });

  test('is not used where another user may put another in its place', () => {
    const above = makeFolder('above', 0o777);
    const folder = makeFolder('above/closed', 0o700);
    assert.equal(makeCacheFolder({ CACHE_DIRECTORY: folder }, USER), undefined);
    assert.equal(makeCacheFolder({ XDG_CACHE_HOME: above }, USER), undefined);
    assert.ok(!existsSync(path.join(above, 'pgsluice')), 'nothing is made there');
    chmodSync(above, 0o1777);
    assert.equal(makeCacheFolder({ CACHE_DIRECTORY: folder }, USER), folder);
  });

  test('is judged where a link leads', () => {
    const open = makeFolder('open', 0o777);
    const folder = makeFolder('open/closed', 0o700);
    const link = path.join(home, 'link');
    symlinkSync(folder, link);
    assert.equal(makeCacheFolder({ CACHE_DIRECTORY: link }, USER), undefined);
    chmodSync(open, 0o700);
    assert.equal(makeCacheFolder({ CACHE_DIRECTORY: link }, USER), folder);
  });

  test('is not used by another user than its owner', () => {
    const folder = makeFolder('closed', 0o700);
    assert.equal(makeCacheFolder({ CACHE_DIRECTORY: folder }, USER + 1), undefined);
  });

  test('is not needed: a place that cannot be written, or none, is no failure', () => {
    assert.equal(makeCacheFolder({ XDG_CACHE_HOME: '/proc/self' }, USER), undefined);
    assert.equal(makeCacheFolder({}, USER), undefined);
    assert.equal(makeCacheFolder({ HOME: 'relative', XDG_CACHE_HOME: 'relative' }, USER), undefined);
  });
});
