import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { verifyCommand } from '../../src/commands/verify.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { JournalPlan } from '../../src/ledger/journal.ts';
import { parseRunId } from '../../src/ledger/run-id.ts';
import { plannedSegments, type PageRange } from '../../src/ledger/segments.ts';
import { connectPostgres, endConnection } from '../../src/postgres/connect.ts';
import { identifySource } from '../../src/postgres/snapshot.ts';
import { fingerprintOf } from '../../src/run/journal-plan.ts';
import { planRun } from '../../src/run/plan.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { assertEachOnce, createRows, idsOf, putObject, RUN, segmented } from '../support/segments.ts';
import { openSite, PREFIX, type Site } from '../support/site.ts';

const ROWS = 3000;

let site: Site;

before(async () => {
  site = await openSite();
  await createRows(site, 'rows', ROWS);
  await site.database.client.query('CREATE TABLE secret AS SELECT -i AS id, v FROM rows AS r(i, v)');
});

/** A run by pages that has failed at its third segment: its plan as it lies in the bucket. */
async function failedRun(archive: string, config: string): Promise<JournalPlan> {
  const refused = site.proxy.order(
    'PutObject',
    { kind: 'error', status: 403, code: 'AccessDenied' },
    9,
    'part-00002.jsonl.gz',
  );
  const { result } = await runInProcess(site, config, archive, RUN);
  refused.cancel();
  assert.equal(result.error?.code, 'access-denied');
  return JSON.parse((await site.stored(planOf(archive)))!.body.toString()) as JournalPlan;
}

function planOf(archive: string): string {
  return `${PREFIX}${archive}/run=${RUN}/_pgsluice/plan.json`;
}

/** Puts a plan in its place that goes by these segments, with the fingerprint that they have. Anybody can reckon it. */
async function forge(archive: string, configFile: string, plan: JournalPlan, segments: object[]): Promise<void> {
  const archiveConfig = loadConfig(configFile, site.environment).archives[archive]!;
  const client = await connectPostgres({ url: site.database.url, applicationName: 'forger' });
  try {
    const real = await planRun(client, archiveConfig, parseRunId(RUN));
    const read = plannedSegments.parse(segments);
    const fingerprint = fingerprintOf(archiveConfig, { ...real, segments: read }, await identifySource(client));
    await putObject(site, planOf(archive), Buffer.from(JSON.stringify({ ...plan, segments, fingerprint })));
  } finally {
    await endConnection(client);
  }
}

