/** Manifests that somebody else wrote: none of their words is a statement, or a part of one. A server whose log is read is the witness. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import { connectPostgres, endConnection } from '../../../src/postgres/connect.ts';
import { sendOneStatementEach } from '../../../src/postgres/one-statement.ts';
import { resolveTypes } from '../../../src/restore/types.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { watchedDatabase, type WatchedDatabase } from '../../support/watched-database.ts';
import { openYard, type Yard } from './support.ts';

/** How a statement of a restore begins. */
const EXPECTED =
  /^(?:BEGIN$|COMMIT$|ROLLBACK$|SELECT |WITH |COPY "public"\."\w+" \(|CREATE TABLE "public"\."\w+" \("id" |CREATE UNLOGGED TABLE IF NOT EXISTS "public"\."pgsluice_restore_|CREATE TEMP TABLE pgsluice_stage ON COMMIT DROP AS SELECT |(?:COPY|DROP TABLE) pg_temp\.pgsluice_stage|INSERT INTO "public"\."\w+" \("id"|COMMENT ON TABLE "public"\."pgsluice_restore_|(?:INSERT INTO|UPDATE|DELETE FROM|DROP TABLE) "public"\."pgsluice_restore_)/;
/** Sent before a connection is ours: constants. */
const SETTINGS = /^SELECT (?:set_config\('|current_setting\('server_version_num')/;

let watched: WatchedDatabase;
let database: TestDatabase;
let yard: Yard;
let file: string;
let original: string;

before(async () => {
  watched = await watchedDatabase();
  ({ database } = watched);
  yard = await openYard(database);
  await database.client.query(
    `CREATE TABLE original (id int PRIMARY KEY, note text);
     INSERT INTO original SELECT i, 'n' FROM generate_series(1, 300) AS i`,
  );
  const { run } = await yard.archive({ table: 'public.original', segments: { by: 'key', targetSize: '1KiB' } });
  file = path.join(yard.folder, 'store/it', `run=${run}`, '_manifest.json');
  original = await readFile(file, 'utf8');
});

async function forge(change: (manifest: Manifest) => void): Promise<void> {
  const manifest = JSON.parse(original) as Manifest;
  change(manifest);
  await writeFile(file, JSON.stringify(manifest));
}

/** What sessions other than the test's own have sent since `mark`, by which protocol. */
async function statementsSince(mark: number): Promise<{ simple: string[]; extended: string[] }> {
  const found = { simple: [] as string[], extended: [] as string[] };
  for (const { kind, text } of await watched.statementsSince(mark)) {
    if (kind === 'statement') found.simple.push(text.trim().replaceAll('\n\t', '\n'));
    if (kind === 'execute <unnamed>') found.extended.push(text.trim().replaceAll('\n\t', '\n'));
  }
  return found;
}

/** Checks that only statements of ours ran, and that no word of somebody else's is in them but as a quoted name or a literal. */
async function assertUnharmed(mark: number): Promise<void> {
  const { simple, extended } = await statementsSince(mark);
  for (const statement of simple) assert.match(statement, SETTINGS);
  for (const statement of extended) {
    assert.match(statement, EXPECTED);
    const bare = statement.replaceAll(/"(?:[^"]|"")*"|E?'(?:[^']|'')*'/g, '?');
    assert.doesNotMatch(bare, /canary|sing|;|--/, statement);
  }
  await watched.assertUnharmed();
}

describe('a type that is none', () => {
  for (const type of [
    'integer); DROP TABLE canary; CREATE TABLE x (a int',
    'integer --',
    'integer /*',
    'integer DEFAULT sing()',
    'integer CHECK (sing() > 0)',
    'integer GENERATED ALWAYS AS (sing()) STORED',
    'numeric(sing(),2)',
    "numeric('12')",
    'integer) WITH (fillfactor = 10',
    'integer[]; SELECT sing()',
    'integer) AS x, LATERAL (SELECT sing()) AS y --',
    'public.sung; SELECT sing()',
    'integer\n); SELECT sing(); --',
  ]) {
    test(`is refused, by --create and by a range: ${JSON.stringify(type)}`, async () => {
      await forge(({ columns }) => {
        columns[0]!.type = type;
        columns[1]!.name = '\n, x int); DROP TABLE canary; --';
      });
      const mark = await watched.mark();
      const result = await yard.restore('fresh', { create: true, keys: { from: '1', to: '9' } });
      assert.equal(result.status, 'refused', JSON.stringify(result));
      assert.match(result.problems[0]!, /^type .* of column id does not exist in the target/s);
      await assertUnharmed(mark);
    });
  }
});

describe('names, keys and bounds', () => {
  test('are quoted names and parameters, and nothing else', async () => {
    await forge(({ columns, primaryKey, objects, cut }) => {
      columns[1]!.name = 'a" int); DROP TABLE canary; --';
      primaryKey.push("b') ; DROP TABLE canary");
      cut!.key = ['id'];
      for (const object of objects) object.firstKey = ["1'); DROP TABLE canary; --"];
    });
    const mark = await watched.mark();
    const result = await yard.restore('named', { create: true, keys: { to: '9' } });
    assert.equal(result.status, 'refused', JSON.stringify(result));
    assert.match(result.problems.join('\n'), /keys are not of the type of the key \(integer\): invalid input syntax/);
    await assertUnharmed(mark);
  });

  test('a column with a hostile name is made under that very name', async () => {
    await forge(({ columns }) => {
      columns[1]!.name = 'a" int); DROP TABLE canary; --';
    });
    const mark = await watched.mark();
    const result = await yard.restore('odd', { create: true });
    assert.equal(result.status, 'failed', 'the lines have another name for it');
    await assertUnharmed(mark);
  });

  test('what the operator gives as a range is a value', async () => {
    await writeFile(file, original);
    const mark = await watched.mark();
    const result = await yard.restore('ranged', { create: true, keys: { from: "1'); DROP TABLE canary; --" } });
    assert.equal(result.status, 'refused');
    assert.match(result.problems[0]!, /^--key-from 1'\); DROP TABLE canary; --: invalid input syntax for type integer/);
    await assertUnharmed(mark);
  });

  test('a manifest that nobody touched is restored by the same few statements', async () => {
    await writeFile(file, original);
    const mark = await watched.mark();
    const result = await yard.restore('whole', { create: true, keys: { from: '10', to: '200' } });
    assert.deepEqual([result.status, result.rows], ['restored', 191], JSON.stringify(result));
    await assertUnharmed(mark);
    const { extended } = await statementsSince(mark);
    assert.ok(
      extended.some((statement) => statement.startsWith('COPY ')),
      'the log has been read',
    );
  });
});

describe('a manifest that is not of the run that was asked for', () => {
  type Change = (manifest: Manifest) => void;
  const keyOf =
    (folder: string): Change =>
    ({ objects }) => {
      objects[0]!.key = `${folder}part-00000.jsonl.gz`;
    };
  const changes: Record<string, Change> = {
    'that of another archive': (manifest) => {
      manifest.archive = 'other';
    },
    'that of another run': (manifest) => {
      manifest.run = '20200101T000000Z';
    },
    'with an object of another archive': keyOf('other/run=20261123T020001Z/'),
    'with an object above the folder': keyOf('it/run=20261123T020001Z/../../'),
    'with an object below another folder': keyOf('it/run=20261123T020001Z/deeper/'),
  };
  for (const [what, change] of Object.entries(changes)) {
    test(`is not restored: ${what}`, async () => {
      await forge(change);
      const mark = await watched.mark();
      const result = await yard.restore('foreign', { create: true });
      const code = what.startsWith('that of') ? 'misplaced' : 'bad-manifest';
      assert.equal(result.error?.code, code, JSON.stringify(result));
      assert.deepEqual((await statementsSince(mark)).extended, [], 'nothing was asked of the target');
    });
  }
});

test('a manifest that names fewer objects than its run had parts is refused before anything is written', async () => {
  const refusalOf = async (change: (manifest: Manifest) => void): Promise<string> => {
    await forge(change);
    const { status, problems } = await yard.restore('cut_short', { create: true });
    assert.equal(status, 'refused');
    return problems.join('; ');
  };
  const drop = (manifest: Manifest): void => {
    const [gone] = manifest.objects.splice(1, 1);
    manifest.rows -= gone!.rows;
    manifest.jsonBytes -= gone!.jsonBytes;
    manifest.bytes -= gone!.bytes;
  };
  assert.equal(await refusalOf(drop), 'the manifest does not name part-00001: it is not that of the whole run');
  assert.match(
    await refusalOf(({ objects }) => objects.pop()),
    /^the manifest says 300 rows, its objects together have/,
  );
  const { rows } = await database.client.query("SELECT FROM pg_class WHERE relname = 'cut_short'");
  assert.equal(rows.length, 0);
});

test('a name cut by the server, or a type of another length, leaves no table', async () => {
  await forge(({ columns }) => {
    columns[1]!.name = 'n'.repeat(80);
  });
  const result = await yard.restore('cut', { create: true });
  assert.deepEqual(
    [result.status, result.problems],
    ['refused', [`no table can have a column of the name ${'n'.repeat(80)}`]],
  );
  const { rows } = await database.client.query("SELECT to_regclass('public.cut') AS made");
  assert.deepEqual(rows, [{ made: null }]);
});

test('a type that takes no modifier, or not this one, is none', async () => {
  const client = await connectPostgres({ url: database.url, applicationName: 'pgsluice test' });
  try {
    const types = ['integer(12)', 'uuid(integer)', 'numeric(1,2,3)', 'bit(0)', 'numeric(12,2)', 'bit(3)[]'];
    const columns = types.map((type) => ({ type, typeOid: 1700 }));
    assert.deepEqual([...(await resolveTypes(client, columns)).keys()], ['numeric(12,2)', 'bit(3)[]']);
  } finally {
    await endConnection(client);
  }
});

test('types made of any pieces are named by the server, or are none', async () => {
  const client = await connectPostgres({ url: database.url, applicationName: 'pgsluice fuzz' });
  sendOneStatementEach(client);
  const piece = fc.constantFrom(
    ...[
      'integer',
      'numeric',
      'public.',
      '"',
      '""',
      ';',
      '--',
      '/*',
      '*/',
      '(',
      ')',
      '12',
      ',',
      '[]',
      ' ',
      '\n',
      '\\',
      "'",
      '$$',
    ],
    ...[
      'sing()',
      'DROP TABLE canary',
      'DEFAULT',
      ' with time zone',
      'timestamp',
      'select',
      'setof ',
      'original',
      '%TYPE',
      'é',
    ],
  );
  const mark = await watched.mark();
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 6 }), async (pieces) => {
        const type = pieces.join('');
        const known = (await resolveTypes(client, [{ type, typeOid: 16_384 }])).get(type);
        if (known === undefined) return;
        const { rows } = await client.query<{ same: boolean }>('SELECT to_regtype($1) = to_regtype($2) AS same', [
          known,
          type,
        ]);
        assert.deepEqual(rows, [{ same: true }], `${type} became ${known}`);
      }),
      { numRuns: 2000 },
    );
  } finally {
    await endConnection(client);
  }
  await assertUnharmed(mark);
});
