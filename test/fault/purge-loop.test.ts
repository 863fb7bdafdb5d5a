/** Purges that are killed again and again, while others write: no row is gone that no object holds, and every line is accounted for. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { purgeCommand } from '../../src/commands/purge.ts';
import { createArticleTable } from '../../src/demo/article-table.ts';
import { formatRunId } from '../../src/ledger/run-id.ts';
import type { PurgeResult } from '../../src/purge/request.ts';
import { eventually } from '../support/cli.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { connect } from '../support/postgres.ts';
import { openRandom } from '../support/random.ts';
import { RUN } from '../support/segments.ts';
import { openSite, PREFIX, type Site } from '../support/site.ts';

/** Of the first test; 466000 take some minutes. */
const ROWS = Number(process.env['PGSLUICE_TEST_PURGE_ROWS'] ?? 4000);
/** Of the second one; `.ci/run` makes it more. */
const KILLS = Number(process.env['PGSLUICE_TEST_KILLS'] ?? 2);

const random = openRandom();
const NOTHING = { deleted: 0, absent: 0, changed: 0, locked: 0, referenced: 0, inexact: 0, kept: 0 };

let site: Site;

before(async () => {
  site = await openSite();
});

async function ask(text: string): Promise<Record<string, unknown>[]> {
  return (await site.database.client.query(text)).rows as Record<string, unknown>[];
}

async function countOf(table: string): Promise<number> {
  return Number((await ask(`SELECT count(*) AS n FROM ${table}`))[0]?.['n']);
}

/** To its end, in this process; waits for the server to notice that the one before is gone, and its lock with it. */
async function purge(config: string, name: string, run: string): Promise<PurgeResult> {
  for (;;) {
    const { stdout } = await commandInProcess(site, config, (invocation) =>
      purgeCommand(invocation, name, { runs: [run], execute: true, yes: true }),
    );
    const [result] = JSON.parse(stdout) as PurgeResult[];
    assert.ok(result !== undefined);
    if (result.error?.code !== 'locked') return result;
    await sleep(100);
  }
}

/** Two configs: of one, purges of a few thousand rows go on long enough to be killed between two batches. */
async function writeConfigs(name: string, archive: object): Promise<{ quick: string; slow: string }> {
  const configOf = (pace: object): Promise<string> =>
    site.writeConfig({
      log: { level: 'silent' },
      archives: { [name]: { ...archive, purge: { after: '1h' }, ...pace } },
    });
  return { quick: await configOf({}), slow: await configOf(ROWS > 50_000 ? {} : { pace: { share: '10%' } }) };
}

/** Starts a purge, waits until rows go, and kills it some time later. */
async function killPurge(config: string, name: string, run: string, goesOn: () => Promise<boolean>): Promise<void> {
  const cli = site.start(['purge', name, run, '--execute', '--json'], config);
  await eventually('rows go', async () => cli.hasEnded || (await goesOn()));
  await sleep(random.integer(0, 200));
  cli.kill('SIGKILL');
  await cli.ended();
}

