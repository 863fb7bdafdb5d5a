import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { runHere } from '../../support/here.ts';

describe('list, where one of several destinations is away', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-list-'));
  const place = (name: string): string => path.join(folder, name);
  after(() => {
    rmSync(folder, { recursive: true });
  });

  const journal = place('good/second/run=20240101T000000Z/_pgsluice');
  mkdirSync(journal, { recursive: true });
  writeFileSync(path.join(journal, 'plan.json'), '{}');
  writeFileSync(place('bad'), 'a file, and no folder');
  writeFileSync(
    place('pgsluice.yaml'),
    `sources: { default: { url: postgres://localhost/none } }
destinations: { default: { url: 'file://${place('good')}' }, bad: { url: 'file://${place('bad')}' } }
archives: { first: { table: a, destination: bad }, second: { table: b }, third: { table: c, destination: bad } }
`,
  );
  const list = (...args: string[]): ReturnType<typeof runHere> =>
    runHere(['list', ...args, '--config', place('pgsluice.yaml')]);

  test('lists the others, names those that it could not, and says by its exit code that it is not all', async () => {
    const { code, stdout, stderr } = await list();
    assert.equal(code, 1);
    assert.match(stdout, /^second +20240101T000000Z/m);
    assert.match(stderr, /third.*its runs cannot be listed/s);
    assert.match(stderr, /bad/);
  });

  test('names each archive of one that does not answer, though it waits for that once', async () => {
    const away = `s3://archive/pg, endpoint: http://127.0.0.1:1, accessKeyId: id, secretAccessKey: none`;
    writeFileSync(
      place('away.yaml'),
      `sources: { default: { url: postgres://localhost/none } }
destinations: { default: { url: 'file://${place('good')}' }, away: { url: ${away} } }
archives: { first: { table: a, destination: away }, second: { table: b }, third: { table: c, destination: away } }
`,
    );
    const { code, stdout, stderr } = await runHere(['list', '--config', place('away.yaml')]);
    assert.equal(code, 1);
    assert.match(stdout, /^second +20240101T000000Z/m);
    assert.match(stderr, /third.*its runs cannot be listed/s);
  });

  test('leaves a whole document with --json', async () => {
    const { code, stdout } = await list('--json');
    assert.equal(code, 1);
    assert.deepEqual(
      (JSON.parse(stdout) as { archive: string }[]).map(({ archive }) => archive),
      ['second'],
    );
  });

  test('does not say of an archive there that it has no runs', async () => {
    const { code, stdout } = await list('third');
    assert.deepEqual([code, stdout], [1, '']);
  });
});
