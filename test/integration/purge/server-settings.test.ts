/** Purges on a server with prepared transactions and logical slots, which others are not set up for. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { purgeCommand } from '../../../src/commands/purge.ts';
import { startPostgres, type EmbeddedPostgres } from '../../../src/demo/embedded-postgres.ts';
import { look } from '../../../src/purge/look.ts';
import type { PurgeResult } from '../../../src/purge/request.ts';
import { commandInProcess, runInProcess } from '../../support/in-process.ts';
import { connect, testDatabase } from '../../support/postgres.ts';
import { createRows, RUN } from '../../support/segments.ts';
import { openSite, type Site } from '../../support/site.ts';

const SETTINGS = {
  max_prepared_transactions: '2',
  wal_level: 'logical',
  max_wal_senders: '1',
  max_replication_slots: '3',
};

let server: EmbeddedPostgres;
let site: Site;

before(async () => {
  server = await startPostgres({ settings: SETTINGS });
  site = await openSite(server.url);
});
after(() => server.stop());

async function sql(text: string): Promise<Record<string, unknown>[]> {
  return (await site.database.client.query(text)).rows as Record<string, unknown>[];
}

test('rows that a prepared transaction has changed or locked stay until it ends, and then as it ended', async () => {
  await createRows(site, 'held', 20);
  const config = await site.writeConfig({
    log: { level: 'silent' },
    archives: { held: { table: 'held', purge: { after: '1h' } } },
  });
  assert.equal((await runInProcess(site, config, 'held', RUN)).result.status, 'committed');
  const purge = async (): Promise<PurgeResult['totals'] | undefined> => {
    const { stdout } = await commandInProcess(site, config, (invocation) =>
      purgeCommand(invocation, 'held', { runs: [RUN], execute: true, yes: false }),
    );
    return (JSON.parse(stdout) as PurgeResult[])[0]?.totals;
  };
  const other = await connect(site.database.url);
  await other.query(`BEGIN; UPDATE held SET v = 'new' WHERE id = 3; SELECT FROM held WHERE id = 4 FOR UPDATE;
    PREPARE TRANSACTION 'holds rows'`);
  const first = await purge();
  assert.deepEqual([first?.deleted, first?.locked], [18, 2]);
  await other.query(`COMMIT PREPARED 'holds rows'`);
  await other.end();
  const second = await purge();
  assert.deepEqual([second?.deleted, second?.changed], [19, 1]);
  assert.deepEqual(await sql('SELECT id, v FROM held'), [{ id: 3, v: 'new' }]);
});

test('logical slots of this database are found, but for those of publications', async () => {
  const elsewhere = await testDatabase(undefined, { serverUrl: server.url });
  const slot = (name: string, plugin: string): string =>
    `SELECT pg_create_logical_replication_slot('${name}', '${plugin}')`;
  await sql(slot('decoding', 'test_decoding'));
  await sql(slot('publishing', 'pgoutput'));
  await elsewhere.client.query(slot('of_others', 'test_decoding'));
  await sql('CREATE TABLE decoded (id int PRIMARY KEY)');
  const { slots } = await look(site.database.client, 'decoded');
  assert.deepEqual(slots, [{ name: 'decoding', plugin: 'test_decoding' }]);
});
