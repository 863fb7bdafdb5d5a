import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const NEEDS = pathToFileURL(path.join(import.meta.dirname, '../../support/needs.ts')).href;

/** What the helper does on a machine with an empty PATH. */
function skipWithout(tool: string, ciHas: string | undefined): { status: number | null; said: string } {
  const script = `const { skipWithout } = await import('${NEEDS}'); console.log(skipWithout('${tool}'));`;
  const env = { PATH: '/nothing', ...(ciHas === undefined ? {} : { PGSLUICE_CI_HAS: ciHas }) };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    env,
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

test('a test is skipped for want of a tool, but not where CI has it', () => {
  assert.deepEqual(skipWithout('pigz', undefined), { status: 0, said: 'pigz is not there\n' });
  assert.deepEqual(skipWithout('pigz', 'psql igzip'), { status: 0, said: 'pigz is not there\n' });
  const failed = skipWithout('pigz', 'psql pigz igzip');
  assert.equal(failed.status, 1);
  assert.match(failed.said, /pigz is not there, although CI has pigz/);
});