/** Whether a purge has begun a batch; between two of them, the latest statement is the COMMIT. */
async function isInBatches(): Promise<boolean> {
  const found = await ask(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pgsluice purge %'
       AND query ~ '^(WITH a AS|COMMIT)'`,
  );
  return found.length > 0;
}

async function recordOf(name: string, run: string): Promise<{ state: string; totals: PurgeResult['totals'] }> {
  const file = await site.stored(`${PREFIX}${name}/run=${run}/_purge.json`);
  assert.ok(file !== undefined, 'there is no record');
  return JSON.parse(file.body.toString()) as { state: string; totals: PurgeResult['totals'] };
}

test(
  'all at once: rows changed, replaced, deleted, new and locked since, and a kill in the middle',
  { timeout: 120_000 + 2 * ROWS },
  async (t) => {
    await createArticleTable(site.database.client, { rows: ROWS, table: 'public.queue' });
    // Some twenty objects, so that the one that is left in the middle is a small part.
    const archive = { table: 'queue', segments: { by: 'key', targetSize: `${Math.ceil(ROWS / 20)}KiB` } };
    const { quick, slow } = await writeConfigs('queue', archive);
    const { result: archived } = await runInProcess(site, quick, 'queue', RUN);
    assert.equal(archived.status, 'committed', JSON.stringify(archived.error));

    const changed = (from: number, to: number): string => `id BETWEEN ${from} AND ${to}`;
    // Spread over all: what is near the end is gone through after the kill.
    const at = Math.floor(ROWS / 2);
    await ask(`
    UPDATE queue SET url = url || '?changed' WHERE ${changed(at - 49, at + 50)};
    DELETE FROM queue WHERE ${changed(101, 150)};
    CREATE TEMP TABLE replaced AS SELECT * FROM queue WHERE ${changed(151, 180)};
    DELETE FROM queue WHERE ${changed(151, 180)};
    INSERT INTO queue SELECT (jsonb_populate_record(r, '{"url":"replaced"}')).* FROM replaced AS r; DROP TABLE replaced;
    UPDATE queue SET url = url WHERE ${changed(ROWS - 9, ROWS)};
    INSERT INTO queue SELECT (jsonb_populate_record(q, jsonb_build_object('id', id + ${ROWS}))).* FROM queue AS q WHERE ${changed(1, 70)}`);
    assert.equal(await countOf('queue'), ROWS + 20);
    const idle = await connect(site.database.url);
    await idle.query('BEGIN');
    await idle.query(`SELECT FROM queue WHERE id IN (1, 2, ${at + 60}, ${ROWS - 20}, ${ROWS - 21}) FOR UPDATE`);

    await killPurge(slow, 'queue', RUN, async () => (await countOf('queue')) < ROWS * 0.7);
    const left = await countOf('queue');
    assert.equal((await recordOf('queue', RUN)).state, 'running');
    const again = await purge(quick, 'queue', RUN);
    assert.deepEqual([again.status, again.wentOn, again.mayGoOn], ['purged', true, true]);
    const { deleted, absent } = again.totals;
    assert.deepEqual(again.totals, { ...NOTHING, deleted, absent, changed: 130, locked: 5 });
    assert.deepEqual([deleted + absent + 135, await countOf('queue')], [ROWS, 205]);
    // Of those that went before the kill, some are noted as deleted, and the others count as absent.
    assert.ok(deleted >= left - 205 && absent >= 50, JSON.stringify({ left, deleted, absent }));

    await idle.query('ROLLBACK');
    await idle.end();
    const last = await purge(quick, 'queue', RUN);
    assert.deepEqual(last.totals, { ...NOTHING, deleted: deleted + 5, absent, changed: 130 });
    assert.deepEqual(await recordOf('queue', RUN).then(({ state, totals }) => [state, totals]), ['done', last.totals]);
    assert.deepEqual(
      await ask(`SELECT count(*) FILTER (WHERE url LIKE '%?changed')::int AS changed, count(*) FILTER (WHERE url = 'replaced')::int AS replaced,
      count(*) FILTER (WHERE id > ${ROWS})::int AS new, count(*)::int AS "all" FROM queue`),
      [{ changed: 100, replaced: 30, new: 70, all: 200 }],
    );
    t.diagnostic(
      `${ROWS} rows, killed with ${left} left; again: ${JSON.stringify(again.totals)}; at last: ${JSON.stringify(last.totals)}`,
    );
  },
);

/** Inserts, updates and locks rows, some of it rolled back, and knows what was committed last of each row. */
class Application {
  readonly committed = new Map<number, string>();
  /** Updates that met no row, as it was purged. */
  missed = 0;
  readonly #client: Client;
  #isStopped = false;
  #working: Promise<void> | undefined;
  #next = 1;

  constructor(client: Client) {
    this.#client = client;
  }

  /** By another session than its own where it works already: in a transaction of its own, they might be rolled back. */
  async insert(rows: number, client = this.#client): Promise<void> {
    const inserted = new Map<number, string>();
    for (let count = 0; count < rows; count += 1, this.#next += 1) inserted.set(this.#next, `first of ${this.#next}`);
    await client.query('INSERT INTO written SELECT * FROM unnest($1::int[], $2::text[])', [
      [...inserted.keys()],
      [...inserted.values()],
    ]);
    for (const [id, v] of inserted) this.committed.set(id, v);
  }

  start(): void {
    this.#working = this.#work();
    // It is told of when it is waited for.
    this.#working.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#working;
  }

  async #work(): Promise<void> {
    while (!this.#isStopped) {
      if (random.integer(0, 3) === 0) await this.insert(random.integer(1, 20));
      else await this.#update();
      await sleep(random.integer(0, 10));
    }
  }

  /** Of rows that lie together, as some batch has them. */
  async #update(): Promise<void> {
    const from = random.integer(1, this.#next);
    await this.#client.query('BEGIN');
    const { rows } = await this.#client.query<{ id: number; v: string }>(
      `UPDATE written SET v = $2 || id WHERE id BETWEEN $1 AND $1 + 5 RETURNING id, v`,
      [from, `${Date.now()} ${random.integer(0, 1e9)} `],
    );
    if (rows.length === 0) this.missed += 1;
    await sleep(random.integer(0, 60));
    const isKept = random.integer(0, 4) > 0;
    await this.#client.query(isKept ? 'COMMIT' : 'ROLLBACK');
    if (isKept) for (const { id, v } of rows) this.committed.set(id, v);
  }
}

