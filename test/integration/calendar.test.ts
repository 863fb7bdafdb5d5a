import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Zone } from '../../src/calendar/zone.ts';
import { testDatabase, type TestDatabase } from '../support/postgres.ts';

const ZONES = [
  'Europe/Berlin',
  'Europe/Dublin',
  'America/New_York',
  'America/Sao_Paulo',
  'America/Havana',
  'Pacific/Apia',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
];

describe('the instant of a midnight', () => {
  let database: TestDatabase;

  before(async () => {
    database = await testDatabase();
  });

  for (const zone of ZONES)
    test(`in ${zone} is that of Postgres, for 40 years`, async () => {
      const { rows } = await database.client.query<{ wall: string; instant: string }>(
        `SELECT extract(epoch FROM d)::text AS wall, extract(epoch FROM d AT TIME ZONE $1)::text AS instant
         FROM generate_series(timestamp '1990-01-01', '2029-12-31', '1 day') AS d`,
        [zone],
      );
      const clock = new Zone(zone);
      const differing = rows.filter(
        ({ wall, instant }) => clock.instantOf(Number(wall) * 1000) !== Number(instant) * 1000,
      );
      assert.equal(rows.length, 14_610);
      assert.deepEqual(differing, []);
    });
});
