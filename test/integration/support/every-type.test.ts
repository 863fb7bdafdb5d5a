import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { availableVersions, startPostgres } from '../../../src/demo/embedded-postgres.ts';
import { createEveryTypeTable } from '../../support/every-type.ts';
import { sharedServerUrl, testDatabase } from '../../support/postgres.ts';

/**
 * Base types, ranges and multiranges of the server that no column has. Left out is what can never be a column (arrays of
 * pseudo-types) and the arrays of the catalogs' own rows.
 */
const UNCOVERED_TYPES = `
  select format_type(type.oid, null) as name
  from pg_type as type left join pg_type as element on element.oid = type.typelem and type.typcategory = 'A'
  where type.typnamespace = 'pg_catalog'::regnamespace and type.typtype in ('b', 'r', 'm')
    and coalesce(element.typtype, 'b') not in ('c', 'p')
    and type.oid not in (select atttypid from pg_attribute where attrelid = 'public.every_type'::regclass)
  order by 1`;

/** Types whose input functions refuse every value; their columns are there, and hold NULL. */
const WITHOUT_VALUES = ['c_gtsvector', 'c_pg_brin_bloom_summary', 'c_pg_brin_minmax_multi_summary'];

for (const version of availableVersions()) {
  describe(`the table of every type on Postgres ${version}`, () => {
    test('has a column and a value of each type of the server', async (t) => {
      const server = version === 18 ? undefined : await startPostgres({ version });
      if (server !== undefined) t.after(() => server.stop());
      const { client } = await testDatabase(t, { serverUrl: server?.url ?? (await sharedServerUrl()) });
      const { table, columns, rows } = await createEveryTypeTable(client);

      const uncovered = await client.query<{ name: string }>(UNCOVERED_TYPES);
      assert.deepEqual(uncovered.rows, []);

      const result = await client.query<{ line: string }>(
        `select row_to_json(t)::text as line from ${table} as t order by id`,
      );
      assert.equal(result.rows.length, rows);
      const seen = new Set(result.rows.flatMap(({ line }) => namesWithValue(line)));
      const missing = columns.map(({ name }) => name).filter((name) => !seen.has(name));
      assert.deepEqual(missing, version >= 14 ? WITHOUT_VALUES : WITHOUT_VALUES.slice(0, 1));
    });
  });
}

function namesWithValue(line: string): string[] {
  const row = JSON.parse(line) as Record<string, unknown>;
  return Object.keys(row).filter((name) => row[name] !== null);
}
