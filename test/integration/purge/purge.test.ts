/** What a purge deletes, and above all what it must not: against real servers, with writers in its way. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { FailureError, UsageError } from '../../../src/base/errors.ts';
import { NEVER } from '../../../src/base/signals.ts';
import { planCommand } from '../../../src/commands/plan.ts';
import { purgeCommand } from '../../../src/commands/purge.ts';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import { connectPostgres, endConnection, type Client } from '../../../src/postgres/connect.ts';
import { Batches } from '../../../src/purge/batches.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { readHazards } from '../../../src/purge/hazards.ts';
import { LineKeys } from '../../../src/purge/line-keys.ts';
import { look } from '../../../src/purge/look.ts';
import { checkPurges, type PurgeOutlook } from '../../../src/purge/outlook.ts';
import { keyOf } from '../../../src/purge/preflight.ts';
import type { PurgeResult } from '../../../src/purge/request.ts';
import { findReader } from '../../../src/purge/readers.ts';
import { purgeRun } from '../../../src/purge/purge-run.ts';
import { prepare } from '../../../src/purge/target.ts';
import { eventually } from '../../support/cli.ts';
import { commandInProcess, runInProcess } from '../../support/in-process.ts';
import { connect, testDatabase } from '../../support/postgres.ts';
import { recordTo } from '../../support/record-log.ts';
import { createRows, partKey, putObject, removeObject, RUN, segmented } from '../../support/segments.ts';
import { openSite, PREFIX, type Site } from '../../support/site.ts';

const OTHER_RUN = '20261124T021500Z';
const PURGE = { purge: { after: '1h' } };
const NOTHING = { deleted: 0, absent: 0, changed: 0, locked: 0, referenced: 0, inexact: 0, kept: 0 };

let site: Site;

before(async () => {
  site = await openSite();
});

async function sql(text: string): Promise<Record<string, unknown>[]> {
  return (await site.database.client.query(text)).rows as Record<string, unknown>[];
}

async function countOf(table: string): Promise<number> {
  return Number((await sql(`SELECT count(*) AS n FROM ${table}`))[0]?.['n']);
}

/** Archives a table; resolves to the config. */
async function archive(name: string, options: object = {}, parts: object = {}): Promise<string> {
  const config = await site.writeConfig({
    log: { level: 'silent' },
    archives: { [name]: { ...segmented(name, 'key', '24KiB', PURGE), ...options } },
    ...parts,
  });
  const { result } = await runInProcess(site, config, name, RUN);
  assert.equal(result.status, 'committed', JSON.stringify(result.error));
  return config;
}

async function purge(
  config: string,
  name: string,
  options: Partial<{ runs: string[]; execute: boolean; again: boolean }> = {},
): Promise<{ code: number; result: PurgeResult; codes: string[] }> {
  const { code, stdout } = await commandInProcess(site, config, (invocation) =>
    purgeCommand(invocation, name, { runs: [RUN], execute: true, yes: false, ...options }),
  );
  const [result] = JSON.parse(stdout) as PurgeResult[];
  assert.ok(result !== undefined);
  assert.equal(
    Object.values(result.totals).reduce((sum, count) => sum + count, 0),
    ['purged', 'counted'].includes(result.status) ? result.lines : 0,
    JSON.stringify(result),
  );
  return { code, result, codes: [...new Set(result.problems.map((problem) => problem.code as string))].sort() };
}

async function recordOf(name: string): Promise<Record<string, unknown> | undefined> {
  const file = await site.stored(`${PREFIX}${name}/run=${RUN}/_purge.json`);
  return file && (JSON.parse(file.body.toString()) as Record<string, unknown>);
}

/** The statement that deletes, and what a batch of these lines gives it. */
async function statementsOf(name: string, client: Client): Promise<{ remove: string; params: unknown[] }> {
  const manifest = (await site.manifest(name, RUN))!;
  const { statements } = await prepare(client, await look(client, name), manifest);
  const lines = await site.lines(name, RUN);
  const keys = lines.map((line) => String((JSON.parse(line) as { id: number }).id));
  return { remove: statements.remove, params: [keys, digestsOf(lines)] };
}

/** One after the other. */
function digestsOf(lines: readonly string[]): Buffer {
  return Buffer.concat(lines.map((line) => hash('sha256', line, 'buffer')));
}

describe('a row whose UPDATE commits while the DELETE waits for it', () => {
  const NAIVE = `DELETE FROM raced t WHERE t.id IN (
    SELECT t.id FROM raced t JOIN unnest($1::int[]) WITH ORDINALITY AS a(k, n) ON t.id = a.k
    WHERE sha256(convert_to(row_to_json(t)::text, 'UTF8')) = substr($2::bytea, ((a.n - 1) * 32 + 1)::int, 32))`;
  let config: string;

  before(async () => {
    await createRows(site, 'raced', 200);
    await sql('ALTER TABLE raced ADD COLUMN at int NOT NULL DEFAULT 0; CREATE INDEX ON raced (at)');
    config = await archive('raced');
  });

  /** Runs a statement that meets a row which somebody updates, lets him commit once it waits, and gives what is left of the row. */
  async function race(
    makeStatement: (client: Client) => Promise<{ text: string; params: unknown[] }>,
    update: string,
    plan: string,
  ) {
    const writer = await connect(site.database.url);
    const client = await connectPostgres({ url: site.database.url, applicationName: 'raced' });
    try {
      const { text, params } = await makeStatement(client);
      await writer.query('BEGIN');
      await writer.query(`UPDATE raced SET ${update} WHERE id = 77`);
      await client.query('BEGIN');
      for (const method of ['hashjoin', 'mergejoin', 'nestloop'])
        await client.query(`SET LOCAL enable_${method} = ${method === plan ? 'on' : 'off'}`);
      const deleting = client.query(text, params);
      await eventually(
        'the statement waits',
        async () =>
          (await sql(`SELECT FROM pg_stat_activity WHERE application_name = 'raced' AND wait_event_type = 'Lock'`))
            .length === 1,
      );
      await writer.query('COMMIT');
      await deleting;
      const { rows } = await client.query(
        'SELECT count(*)::int AS n, count(*) FILTER (WHERE id = 77)::int AS it FROM raced',
      );
      await client.query('ROLLBACK');
      return rows[0] as { n: number; it: number };
    } finally {
      await writer.query('ROLLBACK');
      await writer.end();
      await endConnection(client);
      await sql(`UPDATE raced SET v = md5('77') || 'é', at = 0 WHERE id = 77`);
    }
  }

  // SKIP LOCKED would go past it; without that, it waits as it may for a row that is updated right after it was read.
  const ours = async (client: Client) => {
    const { remove, params } = await statementsOf('raced', client);
    assert.ok(remove.includes('FOR UPDATE OF pgsluice_row SKIP LOCKED'));
    return { text: remove.replace(' SKIP LOCKED', ''), params };
  };
  const naive = async (client: Client) => ({ text: NAIVE, params: (await statementsOf('raced', client)).params });

  for (const plan of ['hashjoin', 'mergejoin', 'nestloop'])
    for (const update of [`v = 'new'`, 'at = 1'])
      test(`stays: ${update}, ${plan}`, async () => {
        assert.deepEqual(await race(ours, update, plan), { n: 1, it: 1 });
      });

  const JOINS = { hashjoin: 'Hash Join', mergejoin: 'Merge Join', nestloop: 'Nested Loop' };
  for (const [at, [plan, node]] of Object.entries(JOINS).entries())
    test(`stays where it moves to another partition, and the others of the batch go: ${plan}`, async () => {
      const name = `wandering_${plan}`;
      await sql(`CREATE TABLE ${name} (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE ${name}_0 PARTITION OF ${name} FOR VALUES FROM (0) TO (1);
        CREATE TABLE ${name}_1 PARTITION OF ${name} FOR VALUES FROM (1) TO (2);
        INSERT INTO ${name} SELECT i, 0, md5(i::text) FROM generate_series(1, 20) AS i`);
      const writer = await connect(site.database.url);
      const client = await connectPostgres({ url: site.database.url, applicationName: name });
      try {
        for (const method of Object.keys(JOINS))
          await client.query(`SET enable_${method} = ${method === plan ? 'on' : 'off'}`);
        const facts = await look(client, name);
        const prepared = await prepare(client, facts, { columns: facts.relation.columns } as unknown as Manifest);
        const remove = prepared.statements.remove.replace(' SKIP LOCKED', '');
        const lines = (await sql(`SELECT row_to_json(t)::text AS line FROM ${name} AS t ORDER BY id`)).map(({ line }) =>
          String(line),
        );
        const keys = [(id: number) => String(id), () => '0'].map((print) => ({
          slice: (from: number, to: number) =>
            `{${Array.from({ length: to - from }, (_, line) => print(from + line + 1)).join()}}`,
        }));
        const stretch = { keys, digests: digestsOf(lines), sizes: Uint32Array.from(lines, ({ length }) => length) };
        const { rows: explained } = await client.query<Record<string, string>>(`EXPLAIN ${remove}`, [
          ...keys.map(({ slice }) => slice(0, 20)),
          stretch.digests,
        ]);
        assert.ok(JSON.stringify(explained).includes(node), JSON.stringify(explained));
        await writer.query(`BEGIN; UPDATE ${name} SET at = 1 WHERE id = ${7 + at}`);
        const batches = new Batches(client, { ...prepared, statements: { ...prepared.statements, remove } }, true);
        const done = batches.goThrough(stretch).next();
        done.catch(() => undefined);
        await eventually(
          'the statement waits',
          async () =>
            (await sql(`SELECT FROM pg_stat_activity WHERE application_name = '${name}' AND wait_event_type = 'Lock'`))
              .length === 1,
        );
        await writer.query('COMMIT');
        assert.deepEqual((await done).value?.totals, { ...NOTHING, deleted: 19, absent: 1 });
        assert.deepEqual(await sql(`SELECT id, at FROM ${name}`), [{ id: 7 + at, at: 1 }]);
      } finally {
        await writer.end();
        await endConnection(client);
      }
    });

  test('would be lost by a statement that does not lock what it compares', async () => {
    assert.deepEqual(await race(naive, `v = 'new'`, 'hashjoin'), { n: 0, it: 0 });
  });

  test('is counted as locked while the other transaction is open, and goes with a later purge if that is rolled back', async () => {
    const writer = await connect(site.database.url);
    await writer.query('BEGIN');
    await writer.query(`UPDATE raced SET v = 'new' WHERE id IN (77, 78)`);
    const first = await purge(config, 'raced');
    assert.deepEqual([first.code, first.result.status], [0, 'purged']);
    assert.deepEqual(first.result.totals, { ...NOTHING, deleted: 198, locked: 2 });
    assert.equal(first.result.mayGoOn, true);
    await writer.query('ROLLBACK');
    await writer.end();
    const second = await purge(config, 'raced');
    assert.deepEqual(second.result.totals, { ...NOTHING, deleted: 200 });
    assert.deepEqual([await countOf('raced'), (await recordOf('raced'))?.['state']], [0, 'done']);
  });
});