describe('a plan in the bucket', () => {
  test('holds no SQL: numbers, and names that nothing is read by', async () => {
    const config = await site.writeConfig({ archives: { plain: segmented('rows', 'pages', '32KiB') } });
    const { segments } = await failedRun('plain', config);
    for (const { pages, ...rest } of segments) {
      assert.deepEqual(Object.keys(rest), ['index']);
      const { name, ...numbers } = pages!;
      assert.equal(name, 'public.rows');
      assert.deepEqual(Object.keys(numbers), ['leaf', 'fromPage', 'toPage']);
      for (const value of Object.values(numbers)) assert.ok(value === null || typeof value === 'number');
    }
  });

  const forgeries: [what: string, change: (pages: PageRange, secret: number) => object][] = [
    [
      'other SQL, as plans of old had it',
      ({ leaf: _leaf, name, ...pages }) => ({
        ...pages,
        leaf: name,
        from: '"public"."secret"; COMMIT; BEGIN READ WRITE; DROP TABLE rows; SELECT 1',
        hasPages: true,
      }),
    ],
    ['another table', (pages, secret) => ({ ...pages, leaf: secret })],
    ['a name that is SQL, and no such table', (pages) => ({ ...pages, leaf: 1, name: 'rows; DROP TABLE rows' })],
  ];
  for (const [at, [what, change]] of forgeries.entries()) {
    test(`that names ${what} is not gone by: the run starts over, and reads its own table`, async () => {
      const archive = `forged_${at}`;
      const config = await site.writeConfig({ archives: { [archive]: segmented('rows', 'pages', '32KiB') } });
      const plan = await failedRun(archive, config);
      const { rows } = await site.database.client.query<{ oid: number }>(`SELECT 'secret'::regclass::oid::int AS oid`);
      const segments = Array.from(plan.segments, ({ index, pages }) => ({
        index,
        pages: change(pages!, rows[0]!.oid),
      }));
      await forge(archive, config, plan, segments);
      const { result, log } = await runInProcess(site, config, archive, RUN);
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
      const over = log.find(({ message }) => message.startsWith('run starts over'));
      assert.match(String(over?.fields['why']), /its journal is no plan of this table: segment 0 reads .* no part of/);
      assertEachOnce(await idsOf(site, archive), ROWS);
      const { rows: left } = await site.database.client.query<{ n: number }>('SELECT count(*)::int AS n FROM rows');
      assert.equal(left[0]?.n, ROWS);
    });
  }

  test('of small partitions has few segments, is gone on with, and is verified', async () => {
    await site.database.client.query(
      `CREATE TABLE parts (id int, v text) PARTITION BY RANGE (id);
       DO $$ BEGIN
         FOR at IN 0..249 LOOP
           EXECUTE format('CREATE TABLE part_%s PARTITION OF parts FOR VALUES FROM (%s) TO (%s)', at, at * 12 + 1, at * 12 + 13);
         END LOOP;
       END $$`,
    );
    await site.database.client.query('INSERT INTO parts SELECT id, v FROM rows');
    const config = await site.writeConfig({ archives: { parted: segmented('parts', 'pages', '4MiB') } });
    const plan = await failedRun('parted', config);
    assert.deepEqual(
      Array.from(plan.segments, ({ leaves }) => leaves?.length),
      [100, 100, 50],
    );
    const { result } = await runInProcess(site, config, 'parted', RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.equal(result.objects, 3);
    assertEachOnce(await idsOf(site, 'parted'), ROWS);
    const verified = await commandInProcess(site, config, (invocation) =>
      verifyCommand(invocation, 'parted', { run: RUN }),
    );
    assert.equal(verified.code, 0, verified.stdout);
  });

  test('whose bounds of the key go back is not gone by: rows between them would come twice', async () => {
    await site.database.client.query(
      `CREATE TABLE worded (part text, n int, PRIMARY KEY (part, n)); INSERT INTO worded SELECT 'p' || i % 10, i FROM generate_series(1, 3000) AS i`,
    );
    const config = await site.writeConfig({ archives: { worded: segmented('worded', 'key', '8KiB') } });
    const plan = await failedRun('worded', config);
    const bounds = [...plan.segments].slice(0, -1).map(({ range }) => range!.upper);
    bounds[bounds.length - 2] = ['p0', '1'];
    const segments = [...bounds, null].map((upper, index) => ({
      index,
      range: { lower: bounds[index - 1] ?? null, upper },
    }));
    await forge('worded', config, plan, segments);
    const { result, log } = await runInProcess(site, config, 'worded', RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.equal(result.rows, 3000);
    const over = log.find(({ message }) => message.startsWith('run starts over'));
    assert.match(String(over?.fields['why']), /segment \d+ ends before it begins/);
  });

  test('that leaves pages out is refused, and nothing is committed', async () => {
    const config = await site.writeConfig({ archives: { short: segmented('rows', 'pages', '32KiB') } });
    const plan = await failedRun('short', config);
    const segments = [{ index: 0, pages: { ...plan.segments.at(0)!.pages!, toPage: null } }];
    segments[0]!.pages.fromPage = 1;
    await forge('short', config, plan, segments);
    const { result } = await runInProcess(site, config, 'short', RUN);
    assert.equal(result.error?.code, 'bad-journal');
    assert.equal(await site.manifest('short', RUN), undefined);
  });
});
