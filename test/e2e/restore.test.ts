import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { RestoreResult } from '../../src/restore/request.ts';
import { createArticleTable } from '../../src/demo/article-table.ts';
import type { Ending } from '../support/cli.ts';
import { testDatabase } from '../support/postgres.ts';
import { openSite, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';
const ROWS = 50_000;
const MIB = 1024 ** 2;

describe('restore', () => {
  let site: Site;
  let config: string;
  let archiveRssBytes: number;

  before(async () => {
    site = await openSite();
    await createArticleTable(site.database.client, { rows: ROWS });
    config = await site.writeConfig({
      sources: { default: { url: '${DATABASE_URL}' }, other: { url: '${OTHER_URL}' } },
      archives: { fetch_queue: { table: 'public.fetch_queue', segments: { by: 'key', targetSize: '8MiB' } } },
      workers: { threads: 2, maxOldGenerationSizeMb: 32 },
    });
    site.environment['OTHER_URL'] = site.database.url;
    const [result] = await site.archive(['fetch_queue', '--run-id', RUN], config);
    assert.equal(result?.status, 'committed', JSON.stringify(result?.error));
    archiveRssBytes = result.peakRssBytes;
  });

  async function restore(...args: string[]): Promise<{ code: number | null; result: RestoreResult }> {
    return resultOf(await site.here(['restore', 'fetch_queue', ...args, '--json'], config));
  }

  function resultOf({ code, stdout, stderr }: Ending): { code: number | null; result: RestoreResult } {
    assert.ok(stdout.startsWith('{'), stdout + stderr);
    return { code, result: JSON.parse(stdout) as RestoreResult };
  }

  test("brings the article's table back after it was dropped, in no more memory than archiving it took", async () => {
    const { client } = site.database;
    await client.query('CREATE TABLE kept AS TABLE fetch_queue; DROP TABLE fetch_queue');
    const args = ['restore', 'fetch_queue', '--into', 'public.fetch_queue', '--create', '--json'];
    const { code, result } = resultOf(await site.run(args, config));
    assert.equal(code, 0, JSON.stringify(result));
    assert.deepEqual(
      Object.keys(result).sort(),
      [
        ...[
          'archive',
          'run',
          'into',
          'status',
          'rows',
          'skipped',
          'objects',
          'seconds',
          'peakHeapBytes',
          'peakRssBytes',
        ],
        ...['counted', 'resumed', 'problems', 'warnings'],
      ].sort(),
    );
    const { archive, run, into, status, rows, skipped, counted, resumed, problems, warnings } = result;
    assert.deepEqual(
      { archive, run, into, status, rows, skipped, counted, resumed, problems, warnings },
      {
        ...{ archive: 'fetch_queue', run: RUN, into: 'public.fetch_queue', status: 'restored', rows: ROWS, skipped: 0 },
        ...{ counted: ROWS, resumed: false, problems: [], warnings: [] },
      },
    );
    const { rows: differing } = await client.query(
      `SELECT (SELECT count(*)::int FROM (TABLE kept EXCEPT ALL TABLE fetch_queue) AS x) AS missing,
         (SELECT count(*)::int FROM (TABLE fetch_queue EXCEPT ALL TABLE kept) AS y) AS added`,
    );
    assert.deepEqual(differing, [{ missing: 0, added: 0 }]);
    assert.ok(result.peakHeapBytes > MIB && result.peakHeapBytes < 32 * MIB, `heap ${result.peakHeapBytes}`);
    const allowed = archiveRssBytes + 16 * MIB;
    assert.ok(
      result.peakRssBytes < allowed,
      `RSS ${result.peakRssBytes / MIB}, archiving took ${archiveRssBytes / MIB}`,
    );
  });

  test('reads only the objects that a range of the key meets', async () => {
    site.proxy.reset();
    const manifest = (await site.manifest('fetch_queue', RUN))!;
    assert.ok(manifest.objects.length >= 5);
    const { code, result } = await restore(
      '--into',
      'public.part',
      '--create',
      '--key-from',
      '9999',
      '--key-to',
      '10101',
    );
    assert.equal(code, 0, JSON.stringify(result));
    assert.equal(result.rows, 103);
    const expected = manifest.objects.filter(
      ({ firstKey, lastKey }) => Number(firstKey?.[0]) <= 10101 && Number(lastKey?.[0]) >= 9999,
    );
    const read = new Set(
      site.proxy
        .seen('GetObject')
        .map(({ key }) => key)
        .filter((key) => key.includes('/part-')),
    );
    assert.deepEqual([...read].sort(), expected.map(({ key }) => key).sort());
    const { rows } = await site.database.client.query(
      'SELECT min(id)::int AS first, max(id)::int AS last, count(*)::int AS count FROM part',
    );
    assert.deepEqual(rows, [{ first: 9999, last: 10101, count: 103 }]);
  });

  test('goes into another database with --source, of the run that is named', async (t) => {
    const other = await testDatabase(t);
    site.environment['OTHER_URL'] = other.url;
    const { code, result } = await restore(
      RUN,
      '--source',
      'other',
      '--into',
      'public.there',
      '--create',
      '--key-to',
      '10',
    );
    assert.equal(code, 0, JSON.stringify(result));
    const { rows } = await other.client.query('SELECT count(*)::int AS count FROM there');
    assert.deepEqual(rows, [{ count: 10 }]);
  });

  test('refuses with exit code 2 and every reason, and writes nothing', async () => {
    await site.database.client.query('CREATE TABLE narrow (id int, url text, owner text NOT NULL)');
    const { code, result } = await restore('--into', 'public.narrow');
    assert.deepEqual([code, result.status, result.rows], [2, 'refused', 0]);
    assert.equal(result.problems.length, 14);
    const {
      code: inWords,
      stdout,
      stderr,
    } = await site.here(['restore', 'fetch_queue', '--into', 'public.narrow'], config);
    assert.equal(inWords, 2);
    assert.match(stdout, /fetch_queue 20261123T021500Z: not restored, nothing was written/);
    for (const problem of result.problems) assert.ok(stderr.includes(problem), problem);
  });

  test('says in words what it did', async () => {
    const { code, stdout } = await site.here(
      ['restore', 'fetch_queue', '--into', 'public.words', '--create', '--key-to', '5'],
      config,
    );
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^fetch_queue 20261123T021500Z: 5 rows in public\.words; counted there now: 5\n {2}1 object, .* rows\/s\n {2}peak worker heap .*, peak RSS /,
    );
  });

  test('is warned of by plan where SQL NULL and JSON null print alike', async () => {
    const { stdout } = await site.here(['plan', 'fetch_queue', '--json'], config);
    const [plan] = JSON.parse(stdout) as { warnings: string[] }[];
    const warning = 'column headers (jsonb): SQL NULL and JSON null print alike; a restore gives SQL NULL for both';
    assert.deepEqual(plan?.warnings, [warning]);
    assert.ok((await site.here(['plan', 'fetch_queue'], config)).stdout.includes(`warning  ${warning}`));
  });

  test('takes no options that make no sense', async () => {
    for (const [args, message] of [
      [['nothing', '--into', 'a.b'], /there is no archive "nothing"/],
      [['fetch_queue'], /--into/],
      [['fetch_queue', '--into', 'unqualified'], /must be schema\.table/],
      [['fetch_queue', '--into', 'a.b.c'], /must be schema\.table/],
      [['fetch_queue', 'yesterday', '--into', 'a.b'], /is not a run id/],
      [
        ['fetch_queue', '--into', 'a.b', '--source', 'nowhere'],
        /there is no source "nowhere"; the config has default, other/,
      ],
      [['fetch_queue', '--into', 'a.b', '--on-conflict', 'replace'], /must be skip or fail/],
      [['fetch_queue', '--into', 'a.b', '--self-references', 'no'], /must be refuse, ordered, later/],
    ] as const) {
      const { code, stderr } = await site.here(['restore', ...args], config);
      assert.equal(code, 2, args.join(' '));
      assert.match(stderr, message);
    }
  });
});
