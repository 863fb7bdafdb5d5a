import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { verifyRun } from '../../../src/verify/run.ts';
import { openFileStore } from '../../../src/store/file/file.ts';
import { anyCharacter } from '../../support/any-text.ts';
import { createEveryTypeTable } from '../../support/every-type.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { triesOf } from '../../support/thorough.ts';
import { countRows, difference, openYard, type Yard } from './support.ts';

/** What JSON cannot hold; docs/format.md lists the same. Columns of the table of every type. */
const CHANGED: Record<string, string> = {
  c_json: 'line breaks between its parts become blanks, and null becomes SQL NULL',
  c_jsonb: 'null becomes SQL NULL',
  a_json: 'the same inside an array; a second dimension becomes a JSON array',
  a_jsonb: 'the same inside an array; a second dimension becomes a JSON array',
  json_domain: 'as json',
  array_of_json_domain: 'as json[]',
  nested: 'a composite with a json attribute that has line breaks',
  array_of_nested: 'a composite with a json attribute that has line breaks',
  c_xml: 'the XML declaration is not printed in JSON',
  bounds_int4: 'lower bounds of an array other than 1',
  six_dimensions: 'lower bounds of an array other than 1',
};

/** Columns whose values have no way back; a restore of them fails, so the archive of the test leaves them out. */
const WITHOUT_WAY_BACK: Record<string, RegExp> = {
  'types of the catalogue that take no input':
    /^(pg_node_tree|pg_ndistinct|pg_dependencies|pg_mcv_list|pg_brin_|gtsvector)/,
  'arrays of several dimensions whose elements are arrays': /^(int2vector|oidvector|et_ints)\[\]/,
};

describe('archive, verify and restore give the same table', () => {
  let database: TestDatabase;
  let yard: Yard;

  before(async () => {
    database = await testDatabase();
    yard = await openYard(database);
  });

  test('for every type and its edge values, but for what is listed', async () => {
    const { client } = database;
    const { columns, rows } = await createEveryTypeTable(client);
    const exclude = columns
      .filter(({ type }) => Object.values(WITHOUT_WAY_BACK).some((pattern) => pattern.test(type)))
      .map(({ name }) => name);
    assert.ok(exclude.length < 20, exclude.join());
    const { run } = await yard.archive({ table: 'public.every_type', exclude });
    await client.query('CREATE TABLE every_type_back (LIKE every_type INCLUDING ALL)');
    const result = await yard.restore('every_type_back');
    assert.equal(result.status, 'restored', JSON.stringify([result.problems, result.error]));
    assert.equal(result.rows, rows);
    const changed: string[] = [];
    for (const { name } of columns.filter((column) => !exclude.includes(column.name))) {
      const column = pg.escapeIdentifier(name);
      const { rows: differing } = await client.query(
        `SELECT FROM every_type a JOIN every_type_back b USING (id) WHERE a.${column}::text IS DISTINCT FROM b.${column}::text`,
      );
      if (differing.length > 0) changed.push(name);
    }
    assert.deepEqual(changed.sort(), Object.keys(CHANGED).sort());
    await restoreByValue(
      run,
      columns.filter(({ name }) => !exclude.includes(name)),
    );
  });

  /** As with rows that are too long for COPY: what comes is the same. */
  async function restoreByValue(run: string, columns: readonly { name: string }[]): Promise<void> {
    const { client } = database;
    await yard.changeManifest(run, ({ objects }) => {
      for (const object of objects) object.longestLine = 2 ** 30;
    });
    await client.query('CREATE TABLE every_type_values (LIKE every_type INCLUDING ALL)');
    const { status, error, rows } = await yard.restore('every_type_values');
    assert.equal(status, 'restored', JSON.stringify(error));
    const names = columns.map(({ name }) => pg.escapeIdentifier(name));
    const others = names.filter((name) => name !== '"id"').map((name) => `t.${name}::text`);
    for (let at = 0; at < others.length; at += 500) {
      const some = ['id', ...others.slice(at, at + 500)].join(', ');
      assert.deepEqual(await difference(client, some, 'every_type_back', 'every_type_values'), []);
    }
    assert.equal(await countRows(client, 'every_type_values'), rows);
  }

  test('for what is listed too, as far as documented', async () => {
    const { client } = database;
    const { rows } = await client.query<Record<string, boolean>>(
      `SELECT bool_and(translate(a.c_json::text, E'\\n\\r', '  ') = COALESCE(b.c_json::text, 'null')) AS json,
         bool_and(a.c_jsonb::text = COALESCE(b.c_jsonb::text, 'null')) AS jsonb,
         bool_and(array_to_json(a.bounds_int4)::text = array_to_json(b.bounds_int4)::text) AS bounds,
         bool_and(to_json(a.six_dimensions)::text = to_json(b.six_dimensions)::text) AS dimensions,
         bool_and(translate(a.nested::text, E'\\n\\r', '  ') = translate(b.nested::text, E'\\n\\r', '  ')) AS nested,
         bool_and(to_json(a.c_xml)::text = to_json(b.c_xml)::text) AS xml
       FROM every_type a JOIN every_type_back b USING (id) WHERE a.c_json IS NOT NULL AND a.c_jsonb IS NOT NULL`,
    );
    assert.deepEqual(rows, [{ json: true, jsonb: true, bounds: true, dimensions: true, nested: true, xml: true }]);
  });

  test('for random tables, in each codec and each way of cutting', async () => {
    await database.client.query(RANDOM_TYPES);
    await fc.assert(fc.asyncProperty(randomTable, roundTrip), { numRuns: triesOf(8, 30) });
  });

  async function roundTrip({ columns, codec, by, create }: RandomTable): Promise<void> {
    const { client } = database;
    const list = columns.map(({ type }, at) => `"c ${at}" ${type}`);
    await client.query(
      `DROP TABLE IF EXISTS random_table, random_back; CREATE TABLE random_table (${['id int PRIMARY KEY', ...list].join(', ')})`,
    );
    const rows = columns[0]?.values.length ?? 0;
    for (let row = 0; row < rows; row += 1) {
      const places = columns.map(({ type }, at) => `, $${at + 2}::text::${type}`);
      const values = [row * 3 - 20, ...columns.map((column) => column.values[row] ?? null)];
      await client.query(`INSERT INTO random_table SELECT $1::int${places.join('')}`, values);
    }
    const run = await yard.archive({
      table: 'public.random_table',
      segments: { by, targetSize: by === 'none' ? '1MiB' : '1KiB' },
      compression: { codec },
    });
    await verify(run.run);
    if (!create) await client.query('CREATE TABLE random_back (LIKE random_table INCLUDING ALL)');
    const result = await yard.restore('random_back', { create });
    assert.equal(result.status, 'restored', JSON.stringify([result.problems, result.error]));
    assert.deepEqual([result.rows, result.objects], [rows, run.objects]);
    const names = ['id', ...columns.map((_, at) => `"c ${at}"`)].join(', ');
    assert.deepEqual(await difference(client, names, 'random_table', 'random_back'), []);
  }

  async function verify(run: string): Promise<void> {
    const store = openFileStore(`${yard.folder}/store`);
    const folder = new RunFolder(store, 'it', run);
    const manifest = await folder.manifest();
    const { signal } = new AbortController();
    const { ok, problems, objects } = await verifyRun(folder, manifest!, {
      keyPrefix: '',
      sample: undefined,
      windowBytes: 8 * 1024 ** 2,
      retry: { attempts: 1, backoffMs: 1, forMs: 900_000 },
      signal,
      onProgress: () => {},
    });
    assert.ok(ok, JSON.stringify([problems, await Array.fromAsync(objects('different'))]));
    store.close();
  }
});

