/** Archives and restores inside the process of the test, to a folder: an end-to-end run without the start of a process. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import type { Client } from 'pg';
import { createLog } from '../../../src/base/log.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import { restoreArchive } from '../../../src/restore/restore-archive.ts';
import type { RestoreRequest, RestoreResult } from '../../../src/restore/request.ts';
import { Bindings } from '../../../src/work/bindings.ts';
import { Threads } from '../../../src/work/threads.ts';
import type { RunOptions } from '../../../src/run/run.ts';
import { runArchive, type RunResult } from '../../../src/run/run-archive.ts';
import '../../support/bundled-threads.ts';
import type { Scope, TestDatabase } from '../../support/postgres.ts';

/** What a test says of how a run is done. */
type YardOptions = Pick<RunOptions, 'verifySource' | 'drain' | 'onProgress'>;

/** All yards of a file share their threads, of which each takes as long to start as a small run does. */
const bindings = new Bindings();
let threads: Threads | undefined;

export class Yard {
  readonly folder: string;
  readonly database: TestDatabase;
  #config: Config | undefined;
  #generation = 0;
  #runs = 0;

  constructor(database: TestDatabase, folder: string) {
    this.database = database;
    this.folder = folder;
  }

  get client(): Client {
    return this.database.client;
  }

  /** Of the latest archive. */
  get config(): Config {
    if (this.#config === undefined) throw new Error('nothing was archived yet');
    return this.#config;
  }

  /** Archives with these parts of a config; the archive is called `it`. */
  async archive(archive: Record<string, unknown>, options: YardOptions = {}): Promise<RunResult> {
    this.#runs += 1;
    const id = `20261123T02${String(Math.floor(this.#runs / 60)).padStart(2, '0')}${String(this.#runs % 60).padStart(2, '0')}Z`;
    const result = await this.run(archive, id, options);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    return result;
  }

  /** The same, under this run id, however it ends. */
  async run(archive: Record<string, unknown>, id: string, options: YardOptions = {}): Promise<RunResult> {
    const file = this.configFile;
    const config = {
      sources: { default: { url: this.database.url } },
      destinations: { default: { url: `file://${this.folder}/store` } },
      state: `${this.folder}/state`,
      archives: { it: { retry: { attempts: 2, backoff: '50ms' }, ...archive } },
      workers: { threads: 2, maxOldGenerationSizeMb: 64 },
    };
    await writeFile(file, JSON.stringify(config));
    this.#config = loadConfig(file, {});
    this.#generation = bindings.add(this.#config);
    threads ??= new Threads(this.#config.workers, bindings);
    return runArchive({ ...this.context(), ...options, config: this.#config }, this.#config.archives['it']!, id);
  }

  get configFile(): string {
    return path.join(this.folder, 'config.yaml');
  }

  /** Writes the manifest of a run anew, as somebody may who writes to the bucket. */
  async changeManifest(run: string, change: (manifest: Manifest) => void): Promise<void> {
    const file = path.join(this.folder, 'store/it', `run=${run}`, '_manifest.json');
    const manifest = JSON.parse(await readFile(file, 'utf8')) as Manifest;
    change(manifest);
    await writeFile(file, JSON.stringify(manifest));
  }

  /** Restores the latest run into `public.TABLE`. */
  async restore(table: string, changes: Partial<RestoreRequest> = {}): Promise<RestoreResult> {
    const { config } = this;
    return restoreArchive(
      { ...this.context(), config },
      {
        archive: config.archives['it']!,
        run: undefined,
        source: config.sources['default']!,
        into: { schema: 'public', table },
        create: false,
        onConflict: 'fail',
        selfReferences: 'refuse',
        keys: {},
        ...changes,
      },
    );
  }

  context(): { generation: number; place: Threads; log: ReturnType<typeof createLog>; signal: AbortSignal } {
    return {
      generation: this.#generation,
      place: threads!,
      log: createLog({ level: 'silent' }),
      signal: new AbortController().signal,
    };
  }

  /** The generation of another config, for who does not archive by it. */
  bind(config: Config): number {
    return bindings.add(config);
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

const cleanUpsOfFile: (() => Promise<void>)[] = [];

/** Without a scope, it is taken down at the end of the file. */
export async function openYard(database: TestDatabase, scope?: Scope): Promise<Yard> {
  const yard = new Yard(database, await mkdtemp(path.join(os.tmpdir(), 'pgsluice-restore-')));
  if (scope === undefined) cleanUpsOfFile.push(() => yard.close());
  else scope.after(() => yard.close());
  return yard;
}

after(async () => {
  await threads?.close();
  for (const cleanUp of cleanUpsOfFile) await cleanUp();
});

/** Rows of `columns` (SQL) that are in one of the tables and not in the other, as text, with their number. */
export async function difference(client: Client, columns: string, a: string, b: string): Promise<string[]> {
  const select = (table: string): string => `SELECT ROW(${columns})::text AS row FROM ${table} AS t`;
  const { rows } = await client.query<{ row: string }>(
    `(SELECT 'only in ${a}: ' || row AS row FROM (${select(a)} EXCEPT ALL ${select(b)}) AS x)
     UNION ALL (SELECT 'only in ${b}: ' || row FROM (${select(b)} EXCEPT ALL ${select(a)}) AS y) LIMIT 10`,
  );
  return rows.map(({ row }) => row);
}

/** Names of the records of restores that are there, the oldest first. */
export async function recordsIn(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT relname AS name FROM pg_class WHERE relname ~ '^pgsluice_restore_[0-9]+$' ORDER BY oid",
  );
  return rows.map(({ name }) => name);
}

export async function countRows(client: Client, table: string): Promise<number> {
  const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM ${table}`);
  return Number(rows[0]?.count);
}
