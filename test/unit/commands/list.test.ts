import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { runHere } from '../../support/here.ts';

/** One more than are printed at once. */
const RUNS = 1001;

describe('list --json that fails behind its first runs', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-list-'));
  after(() => {
    rmSync(folder, { recursive: true });
  });

  test('leaves a document of them, and its exit code says that it is not all', async () => {
    const config = path.join(folder, 'pgsluice.yaml');
    const place = (name: string): string => path.join(folder, name);
    for (let run = 0; run < RUNS; run += 1) {
      const id = new Date(Date.UTC(2024, 0, 1, run)).toISOString().replace(/[-:]|\.\d+/g, '');
      const part = place(`good/first/run=${id}/_pgsluice`);
      mkdirSync(part, { recursive: true });
      writeFileSync(path.join(part, 'plan.json'), '{}');
    }
    writeFileSync(place('bad'), 'a file, and no folder');
    writeFileSync(
      config,
      `sources: { default: { url: postgres://localhost/none } }
destinations: { default: { url: 'file://${place('good')}' }, bad: { url: 'file://${place('bad')}' } }
archives: { first: { table: a }, second: { table: b, destination: bad } }
`,
    );
    const { code, stdout } = await runHere(['list', '--json', '--config', config]);
    assert.equal(code, 1);
    assert.equal((JSON.parse(stdout) as unknown[]).length, RUNS - 1);
  });
});