interface RandomTable {
  columns: { type: string; values: (string | null)[] }[];
  codec: string;
  by: string;
  create: boolean;
}

const RANDOM_TYPES = `
  CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', '', 'NULL', '{,}');
  CREATE TYPE pair AS (a numeric, "b c" text, at timestamptz[]);
  CREATE DOMAIN short AS text CHECK (length(value) < 200);
  CREATE DOMAIN shorts AS short[];`;

const text = fc
  .string({ unit: anyCharacter, maxLength: 40 })
  .map((value) => value.replaceAll(/\u0000/g, '').toWellFormed());
const special = fc.constantFrom(
  '',
  '\\',
  '\\N',
  '\\.',
  '"',
  ',',
  '{}',
  'NULL',
  'null',
  '\t',
  '\n\r',
  '()',
  ' ',
  '\u2028😀',
);
const anyText = fc.oneof(text, special);
const numeric = fc.oneof(
  fc
    .tuple(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), fc.nat(30))
    .map(([digits, scale]) => `${digits}e-${scale}`),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '0.000', '-1.10'),
);
const double = fc.double().map((value) => (Object.is(value, -0) ? '-0' : String(value)));
const moment = fc.oneof(
  fc
    .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
    .map((date) => date.toISOString()),
  fc.constantFrom('infinity', '-infinity', '0044-03-15 12:00:00.000001+00 BC', '294276-12-31 23:59:59.999999+00'),
);
const json = fc.oneof(
  fc.jsonValue().map((value) => JSON.stringify(value)),
  anyText.map((value) => JSON.stringify(value)),
  fc.constantFrom('{"a" : 1, "a":\t2}', ' [1 , null] ', '"\\/\\u00e9"', '1E400', '-0.0', '12345678901234567890.10'),
);
const jsonb = json.map((value) => (value.includes('\\u0000') ? '{}' : value));
const notNull = (value: string): boolean => value.trim() !== 'null';
const integer = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

