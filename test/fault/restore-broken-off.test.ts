import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { restoreCommand } from '../../src/commands/restore.ts';
import type { RestoreResult } from '../../src/restore/request.ts';
import { eventually } from '../support/cli.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { openSite, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';
const ROWS = 1_500;
/** At any instant; `.ci/run` makes it more. */
const KILLS = Number(process.env['PGSLUICE_TEST_KILLS'] ?? 2);

describe('a restore that is broken off', () => {
  let site: Site;
  let config: string;
  /** The same for the process of the test. */
  let silent: string;
  let objects: number;

  before(async () => {
    site = await openSite();
    await site.database.client.query(
      `CREATE TABLE original (id int PRIMARY KEY, pad text);
       ALTER TABLE original ALTER pad SET STORAGE EXTERNAL;
       INSERT INTO original SELECT i, (SELECT string_agg(md5((i * 1000 + j)::text), '') FROM generate_series(1, 100) AS j)
       FROM generate_series(1, ${ROWS}) AS i; ANALYZE original`,
    );
    const archives = { original: { table: 'original', segments: { by: 'key', targetSize: '512KiB' } } };
    config = await site.writeConfig({ archives });
    silent = await site.writeConfig({ archives, log: { level: 'silent' }, workers: { threads: 1 } });
    const { result } = await runInProcess(site, config, 'original', RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    ({ objects } = result);
    assert.ok(objects >= 8, `${objects} objects`);
  });

  const args = (table: string): string[] => ['restore', 'original', '--into', `public.${table}`, '--create', '--json'];

  async function restore(table: string): Promise<{ code: number; result: RestoreResult }> {
    const options = { into: `public.${table}`, create: true, onConflict: 'fail', selfReferences: 'refuse' };
    const { code, stdout } = await commandInProcess(site, silent, (invocation) =>
      restoreCommand(invocation, 'original', options),
    );
    return { code, result: JSON.parse(stdout) as RestoreResult };
  }

  async function finish(table: string): Promise<RestoreResult> {
    // The server notices only in a moment that the client is gone, and with it the lock.
    await site.waitForNoBackends();
    return eventually('the restore comes to its end', async () => {
      const { code, result } = await restore(table);
      if (result.error?.code === 'locked') return false;
      assert.equal(code, 0, JSON.stringify(result));
      return result;
    });
  }

  async function assertEqual(table: string): Promise<void> {
    const { rows } = await site.database.client.query(
      `SELECT (SELECT count(*)::int FROM ${table}) AS rows, (SELECT count(*)::int FROM (TABLE original EXCEPT TABLE ${table}) AS x) AS missing,
         (SELECT count(*)::int FROM pg_class WHERE relname LIKE 'pgsluice_restore%') AS books`,
    );
    assert.deepEqual(rows, [{ rows: ROWS, missing: 0, books: 0 }]);
  }

  async function objectsDone(): Promise<number> {
    const { client } = site.database;
    const { rows } = await client.query<{ name: string }>(
      "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relname LIKE 'pgsluice_restore%'",
    );
    if (rows[0] === undefined) return 0;
    const done = await client.query(`SELECT FROM ${rows[0].name} WHERE object <> ''`);
    return done.rowCount ?? 0;
  }

  test('by SIGKILL goes on with the objects that are missing: complete, and nothing twice', async () => {
    site.proxy.order('GetObject', { kind: 'stall' }, 1, 'part-00005.jsonl.gz');
    const killed = site.start(args('killed'), config);
    const before = await eventually('some objects are in', async () => {
      const done = await objectsDone();
      return done >= 4 && done;
    });
    killed.kill('SIGKILL');
    await killed.ended();
    site.proxy.reset();
    const result = await finish('killed');
    assert.deepEqual([result.resumed, result.rows, result.objects], [true, ROWS, objects]);
    const read = site.proxy.seen('GetObject').filter(({ key }) => key.includes('/part-')).length;
    assert.ok(read <= objects - before, `${read} of ${objects} objects were read again, ${before} were done`);
    await assertEqual('killed');
  });

  test('by SIGKILL at any instant, again and again', async () => {
    for (let kills = 0; kills < KILLS; kills += 1) {
      const cli = site.start(args('often'), config);
      await cli.waitForLog('restore starts');
      await sleep(30 + Math.random() * 500);
      cli.kill('SIGKILL');
      await cli.ended();
    }
    const { rows } = await site.database.client.query<{ there: boolean }>(
      "SELECT to_regclass('often') IS NOT NULL AS there",
    );
    const book = await objectsDone();
    if (rows[0]?.there === true && book === 0) {
      // One of them may have come to its end; then there is nothing left to do.
      await eventually('the server has let go', async () => (await site.backends()).length === 0);
      const { rowCount } = await site.database.client.query(
        "SELECT FROM pg_class WHERE relname LIKE 'pgsluice_restore%'",
      );
      if (rowCount === 0) return assertEqual('often');
    }
    await finish('often');
    await assertEqual('often');
  });

  test('by lost connections to the database and to S3 tries the object again', async () => {
    site.proxy.reset();
    site.proxy.order('GetObject', { kind: 'cut-answer', afterBytes: 2_000 }, 1, 'part-00002.jsonl.gz');
    site.proxy.order('GetObject', { kind: 'delay', ms: 1_500 }, 1, 'part-00003.jsonl.gz');
    const restoring = restore('unlucky');
    await eventually(
      'the backend of part 3 is there',
      async () => (await site.terminateBackends('pgsluice restore %/3')) > 0,
    );
    const { code, result } = await restoring;
    assert.equal(code, 0, JSON.stringify(result));
    const again = site.proxy.seen('GetObject').filter(({ key }) => key.endsWith('part-00002.jsonl.gz'));
    assert.ok(again.length >= 2, 'what was cut was not read again');
    assert.deepEqual([result.rows, result.objects, result.resumed], [ROWS, objects, false]);
    await assertEqual('unlucky');
  });

  test('by a lost lock ends, and goes on later', async () => {
    site.proxy.reset();
    const stall = site.proxy.order('GetObject', { kind: 'stall' }, 1, 'part-00006.jsonl.gz');
    const restoring = restore('unlocked');
    await stall.firstHit;
    await site.terminateBackends('pgsluice restore % on %');
    const { code, result } = await restoring;
    assert.deepEqual([code, result.error?.code], [1, 'session-lost']);
    assert.equal((await finish('unlocked')).resumed, true);
    await assertEqual('unlocked');
  });

  test('by SIGINT exits 130 and says how to go on; a second restore into the table waits for nobody', async () => {
    site.proxy.reset();
    const stall = site.proxy.order('GetObject', { kind: 'stall' }, 1, 'part-00006.jsonl.gz');
    const cli = site.start(args('interrupted'), config);
    await stall.firstHit;
    const second = await restore('interrupted');
    assert.deepEqual([second.code, second.result.error?.code], [1, 'locked']);
    cli.kill('SIGINT');
    const { code, stdout } = await cli.ended();
    assert.equal(code, 130);
    const { error, status } = JSON.parse(stdout) as RestoreResult;
    assert.deepEqual([status, error?.code], ['failed', 'interrupted']);
    assert.match(error?.hint ?? '', /same command again/);
    await site.waitForNoBackends();
    assert.equal((await finish('interrupted')).resumed, true);
    await assertEqual('interrupted');
  });
});
