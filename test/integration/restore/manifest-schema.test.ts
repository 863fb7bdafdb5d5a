import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import * as z from 'zod';
import { testDatabase } from '../../support/postgres.ts';
import { openYard, type Yard } from './support.ts';

type Schema = Record<string, unknown> & { properties: Record<string, Schema>; $defs: Record<string, Schema> };

const SCHEMA = path.join(import.meta.dirname, '../../../config/pgsluice.manifest.schema.json');

describe('a manifest is what its JSON Schema says', () => {
  let yard: Yard;
  let schema: Schema;

  before(async () => {
    const database = await testDatabase();
    yard = await openYard(database);
    schema = JSON.parse(await readFile(SCHEMA, 'utf8')) as Schema;
    await database.client.query(
      `CREATE TABLE wide (id int PRIMARY KEY, t text, n numeric, a int[], j json, jb jsonb, d date, ts timestamp, tz timestamptz, b bool, x xml);
       INSERT INTO wide (id) SELECT generate_series(1, 500); CREATE TABLE none ()`,
    );
  });

  for (const [name, archive] of Object.entries({
    'of a table by key': { table: 'wide', segments: { by: 'key', targetSize: '4KiB' } },
    'of a table by pages': {
      table: 'wide',
      segments: { by: 'pages', targetSize: '8KiB' },
      compression: { codec: 'zstd' },
    },
    'of a query': { query: 'SELECT id AS i, t FROM wide WHERE id < $1', params: [10] },
    'without rows': { table: 'wide', where: 'false' },
    'without columns': { table: 'none' },
  })) {
    test(name, async () => {
      const { run } = await yard.archive(archive);
      const file = path.join(yard.folder, 'store/it', `run=${run}`, '_manifest.json');
      const manifest = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
      const parsed = z.fromJSONSchema(schema).safeParse(manifest);
      assert.ok(parsed.success, parsed.error?.message);
      assertDescribed(manifest, schema, '');
    });
  }

  /** A field that nobody described is a field that readers cannot rely on. */
  function assertDescribed(value: unknown, described: Schema, place: string): void {
    const at =
      typeof described['$ref'] === 'string' ? schema.$defs[described['$ref'].replace('#/$defs/', '')]! : described;
    if (Array.isArray(value)) {
      for (const item of value) assertDescribed(item, at['items'] as Schema, `${place}[]`);
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, field] of Object.entries(value)) {
        const property = (at.properties as Record<string, Schema> | undefined)?.[name];
        assert.ok(property !== undefined, `${place}.${name} is not in the schema`);
        assertDescribed(field, property, `${place}.${name}`);
      }
    }
  }

  test('and one that says something else is refused', () => {
    const parse = z.fromJSONSchema(schema);
    assert.ok(!parse.safeParse({ format: 'pgsluice/manifest/1' }).success);
    assert.ok(!parse.safeParse({ format: 'pgsluice/manifest/2' }).success);
  });
});
