import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { RunResult } from '../../src/run/run-archive.ts';
import { eventually } from '../support/cli.ts';
import { runInProcess } from '../support/in-process.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { oracleLines } from '../support/read-lines.ts';
import { createGatedView, createWideTable, failureOf, openSite, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';
/** Nearly twice the heap of a worker. */
const HUGE_BYTES = 60e6;

describe('a row that is too wide for the heap of a worker', () => {
  let site: Site;
  let results: RunResult[];
  let log: string;

  before(async () => {
    site = await openSite();
    await createWideTable(site, 'narrow', 700);
    await site.database.client.query(
      `CREATE TABLE huge (id int PRIMARY KEY, pad text);
       INSERT INTO huge SELECT i, repeat('x', 10000) FROM generate_series(1, 700) AS i;
       INSERT INTO huge VALUES (701, repeat('y', ${HUGE_BYTES}));
       INSERT INTO huge VALUES (702, 'after')`,
    );
    const archive = { read: 'cursor', compression: { codec: 'none' }, segments: { by: 'none' } };
    const config = await site.writeConfig({
      archives: { huge: { table: 'huge', ...archive }, narrow: { table: 'narrow', ...archive } },
      workers: { threads: 2, maxOldGenerationSizeMb: 32 },
    });
    const runs = await Promise.all(
      ['huge', 'narrow'].map((archive) => runInProcess(site, config, archive, RUN, 'too wide')),
    );
    results = runs.map(({ result }) => result);
    log = JSON.stringify(runs);
  });

  test('fails its run with its place and a remedy, at once', () => {
    const failure = failureOf(results.slice(0, 1));
    assert.equal(failure.code, 'row-too-wide');
    assert.equal(failure.transient, false);
    assert.match(failure.message, /row 701 of public\.huge, which follows the row with the key \(700\)/);
    assert.match(failure.message, /57\.2 MiB wide/);
    const neededMb = Number(/maxOldGenerationSizeMb to (\d+) or more/.exec(failure.hint)?.[1]);
    assert.ok((neededMb * 1024 ** 2) / 4 > HUGE_BYTES, failure.hint);
    assert.match(failure.hint, /exclude or where/);
    assert.ok(!log.includes('tried again'), 'the same row would fail again');
    assert.ok(!log.includes('yyyy'), 'the value is not logged');
  });

  test('leaves no manifest and no unfinished upload', async () => {
    await site.assertNothingLeft('huge', RUN);
    await site.waitForNoBackends();
  });

  test('does not keep the other run of the same process from committing', async () => {
    assert.equal(results[1]?.status, 'committed', JSON.stringify(results[1]?.error));
    assert.ok((await site.lines('narrow', RUN)).join() === (await oracleLines(site.database.url, 'narrow')).join());
  });
});

describe('rows that fit', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
  });

  test('just below the limit, one after the other and in every kind of column, are archived', async () => {
    const { client } = site.database;
    // A quarter of the heap of 32 MiB, less the frame and the other columns; text of four bytes a character is worst.
    await client.query(
      `CREATE TABLE at_limit (id int PRIMARY KEY, t text, j json, jb jsonb, b bytea);
       INSERT INTO at_limit (id, t) SELECT i, repeat('é😀x"', 900000) FROM generate_series(1, 2) AS i;
       INSERT INTO at_limit (id, j) SELECT i, ('"' || repeat('é😀x ', 1000000) || '"')::json FROM generate_series(5, 6) AS i;
       INSERT INTO at_limit (id, jb) SELECT i, to_jsonb(repeat('é😀x ', 1000000)) FROM generate_series(9, 10) AS i;
       INSERT INTO at_limit (id, b) SELECT i, decode(repeat('00ff', 1900000), 'hex') FROM generate_series(13, 14) AS i`,
    );
    const config = await site.writeConfig({
      archives: { at_limit: { table: 'at_limit', read: 'cursor', segments: { by: 'none' } } },
      workers: { threads: 1, maxOldGenerationSizeMb: 32 },
    });
    const { result } = await runInProcess(site, config, 'at_limit', RUN, 'one thread');
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    const lines = await site.lines('at_limit', RUN);
    assert.ok(lines.join() === (await oracleLines(site.database.url, 'at_limit')).join(), 'the lines differ');
  });

  test('and suddenly grow are handed on in batches in the middle of a read, so that they do not pile up', async () => {
    // What the first rows tell of the others: a read of 20,000 rows of 30 bytes each. They have 60 MB.
    const query =
      'SELECT i AS id, CASE WHEN i > 100 THEN repeat(md5(i::text), 310) END AS pad FROM generate_series(1, 6100) AS i';
    const config = await site.writeConfig({
      archives: { grown: { query, read: 'cursor', compression: { engine: 'zlib' } } },
      workers: { threads: 1, maxOldGenerationSizeMb: 32 },
    });
    const { result } = await runInProcess(site, config, 'grown', RUN, 'one thread');
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.equal(result.rows, 6100);
  });

  test('but whose values exhaust the heap fail alone, with the remedy, and the process lives on', async (t) => {
    const view = await createGatedView(site, 'gated', 1300, 1200);
    await site.database.client.query('CREATE TABLE small (id int); INSERT INTO small VALUES (1)');
    // The thread's connection goes with it, which the server does not hear of.
    const proxy = await startPostgresProxy(site.database.url);
    t.after(() => proxy.stop());
    proxy.passesHangUps = false;
    const config = await site.writeConfig({
      sources: { default: { url: proxy.url } },
      archives: {
        exhausted: { query: exhaustingQuery('gated', 1200), read: 'cursor', compression: { codec: 'none' } },
        small: { table: 'small' },
      },
      workers: { threads: 2, maxOldGenerationSizeMb: 20, maxYoungGenerationSizeMb: 1 },
    });
    const running = ['exhausted', 'small'].map((archive) => runInProcess(site, config, archive, RUN, 'small heaps'));
    await view.reached();
    await eventually('an upload is begun', async () => site.pendingUploads('exhausted').length === 1);
    await view.open();
    const results = (await Promise.all(running)).map(({ result }) => result);
    assert.equal(results[1]?.status, 'committed', JSON.stringify(results[1]?.error));
    const failure = failureOf(results.slice(0, 1));
    assert.equal(failure.code, 'worker-out-of-memory');
    assert.match(failure.message, /heap of 20 MiB while it read query, after row [\d,]+ of segment 0/);
    assert.match(failure.hint, /maxOldGenerationSizeMb above 20/);
    await site.assertNothingLeft('exhausted', RUN);
    await site.waitForNoBackends();
  });
});

/** From row `start` on, rows of 4.9 MB: below the limit of 5 MiB, but one wide character doubles what each text needs. */
function exhaustingQuery(from: string, start: number): string {
  const wide = `CASE WHEN id < ${start} THEN '' ELSE repeat('x', 12200) || '日' END`;
  return `SELECT *, ${Array.from({ length: 400 }, (_, at) => `${wide} AS c${at}`).join(', ')} FROM ${from}`;
}
