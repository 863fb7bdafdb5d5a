/** The maintainer scripts of the Debian package, in a folder instead of the root; test/package has them on a Debian. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ROOT } from '../support/package.ts';

const STATE = 'var/lib/pgsluice';
const OURS = [
  'etc/pgsluice/environment',
  `${STATE}/pgsluice.db`,
  `${STATE}/pgsluice.db-wal`,
  `${STATE}/pgsluice.db.damaged-20261123T021500Z`,
  `${STATE}/windows/events-0123456789abcdef.json`,
  'var/cache/pgsluice/code',
  'var/cache/pgsluice-worker/code',
];

function rootWith(t: TestContext, files: readonly string[]): string {
  const root = mkdtempSync(path.join(tmpdir(), 'pgsluice-deb-scripts-'));
  t.after(() => rmSync(root, { recursive: true }));
  for (const file of files) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), 'x');
  }
  return root;
}

/** What is left of files; it may be called again. */
function purge(root: string): string[] {
  const text = readFileSync(path.join(ROOT, '.ci/deb/postrm'), 'utf8')
    .replaceAll('@UNITS@', 'pgsluice.service')
    .replaceAll(/(?<=[\s"=])\/(?=(?:etc|run|var)\/)/g, `${root}/`);
  const { status, stderr } = spawnSync('/bin/sh', ['-s', 'purge'], { input: text, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .sort();
}

describe('a purge of the package', () => {
  test('leaves nothing of its own, and can be done again', (t) => {
    const root = rootWith(t, OURS);
    for (let times = 1; times <= 2; times += 1) {
      assert.deepEqual(purge(root), []);
      assert.equal(existsSync(path.join(root, STATE)), false);
    }
  });

  test('leaves archives in the home of its account, also of one that is called as a folder of its state', (t) => {
    const others = [
      'etc/pgsluice/signing.pem',
      `${STATE}/.pgpass`,
      `${STATE}/archive/events/run=20261123T021500Z/part-00000.jsonl.gz`,
      `${STATE}/windows/_head.json`,
      `${STATE}/windows/run=20261123T021500Z/_manifest.json`,
    ];
    assert.deepEqual(purge(rootWith(t, [...OURS, ...others])), others.toSorted());
  });
});
