import assert from 'node:assert/strict';
import { afterEach, before, describe, test } from 'node:test';
import { eventually } from '../support/cli.ts';
import { runInProcess, startInProcess } from '../support/in-process.ts';
import { connect } from '../support/postgres.ts';
import { assertEachOnce, assertOnlyTheRunIsLeft, createRows, idsOf, RUN, segmented } from '../support/segments.ts';
import { failureOf, openSite, type Site } from '../support/site.ts';

const ROWS = 6000;

let site: Site;

before(async () => {
  site = await openSite();
});

describe('what others do to the source while a run is on', () => {
  afterEach(() => {
    site.proxy.reset();
  });

  /** Starts a run of many segments, each of which takes its time, and waits until some are done. */
  async function startRun(archive: string, settings: object) {
    const config = await site.writeConfig({ archives: { [archive]: settings } });
    const slow = site.proxy.order('PutObject', { kind: 'delay', ms: 150 }, 10_000, '.jsonl.gz');
    const run = startInProcess(site, config, archive, RUN);
    const receipts = (): number =>
      site.proxy.requests.filter(({ operation, key }) => operation === 'PutObject' && key.includes('/_pgsluice/part-'))
        .length;
    await eventually('some segments are done', async () => receipts() >= 3);
    return { run, speedUp: () => slow.cancel() };
  }

  test('a change of the table does not wait for the run, nor the application behind it; the run goes on and loses nothing', async () => {
    await createRows(site, 'altered', ROWS);
    const { run, speedUp } = await startRun('altered', {
      ...segmented('altered', 'key', '16KiB', { retry: { attempts: 10, backoff: '20ms' } }),
      columns: ['id', 'v'],
    });
    const dba = await connect(site.database.url);
    const application = await connect(site.database.url);
    await dba.query(`SET lock_timeout = '40s'`);
    const altered = dba.query('ALTER TABLE altered ADD COLUMN later int');
    // Behind the ALTER, every reader waits as long as it does.
    const read = application.query('SELECT count(*) FROM altered');
    await Promise.all([altered, read]);
    speedUp();
    const { result } = await run.ended;
    await Promise.all([dba.end(), application.end()]);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assertEachOnce(await idsOf(site, 'altered'), ROWS);
    await assertOnlyTheRunIsLeft(site, 'altered');
  });

  test('a partition that is attached is there whole, or not at all', async () => {
    const { client } = site.database;
    // Rows of each partition are in every segment.
    await client.query(`
      CREATE TABLE parted (id int, kind int, v text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
      CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
      CREATE TABLE parted_3 (id int, kind int CHECK (kind = 3), v text, PRIMARY KEY (id, kind));
      INSERT INTO parted SELECT i, kind, md5(i::text) FROM generate_series(1, 3000) i, generate_series(1, 2) kind;
      INSERT INTO parted_3 SELECT i, 3, md5(i::text) FROM generate_series(1, 3000) i;
      ANALYZE`);
    const { run, speedUp } = await startRun('parted', segmented('parted', 'key', '16KiB'));
    await client.query('ALTER TABLE parted ATTACH PARTITION parted_3 FOR VALUES IN (3)');
    speedUp();
    const { result } = await run.ended;
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    const kinds = (await site.lines('parted', RUN)).map((line) => (JSON.parse(line) as { kind: number }).kind);
    const rowsOf = (wanted: number): number => kinds.filter((kind) => kind === wanted).length;
    assert.deepEqual([rowsOf(1), rowsOf(2)], [3000, 3000]);
    assert.ok([0, 3000].includes(rowsOf(3)), `${rowsOf(3)} of 3000 rows`);
  });

  test('a column that is dropped fails the run, and names what has changed', async () => {
    await createRows(site, 'dropped', ROWS);
    const { run, speedUp } = await startRun('dropped', segmented('dropped', 'key', '16KiB'));
    const dba = await connect(site.database.url);
    await dba.query('ALTER TABLE dropped DROP COLUMN v');
    await dba.end();
    speedUp();
    const { result } = await run.ended;
    if (result.status === 'committed') {
      // Planned again as a whole, under the columns that there are now.
      const lines = await site.lines('dropped', RUN);
      assert.equal(new Set(lines.map((line) => Object.keys(JSON.parse(line) as object).join())).size, 1);
      assertEachOnce(await idsOf(site, 'dropped'), ROWS);
    } else {
      assert.match(failureOf([result]).message, /column/);
      assert.equal(await site.manifest('dropped', RUN), undefined);
    }
  });
});

describe('a query', () => {
  before(async () => {
    await createRows(site, 'numbers', ROWS);
  });

  for (const query of [
    'SELECT id, v FROM numbers ORDER BY id DESC LIMIT 2500',
    'SELECT id, v FROM numbers ORDER BY id OFFSET 100 FETCH FIRST 2500 ROWS ONLY',
  ]) {
    test(`with a limit of its own gives just its rows, though it has a key: ${query.slice(-30)}`, async () => {
      const archive = query.includes('FETCH') ? 'fetched' : 'limited';
      const config = await site.writeConfig({
        archives: { [archive]: { query, key: ['id'], segments: { targetSize: '32KiB' } } },
      });
      const { result } = await runInProcess(site, config, archive, RUN);
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
      const { rows } = await site.database.client.query<{ id: number }>(query);
      assert.deepEqual(
        (await idsOf(site, archive)).toSorted((a, b) => a - b),
        rows.map(({ id }) => id).toSorted((a, b) => a - b),
      );
    });
  }
});
