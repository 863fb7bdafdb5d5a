import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { checkOnline } from '../../../src/run/check-online.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-check-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const database = await testDatabase();
await database.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');

/** The warnings of `check --online` for the table as this role sees it. */
async function warningsAs(url: string): Promise<string[]> {
  const file = path.join(folder, 'pgsluice.yaml');
  const destination = `destinations: { default: { url: "file://${folder}/archive" } }`;
  writeFileSync(file, `sources: { default: { url: "${url}" } }\n${destination}\narchives: { a: { table: t } }\n`);
  const findings = await checkOnline(loadConfig(file, {}));
  assert.deepEqual(
    findings.filter(({ level }) => level === 'error'),
    [],
  );
  return findings.filter(({ level }) => level === 'warning').map(({ subject, message }) => `${subject}: ${message}`);
}

async function makeRole({ client, name }: TestDatabase, grants: string): Promise<string> {
  const role = `reader_${name}_${grants.replaceAll(/\W/g, '').toLowerCase()}`;
  await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'geheim'; GRANT ${grants} ON t TO ${role}`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'geheim';
  return url.href;
}

test('a role that may do more than read is warned of', async () => {
  const { username } = new URL(database.url);
  assert.deepEqual(await warningsAs(database.url), [`sources.default: the role ${username} is a superuser`]);
  const writer = await makeRole(database, 'SELECT, DELETE');
  assert.deepEqual(await warningsAs(writer), [
    `archives.a: the role ${new URL(writer).username} may change the rows of public.t`,
  ]);
});

test('a role that may only read is not', async () => {
  assert.deepEqual(await warningsAs(await makeRole(database, 'SELECT')), []);
});