describe('an archive that is not what its manifest says', () => {
  let config: string;
  const key = partKey('damaged', 1);
  const ofOtherRun = partKey('damaged', 1, 'jsonl.gz', OTHER_RUN);

  before(async () => {
    await createRows(site, 'damaged', 1000);
    config = await archive('damaged');
    // Another run, of rows that were otherwise for a while, and no longer or shorter.
    await site.database.client.query('UPDATE damaged SET v = reverse(v)');
    const { result } = await runInProcess(site, config, 'damaged', OTHER_RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    await site.database.client.query('UPDATE damaged SET v = reverse(v)');
  });

  const damages: Record<string, (body: Buffer) => Promise<Buffer | undefined>> = {
    'a flipped bit in the last block': async (body) => {
      body.writeUInt8(body.readUInt8(body.length - 12) ^ 1, body.length - 12);
      return body;
    },
    'a truncated object': async (body) => body.subarray(0, -20),
    'a removed object': async () => undefined,
    'another part in its place': async () => (await site.stored(partKey('damaged', 0)))!.body,
    "another run's object in its place": async () => (await site.stored(ofOtherRun))!.body,
  };
  for (const [name, change] of Object.entries(damages))
    test(`${name}: nothing is deleted, exit 3`, async () => {
      const body = (await site.stored(key))!.body;
      const changed = await change(Buffer.from(body));
      if (changed === undefined) await removeObject(site, key);
      else await putObject(site, key, changed);
      try {
        const { code, result } = await purge(config, 'damaged');
        assert.deepEqual([code, result.status], [3, 'different']);
        assert.ok(result.differences.length > 0);
        assert.deepEqual([await countOf('damaged'), await recordOf('damaged')], [1000, undefined]);
      } finally {
        await putObject(site, key, body);
      }
    });
});

describe('what is refused, with nothing deleted', () => {
  test('a manifest that is none: exit 3', async () => {
    await createRows(site, 'claimed', 100);
    const config = await archive('claimed');
    const key = `${PREFIX}claimed/run=${RUN}/_manifest.json`;
    const { body } = (await site.stored(key))!;
    await putObject(site, key, body.subarray(0, -40));
    const { code, result } = await purge(config, 'claimed');
    assert.deepEqual([code, result.status, result.differences.length], [3, 'different', 1]);
    assert.deepEqual([await countOf('claimed'), await recordOf('claimed')], [100, undefined]);
  });

  test('anything while what is done cannot be noted', async () => {
    await createRows(site, 'unnoted', 100);
    const config = await archive('unnoted');
    const denied = site.proxy.order(
      'PutObject',
      { kind: 'error', status: 403, code: 'AccessDenied' },
      Infinity,
      '_purge.json',
    );
    try {
      const { code, result } = await purge(config, 'unnoted');
      assert.deepEqual([code, result.status, result.error?.code], [1, 'failed', 'access-denied']);
      assert.equal(await countOf('unnoted'), 100);
    } finally {
      denied.cancel();
    }
  });

  test('what is not wanted when it is asked, and what has come to stand against it before the answer', async () => {
    await createRows(site, 'asked', 100);
    const file = await archive('asked');
    const config = loadConfig(file, site.environment);
    const { asked } = config.archives;
    const source = config.sources['default'];
    assert.ok(asked?.purge !== undefined && source !== undefined);
    const request = { archive: { ...asked, purge: asked.purge }, run: RUN, byAge: false, source, execute: true };
    const context = { config, log: recordTo([]), signal: NEVER };
    const no = await purgeRun(context, { ...request, confirm: async () => false });
    assert.deepEqual([no.status, await countOf('asked'), await recordOf('asked')], ['stopped', 100, undefined]);
    const late = async (): Promise<boolean> => {
      await sql(`CREATE FUNCTION come() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
        CREATE TRIGGER coming BEFORE DELETE ON asked FOR EACH ROW EXECUTE FUNCTION come()`);
      return true;
    };
    const { status, problems } = await purgeRun(context, { ...request, confirm: late });
    assert.deepEqual([status, problems.map(({ code }) => code)], ['refused', ['purge-triggers']]);
    assert.deepEqual([await countOf('asked'), await recordOf('asked')], [100, undefined]);
  });

  test('all reasons at once, each with what helps', async () => {
    await sql(`
      CREATE TABLE refused (id int PRIMARY KEY, v text, extra int, price money);
      INSERT INTO refused SELECT i, i, i, i FROM generate_series(1, 50) AS i;
      CREATE TABLE cascading (id int REFERENCES refused ON DELETE CASCADE);
      CREATE TABLE nulling (id int REFERENCES refused ON DELETE SET NULL);
      CREATE TABLE defaulting (id int REFERENCES refused ON DELETE SET DEFAULT);
      CREATE INDEX ON nulling (id); CREATE INDEX ON defaulting (id);
      INSERT INTO cascading SELECT 1; INSERT INTO nulling SELECT 1;
      CREATE TABLE heir () INHERITS (refused);
      CREATE RULE soft AS ON DELETE TO refused DO INSTEAD NOTHING;
      CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER watching AFTER DELETE ON refused FOR EACH ROW EXECUTE FUNCTION nothing();
      CREATE PUBLICATION outwards FOR TABLE refused`);
    const config = await archive('refused');
    const dry = await purge(config, 'refused', { execute: false });
    const { code, result, codes } = await purge(config, 'refused');
    assert.equal(code, 2);
    assert.deepEqual(codes, [
      'purge-cascades',
      'purge-inherits',
      'purge-lossy-type',
      'purge-published',
      'purge-replica-identity',
      'purge-rule',
      'purge-triggers',
      'purge-unindexed-reference',
    ]);
    assert.equal(result.problems.filter((problem) => problem.code === 'purge-cascades').length, 3);
    assert.deepEqual(dry.codes, codes);
    assert.ok(
      result.problems.some(({ hint }) => hint === 'CREATE INDEX CONCURRENTLY ON cascading ("id");'),
      JSON.stringify(result.problems),
    );
    await sql('ALTER TABLE refused ADD COLUMN added int DEFAULT 7');
    assert.ok((await purge(config, 'refused')).codes.includes('purge-columns-changed'));
    assert.deepEqual(
      [await countOf('refused'), await countOf('cascading'), await countOf('nulling'), await recordOf('refused')],
      [50, 1, 1, undefined],
    );
  });

  test('another database, a young run that is not named, a table without a key, read-only transactions', async () => {
    await sql(
      'CREATE TABLE foreigner (id int NOT NULL, v text); INSERT INTO foreigner SELECT i, i FROM generate_series(1, 20) AS i',
    );
    const config = await archive('foreigner', { segments: { by: 'none' } });
    assert.deepEqual((await purge(config, 'foreigner')).codes, ['purge-no-key']);
    await sql('ALTER TABLE foreigner ADD PRIMARY KEY (id)');
    assert.deepEqual((await purge(config, 'foreigner', { runs: [] })).codes, ['purge-too-young']);
    assert.deepEqual((await purge(config, 'foreigner', { runs: ['latest'] })).codes, ['purge-too-young']);
    const readOnly = `${site.database.url}?options=-c%20default_transaction_read_only%3Don`;
    const sources = { default: { url: '${DATABASE_URL}' }, reader: { url: readOnly } };
    const reading = await site.writeConfig({
      log: { level: 'silent' },
      sources,
      archives: { foreigner: { table: 'foreigner', purge: { after: '1h', source: 'reader' } } },
    });
    assert.deepEqual((await purge(reading, 'foreigner')).codes, ['purge-read-only']);
    const key = `${PREFIX}foreigner/run=${RUN}/_manifest.json`;
    const { body } = (await site.stored(key))!;
    for (const source of [{ systemIdentifier: '1' }, { systemIdentifier: null }, { database: 'another' }]) {
      const manifest = JSON.parse(body.toString()) as Manifest;
      await putObject(
        site,
        key,
        Buffer.from(JSON.stringify({ ...manifest, source: { ...manifest.source, ...source } })),
      );
      assert.deepEqual((await purge(config, 'foreigner')).codes, ['purge-wrong-source'], JSON.stringify(source));
    }
    await putObject(site, key, body);
    assert.equal(await countOf('foreigner'), 20);
  });

  test('without purge in the config, or of a run that is none', async () => {
    const config = await site.writeConfig({
      log: { level: 'silent' },
      archives: { never: { table: 'foreigner' }, once: { table: 'foreigner', ...PURGE } },
    });
    await assert.rejects(
      purge(config, 'never'),
      (error) => error instanceof UsageError && error.message.includes('docs/purge.md'),
    );
    await assert.rejects(purge(config, 'once', { runs: ['../x'] }), UsageError);
    assert.deepEqual((await purge(config, 'once')).codes, ['purge-incomplete-archive']);
  });

  test('a record that is none: what was done before cannot be known', async () => {
    await createRows(site, 'noted', 10);
    const config = await archive('noted');
    await putObject(
      site,
      `${PREFIX}noted/run=${RUN}/_purge.json`,
      Buffer.from('{"format":"pgsluice/purge/1","state":"done"}'),
    );
    const { code, result } = await purge(config, 'noted');
    assert.deepEqual([code, result.error?.code, await countOf('noted')], [1, 'bad-purge-record', 10]);
  });
});

describe('what goes, and what stays', () => {
  test('rows that are equal go; changed, replaced and new ones stay, each line is accounted for; and it goes once', async () => {
    await createRows(site, 'living', 3000);
    const config = await archive('living');
    await sql(`
      UPDATE living SET v = 'changed' WHERE id <= 100; DELETE FROM living WHERE id BETWEEN 101 AND 150;
      DELETE FROM living WHERE id BETWEEN 151 AND 180; INSERT INTO living SELECT i, 'replaced' FROM generate_series(151, 180) AS i;
      UPDATE living SET v = v WHERE id BETWEEN 181 AND 190; INSERT INTO living SELECT i, 'new' FROM generate_series(3001, 3070) AS i`);
    const expected = { ...NOTHING, deleted: 2820, absent: 50, changed: 130 };
    const dry = await purge(config, 'living', { execute: false });
    assert.deepEqual([dry.code, dry.result.status, dry.result.totals], [0, 'counted', expected]);
    assert.deepEqual([await countOf('living'), await recordOf('living')], [3020, undefined]);
    const { code, result } = await purge(config, 'living');
    assert.deepEqual([code, result.status, result.totals, result.mayGoOn], [0, 'purged', expected, false]);
    assert.equal(result.vacuum?.statement, 'VACUUM (ANALYZE) "public"."living"');
    assert.ok(result.vacuum.deadRows >= 2820, JSON.stringify(result.vacuum));
    assert.equal(dry.result.vacuum, undefined);
    assert.deepEqual(await sql(`SELECT v, count(*)::int AS n FROM living GROUP BY v ORDER BY v`), [
      { v: 'changed', n: 100 },
      { v: 'new', n: 70 },
      { v: 'replaced', n: 30 },
    ]);
    const record = (await recordOf('living'))!;
    assert.deepEqual([record['state'], record['totals']], ['done', expected]);
    // What is brought back stays.
    await sql(`INSERT INTO living SELECT i, md5(i::text) || 'é' FROM generate_series(1000, 1010) AS i`);
    assert.deepEqual((await purge(config, 'living')).codes, ['purge-done']);
    assert.equal(await countOf('living'), 211);
  });

  test('values that a line does not tell whole stay', async () => {
    await sql(`CREATE TABLE inexact (id int PRIMARY KEY, j json, b jsonb, a int[]);
      INSERT INTO inexact VALUES (1, NULL, NULL, NULL), (2, '{"a":1}', '{}', '{1,2}'), (3, 'null', NULL, NULL), (4, NULL, 'null', NULL),
        (5, NULL, NULL, '[0:2]={1,2,3}'), (6, E'{"a":\n1}', NULL, NULL), (7, NULL, NULL, '{}'), (8, NULL, NULL, '{{1,2},{3,4}}')`);
    const config = await archive('inexact');
    // The rows are others now, and their lines are the same.
    await sql(`UPDATE inexact SET j = 'null' WHERE id = 1; UPDATE inexact SET a = '[2:3]={1,2}' WHERE id = 2`);
    const { result } = await purge(config, 'inexact');
    assert.deepEqual(result.totals, { ...NOTHING, deleted: 2, inexact: 6 });
    assert.deepEqual(
      (await sql('SELECT id FROM inexact ORDER BY id')).map(({ id }) => id),
      [1, 2, 3, 4, 5, 6],
    );
  });

  test('backslashes in literals that the role has escape: array bounds are told all the same', async () => {
    await sql(
      `CREATE TABLE escaping (id int PRIMARY KEY, a int[]); INSERT INTO escaping VALUES (1, '{1,2}'), (2, '{1,2}')`,
    );
    const url = `${site.database.url}?options=-c%20standard_conforming_strings%3Doff`;
    const sources = { default: { url: '${DATABASE_URL}' }, escaping: { url } };
    const config = await archive('escaping', { purge: { after: '1h', source: 'escaping' } }, { sources });
    await sql(`UPDATE escaping SET a = '[0:1]={1,2}' WHERE id = 2`);
    assert.deepEqual((await purge(config, 'escaping')).result.totals, { ...NOTHING, deleted: 1, inexact: 1 });
  });

  test('an xml declaration stays, where the server knows xml', async (t) => {
    try {
      await sql(`CREATE TABLE documents (id int PRIMARY KEY, x xml);
        INSERT INTO documents VALUES (1, '<?xml version="1.0"?><a/>'), (2, '<a/>'), (3, NULL)`);
    } catch {
      t.skip('this server has no libxml');
      return;
    }
    const config = await archive('documents');
    await sql(`UPDATE documents SET x = '<?xml version="1.0"?><a/>' WHERE id = 2`);
    assert.deepEqual((await purge(config, 'documents')).result.totals, { ...NOTHING, deleted: 1, inexact: 2 });
  });

  test('an xml value that begins with a line break stays: its output leaves that out', async (t) => {
    try {
      await sql(
        `CREATE TABLE breaks (id int PRIMARY KEY, x xml); INSERT INTO breaks VALUES (1, '<a/>'), (2, '<a/>'), (3, E'\\n<a/>')`,
      );
    } catch {
      t.skip('this server has no libxml');
      return;
    }
    const config = await archive('breaks');
    await sql(`UPDATE breaks SET x = E'\\n<a/>' WHERE id = 2`);
    assert.deepEqual((await purge(config, 'breaks')).result.totals, { ...NOTHING, deleted: 1, inexact: 2 });
  });

  test('two rows that are one to the collation of the column, and two to the index', async () => {
    await sql(`CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE folded (k text COLLATE nocase NOT NULL, v text); CREATE UNIQUE INDEX ON folded (k COLLATE "C");
      INSERT INTO folded VALUES ('a', 'x'), ('A', 'x')`);
    const config = await archive('folded', { segments: { by: 'none' } });
    await sql(`UPDATE folded SET v = 'nobody has archived this' WHERE k COLLATE "C" = 'A'`);
    assert.deepEqual((await purge(config, 'folded')).codes, ['purge-no-key']);
    assert.equal(await countOf('folded'), 2);
  });

  for (const [what, change] of Object.entries({
    'the key is no key any more': `ALTER TABLE meanwhile DROP CONSTRAINT meanwhile_pkey;
      INSERT INTO meanwhile VALUES (1, 'nobody has archived this')`,
    'a table inherits from it': `CREATE TABLE heiress (more text DEFAULT 'nobody has archived this') INHERITS (meanwhile);
      INSERT INTO heiress SELECT * FROM meanwhile WHERE id = 1; INSERT INTO heiress VALUES (2, 'x')`,
  }))
    test(`what was not compared stays, even when since the preflight ${what}`, async () => {
      await sql('DROP TABLE IF EXISTS meanwhile CASCADE');
      await createRows(site, 'meanwhile', 20);
      await archive('meanwhile');
      const client = await connectPostgres({ url: site.database.url, applicationName: 'meanwhile' });
      try {
        const { remove, params } = await statementsOf('meanwhile', client);
        await sql(change);
        const before = await countOf('meanwhile');
        const { rows } = await client.query(remove, params);
        assert.deepEqual(rows, [{ locked: 20, deleted: 20, kept: null }]);
        assert.equal(await countOf('meanwhile'), before - 20);
      } finally {
        await endConnection(client);
        await site.removeRun('meanwhile', RUN);
      }
    });

  test('a row that somebody has come to refer to since the statement looked: it stays, and the others go', async () => {
    await sql(`CREATE TABLE referred (id int PRIMARY KEY, v text); INSERT INTO referred SELECT i, NULL FROM generate_series(1, 9) AS i;
      CREATE TABLE refers (id int REFERENCES referred DEFERRABLE INITIALLY DEFERRED); INSERT INTO refers VALUES (4)`);
    const client = await connectPostgres({ url: site.database.url, applicationName: 'referred' });
    try {
      const facts = await look(client, 'referred');
      const manifest = { columns: facts.relation.columns } as unknown as Manifest;
      // As its snapshot has it, nobody refers to any row.
      const batches = new Batches(client, await prepare(client, { ...facts, references: [] }, manifest), true);
      const ids = Array.from({ length: 9 }, (_, at) => at + 1);
      const stretch = {
        keys: [{ slice: (from: number, to: number) => `{${ids.slice(from, to).join()}}` }],
        digests: digestsOf(ids.map((id) => `{"id":${id},"v":null}`)),
        sizes: new Uint32Array(9).fill(18),
      };
      const { value } = await batches.goThrough(stretch).next();
      assert.deepEqual(value?.totals, { ...NOTHING, deleted: 8, referenced: 1 });
      assert.deepEqual(await sql('SELECT id FROM referred'), [{ id: 4 }]);
    } finally {
      await endConnection(client);
    }
  });

  test('what is still locked or referred to at its third purge is left to a later run', async () => {
    await createRows(site, 'held_back', 20);
    await sql(
      'CREATE TABLE holding (id int REFERENCES held_back); CREATE INDEX ON holding (id); INSERT INTO holding VALUES (5)',
    );
    const config = await archive('held_back');
    const totals = { ...NOTHING, deleted: 19, referenced: 1 };
    for (const mayGoOn of [true, true, false]) {
      const { result } = await purge(config, 'held_back');
      assert.deepEqual([result.status, result.totals, result.mayGoOn], ['purged', totals, mayGoOn]);
      assert.equal(result.vacuum !== undefined, !result.wentOn, 'no row is dead by a purge that deleted none');
    }
    assert.equal((await recordOf('held_back'))?.['state'], 'done');
    await sql('DELETE FROM holding');
    assert.deepEqual((await purge(config, 'held_back')).codes, ['purge-done']);
    assert.equal(await countOf('held_back'), 1);
  });

  test('what somebody brings back before its second purge stays, unless that is told to purge again', async () => {
    await createRows(site, 'brought_back', 600);
    await sql(
      'CREATE TABLE keeping (id int REFERENCES brought_back); CREATE INDEX ON keeping (id); INSERT INTO keeping VALUES (5), (590)',
    );
    const config = await archive('brought_back');
    assert.deepEqual((await purge(config, 'brought_back')).result.totals, { ...NOTHING, deleted: 598, referenced: 2 });
    await sql(
      `DELETE FROM keeping; INSERT INTO brought_back SELECT i, md5(i::text) || 'é' FROM generate_series(6, 9) AS i`,
    );
    const { result } = await purge(config, 'brought_back');
    assert.deepEqual(
      [result.totals, result.warnings.length, await countOf('brought_back')],
      [{ ...NOTHING, deleted: 599, referenced: 1 }, 1, 5],
    );
    assert.match(
      result.warnings[0] ?? '',
      /part-00000.*: 5 of its rows are there, 1 could not go before: what came back stays/,
    );
    await purge(config, 'brought_back', { again: true });
    assert.equal(await countOf('brought_back'), 0);
  });

  for (const [where, rows, targetSize, meanwhile] of [
    ['in the middle of an object', 1500, '1MiB', 'DELETE FROM stopping'],
    ['between two objects', 600, '24KiB', ''],
  ] as const)
    test(`what somebody brings back after a stop ${where} stays`, async () => {
      await sql('DROP TABLE IF EXISTS stopped, stopping');
      await createRows(site, 'stopped', rows);
      await sql(
        'CREATE TABLE stopping (id int REFERENCES stopped); CREATE INDEX ON stopping (id); INSERT INTO stopping VALUES (5)',
      );
      const file = await archive('stopped', { segments: { by: 'key', targetSize } });
      const config = loadConfig(file, site.environment);
      const { stopped } = config.archives;
      const source = config.sources['default'];
      assert.ok(stopped?.purge !== undefined && source !== undefined);
      const request = { archive: { ...stopped, purge: stopped.purge }, run: RUN, byAge: false, source, execute: true };
      const stop = new AbortController();
      const halt = (): void => {
        stop.abort();
      };
      const first = await purgeRun({ config, log: recordTo([]), signal: stop.signal, onProgress: halt }, request);
      const { deleted } = first.totals;
      assert.deepEqual(
        [first.status, first.totals.referenced, await countOf('stopped')],
        ['stopped', 1, rows - deleted],
      );
      assert.ok(deleted > 9 && deleted < rows - 1, `${deleted} are deleted`);
      await sql(`${meanwhile}; INSERT INTO stopped VALUES (6, md5('6') || 'é')`);
      const { result } = await purge(file, 'stopped');
      assert.deepEqual(
        [result.status, result.totals, result.warnings.length],
        ['purged', { ...NOTHING, deleted: rows - 1, referenced: 1 }, 1],
      );
      assert.deepEqual(
        (await sql('SELECT id FROM stopped ORDER BY id')).map(({ id }) => id),
        [5, 6],
      );
      await site.removeRun('stopped', RUN);
    });

  test('each batch is a transaction of its own at READ COMMITTED, whatever the role has by default', async () => {
    await createRows(site, 'isolated', 20);
    await sql(`CREATE TABLE levels (level text); CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO levels SELECT concat_ws(' ', current_setting('transaction_isolation'), current_setting('lock_timeout'),
          current_setting('statement_timeout')); RETURN NULL; END $$;
      CREATE TRIGGER telling AFTER DELETE ON isolated FOR EACH STATEMENT EXECUTE FUNCTION tell()`);
    const url = `${site.database.url}?options=-c%20default_transaction_isolation%3Dserializable`;
    const sources = { default: { url: '${DATABASE_URL}' }, strict: { url } };
    const config = await archive(
      'isolated',
      { purge: { after: '1h', accept: ['triggers'], source: 'strict' } },
      { sources },
    );
    assert.deepEqual((await purge(config, 'isolated')).result.totals, { ...NOTHING, deleted: 20 });
    assert.deepEqual(await sql('SELECT DISTINCT level FROM levels'), [{ level: 'read committed 2s 1min' }]);
  });

  const MAKE_HAZARDOUS = `CREATE TABLE hazardous (id int PRIMARY KEY, v varchar) PARTITION BY RANGE (id);
    CREATE TABLE hazardous_part PARTITION OF hazardous FOR VALUES FROM (0) TO (9); INSERT INTO hazardous VALUES (1), (2)`;
  const REFERRING = (to: string): string =>
    `DROP TABLE dependants; CREATE TABLE dependants (id int REFERENCES ${to}); INSERT INTO dependants VALUES (1)`;
  const RULE =
    'CREATE RULE dropping AS ON DELETE TO hazardous DO INSTEAD DELETE FROM dependants RETURNING id, NULL::varchar';
  const TRIGGER = `CREATE OR REPLACE FUNCTION drop_more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM dependants; RETURN OLD; END';
    CREATE TRIGGER dropping AFTER DELETE`;
  for (const [what, change] of Object.entries({
    'another table of that name': `ALTER TABLE hazardous RENAME TO set_aside; ALTER TABLE set_aside RENAME CONSTRAINT hazardous_pkey TO aside_pkey;
      CREATE TABLE hazardous (id int PRIMARY KEY, v varchar); INSERT INTO hazardous VALUES (1), (2)`,
    'another table in its schema': `CREATE SCHEMA IF NOT EXISTS elsewhere; ALTER TABLE hazardous SET SCHEMA elsewhere;
      CREATE TABLE hazardous (id int PRIMARY KEY, v varchar); INSERT INTO hazardous VALUES (1), (2)`,
    'a type of which a line does not tell all': 'ALTER TABLE hazardous ALTER v TYPE money USING NULL',
    'another length of a type': 'ALTER TABLE hazardous ALTER v TYPE varchar(9)',
    'a foreign key that cascades': REFERRING('hazardous ON DELETE CASCADE'),
    'a foreign key that sets NULL': REFERRING('hazardous ON DELETE SET NULL'),
    'a foreign key that sets a default': REFERRING('hazardous ON DELETE SET DEFAULT'),
    'a foreign key that cascades from a partition': REFERRING('hazardous_part ON DELETE CASCADE'),
    // Of other rules the server itself says that they go with no such statement.
    'a rule': RULE,
    'a rule that is always on': `${RULE};
      ALTER TABLE hazardous ENABLE ALWAYS RULE dropping`,
    'a trigger': `${TRIGGER} ON hazardous FOR EACH ROW EXECUTE FUNCTION drop_more()`,
    'a trigger of a partition': `${TRIGGER} ON hazardous_part FOR EACH ROW EXECUTE FUNCTION drop_more()`,
    'a trigger that is always on': `${TRIGGER} ON hazardous_part FOR EACH ROW EXECUTE FUNCTION drop_more();
      ALTER TABLE hazardous_part ENABLE ALWAYS TRIGGER dropping`,
  }))
    test(`${what} that was made since the preflight: the batch is rolled back`, async () => {
      await sql('DROP TABLE IF EXISTS hazardous, dependants, set_aside, elsewhere.hazardous CASCADE');
      await sql(`${MAKE_HAZARDOUS}; CREATE TABLE dependants (id int); INSERT INTO dependants VALUES (1)`);
      const client = await connectPostgres({ url: site.database.url, applicationName: 'hazardous' });
      try {
        const facts = await look(client, 'hazardous');
        const manifest = { columns: facts.relation.columns } as unknown as Manifest;
        const batches = new Batches(client, await prepare(client, facts, manifest), true);
        await sql(change);
        const stretch = {
          keys: [{ slice: () => '{1,2}' }],
          digests: digestsOf(['{"id":1,"v":null}', '{"id":2,"v":null}']),
          sizes: Uint32Array.of(18, 18),
        };
        await assert.rejects(
          batches.goThrough(stretch).next(),
          (error) => error instanceof FailureError && error.failure.code === 'purge-table-changed',
        );
        assert.deepEqual([await countOf('hazardous'), await countOf('dependants WHERE id = 1')], [2, 1]);
      } finally {
        await endConnection(client);
      }
    });

  test('what is made meanwhile and does nothing on a delete is no hazard; another function of a trigger is one', async () => {
    await sql('DROP TABLE IF EXISTS hazardous, dependants, set_aside, elsewhere.hazardous CASCADE');
    await sql(`${MAKE_HAZARDOUS}; CREATE TABLE dependants (id int);
      ${TRIGGER} ON hazardous FOR EACH ROW EXECUTE FUNCTION drop_more()`);
    const { hazards, relation } = await look(site.database.client, 'hazardous');
    await sql(`${REFERRING('hazardous')}; CREATE TABLE hazardous_more PARTITION OF hazardous FOR VALUES FROM (9) TO (20);
      ${RULE}; ALTER TABLE hazardous DISABLE RULE dropping; CREATE RULE other AS ON INSERT TO hazardous DO ALSO DELETE FROM dependants;
      CREATE TRIGGER off AFTER DELETE ON hazardous_part FOR EACH STATEMENT EXECUTE FUNCTION drop_more();
      ALTER TABLE hazardous_part DISABLE TRIGGER off;
      CREATE TRIGGER elsewhere AFTER DELETE ON hazardous_part FOR EACH STATEMENT EXECUTE FUNCTION drop_more();
      ALTER TABLE hazardous_part ENABLE REPLICA TRIGGER elsewhere;
      CREATE TRIGGER updating AFTER UPDATE ON hazardous FOR EACH ROW EXECUTE FUNCTION drop_more()`);
    assert.equal(await readHazards(site.database.client, relation.oid), hazards);
    await sql(`DROP TRIGGER dropping ON hazardous; CREATE FUNCTION drop_all() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN TRUNCATE dependants; RETURN OLD; END';
      CREATE TRIGGER dropping AFTER DELETE ON hazardous FOR EACH ROW EXECUTE FUNCTION drop_all()`);
    assert.notEqual(await readHazards(site.database.client, relation.oid), hazards);
    await sql('DROP TABLE hazardous CASCADE');
    assert.equal(await readHazards(site.database.client, relation.oid), '');
  });

  test('a trigger that keeps a row is seen; a row that is referred to stays; what refers to itself goes leaves first', async () => {
    await sql(`
      CREATE TABLE nodes (id int PRIMARY KEY, parent int REFERENCES nodes, v text); CREATE INDEX ON nodes (parent);
      INSERT INTO nodes SELECT i, CASE WHEN i > 1 AND i <= 10 THEN i - 1 END, i FROM generate_series(1, 60) AS i;
      CREATE TABLE child (node int REFERENCES nodes); CREATE INDEX ON child (node); INSERT INTO child VALUES (20), (21);
      CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF OLD.id = 30 THEN RETURN NULL; END IF; RETURN OLD; END';
      CREATE TRIGGER keeping BEFORE DELETE ON nodes FOR EACH ROW EXECUTE FUNCTION keep()`);
    const config = await archive('nodes', { purge: { after: '1h', accept: ['triggers'] } });
    const { result } = await purge(config, 'nodes');
    assert.deepEqual(result.totals, { ...NOTHING, deleted: 57, referenced: 2, kept: 1 });
    assert.deepEqual(
      (await sql('SELECT id FROM nodes ORDER BY id')).map(({ id }) => id),
      [20, 21, 30],
    );
    assert.equal((await recordOf('nodes'))?.['state'], 'running');
    await sql('DELETE FROM child');
    const { result: second } = await purge(config, 'nodes');
    assert.deepEqual([second.totals, await countOf('nodes')], [{ ...NOTHING, deleted: 59, kept: 1 }, 1]);
  });

  test('keys of all plain types, in several columns, with names that need quotes', async () => {
    await sql(`CREATE TABLE keyed ("K a" text, "pgsluice_row" timestamptz, n numeric(12,4), u uuid, d date, b bytea, "l" bigint, PRIMARY KEY ("K a", "pgsluice_row", n, u, d, b, l));
      INSERT INTO keyed SELECT E'a"\\\\{},é\n' || i, timestamptz '2026-01-01 00:00:00.5' + i * interval '1 h', i + 0.5, md5(i::text)::uuid, date '2026-01-01' + i, decode(md5(i::text), 'hex'), 9007199254740993 + i
        FROM generate_series(1, 40) AS i`);
    const config = await archive('keyed');
    assert.deepEqual((await purge(config, 'keyed')).result.totals, { ...NOTHING, deleted: 40 });
  });

  test('keys at the ends of their type go, and only where they are unchanged', async () => {
    const types = {
      'double precision': "'-0','NaN','Infinity','-Infinity','1e-320','0.1','1.7976931348623157e308'",
      real: "'-0','NaN','Infinity','-Infinity','1e-40','0.1','3.4028235e38'",
      numeric: "'NaN','-5','0.00','1.50',repeat('9', 200)",
      interval: "'-1 mon +3 days','1 mon 1 day','24:00:00.000001','-178000000 years'",
      timestamptz:
        "'infinity','-infinity','294276-12-31 23:59:59.999999Z','4714-11-24 00:00:00Z BC','0001-12-31 23:59:59Z BC'",
      timestamp: "'infinity','-infinity','294276-12-31 23:59:59.999999','4714-11-24 00:00:00 BC','0044-03-15 BC'",
      date: "'infinity','-infinity','5874897-12-31','4714-11-24 BC'",
      time: "'24:00:00','00:00:00.000001'",
      timetz: "'24:00:00+15:59:59','00:00:00.5-15:59'",
      'char(6)': "'a','a b','NULL','null','{}','\\'",
      name: "'a','b c'",
      kept_mood: "'ok','not so \"ok\"','NULL'",
      kept_domain: "'a@b','c@\"d'",
      inet: "'10.0.0.1','10.0.0.1/8','::1'",
      cidr: "'10.0.0.0/8','::/0'",
      macaddr: "'08:00:2b:01:02:03'",
      macaddr8: "'08:00:2b:01:02:03:04:05'",
      'bit(5)': "'00101','11111'",
      varbit: "'0','00',''",
      oid: "'0','4294967295'",
      pg_lsn: "'0/0','FFFFFFFF/FFFFFFFF'",
      'text COLLATE kept_blind': "'straße','Zoë'",
    };
    await sql(`CREATE TYPE kept_mood AS ENUM ('ok', 'not so "ok"', 'NULL');
      CREATE DOMAIN kept_domain AS text CHECK (VALUE LIKE '%@%');
      CREATE COLLATION kept_blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`);
    const client = await connectPostgres({ url: site.database.url, applicationName: 'ends' });
    try {
      for (const [type, values] of Object.entries(types)) {
        await sql(`DROP TABLE IF EXISTS ends; CREATE TABLE ends (k ${type} PRIMARY KEY, v int);
          INSERT INTO ends SELECT k::${type.replace(/ COLLATE.*/, '')}, 1 FROM unnest(ARRAY[${values}]) AS k`);
        const { rows } = await client.query<{ line: string }>('SELECT row_to_json(t)::text AS line FROM ends AS t');
        const lines = rows.map(({ line }) => line);
        const keys = new LineKeys([0], lines.length, 10_000);
        for (const line of lines.map((text) => Buffer.from(text))) {
          keys.beginLine();
          keys.add(line, 0, line.length);
        }
        const [left] = await sql(`UPDATE ends SET v = 2 WHERE ctid = '(0,1)' RETURNING k::text`);
        const facts = await look(client, 'ends');
        assert.notEqual(keyOf(facts), undefined, type);
        const prepared = await prepare(client, facts, { columns: facts.relation.columns } as unknown as Manifest);
        const sizes = Uint32Array.from(lines, ({ length }) => length);
        const stretch = { keys: keys.values, digests: digestsOf(lines), sizes };
        const { value } = await new Batches(client, prepared, true).goThrough(stretch).next();
        assert.deepEqual(value?.totals, { ...NOTHING, deleted: lines.length - 1, changed: 1 }, type);
        assert.deepEqual(await sql('SELECT k::text FROM ends'), [left], type);
      }
    } finally {
      await endConnection(client);
    }
  });

  test('by a window of a partitioned table, with its bounds as a fence', async () => {
    await sql(`CREATE TABLE events (id int, at timestamptz, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01Z') TO ('2026-01-02Z');
      CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-01-02Z') TO ('2026-01-03Z');
      INSERT INTO events SELECT i, timestamptz '2026-01-01Z' + i * interval '1 h', 'x' FROM generate_series(0, 47) AS i`);
    const config = await site.writeConfig({
      log: { level: 'silent' },
      archives: { events: { table: 'events', window: { column: 'at', every: 'day' }, ...PURGE } },
    });
    const { result: ran } = await runInProcess(site, config, 'events', '20260101T000000Z');
    assert.equal(ran.status, 'committed', JSON.stringify(ran.error));
    const { result } = await purge(config, 'events', { runs: ['20260101T000000Z'] });
    assert.deepEqual([result.totals, await countOf('events')], [{ ...NOTHING, deleted: 24 }, 24]);
  });

  test('a row of a partitioned table that a row of another one refers to', async () => {
    await sql(`CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
      CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
      CREATE TABLE referring (id int, parted int REFERENCES parted) PARTITION BY RANGE (id);
      CREATE TABLE referring_1 PARTITION OF referring FOR VALUES FROM (0) TO (10); CREATE INDEX ON referring (parted);
      INSERT INTO parted SELECT i, i FROM generate_series(0, 19) AS i; INSERT INTO referring VALUES (1, 3), (2, 13)`);
    const config = await archive('parted');
    assert.equal((await look(site.database.client, 'parted')).references.length, 1);
    const { result } = await purge(config, 'parted');
    assert.deepEqual([result.totals, await countOf('parted')], [{ ...NOTHING, deleted: 18, referenced: 2 }, 2]);
  });

  for (const [when, level] of [
    ['BEFORE', 'ROW'],
    ['AFTER', 'STATEMENT'],
  ])
    test(`settings that a trigger changes change no line: ${when} ${level}`, async () => {
      const table = `floats_${level}`.toLowerCase();
      await sql(`CREATE TABLE ${table} (id int PRIMARY KEY, f float8); INSERT INTO ${table} SELECT i, 0.3 FROM generate_series(1, 300) AS i;
      CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM set_config('extra_float_digits', '0', false); RETURN OLD; END $$;
      CREATE TRIGGER meddling ${when} DELETE ON ${table} FOR EACH ${level} EXECUTE FUNCTION meddle()`);
      const config = await archive(table, {
        segments: { by: 'key', targetSize: '5KiB' },
        purge: { after: '1h', accept: ['triggers'] },
      });
      assert.ok((await site.manifest(table, RUN))!.objects.length > 1);
      await sql(`UPDATE ${table} SET f = 0.1::float8 + 0.2::float8 WHERE id % 10 = 0`);
      const { result } = await purge(config, table);
      assert.deepEqual([result.totals, await countOf(table)], [{ ...NOTHING, deleted: 270, changed: 30 }, 30]);
    });

  test('a row of the batch that a trigger changes stays, and so does one that it changes itself', async () => {
    await sql(`CREATE TABLE chained (id int PRIMARY KEY, v int); INSERT INTO chained SELECT i, 0 FROM generate_series(1, 40) AS i;
      CREATE FUNCTION change_next() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF OLD.id IN (1, 7) THEN UPDATE chained SET v = v + 1 WHERE id = OLD.id + 1; END IF;
        IF OLD.id = 20 THEN UPDATE chained SET v = v + 1 WHERE id = OLD.id; END IF;
        RETURN OLD; END $$;
      CREATE TRIGGER changing BEFORE DELETE ON chained FOR EACH ROW EXECUTE FUNCTION change_next()`);
    const config = await archive('chained', { purge: { after: '1h', accept: ['triggers'] } });
    const { result } = await purge(config, 'chained');
    assert.deepEqual(result.totals, { ...NOTHING, deleted: 37, changed: 2, kept: 1 });
    assert.deepEqual(await sql('SELECT id, v FROM chained ORDER BY id'), [
      { id: 2, v: 1 },
      { id: 8, v: 1 },
      { id: 20, v: 0 },
    ]);
  });

  test('a trigger that fires before the rows are compared is refused, accepted or not: it may change the settings', async () => {
    await sql(`CREATE TABLE forestalled (id int PRIMARY KEY, f float8); INSERT INTO forestalled SELECT i, 0.3 FROM generate_series(1, 300) AS i;
      CREATE FUNCTION forestall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM set_config('extra_float_digits', '0', false); RETURN NULL; END $$;
      CREATE TRIGGER forestalling BEFORE DELETE ON forestalled FOR EACH STATEMENT EXECUTE FUNCTION forestall()`);
    // A nested loop compares row by row.
    const url = `${site.database.url}?options=-c%20enable_hashjoin%3Doff%20-c%20enable_mergejoin%3Doff`;
    const sources = { default: { url: '${DATABASE_URL}' }, nested: { url } };
    const config = await archive(
      'forestalled',
      { purge: { after: '1h', accept: ['triggers'], source: 'nested' } },
      { sources },
    );
    await sql('UPDATE forestalled SET f = 0.1::float8 + 0.2::float8 WHERE id % 10 = 0');
    const { result, codes } = await purge(config, 'forestalled');
    assert.deepEqual([result.totals, codes, await countOf('forestalled')], [NOTHING, ['purge-triggers'], 300]);
  });

  test('by a role that may SELECT, DELETE and UPDATE one column, and by none that may less', async () => {
    await createRows(site, 'granted', 300);
    const role = `purger_${process.pid}`;
    await sql(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT SELECT ON granted TO ${role}`);
    try {
      const url = new URL(site.database.url);
      url.username = role;
      url.password = 'secret';
      const sources = { default: { url: '${DATABASE_URL}' }, purger: { url: url.href } };
      const config = await archive('granted', { purge: { after: '1h', source: 'purger' } }, { sources });
      const refused = await purge(config, 'granted');
      assert.deepEqual(refused.codes, ['purge-permission']);
      const hint = refused.result.problems[0]?.hint ?? '';
      assert.match(hint, /^GRANT DELETE, UPDATE \("id"\) ON "public"\."granted" TO /);
      await sql(hint);
      assert.deepEqual((await purge(config, 'granted')).result.totals, { ...NOTHING, deleted: 300 });
    } finally {
      await sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });
});

describe('what is found out of a table', () => {
  const factsOf = (table: string) => look(site.database.client, table);

  test('keys are those alone that tell all rows apart', async () => {
    await sql(`CREATE TABLE many_keys (a int NOT NULL, b int NOT NULL, c int, d text NOT NULL, e int NOT NULL, f int NOT NULL, g int NOT NULL, h int NOT NULL, i int NOT NULL);
      INSERT INTO many_keys SELECT n, n, n, n, n, n, n, n, 1 FROM generate_series(1, 2) AS n;
      CREATE UNIQUE INDEX ON many_keys (b) INCLUDE (c);
      CREATE UNIQUE INDEX ON many_keys (c); CREATE UNIQUE INDEX ON many_keys (d text_pattern_ops); CREATE UNIQUE INDEX ON many_keys (d COLLATE "C");
      CREATE UNIQUE INDEX ON many_keys (e) WHERE e > 0; CREATE UNIQUE INDEX ON many_keys ((f + 1)); CREATE INDEX ON many_keys (g);
      ALTER TABLE many_keys ADD UNIQUE (h) DEFERRABLE; CREATE UNIQUE INDEX ON many_keys (a, g)`);
    await assert.rejects(sql('CREATE UNIQUE INDEX CONCURRENTLY broken ON many_keys (i)'));
    assert.deepEqual((await factsOf('many_keys')).keys, [['b'], ['a', 'g']]);
    await sql('ALTER TABLE many_keys ADD PRIMARY KEY (a, b, d)');
    assert.deepEqual((await factsOf('many_keys')).keys[0], ['a', 'b', 'd']);
  });

  test('what a delete sets off, at the table, its partitions and those that it is a partition of', async () => {
    await sql(`CREATE SCHEMA told; CREATE TABLE told.top (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE told.middle PARTITION OF told.top FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (at);
      CREATE TABLE told.leaf PARTITION OF told.middle FOR VALUES FROM (0) TO (5);
      CREATE FUNCTION told.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER row_of_leaf AFTER DELETE ON told.leaf FOR EACH ROW EXECUTE FUNCTION told.nothing();
      CREATE TRIGGER off AFTER DELETE ON told.leaf FOR EACH ROW EXECUTE FUNCTION told.nothing(); ALTER TABLE told.leaf DISABLE TRIGGER off;
      CREATE TRIGGER elsewhere AFTER DELETE ON told.leaf FOR EACH ROW EXECUTE FUNCTION told.nothing(); ALTER TABLE told.leaf ENABLE REPLICA TRIGGER elsewhere;
      CREATE TRIGGER of_update AFTER UPDATE ON told.leaf FOR EACH ROW EXECUTE FUNCTION told.nothing();
      CREATE TRIGGER first BEFORE DELETE ON told.middle FOR EACH STATEMENT EXECUTE FUNCTION told.nothing();
      CREATE RULE also AS ON DELETE TO told.leaf DO ALSO SELECT 1;
      CREATE TRIGGER ever AFTER DELETE ON told.leaf FOR EACH ROW EXECUTE FUNCTION told.nothing(); ALTER TABLE told.leaf ENABLE ALWAYS TRIGGER ever;
      CREATE TABLE told.child (id int, at int, FOREIGN KEY (id, at) REFERENCES told.leaf);
      CREATE RULE ever AS ON DELETE TO told.leaf DO ALSO SELECT 1; ALTER TABLE told.leaf ENABLE ALWAYS RULE ever;
      CREATE RULE of_update AS ON UPDATE TO told.leaf DO ALSO SELECT 1;
      CREATE SCHEMA untold; CREATE TABLE untold.leaf (id int); CREATE PUBLICATION of_namesake FOR TABLE untold.leaf;
      CREATE RULE idle AS ON DELETE TO told.leaf DO INSTEAD NOTHING; ALTER TABLE told.leaf DISABLE RULE idle;
      CREATE PUBLICATION of_ancestor FOR TABLE told.top; CREATE PUBLICATION of_inserts FOR TABLE told.middle WITH (publish = 'insert');
      CREATE PUBLICATION of_another FOR TABLE raced; CREATE PUBLICATION of_leaf FOR TABLE told.leaf`);
    if (site.database.version >= 15) await sql('CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA told');
    const facts = await factsOf('told.middle');
    assert.deepEqual(
      facts.triggers.map(({ name, isFirst }) => [name, isFirst]),
      [
        ['ever', false],
        ['row_of_leaf', false],
        ['first', true],
      ],
    );
    assert.deepEqual(
      facts.rules,
      ['also', 'ever'].map((name) => ({ name, table: 'told.leaf' })),
    );
    const bySchema = site.database.version >= 15 ? ['of_schema'] : [];
    assert.deepEqual(facts.publications, ['of_ancestor', 'of_leaf', ...bySchema]);
    assert.deepEqual(facts.withoutIdentity, []);
    await sql('DROP PUBLICATION IF EXISTS of_ancestor, of_inserts, of_another, of_leaf, of_namesake, of_schema');
    await sql('CREATE PUBLICATION of_all FOR ALL TABLES');
    assert.deepEqual((await factsOf('told.middle')).publications, ['of_all']);
    await sql('DROP PUBLICATION of_all; ALTER TABLE told.leaf REPLICA IDENTITY NOTHING');
    const identity = async (change: string): Promise<readonly string[]> => {
      await sql(`ALTER TABLE told.leaf ${change}`);
      return (await factsOf('told.middle')).withoutIdentity;
    };
    assert.deepEqual(await identity('ALTER id SET NOT NULL'), ['told.leaf']);
    assert.deepEqual(await identity('REPLICA IDENTITY FULL'), []);
    await sql('CREATE UNIQUE INDEX told_identity ON told.leaf (at, id)');
    assert.deepEqual(await identity('REPLICA IDENTITY USING INDEX told_identity'), []);
    await sql('DROP INDEX told.told_identity');
    assert.deepEqual(await identity('ALTER id SET NOT NULL'), ['told.leaf']);
    await sql(
      'DROP TABLE told.child; ALTER TABLE told.leaf REPLICA IDENTITY DEFAULT; ALTER TABLE told.top DROP CONSTRAINT top_pkey; CREATE UNIQUE INDEX ON told.leaf (at, id)',
    );
    assert.deepEqual((await factsOf('told.middle')).withoutIdentity, ['told.leaf']);
    await sql(`SET allow_system_table_mods = on; CREATE SUBSCRIPTION filling CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false);
      INSERT INTO pg_catalog.pg_subscription_rel SELECT oid, 'told.top'::regclass, 'i' FROM pg_catalog.pg_subscription WHERE subname = 'filling'`);
    try {
      assert.deepEqual((await factsOf('told.middle')).subscriptions, ['filling']);
    } finally {
      await sql(
        `DELETE FROM pg_catalog.pg_subscription_rel; ALTER SUBSCRIPTION filling SET (slot_name = NONE); DROP SUBSCRIPTION filling; RESET allow_system_table_mods`,
      );
    }
  });

  test('row security and rights, of the table and of what refers to it', async () => {
    await sql(`CREATE TABLE guarded (id int PRIMARY KEY); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
      CREATE TABLE hidden (id int REFERENCES guarded); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; CREATE TABLE unseen (id int REFERENCES guarded);
      CREATE SCHEMA closed; CREATE TABLE closed.child (id int REFERENCES guarded);
      CREATE ROLE looker_${process.pid} LOGIN PASSWORD 'secret'; GRANT SELECT ON closed.child TO looker_${process.pid}; GRANT SELECT ON guarded, hidden TO looker_${process.pid}`);
    const url = new URL(site.database.url);
    url.username = `looker_${process.pid}`;
    url.password = 'secret';
    const client = await connectPostgres({ url: url.href, applicationName: 'looker' });
    try {
      const { rights, references } = await look(client, 'guarded');
      assert.deepEqual(rights, { select: true, delete: false, update: false, hidesRows: true });
      assert.deepEqual(
        references.map(({ table, canSelect, canName, hidesRows }) => [table, canSelect, canName, hidesRows]),
        [
          ['closed.child', true, false, false],
          ['hidden', true, true, true],
          ['unseen', false, true, false],
        ],
      );
    } finally {
      await endConnection(client);
      await sql(`DROP OWNED BY looker_${process.pid}; DROP ROLE looker_${process.pid}`);
    }
  });

  test('what refers to it: columns in the order of the key, an index that helps, and copies of keys once', async () => {
    await sql(`CREATE SCHEMA pointed; CREATE TABLE pointed.top (a int, b int, PRIMARY KEY (a, b)) PARTITION BY RANGE (a);
      CREATE TABLE pointed.leaf PARTITION OF pointed.top FOR VALUES FROM (0) TO (10);
      CREATE TABLE pointed.child (z int, y int, x int, FOREIGN KEY (z, y) REFERENCES pointed.top (b, a)) PARTITION BY RANGE (z);
      CREATE TABLE pointed.child_leaf PARTITION OF pointed.child FOR VALUES FROM (0) TO (10);
      INSERT INTO pointed.top VALUES (1, 1); INSERT INTO pointed.child VALUES (1, 1, 1), (1, 1, 1)`);
    const hasIndex = async (): Promise<boolean[]> =>
      (await factsOf('pointed.top')).references.map((reference) => reference.hasIndex);
    const [reference, ...others] = (await factsOf('pointed.top')).references;
    assert.deepEqual(
      [reference?.table, reference?.columns, reference?.referenced, others],
      ['pointed.child', ['z', 'y'], ['b', 'a'], []],
    );
    assert.deepEqual(
      (await factsOf('pointed.leaf')).references.map(({ table, referenced }) => [table, referenced]),
      [['pointed.child', ['b', 'a']]],
    );
    await sql('CREATE INDEX ON pointed.child (x, z); CREATE INDEX ON pointed.child (z) WHERE x > 0');
    await sql('CREATE INDEX ON ONLY pointed.child (z, y)');
    assert.deepEqual(await hasIndex(), [false]);
    await sql('CREATE INDEX ON pointed.child (y, x)');
    assert.deepEqual(await hasIndex(), [true]);
  });

  test('who reads it: a run or a restore of this database that has a lock on it or on a partition, and waits for none', async () => {
    await sql(
      'CREATE TABLE watched (id int) PARTITION BY RANGE (id); CREATE TABLE watched_leaf PARTITION OF watched FOR VALUES FROM (0) TO (9)',
    );
    const { client } = site.database;
    const [{ oid } = { oid: 0 }] = (await sql(`SELECT 'watched'::regclass::oid::int8::float8 AS oid`)) as {
      oid: number;
    }[];
    const lock = async (url: string, name: string, table: string, mode: string): Promise<Client> => {
      const session = await connectPostgres({ url, applicationName: name });
      await session.query('BEGIN');
      await session.query(`LOCK TABLE ${table} IN ${mode} MODE`);
      return session;
    };
    await sql('CREATE TABLE unwatched (id int)');
    const other = await lock(site.database.url, 'pgsluice others on db1:1', 'unwatched', 'ACCESS SHARE');
    const own = await lock(site.database.url, 'somebody', 'watched_leaf', 'ACCESS EXCLUSIVE');
    const waiting = lock(site.database.url, 'pgsluice events on db1:1', 'watched_leaf', 'ACCESS SHARE');
    await eventually(
      'the run waits',
      async () =>
        (await sql(`SELECT FROM pg_locks WHERE relation = 'watched_leaf'::regclass AND NOT granted`)).length > 0,
    );
    assert.equal(await findReader(client, oid), undefined);
    await endConnection(own);
    const reader = await waiting;
    assert.equal(await findReader(client, oid), 'pgsluice events on db1:1');
    await endConnection(reader);
    await endConnection(other);
    // Each database has a table of this OID.
    const elsewhere = await testDatabase();
    const far = await lock(elsewhere.url, 'pgsluice events on db1:1', 'pg_catalog.pg_class', 'ACCESS SHARE');
    const [pgClass] = (await sql(`SELECT 'pg_catalog.pg_class'::regclass::oid::int4 AS oid`)) as { oid: number }[];
    assert.equal(await findReader(client, pgClass?.oid ?? 0), undefined);
    await endConnection(far);
  });

  test('what is committed while it is looked at is seen by then, or makes the first batch roll back', async (t) => {
    const client = await connectPostgres({ url: site.database.url, applicationName: 'observed' });
    const query = client.query.bind(client) as (...asked: unknown[]) => Promise<unknown>;
    await sql(`CREATE FUNCTION observe() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`);
    try {
      for (let at = 1, asked = Infinity; at <= asked; at += 1) {
        await sql('DROP TABLE IF EXISTS observed, observer; CREATE TABLE observed (id int PRIMARY KEY, v text)');
        let answers = 0;
        const counted = t.mock.method(client, 'query', async (...parts: unknown[]) => {
          const answer = await query(...parts);
          answers += 1;
          if (answers === at)
            await sql(`CREATE TRIGGER fires AFTER DELETE ON observed FOR EACH ROW EXECUTE FUNCTION observe();
              CREATE RULE rules AS ON DELETE TO observed DO ALSO NOTHING;
              CREATE TABLE observer (id int REFERENCES observed ON DELETE CASCADE);
              ALTER TABLE observed ALTER v TYPE varchar`);
          return answer;
        });
        const { relation, hazards, triggers, rules, references } = await look(client, 'observed');
        counted.mock.restore();
        asked = answers;
        const now = await readHazards(client, relation.oid);
        const seen = [triggers.length, rules.length, references.length, relation.columns[1]?.type];
        if (now === hazards)
          assert.deepEqual(seen, [1, 1, 1, 'character varying'], `after statement ${at} of ${asked}`);
      }
    } finally {
      await endConnection(client);
    }
  });

  test('foreign tables among the partitions', async () => {
    await sql(`CREATE TABLE mixed (id int) PARTITION BY RANGE (id); CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
      CREATE FOREIGN TABLE mixed_far PARTITION OF mixed FOR VALUES FROM (0) TO (9) SERVER far`);
    assert.deepEqual((await factsOf('mixed')).foreignLeaves, ['mixed_far']);
  });
});

describe('before there is a run to purge', () => {
  test('plan and check --online say what stands against it, what it sets off, and what it writes', async () => {
    await createRows(site, 'ahead', 500);
    await sql(`CREATE TABLE behind (ahead int REFERENCES ahead); CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER watching AFTER DELETE ON ahead FOR EACH ROW EXECUTE FUNCTION watch()`);
    const configOf = (purge: object, pace: object = {}) =>
      site.writeConfig({
        log: { level: 'silent' },
        archives: { ahead: { table: 'ahead', purge: { after: '7d', ...purge }, ...pace } },
      });
    const ask = async (config: string): Promise<{ outlook: PurgeOutlook; findings: string[] }> => {
      const { stdout } = await commandInProcess(site, config, (invocation) => planCommand(invocation, ['ahead'], {}));
      const [report] = JSON.parse(stdout) as [{ purge: PurgeOutlook }];
      const findings = await checkPurges(loadConfig(config, site.environment), () => undefined);
      return { outlook: report.purge, findings: findings.map(({ level, message }) => `${level} ${message}`) };
    };
    const first = await ask(await configOf({}));
    const codes = ['purge-unindexed-reference', 'purge-triggers'];
    assert.deepEqual(
      first.outlook.problems.map(({ code }) => code),
      codes,
    );
    assert.deepEqual(first.outlook.effects, [
      'trigger watching of ahead fires on each delete',
      'rows that behind refers to (behind_ahead_fkey) stay',
    ]);
    for (const code of codes)
      assert.ok(
        first.findings.some((finding) => finding.startsWith(`error ${code}: `)),
        first.findings.join('\n'),
      );
    await sql('CREATE INDEX ON behind (ahead)');
    const [{ bytes } = {}] = await sql(`SELECT pg_table_size('ahead')::int AS bytes`);
    // As the settings of this server have it.
    const [{ full } = {}] = await sql(`SELECT current_setting('full_page_writes')::bool AS full`);
    const second = await ask(
      await configOf(
        { accept: ['triggers'], maxDuration: '2h' },
        { pace: { bytesPerSecond: 1024, between: '22:00-06:00' } },
      ),
    );
    const { problems, rows, walBytes, seconds } = second.outlook;
    assert.deepEqual([problems, rows, walBytes], [[], 500, 500 * 140 + (full === true ? Number(bytes) : 0)]);
    assert.equal(seconds, Math.round(Number(bytes) / 1024));
    assert.match(
      second.findings[0] ?? '',
      /^ok by source default, 168h 00m after .* 500 rows, .*, within 22:00-06:00, no more than 2h 00m at a time$/,
    );
    assert.ok(
      second.findings.every((finding) => finding.startsWith('ok ')),
      second.findings.join('\n'),
    );
  });
});

test('killed in the middle, it goes on with the next object, and every line is accounted for', async () => {
  await createRows(site, 'killed', 3000);
  await sql(`
    CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN IF OLD.id = 1500 THEN PERFORM pg_advisory_xact_lock_shared(815); END IF; RETURN OLD; END';
    CREATE TRIGGER gated BEFORE DELETE ON killed FOR EACH ROW EXECUTE FUNCTION gate()`);
  const config = await archive('killed', { purge: { after: '1h', accept: ['triggers'] } });
  await sql('UPDATE killed SET v = 2 WHERE id IN (3, 2000)');
  const gate = await connect(site.database.url);
  await gate.query('SELECT pg_advisory_lock(815)');
  const cli = site.start(['purge', 'killed', RUN, '--execute', '--json'], config);
  await eventually(
    'a batch waits at the gate',
    async () =>
      (
        await sql(
          `SELECT FROM pg_stat_activity WHERE application_name LIKE 'pgsluice purge killed/%' AND wait_event = 'advisory' AND datname = current_database()`,
        )
      ).length === 1,
  );
  cli.kill('SIGKILL');
  await cli.ended();
  await site.terminateBackends('pgsluice %');
  await gate.end();
  await site.waitForNoBackends();
  const left = await countOf('killed');
  assert.ok(left > 1000 && left < 3000, `${left} rows are left`);
  assert.equal((await recordOf('killed'))?.['state'], 'running');
  const { result } = await purge(config, 'killed');
  assert.deepEqual([result.status, result.wentOn], ['purged', true]);
  assert.deepEqual(result.totals, { ...NOTHING, deleted: left - 2, absent: 3000 - left, changed: 2 });
  assert.deepEqual(
    (await sql('SELECT id FROM killed ORDER BY id')).map(({ id }) => id),
    [3, 2000],
  );
});
