/** All that an end-to-end test needs: a database, an S3 endpoint behind a proxy, a config file, and a look at both ends. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after } from 'node:test';
import { crc32, gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { Client } from 'pg';
import type { Failure } from '../../src/base/errors.ts';
import type { Manifest } from '../../src/ledger/manifest.ts';
import type { RunResult } from '../../src/run/run-archive.ts';
import { type CliProcess, type Ending, eventually, startCli } from './cli.ts';
import { PROGRAM } from './program.ts';
import { runHere } from './here.ts';
import { connect, testDatabase, type TestDatabase } from './postgres.ts';
import { type S3Proxy, startProxy } from './s3-proxy.ts';
import { type LocalS3, startS3 } from './s3-server.ts';

/** The parts of a config that a test says something about; it is written as JSON, which is YAML. */
export interface ConfigParts {
  archives: Record<string, unknown>;
  sources?: Record<string, unknown>;
  destinations?: Record<string, unknown>;
  workers?: Record<string, unknown>;
  [section: string]: unknown;
}

export interface StoredFile {
  body: Buffer;
  headers: http.IncomingHttpHeaders;
}

const BUCKET = 'archive';
export const PREFIX = 'pg/';

/** The smallest part that S3 allows: an upload of a few MiB has several. */
export const PART_BYTES = 5 * 1024 ** 2;

const cleanUps: (() => Promise<void>)[] = [];

export class Site {
  readonly database: TestDatabase;
  readonly proxy: S3Proxy;
  readonly s3: LocalS3;
  readonly folder: string;
  readonly environment: Record<string, string>;
  /** Sessions of the test that each keep a gate shut; see createGatedView. */
  readonly gates: Client[] = [];
  #configs = 0;

  constructor(parts: { database: TestDatabase; proxy: S3Proxy; s3: LocalS3; folder: string }) {
    this.database = parts.database;
    this.proxy = parts.proxy;
    this.s3 = parts.s3;
    this.folder = parts.folder;
    this.environment = {
      DATABASE_URL: this.database.url,
      ACCESS_KEY: this.s3.accessKeyId,
      SECRET_KEY: this.s3.secretAccessKey,
    };
  }

  /** An S3 destination behind the proxy. */
  destination(changes: Record<string, unknown> = {}): Record<string, unknown> {
    return {
      url: `s3://${BUCKET}/${PREFIX.slice(0, -1)}`,
      region: this.s3.region,
      endpoint: this.proxy.endpoint,
      forcePathStyle: true,
      accessKeyId: '${ACCESS_KEY}',
      secretAccessKey: '${SECRET_KEY}',
      partSize: '5MiB',
      ...changes,
    };
  }

  /** Writes a config file and returns its path. Retries come fast, so that tests do. */
  async writeConfig(parts: ConfigParts, file = this.newConfigFile()): Promise<string> {
    const archives = Object.fromEntries(
      Object.entries(parts.archives).map(([name, archive]) => [
        name,
        { retry: { attempts: 3, backoff: '100ms' }, ...(archive as object) },
      ]),
    );
    const config = {
      sources: { default: { url: '${DATABASE_URL}' } },
      destinations: { default: this.destination() },
      state: `${file}.state`,
      ...parts,
      archives,
    };
    await writeFile(file, JSON.stringify(config, null, 2));
    return file;
  }

  newConfigFile(): string {
    this.#configs += 1;
    return path.join(this.folder, `config-${this.#configs}.yaml`);
  }

  start(
    args: readonly string[],
    config: string,
    environment: Record<string, string> = {},
    program = PROGRAM,
  ): CliProcess {
    return startCli([...args, '--config', config], { ...this.environment, ...environment }, program);
  }

  async run(args: readonly string[], config: string, environment: Record<string, string> = {}): Promise<Ending> {
    return this.start(args, config, environment).ended();
  }

  /** The same in the process of the test: what {@link runHere} is good for. */
  async here(args: readonly string[], config: string, environment: Record<string, string> = {}): Promise<Ending> {
    return runHere([...args, '--config', config], { ...this.environment, ...environment });
  }

  /** Runs `run ARGS --json` in the process of the test, and checks that its exit code and its results say the same. */
  async archiveHere(args: readonly string[], config: string): Promise<RunResult[]> {
    return resultsOf(await this.here(['run', ...args, '--json'], config));
  }

  /** Runs `run ARGS --json` and checks that its exit code and its results say the same. */
  async archive(args: readonly string[], config: string): Promise<RunResult[]> {
    return resultsOf(await this.run(['run', ...args, '--json'], config));
  }

