/**
 * Purges by partitions that are killed at random instants, with an application that writes into all of them: no row is gone that
 * no object holds, and in the end table and archive hold all rows that were ever committed.
 * `PGSLUICE_PARTITION_KILLS=100` makes it a long one; in `npm test` two kills are made, and in `.ci/run` eight.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { before, test } from 'node:test';
import { purgeCommand } from '../../src/commands/purge.ts';
import type { PurgeResult } from '../../src/purge/request.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { connect } from '../support/postgres.ts';
import { openSite, type Site } from '../support/site.ts';

const KILLS = Number(process.env['PGSLUICE_PARTITION_KILLS'] ?? '2');
/** A purge of so small a partition is over about then. */
const LONGEST_LIFE_MS = 900;

let site: Site;

before(async () => {
  site = await openSite();
});

async function numbers(sql: string): Promise<number[]> {
  return (await site.database.client.query<{ id: number }>(sql)).rows.map(({ id }) => id);
}

test('killed at random, no row is lost', async () => {
  const days = Array.from({ length: Math.ceil(KILLS / 2) }, (_, at) => new Date(Date.UTC(2026, 0, 1 + at)));
  const dayOf = (at: number): string => days[at]?.toISOString().slice(0, 10) ?? '2027-01-01';
  const partitions = days.map(
    (_, at) =>
      `CREATE TABLE looped_${at} PARTITION OF looped FOR VALUES FROM ('${dayOf(at)}') TO (date '${dayOf(at)}' + 1);`,
  );
  await site.database.client.query(`CREATE TABLE looped (id int NOT NULL, day date NOT NULL) PARTITION BY RANGE (day);
    ${partitions.join('\n')}
    INSERT INTO looped SELECT i, date '2026-01-01' + i % ${days.length} FROM generate_series(1, ${days.length * 200}) AS i`);
  const config = await site.writeConfig({
    log: { level: 'silent' },
    workers: { threads: 1 },
    archives: {
      looped: { table: 'looped', window: { column: 'day', every: 'partition' }, purge: { after: '7d', then: 'drop' } },
    },
  });
  const runs = days.map((day) => day.toISOString().replaceAll(/[-:]|\.\d+/g, ''));
  for (const run of runs) assert.equal((await runInProcess(site, config, 'looped', run)).result.status, 'committed');

  const committed = new Set(await numbers('SELECT id FROM looped'));
  const over = new AbortController();
  const writing = (async () => {
    const client = await connect(site.database.url);
    for (let id = 1_000_000; !over.signal.aborted; id += 1) {
      // Where the partition is gone or half detached, nothing is acknowledged.
      const written = client.query(`INSERT INTO looped VALUES (${id}, '${dayOf(id % days.length)}')`);
      await written.then(
        () => committed.add(id),
        () => undefined,
      );
      await sleep(150);
    }
    await client.end();
  })();
  for (let kill = 0; kill < KILLS; kill += 1) {
    const cli = site.start(['purge', 'looped', runs[kill % runs.length] ?? '', '--execute', '--json'], config);
    await sleep(200 + Math.random() * LONGEST_LIFE_MS);
    cli.kill('SIGKILL');
    await cli.ended();
    await site.waitForNoBackends();
  }
  for (const run of runs) {
    const { stdout } = await commandInProcess(site, config, (invocation) =>
      purgeCommand(invocation, 'looped', { runs: [run], execute: true, yes: false }),
    );
    const [result] = JSON.parse(stdout) as PurgeResult[];
    assert.ok(result !== undefined && ['purged', 'refused'].includes(result.status), stdout);
  }
  over.abort();
  await writing;
  const [left] = await numbers(
    `SELECT count(*)::int AS id FROM pg_inherits i WHERE inhparent = 'looped'::regclass AND to_jsonb(i) ->> 'inhdetachpending' = 'true'`,
  );
  assert.equal(left, 0, 'none is half detached');
  const held = new Set(await numbers('SELECT id FROM looped'));
  for (const run of runs)
    for (const line of await site.lines('looped', run)) held.add((JSON.parse(line) as { id: number }).id);
  assert.deepEqual(
    [...committed].filter((id) => !held.has(id)),
    [],
  );
});