/** An array literal of one or two dimensions. */
function arrayOf(element: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const one = fc.array(fc.option(element), { maxLength: 4 });
  const two = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })).chain(([rows, width]) =>
    fc.array(fc.array(fc.option(element), { minLength: width, maxLength: width }), {
      minLength: rows,
      maxLength: rows,
    }),
  );
  return fc.oneof(
    one.map(arrayLiteral),
    two.map((rows) => `{${rows.map(arrayLiteral).join(',')}}`),
  );
}

function arrayLiteral(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : quote(value))).join(',')}}`;
}

function quote(value: string): string {
  return `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
}

const pair = fc
  .tuple(fc.option(numeric), fc.option(anyText), fc.option(arrayOf(moment)))
  .map((values) => `(${values.map((value) => (value === null ? '' : quote(value))).join(',')})`);
const range = fc.tuple(fc.option(integer), fc.option(integer)).map(([a, b]) => {
  const [low, high] = a !== null && b !== null && a > b ? [b, a] : [a, b];
  return `[${low ?? ''},${high ?? ''}${high === null || high === 2 ** 31 - 1 ? ')' : ']'}`;
});

const TYPES: Record<string, fc.Arbitrary<string>> = {
  text: anyText,
  'varchar(40)': anyText.map((value) => value.slice(0, 30).toWellFormed()),
  'char(12)': fc.string({ maxLength: 12 }),
  smallint: fc.integer({ min: -32768, max: 32767 }).map(String),
  bigint: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  numeric,
  'numeric(12,4)': fc.integer({ min: -99999999, max: 99999999 }).map((value) => `${value}.5`),
  real: fc.float().map((value) => (Object.is(value, -0) ? '-0' : String(value))),
  'double precision': double,
  boolean: fc.boolean().map(String),
  bytea: fc.uint8Array({ maxLength: 30 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`),
  uuid: fc.uuid(),
  date: moment.map((value) => value.replace(/T.*|(?<=\d) .*(?= BC)| .*/, '')),
  'timestamp with time zone': moment,
  'timestamp without time zone': moment.map((value) => value.replace(/Z|\+00/, '')),
  interval: fc
    .tuple(integer, fc.integer({ min: -1e6, max: 1e6 }))
    .map(([seconds, days]) => `${days} days ${seconds}.000001 seconds`),
  json: json.filter(notNull),
  jsonb: jsonb.filter(notNull),
  int4range: range,
  mood: fc.constantFrom('sad', `it's "ok"`, '', 'NULL', '{,}'),
  short: anyText,
  shorts: arrayOf(anyText),
  pair,
  'text[]': arrayOf(anyText),
  'numeric[]': arrayOf(numeric),
  'timestamp with time zone[]': arrayOf(moment),
  'boolean[]': arrayOf(fc.boolean().map(String)),
  'jsonb[]': fc.array(fc.option(jsonb.filter(notNull)), { maxLength: 3 }).map(arrayLiteral),
  'mood[]': arrayOf(fc.constantFrom('sad', '', 'NULL', '{,}')),
  'pair[]': arrayOf(pair),
  'int4range[]': arrayOf(range),
  'box[]': fc
    .array(fc.constantFrom('(1,1),(0,0)', '(2,0.5),(-1,0)'), { maxLength: 3 })
    .map((boxes) => `{${boxes.join(';')}}`),
};

const randomTable: fc.Arbitrary<RandomTable> = fc
  .record({
    types: fc.array(fc.constantFrom(...Object.keys(TYPES)), { minLength: 1, maxLength: 10 }),
    rows: fc.integer({ min: 0, max: 30 }),
    codec: fc.constantFrom('gzip', 'zstd', 'none'),
    by: fc.constantFrom('key', 'pages', 'none'),
    create: fc.boolean(),
  })
  .chain(({ types, rows, ...rest }) =>
    fc.record({
      columns: fc.tuple(
        ...types.map((type) =>
          fc.record({
            type: fc.constant(type),
            values: fc.array(fc.option(TYPES[type]!), { minLength: rows, maxLength: rows }),
          }),
        ),
      ),
      ...Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, fc.constant(value)])),
    }),
  ) as unknown as fc.Arbitrary<RandomTable>;

describe('restoring', () => {
  test('counts the rows that are there', async (t) => {
    const database = await testDatabase(t);
    const yard = await openYard(database, t);
    await database.client.query('CREATE TABLE empty_table (id int PRIMARY KEY, v text)');
    await yard.archive({ table: 'public.empty_table' });
    const result = await yard.restore('back', { create: true });
    assert.deepEqual([result.status, result.rows], ['restored', 0]);
    assert.equal(await countRows(database.client, 'back'), 0);
  });
});