  /** Reads an object from the endpoint itself, past the proxy; undefined when there is none. */
  async stored(key: string): Promise<StoredFile | undefined> {
    const { status, body, headers } = await this.#get(`/${BUCKET}/${encodeURI(key)}`);
    return status === 200 ? { body, headers } : undefined;
  }

  /** Keys of the archive's objects, or of all, in their order. */
  async keys(archive = ''): Promise<string[]> {
    const prefix = archive === '' ? '' : `${PREFIX}${archive}/`;
    const { body } = await this.#get(`/${BUCKET}?list-type=2&prefix=${encodeURIComponent(prefix)}`);
    return [...body.toString().matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key = '']) => key);
  }

  /** Removes all objects of a run at the endpoint itself, as a lifecycle rule or a slip of the hand does. */
  async removeRun(archive: string, run: string): Promise<void> {
    for (const key of await this.keys(archive))
      if (key.startsWith(`${PREFIX}${archive}/run=${run}/`))
        await fetch(`${this.proxy.endpoint}/${BUCKET}/${key}`, { method: 'DELETE' });
  }

  /** The manifest of a run; undefined when it is not committed. */
  async manifest(archive: string, run: string): Promise<Manifest | undefined> {
    const file = await this.stored(`${PREFIX}${archive}/run=${run}/_manifest.json`);
    return file === undefined ? undefined : (JSON.parse(file.body.toString()) as Manifest);
  }

  /** The lines of a committed run. Everything that its manifest says of an object is proved on the way. */
  async lines(archive: string, run: string): Promise<string[]> {
    const manifest = await this.manifest(archive, run);
    assert.ok(manifest !== undefined, `${archive} ${run} is not committed`);
    const lines: string[] = [];
    for (const object of manifest.objects) {
      const file = await this.stored(object.key);
      assert.ok(file !== undefined, `${object.key} is not there`);
      lines.push(...proveObject(object, file.body));
    }
    assert.equal(manifest.rows, lines.length);
    assert.equal(
      manifest.jsonBytes,
      manifest.objects.reduce((sum, object) => sum + object.jsonBytes, 0),
    );
    assert.equal(
      manifest.bytes,
      manifest.objects.reduce((sum, object) => sum + object.bytes, 0),
    );
    return lines;
  }

  /** What a failure at any instant must leave: no manifest and no unfinished upload. */
  async assertNothingLeft(archive: string, run: string): Promise<void> {
    assert.equal(await this.manifest(archive, run), undefined, 'there is a manifest');
    assert.deepEqual(this.pendingUploads(archive), [], 'there is an unfinished upload');
  }

  /** Begins an upload as a process would that is killed before it has written anything else, more than a day ago. */
  async leaveUpload(archive: string, run: string): Promise<void> {
    const key = `${PREFIX}${archive}/run=${run}/part-00000.jsonl.gz`;
    const answer = await fetch(`${this.proxy.endpoint}/${BUCKET}/${key}?uploads`, { method: 'POST' });
    assert.equal(answer.status, 200);
    const left = this.proxy.pendingUploads().find((upload) => upload.key === key);
    assert.ok(left !== undefined);
    left.startedAt = new Date(Date.now() - 25 * 3600 * 1000);
  }

  pendingUploads(archive: string): string[] {
    return this.proxy
      .pendingUploads()
      .map(({ key }) => key)
      .filter((key) => key.startsWith(`${PREFIX}${archive}/`));
  }

  /** Queries of pgsluice on this database that the server still knows of. */
  async backends(namePattern = 'pgsluice %'): Promise<{ pid: number; name: string }[]> {
    const { rows } = await this.database.client.query<{ pid: number; name: string }>(
      `SELECT pid, application_name AS name FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE $1 ORDER BY backend_start`,
      [namePattern],
    );
    return rows;
  }

  /** Ends the backends whose application name matches; resolves to how many there were. */
  async terminateBackends(namePattern: string): Promise<number> {
    const { rowCount } = await this.database.client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE $1`,
      [namePattern],
    );
    return rowCount ?? 0;
  }

  /** Resolves once the server has none of pgsluice's queries any more. */
  async waitForNoBackends(): Promise<void> {
    await eventually('no backend of pgsluice is left', async () => (await this.backends()).length === 0);
  }

  async #get(target: string): Promise<StoredFile & { status: number }> {
    return new Promise((resolve, reject) => {
      http
        .get({ host: this.s3.host, port: this.s3.port, path: target }, (answer) => {
          buffer(answer).then((body) => {
            resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers });
          }, reject);
        })
        .on('error', reject);
    });
  }
}

/**
 * Starts a site for this test file; it is taken down at the end of the file. Call it in a `before`. The database is one of
 * the shared server, or of the one whose superuser's URL is given.
 */
export async function openSite(serverUrl?: string): Promise<Site> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pgsluice-test-'));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  const s3 = await startS3();
  cleanUps.push(() => s3.stop());
  await s3.createBucket(BUCKET);
  const proxy = await startProxy(s3);
  cleanUps.push(() => proxy.stop());
  const database = await testDatabase(undefined, serverUrl === undefined ? {} : { serverUrl });
  const site = new Site({ database, proxy, s3, folder });
  cleanUps.push(async () => {
    for (const gate of site.gates) await gate.end();
  });
  return site;
}

after(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
});

/** The results of `run --json`, and that the exit code agrees with them. */
export function resultsOf(ending: Ending): RunResult[] {
  assert.ok(ending.stdout.startsWith('['), `stdout is no array, exit ${ending.code}: ${ending.stderr}`);
  const results = JSON.parse(ending.stdout) as RunResult[];
  const failed = results.some(({ status }) => status === 'failed');
  if (ending.code !== 130) assert.equal(ending.code, failed ? 1 : 0);
  return results;
}

/** The failure of the one result, which says what to do. */
export function failureOf(results: readonly RunResult[]): Failure {
  assert.equal(results.length, 1);
  const [result] = results;
  assert.equal(result?.status, 'failed');
  assert.equal(result.manifest, null);
  assert.ok(result.error !== undefined && result.error.hint !== '', 'a failure has a hint');
  return result.error;
}

/** Checks an object against what its manifest says of it, and gives its lines. */
function proveObject(object: Manifest['objects'][number], body: Buffer): string[] {
  assert.equal(object.bytes, body.length);
  assert.equal(object.sha256, createHash('sha256').update(body).digest('hex'));
  const content = decompress(object.key, body);
  assert.equal(object.jsonBytes, content.length);
  assert.equal(object.crc32, crc32(content).toString(16).padStart(8, '0'));
  const lines = content.toString().split('\n');
  assert.equal(lines.pop(), '', 'the last line has its line feed');
  assert.equal(object.rows, lines.length);
  return lines;
}

function decompress(key: string, body: Buffer): Buffer {
  if (key.endsWith('.gz')) return gunzipSync(body);
  return key.endsWith('.zst') ? zstdDecompressSync(body) : body;
}

/** A key of the gate that {@link createGatedView} builds in. */
const GATE = 4_711;

/** A view that stops in the middle of being read for as long as the gate is shut. */
export interface GatedView {
  table: string;
  rows: number;
  /** Resolves once a backend waits at the gate. */
  reached: () => Promise<void>;
  open: () => Promise<void>;
}

/**
 * Creates `view`, whose reading waits before its row `stopAt` (from 1) until the gate is opened: for an advisory lock that
 * a session of the test holds. Rows have about 10 kB.
 */
export async function createGatedView(site: Site, view: string, rows: number, stopAt: number): Promise<GatedView> {
  const key = GATE + site.gates.length;
  const gate = await connect(site.database.url);
  site.gates.push(gate);
  await gate.query('SELECT pg_advisory_lock($1)', [key]);
  await site.database.client.query(
    `CREATE VIEW ${view} AS SELECT i AS id, ${wide('i')} AS pad FROM generate_series(1, ${rows}) AS i
     WHERE CASE WHEN i = ${stopAt} THEN pg_advisory_xact_lock_shared(${key}) IS NOT NULL ELSE true END`,
  );
  return {
    table: view,
    rows,
    reached: async () => {
      await eventually(`a backend waits at the gate of ${view}`, async () => {
        const { rowCount } = await site.database.client.query(
          `SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
          [key],
        );
        return rowCount === 1;
      });
    },
    open: async () => {
      await gate.query('SELECT pg_advisory_unlock_all()');
    },
  };
}

/** Creates a table of that many rows of about 10 kB each, with the key `id`. */
export async function createWideTable(site: Site, table: string, rows: number): Promise<void> {
  await site.database.client.query(
    `CREATE TABLE ${table} (id int PRIMARY KEY, pad text NOT NULL);
     INSERT INTO ${table} SELECT i, ${wide('i')} FROM generate_series(1, ${rows}) AS i`,
  );
}

function wide(number: string): string {
  return `repeat(md5(${number}::text), 310)`;
}
