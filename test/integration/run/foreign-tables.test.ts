import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { planCommand } from '../../../src/commands/plan.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { checkOnline } from '../../../src/run/check-online.ts';
import { commandInProcess, runInProcess } from '../../support/in-process.ts';
import { assertEachOnce, idsOf, RUN } from '../../support/segments.ts';
import { openSite, type Site } from '../../support/site.ts';

const ROWS = 3000;
const WITHOUT = { consistency: 'none' };

let site: Site;

/** Rows 1 to 1,000 and 1,001 to 2,000 are here; those from 2,001 on are on another server, as far as this one knows. */
before(async () => {
  site = await openSite();
  const { hostname, port, username, password } = new URL(site.database.url);
  await site.database.client.query(
    `CREATE TABLE here (id int, v text NOT NULL) PARTITION BY RANGE (id);
     CREATE TABLE here_1 PARTITION OF here FOR VALUES FROM (1) TO (1001);
     CREATE TABLE here_2 PARTITION OF here FOR VALUES FROM (1001) TO (2001);
     CREATE TABLE old (id int, v text NOT NULL);
     CREATE EXTENSION postgres_fdw;
     CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
       OPTIONS (host '${hostname}', port '${port}', dbname '${site.database.name}');
     CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user '${username}', password '${password}');
     CREATE FOREIGN TABLE here_3 PARTITION OF here FOR VALUES FROM (2001) TO (3001) SERVER far OPTIONS (table_name 'old');
     CREATE VIEW seen AS SELECT a.id, a.v FROM here_1 AS a JOIN here_3 AS b ON b.id = a.id + 2000`,
  );
  // The other server is this one, and sees the tables once they are committed.
  await site.database.client.query(
    `INSERT INTO here SELECT i, md5(i::text) FROM generate_series(1, ${ROWS}) AS i; ANALYZE`,
  );
});

async function config(archive: object): Promise<string> {
  return site.writeConfig({ archives: { a: archive } });
}

describe('an archive that reads a foreign table', () => {
  const refused: [how: string, archive: object, what: RegExp][] = [
    ['as a partition', { table: 'here' }, /public\.here reads the foreign table here_3/],
    ['itself', { table: 'here_3' }, /public\.here_3 reads the foreign table here_3/],
    ['under a view', { table: 'seen' }, /public\.seen reads the foreign table here_3/],
    ['in a query', { query: 'SELECT count(*) AS id FROM here' }, /query reads the foreign table here_3/],
    ['in a subquery', { query: 'SELECT 1 AS id WHERE 3000 IN (SELECT id FROM here_3)' }, /the foreign table here_3/],
    ['in its filter', { table: 'here_1', where: 'id + 2000 IN (SELECT id FROM here_3)' }, /the foreign table here_3/],
  ];
  for (const [how, archive, what] of refused)
    test(`${how} is refused by plan and check, as no snapshot covers it`, async () => {
      const file = await config(archive);
      const plan = await commandInProcess(site, file, (invocation) => planCommand(invocation, [], {}));
      assert.equal(plan.code, 2);
      const [{ error } = { error: undefined }] = JSON.parse(plan.stdout) as { error?: Record<string, string> }[];
      assert.equal(error?.['code'], 'no-common-snapshot');
      assert.match(error['message'] ?? '', what);
      assert.match(error['hint'] ?? '', /consistency: none/);
      const findings = await checkOnline(loadConfig(file, site.environment));
      const problem = findings.find(({ level }) => level === 'error');
      assert.equal(problem?.subject, 'archives.a');
      assert.match(problem.message, what);
    });

  test('fails its run, and nothing is written', async () => {
    const { result } = await runInProcess(site, await config({ table: 'here' }), 'a', RUN);
    assert.equal(result.error?.code, 'no-common-snapshot');
    assert.deepEqual(await site.keys('a'), []);
  });

  for (const by of ['pages', 'none'] as const)
    test(`without a snapshot is archived by ${by} where its config says so, and all that tell of it do`, async () => {
      const name = `without_${by}`;
      const archive = { table: 'here', segments: { by, targetSize: '16KiB' }, ...WITHOUT };
      const file = await site.writeConfig({ archives: { [name]: archive } });
      const warning = 'public.here reads the foreign table here_3, which no snapshot covers';
      const plan = await commandInProcess(site, file, (invocation) => planCommand(invocation, [], {}));
      const [{ warnings } = { warnings: [] }] = JSON.parse(plan.stdout) as { warnings: string[] }[];
      assert.ok(
        warnings.some((text) => text.includes(warning)),
        plan.stdout,
      );
      const findings = await checkOnline(loadConfig(file, site.environment));
      assert.ok(findings.some(({ level, message }) => level === 'warning' && message.includes(warning)));
      const { result, log } = await runInProcess(site, file, name, RUN);
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
      assert.ok(log.some(({ message }) => message.includes(warning)));
      assert.equal((await site.manifest(name, RUN))?.consistency, 'none');
      assertEachOnce(await idsOf(site, name), ROWS);
    });
});

describe('a foreign partition that the filter leaves out', () => {
  const filtered = { table: 'here', where: 'id <= 2000' };

  test('is no part of the archive, which is of one instant', async () => {
    const { result } = await runInProcess(
      site,
      await site.writeConfig({ archives: { local: filtered } }),
      'local',
      RUN,
    );
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.equal((await site.manifest('local', RUN))?.consistency, 'single-snapshot');
    assertEachOnce(await idsOf(site, 'local'), 2000);
  });

  test('is not read by a cut by pages, which would ask it by its own name', async () => {
    const { result } = await runInProcess(site, await config({ ...filtered, segments: { by: 'pages' } }), 'a', RUN);
    assert.equal(result.error?.code, 'cannot-cut');
    assert.match(result.error.message, /no foreign one among them unless consistency is none/);
  });
});
