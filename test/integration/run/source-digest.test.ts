import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { createEveryTypeTable } from '../../support/every-type.ts';
import type { JournalPlan } from '../../../src/ledger/journal.ts';
import type { Receipt } from '../../../src/ledger/receipts.ts';
import { runCommand } from '../../../src/commands/run.ts';
import type { RunResult } from '../../../src/run/run-archive.ts';
import type { CliProcess } from '../../support/cli.ts';
import { commandInProcess } from '../../support/in-process.ts';
import { connect, withDatabase } from '../../support/postgres.ts';
import { failureOf, openSite, PREFIX, type Site } from '../../support/site.ts';

const RUN = '20261123T021500Z';

/** Archives that the server says the same of. */
const SAME = {
  'a table of every type': { table: 'every_type' },
  'a table that is read through a cursor': { table: 'every_type', read: 'cursor' },
  'segments by key': { table: 'keyed', segments: { by: 'key', targetSize: '32KiB' } },
  'segments by pages, and a filter': {
    table: 'keyed',
    where: 'id % 3 = 0',
    segments: { by: 'pages', targetSize: '32KiB' },
  },
  'a query with parameters and columns named alike': {
    query: 'SELECT id AS a, j AS a FROM keyed WHERE id < $1',
    params: [50],
  },
  'names that statements of ours have as well': {
    table: 't',
    segments: { by: 'key', targetSize: '32KiB' },
    read: 'cursor',
  },
  'a query with such names': { query: 'SELECT t, 1 AS q, sample AS c1 FROM t' },
  'a table without columns': { table: 'bare' },
  'a table without rows': { table: 'empty_table' },
};

function archiveOf(name: string): string {
  return `ok_${name.replaceAll(/\W/g, '_')}`;
}

describe('run --verify-source', () => {
  let site: Site;
  /** One process, as the start of nine would take most of the time. */
  let together: CliProcess;

  before(async () => {
    site = await openSite();
    await createEveryTypeTable(site.database.client);
    await site.database.client.query(
      `CREATE TABLE keyed (id int PRIMARY KEY, pad text, j json); INSERT INTO keyed SELECT i, md5(i::text), E'{"a":\\n1}' FROM generate_series(1, 3000) AS i;
       CREATE TABLE t (to_json int PRIMARY KEY, t text, q int[], k1 json, sample int);
       INSERT INTO t SELECT i, 'text', ARRAY[i, NULL], '{}', -i FROM generate_series(1, 3000) AS i;
       CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; CREATE TABLE empty_table (id int); ANALYZE`,
    );
    const archives = Object.fromEntries(Object.entries(SAME).map(([name, archive]) => [archiveOf(name), archive]));
    const config = await site.writeConfig({ archives });
    together = site.start(['run', '--all', '--run-id', RUN, '--verify-source', '--json'], config);
    const { code, stdout } = await together.ended();
    assert.equal(code, 0, stdout);
  });

  /** The same in the process of the test. */
  async function compared(names: readonly string[], config: string): Promise<RunResult[]> {
    const how = { all: names.length === 0, runId: RUN, verifySource: true };
    const { stdout } = await commandInProcess(site, config, (invocation) => runCommand(invocation, names, how));
    return JSON.parse(stdout) as RunResult[];
  }

  for (const name of Object.keys(SAME)) {
    test(`commits what the server says the same of: ${name}`, () => {
      const archive = archiveOf(name);
      const said = together.log.filter((line) => line.archive === archive).map(({ msg }) => msg);
      assert.ok(said.includes('archive compared with its source: equal'), together.stderr);
      assert.equal(said.at(-1), 'run committed');
    });
  }

  test('commits what a server says that prints its texts in another encoding', async () => {
    const encodings = ['LATIN1', 'SQL_ASCII', 'EUC_JP'];
    const sources: Record<string, unknown> = {};
    const archives: Record<string, unknown> = {};
    for (const encoding of encodings) {
      const name = `${site.database.name}_${encoding.toLowerCase()}`;
      sources[encoding] = { url: withDatabase(site.database.url, name) };
      archives[encoding] = { source: encoding, table: 'words' };
      await site.database.client.query(`CREATE DATABASE ${name} ENCODING '${encoding}' LOCALE 'C' TEMPLATE template0`);
    }
    try {
      for (const encoding of encodings) {
        const client = await connect(
          withDatabase(site.database.url, `${site.database.name}_${encoding.toLowerCase()}`),
        );
        const word = encoding === 'EUC_JP' ? '日本' : 'Ärger';
        await client.query(`CREATE TABLE words AS SELECT '${word}'::text AS word, 1 AS t, '{"${word}": 1}'::json AS j`);
        await client.end();
      }
      const config = await site.writeConfig({ sources, archives });
      const results = await compared([], config);
      assert.deepEqual(
        results.map(({ status, error }) => [status, error]),
        encodings.map(() => ['committed', undefined]),
      );
      assert.deepEqual(await site.lines('EUC_JP', RUN), ['{"word":"日本","t":1,"j":{"日本": 1}}']);
    } finally {
      for (const encoding of encodings)
        await site.database.client.query(`DROP DATABASE ${site.database.name}_${encoding.toLowerCase()} WITH (FORCE)`);
    }
  });

  test('fails a run whose rows are not what the server says, and nothing is committed', async () => {
    const config = await site.writeConfig({
      archives: { moving: { query: 'SELECT id, random() AS r FROM keyed' }, still: { table: 'keyed' } },
    });
    const results = await compared(['moving'], config);
    const failure = failureOf(results);
    assert.deepEqual([failure.code, failure.stage, failure.transient], ['source-mismatch', 'verify', false]);
    assert.match(failure.message, /3,000 rows with the digest [0-9a-f]+, the archive has 3,000 rows with the digest/);
    await site.assertNothingLeft('moving', RUN);
    const stored = async (name: string): Promise<unknown> =>
      JSON.parse((await site.stored(`${PREFIX}moving/run=${RUN}/_pgsluice/${name}`))!.body.toString()) as unknown;
    const plan = (await stored('plan.json')) as JournalPlan;
    const receipt = (await stored('part-00000.json')) as Receipt;
    assert.equal(plan.ended?.failure?.code, 'source-mismatch');
    assert.notEqual(plan.fingerprint, receipt.fingerprint, 'another try could take over what was written');
  });

  test('is not asked for, and then nothing is compared', async () => {
    const config = await site.writeConfig({ archives: { unasked: { query: 'SELECT random() AS r' } } });
    const ending = await site.run(['run', 'unasked', '--run-id', RUN, '--json'], config);
    assert.equal(ending.code, 0);
    assert.doesNotMatch(ending.stderr, /compared with/);
  });
});