test(
  'with an application writing, and purges killed at random: the table and the archive have all that was committed',
  { timeout: 60_000 + KILLS * 20_000 },
  async (t) => {
    await ask('CREATE TABLE written (id int PRIMARY KEY, v text NOT NULL)');
    const archive = { table: 'written', segments: { by: 'key', targetSize: '16KiB', parallel: 2 } };
    const { quick, slow } = await writeConfigs('written', archive);
    const application = new Application(await connect(site.database.url));
    const runs: string[] = [];
    let [kills, inTheMiddle] = [0, 0];
    while (kills < KILLS) {
      await application.insert(2000, site.database.client);
      if (runs.length === 0) application.start();
      const run = formatRunId(new Date(Date.UTC(2026, 10, 1) + runs.length * 60_000));
      runs.push(run);
      const { result } = await runInProcess(site, quick, 'written', run);
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
      for (let left = random.integer(1, 4); left > 0 && kills < KILLS; left -= 1) {
        await killPurge(slow, 'written', run, isInBatches);
        kills += 1;
        const { state } = await recordOf('written', run);
        if (state === 'done') break;
        inTheMiddle += 1;
      }
      const { status, totals, lines, problems } = await purge(quick, 'written', run);
      if (status === 'refused') assert.deepEqual([problems[0]?.code, problems.length], ['purge-done', 1]);
      else {
        assert.equal(status, 'purged', JSON.stringify(problems));
        assert.equal(
          Object.values(totals).reduce((sum, count) => sum + count, 0),
          lines,
        );
      }
    }
    await application.stop();

    const rows = (await ask('SELECT id, v FROM written')) as { id: number; v: string }[];
    const table = new Map(rows.map(({ id, v }) => [id, v]));
    const archived = new Set<string>();
    for (const run of runs) for (const line of await site.lines('written', run)) archived.add(line);
    const isArchived = (id: number, v: string): boolean => archived.has(JSON.stringify({ id, v }));
    const lost = [...application.committed].filter(([id, v]) => !table.has(id) && !isArchived(id, v));
    assert.deepEqual(lost, [], `rows are gone that no object holds, seed ${random.seed}`);
    const differing = [...table].filter(([id, v]) => application.committed.get(id) !== v);
    assert.deepEqual(differing, [], `rows of the table are not what was committed, seed ${random.seed}`);
    assert.ok(table.size < application.committed.size, 'something was purged');
    const { size: written } = application.committed;
    const figures = { runs: runs.length, kills, inTheMiddle, written, inTable: table.size, missed: application.missed };
    t.diagnostic(`seed ${random.seed}: ${JSON.stringify(figures)}`);
  },
);
