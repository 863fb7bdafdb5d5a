import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { JournalPlan } from '../../../src/ledger/journal.ts';
import { eventually } from '../../support/cli.ts';
import { runInProcess } from '../../support/in-process.ts';
import { connect } from '../../support/postgres.ts';
import { RUN } from '../../support/segments.ts';
import { openSite, PREFIX, type Site } from '../../support/site.ts';

const ACCOUNTS = 6000;
const WRITERS = 3;

/** Each of them is one transaction, and keeps the sum of all balances. */
const CHANGES = [
  // Money moves between rows of different segments.
  `WITH pair AS (SELECT floor(random() * ${ACCOUNTS})::int + 1 AS a, floor(random() * ${ACCOUNTS})::int + 1 AS b),
     taken AS (UPDATE accounts SET balance = balance - 5 WHERE id = (SELECT a FROM pair) AND owner <> 'x' RETURNING 1)
   UPDATE accounts SET balance = balance + 5 * (SELECT count(*) FROM taken) WHERE id = (SELECT b FROM pair) AND id <> (SELECT a FROM pair)`,
  // A row moves to another place of the key, and so to another segment.
  `UPDATE accounts SET id = id + 100000 WHERE id = (SELECT id FROM accounts WHERE id <= ${ACCOUNTS} OFFSET floor(random() * 100)::int LIMIT 1)`,
  `UPDATE accounts SET id = id - 100000 WHERE id = (SELECT id FROM accounts WHERE id > 100000 OFFSET floor(random() * 20)::int LIMIT 1)`,
  // Rows come and go, and with them free space in the pages.
  `INSERT INTO accounts SELECT 200000 + nextval('fresh'), 0, repeat('n', (random() * 200)::int) FROM generate_series(1, 20)`,
  `DELETE FROM accounts WHERE id IN (SELECT id FROM accounts WHERE id > 200000 LIMIT 15)`,
  `UPDATE accounts SET owner = md5(random()::text) || repeat('w', (random() * 300)::int) WHERE id = floor(random() * ${ACCOUNTS})::int`,
];

describe('a run under writers that insert, update and delete', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
  });

  for (const [situation, table, by] of [
    ['a table by key', 'CREATE TABLE accounts (id int PRIMARY KEY, balance int, owner text)', 'key'],
    ['a table by pages', 'CREATE TABLE accounts (id int PRIMARY KEY, balance int, owner text)', 'pages'],
    [
      'a partitioned table by key',
      `CREATE TABLE accounts (id int PRIMARY KEY, balance int, owner text) PARTITION BY RANGE (id);
       CREATE TABLE low PARTITION OF accounts FOR VALUES FROM (0) TO (3000); CREATE TABLE high PARTITION OF accounts DEFAULT`,
      'key',
    ],
    [
      'a partitioned table by pages',
      `CREATE TABLE accounts (id int PRIMARY KEY, balance int, owner text) PARTITION BY RANGE (id);
       CREATE TABLE low PARTITION OF accounts FOR VALUES FROM (0) TO (3000); CREATE TABLE high PARTITION OF accounts DEFAULT`,
      'pages',
    ],
  ] as const) {
    test(`archives ${situation} as it was at the snapshot: no row twice, none missing`, async () => {
      await site.database.client.query(
        `DROP TABLE IF EXISTS accounts; CREATE SEQUENCE IF NOT EXISTS fresh; ${table};
         INSERT INTO accounts SELECT i, 100, repeat('o', i % 100) FROM generate_series(1, ${ACCOUNTS}) AS i; ANALYZE accounts`,
      );
      const archive = situation.replaceAll(' ', '_');
      const config = await site.writeConfig({
        archives: { [archive]: { table: 'accounts', segments: { by, targetSize: '32KiB', parallel: 3 } } },
        workers: { threads: 3 },
      });
      const stop = await startWriters(site);
      // So that there is time to look through the same snapshot, and for the writers to change what is yet to be read.
      const slow = site.proxy.order('PutObject', { kind: 'delay', ms: 60 }, 1000, '.jsonl.gz');
      // The snapshot goes with the commit, which waits until this process has looked.
      const looking = readThroughSnapshot(site, archive);
      site.proxy.order('PutObject', { kind: 'hold', until: looking.catch(() => undefined) }, 1, '_manifest.json');
      const [{ result }, truth] = await Promise.all([runInProcess(site, config, archive, RUN), looking]);
      slow.cancel();
      const written = await stop();
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
      assert.ok(result.objects >= 15, `${result.objects} objects`);
      assert.ok(written > 50, `only ${written} changes were written`);
      const lines = await site.lines(archive, RUN);
      assert.ok(
        lines.toSorted().join('\n') === truth.toSorted().join('\n'),
        `${lines.length} lines, ${truth.length} rows`,
      );
      const rows = lines.map((line) => JSON.parse(line) as { id: number; balance: number });
      assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length);
      assert.equal(
        rows.reduce((sum, { balance }) => sum + balance, 0),
        ACCOUNTS * 100,
      );
      const manifest = (await site.manifest(archive, RUN))!;
      assert.equal(manifest.consistency, 'single-snapshot');
      const { rows: now } = await site.database.client.query<{ line: string }>(
        'SELECT row_to_json(a)::text AS line FROM accounts a',
      );
      assert.notEqual(
        now
          .map(({ line }) => line)
          .sort()
          .join('\n'),
        truth.toSorted().join('\n'),
        'nothing was changed',
      );
    });
  }
});

/** The lines of the table as the run sees it: through its own exported snapshot, whose id the journal tells. */
async function readThroughSnapshot(site: Site, archive: string): Promise<string[]> {
  const plan = await eventually('the plan is there', async () =>
    site.stored(`${PREFIX}${archive}/run=${RUN}/_pgsluice/plan.json`),
  );
  const { snapshot } = JSON.parse(plan.body.toString()) as JournalPlan;
  const client = await connect(site.database.url);
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await client.query(`SET TRANSACTION SNAPSHOT '${snapshot.id}'`);
    const { rows } = await client.query<{ line: string }>('SELECT row_to_json(a)::text AS line FROM accounts a');
    return rows.map(({ line }) => line);
  } finally {
    await client.end();
  }
}

/** Begins to write, and returns what ends it and tells how many changes there were. */
async function startWriters(site: Site): Promise<() => Promise<number>> {
  let over = false;
  let written = 0;
  const write = async (client: Client, first: number): Promise<void> => {
    for (let at = first; !over; at += 1) {
      try {
        await client.query(CHANGES[at % CHANGES.length]!);
        written += 1;
        // Without a pause, they would take all of a core for as long as the run takes.
        await sleep(5);
      } catch (error) {
        // Writers that get in each other's way are none of our business: Postgres lets one of them fail.
        if (!/deadlock|duplicate key|concurrent update/.test(String(error))) throw error;
      }
    }
  };
  const clients = await Promise.all(Array.from({ length: WRITERS }, () => connect(site.database.url)));
  const writing = clients.map((client, at) => write(client, at * 2));
  return async () => {
    over = true;
    await Promise.all(writing);
    for (const client of clients) await client.end();
    return written;
  };
}
