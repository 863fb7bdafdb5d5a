import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { loadConfig } from '../../../src/config/load.ts';
import { type EmbeddedPostgres, startPostgres } from '../../../src/demo/embedded-postgres.ts';
import { endReading } from '../../../src/segment/source/end-reading.ts';
import { runArchive } from '../../../src/run/run-archive.ts';
import { Bindings } from '../../../src/work/bindings.ts';
import { Threads } from '../../../src/work/threads.ts';
import '../../support/bundled-threads.ts';
import { connect } from '../../support/postgres.ts';
import { skipWithout } from '../../support/needs.ts';
import { oracleLines, readLines } from '../../support/read-lines.ts';
import { recordTo } from '../../support/record-log.ts';
import { eventually } from '../../support/cli.ts';

/** A server that takes nothing but TLS from TCP, with a certificate of its own for 127.0.0.1. */
async function startTlsPostgres(t: TestContext): Promise<{ server: EmbeddedPostgres; certificate: string }> {
  const server = await startPostgres();
  t.after(() => server.stop());
  const [key, certificate] = [path.join(server.dataDir, 'server.key'), path.join(server.dataDir, 'server.crt')];
  const made = spawnSync(
    'openssl',
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout ${key} -out ${certificate}`.split(
      ' ',
    ),
  );
  assert.equal(made.status, 0, made.stderr.toString());
  const { uid, gid } = statSync(server.dataDir);
  for (const file of [key, certificate]) chownSync(file, uid, gid);
  chmodSync(key, 0o600);
  const client = await connect(server.url);
  await client.query('alter system set ssl = on');
  await client.query('select pg_reload_conf()');
  await client.end();
  return { server, certificate };
}

/** Runs an archive of ten segments by both readers, and gives what the server has logged of it. */
async function logOfRuns(t: TestContext, server: EmbeddedPostgres, url: string): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-test-'));
  const file = path.join(folder, 'pgsluice.yaml');
  const archive = { table: 'public.wide', segments: { by: 'pages', targetSize: '16KiB' } };
  writeFileSync(
    file,
    JSON.stringify({
      sources: { default: { url } },
      destinations: { default: { url: pathToFileURL(path.join(folder, 'archive')).href } },
      archives: { copied: { ...archive, read: 'copy' }, fetched: { ...archive, read: 'cursor' } },
    }),
  );
  const logFile = path.join(server.dataDir, '../server.log');
  const before = readFileSync(logFile, 'utf8').length;
  const config = loadConfig(file, {});
  const bindings = new Bindings();
  const place = new Threads(config.workers, bindings);
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const context = { config, place, generation: bindings.add(config), log: recordTo([]), signal: t.signal };
  for (const each of Object.values(config.archives)) {
    const result = await runArchive(context, each, '20261123T021500Z');
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.ok(result.objects >= 10, `${result.objects} objects`);
  }
  // With it end the threads, and what they keep for a next segment.
  await place.close();
  const client = await connect(server.url);
  const ours = () => client.query("select from pg_stat_activity where application_name like 'pgsluice %'");
  await eventually('nobody is connected', async () => (await ours()).rowCount === 0);
  await client.end();
  return readFileSync(logFile, 'utf8').slice(before);
}

/** What a monitor of logs looks for: all that is more than a word of the server's own work. */
const ALARMING = /unexpected EOF|could not (receive|send|accept)|terminating|SSL|broken|reset|WARNING|ERROR|FATAL/i;

test(
  'rows come over TLS as they do without it, and neither leaves a word in the log of the server',
  { skip: skipWithout('openssl') },
  async (t) => {
    const { server, certificate } = await startTlsPostgres(t);
    const url = `${server.url}?sslmode=verify-full&sslrootcert=${certificate}`;
    const client = await eventually('TLS is on', () => connect(url).catch(() => undefined));
    t.after(() => client.end());
    await client.query(
      `create table wide as select i as id, repeat(md5(i::text) || E'"\\n', 40 + (i % 50) * 10) as text from generate_series(1, 1000) i`,
    );
    const { rows } = await client.query('select ssl, version from pg_stat_ssl where pid = pg_backend_pid()');
    assert.deepEqual(rows, [{ ssl: true, version: 'TLSv1.3' }]);
    await client.query('select pg_advisory_lock(-7000000000)');
    const pid = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid;
    const lock = { pid, number: '-7000000000' };
    const expected = await oracleLines(server.url, 'wide');
    for (const reader of ['copy', 'query', 'cursor'] as const) {
      const lines = await readLines(url, { table: 'public.wide' }, reader, async (reading) => {
        await endReading(reading, lock);
        const others = endReading(reading, { ...lock, number: '1' });
        await assert.rejects(others, /holds the lock of the run no more/);
      });
      assert.ok(lines.join('\n') === expected.join('\n'), `the lines read by ${reader} differ`);
    }
    for (const [how, to] of [
      ['with TLS', url],
      ['without', `${server.url}?sslmode=disable`],
    ] as const) {
      const log = await logOfRuns(t, server, to);
      assert.doesNotMatch(log, ALARMING, how);
    }
  },
);
