/** Types with a cast to json of their own, as PostGIS has: nobody knows what the cast loses, so they are archived as their text. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import { checkOnline } from '../../../src/run/check-online.ts';
import type { RunResult } from '../../../src/run/run-archive.ts';
import { testDatabase } from '../../support/postgres.ts';
import { difference, openYard, type Yard } from './support.ts';

/** Its casts to json and to text both lose all but the length. */
const TYPES = `
CREATE TYPE shape;
CREATE FUNCTION shape_in(cstring) RETURNS shape LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION shape_out(shape) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE shape (INPUT = shape_in, OUTPUT = shape_out, LIKE = text);
CREATE FUNCTION bytes_of(shape) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'textoctetlen';
CREATE FUNCTION to_json(shape) RETURNS json LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT to_json(bytes_of($1)) $$;
CREATE FUNCTION to_text(shape) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT bytes_of($1)::text $$;
CREATE CAST (shape AS json) WITH FUNCTION to_json(shape);
CREATE CAST (shape AS text) WITH FUNCTION to_text(shape) AS IMPLICIT;
CREATE TYPE level AS ENUM ('low', 'high');
CREATE FUNCTION to_json(level) RETURNS json LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT json_build_object('level', $1::text) $$;
CREATE CAST (level AS json) WITH FUNCTION to_json(level);
CREATE DOMAIN wide_shape AS shape;
CREATE TYPE placed AS (at int[], shape wide_shape);`;

const TABLE = `
CREATE TABLE places (
  level level, id int, s shape, d wide_shape, a shape[], dd wide_shape[], c placed, cc placed[], plain int[], PRIMARY KEY (level, id));
INSERT INTO places SELECT
  (ARRAY['low', 'high']::level[])[1 + i % 2], i, ('POINT "' || i || E'\\\\ \\n')::shape, 'd'::wide_shape, ARRAY['a,b'::shape, NULL],
  ARRAY['}'::wide_shape], ROW(ARRAY[i], 'in "c"')::placed, ARRAY[ROW(NULL, 'x y')::placed, ROW(NULL, NULL)::placed], ARRAY[i]
FROM generate_series(1, 2000) AS i;
INSERT INTO places (level, id, c) VALUES ('low', 0, ROW(NULL, NULL)), ('high', 0, NULL);
ANALYZE places`;

const TEXTS = ['level', 's', 'd', 'a', 'dd', 'c', 'cc'];

describe('a type with a cast to json of its own', () => {
  let yard: Yard;

  before(async () => {
    const database = await testDatabase();
    await database.client.query(`${TYPES} ${TABLE}`);
    yard = await openYard(database);
  });

  async function manifestOf({ manifest }: RunResult): Promise<Manifest> {
    return JSON.parse(await readFile(fileURLToPath(manifest ?? ''), 'utf8')) as Manifest;
  }

  async function firstLine({ objects }: Manifest): Promise<Record<string, unknown>> {
    const file = await readFile(path.join(yard.folder, 'store', objects[0]?.key ?? ''));
    return JSON.parse(gunzipSync(file).toString().split('\n', 1)[0] ?? '') as Record<string, unknown>;
  }

  for (const [name, archive] of Object.entries({
    'by COPY, cut by a key of such a type': { table: 'places', segments: { by: 'key', targetSize: '64KiB' } },
    'through a cursor': { table: 'places', segments: { by: 'key', targetSize: '64KiB' }, read: 'cursor' },
    'of a query': { query: 'SELECT * FROM places', key: ['level', 'id'] },
  })) {
    test(`is archived as its text and comes back exactly, within others too: ${name}`, async () => {
      const manifest = await manifestOf(await yard.archive(archive, { verifySource: true }));
      const texts = manifest.columns.filter(({ encoding }) => encoding === 'text').map(({ name }) => name);
      assert.deepEqual(texts, TEXTS);
      const { client } = yard;
      for (const [keys, kept] of [
        [{}, ''],
        [{ from: 'low,1990', to: 'high,11' }, 'WHERE (level, id) >= ($$low$$, 1990) AND (level, id) <= ($$high$$, 11)'],
      ] as const) {
        const restored = await yard.restore('back', { create: true, keys });
        assert.deepEqual([restored.status, restored.warnings], ['restored', []], JSON.stringify(restored));
        // The type's own text: a comparison of values would go by its implicit cast.
        const columns = "format('%s', t)";
        const differences = await difference(client, columns, `(SELECT * FROM places ${kept})`, 'back');
        const { rows } = await client.query(
          'SELECT count(*)::int AS n FROM back WHERE id = 0 AND c IS DISTINCT FROM NULL',
        );
        await client.query('DROP TABLE back');
        assert.deepEqual(differences, []);
        if (kept === '') assert.deepEqual(rows, [{ n: 1 }], 'a row of NULLs is no NULL');
      }
    });
  }

  test('is what the cast prints with lines: server', async () => {
    const archive = { table: 'places', lines: 'server' };
    const manifest = await manifestOf(await yard.archive(archive, { verifySource: true }));
    assert.equal(
      manifest.columns.some(({ encoding }) => encoding === 'text'),
      false,
    );
    const line = await firstLine(manifest);
    assert.deepEqual([line['level'], line['d'], line['a']], [{ level: 'high' }, 1, [3, null]]);
  });

  test('is told of by check and plan', async () => {
    for (const [lines, expected] of [
      ['exact', /^column s is archived as the text of its type, shape, which restores exactly; lines: server takes/],
      ['server', /^column s is archived as a cast to json of shape prints it, which may lose something/],
    ] as const) {
      await yard.archive({ table: 'places', columns: ['id', 's', 'plain'], lines });
      const said = (await checkOnline(yard.config)).filter(({ subject }) => subject === 'archives.it');
      const warnings = said.filter(({ message }) => message.startsWith('column ')).map(({ message }) => message);
      assert.equal(warnings.length, 1, JSON.stringify(said));
      assert.match(warnings[0] ?? '', expected);
    }
  });
});
