import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { runInProcess } from '../support/in-process.ts';
import { RUN } from '../support/segments.ts';
import { failureOf, openSite, type Site } from '../support/site.ts';

describe('the source is only read', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await site.database.client.query(
      `CREATE TABLE touched (id int);
       CREATE FUNCTION touch(id int) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO touched VALUES (id) RETURNING id'`,
    );
  });

  for (const [by, how] of [
    ['copy', { read: 'copy' }],
    ['query', { params: [10] }],
    ['cursor', { read: 'cursor' }],
  ] as const)
    test(`by ${by}: a query whose function writes is refused, and nothing is written`, async () => {
      const query = `SELECT touch(i) AS id FROM generate_series(1, ${by === 'query' ? '$1' : 10}) AS i`;
      const config = await site.writeConfig({ archives: { [by]: { query, ...how } } });
      const { result } = await runInProcess(site, config, by, RUN);
      const failure = failureOf([result]);
      assert.deepEqual([failure.code, failure.transient], ['read-only', false]);
      assert.equal((await site.database.client.query('SELECT FROM touched')).rowCount, 0);
      await site.assertNothingLeft(by, RUN);
      await site.waitForNoBackends();
    });
});
