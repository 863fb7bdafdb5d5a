/** Archives in a folder, whole and small, and a config that names them; their source does not answer. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { crc32, gzipSync } from 'node:zlib';
import type { Config } from '../../../src/config/schema.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import { dataKey, manifestKey } from '../../../src/ledger/names.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { openFileStore } from '../../../src/store/file/file.ts';
import type { Content, Store } from '../../../src/store/store.ts';
import { aManifest } from '../../support/ledger.ts';

const DAY_MS = 86_400_000;

export interface CommitOptions {
  archive?: string;
  daysAgo?: number;
  objects?: number;
  /** Of the manifest. */
  changes?: Partial<Manifest>;
}

const folders: string[] = [];

after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export class AuditSite {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'pgsluice-audit-'));
  readonly store: Store = openFileStore(this.folder);
  config: Config;

  constructor(archives: Record<string, object> = { events: {} }, audit: object = {}) {
    folders.push(this.folder);
    this.config = this.configure(archives, audit);
  }

  configure(archives: Record<string, object>, audit: object = {}): Config {
    const file = path.join(this.folder, '_pgsluice.yaml');
    const named = Object.entries(archives).map(([name, options]) => [name, { table: 'public.events', ...options }]);
    const config = {
      sources: { default: { url: 'postgres://127.0.0.1:1/gone' } },
      destinations: { default: { url: `file://${this.folder}` }, broken: { url: 'file:///dev/null/nowhere' } },
      archives: Object.fromEntries(named) as object,
      audits: { verify: { schedule: '0 5 * * *', ...audit } },
      state: path.join(this.folder, '_state'),
    };
    writeFileSync(file, JSON.stringify(config));
    this.config = loadConfig(file, {});
    return this.config;
  }

  keyOf(run: string, archive = 'events', segment = 0): string {
    return dataKey(archive, run, segment, 'jsonl.gz');
  }

  /** A run of ten rows an object that was committed so many days ago. Returns its bytes. */
  async commit(
    run: string,
    { archive = 'events', daysAgo = 1, objects: count = 1, changes = {} }: CommitOptions = {},
    beforeManifest: (sealed: Content) => Promise<void> = () => Promise.resolve(),
  ): Promise<number> {
    const objects: Manifest['objects'] = [];
    const figures = { rows: 0, jsonBytes: 0, bytes: 0 };
    for (let at = 0; at < count; at += 1) {
      const ids = Array.from({ length: 10 }, (_, id) => 10 * at + id);
      const lines = Buffer.from(ids.map((id) => `{"id":${id},"run":"${run}"}\n`).join(''));
      const body = gzipSync(lines);
      const key = this.keyOf(run, archive, at);
      await this.store.put(key, body, { contentType: 'application/gzip' });
      const own = { rows: 10, jsonBytes: lines.length, bytes: body.length };
      for (const name of ['rows', 'jsonBytes', 'bytes'] as const) figures[name] += own[name];
      objects.push({
        ...{ key, ...own, sha256: createHash('sha256').update(body).digest('hex') },
        ...{
          crc32: crc32(lines).toString(16).padStart(8, '0'),
          firstKey: [String(ids[0])],
          lastKey: [String(ids.at(-1))],
        },
        snapshot: aManifest(0).snapshot.id,
      });
    }
    const finishedAt = new Date(Date.now() - daysAgo * DAY_MS).toISOString();
    const columns: Manifest['columns'] = [
      { name: 'id', type: 'bigint', typeOid: 20, nullable: false, encoding: 'integer' },
      { name: 'run', type: 'text', typeOid: 25, nullable: false, encoding: 'string' },
    ];
    const folder = new RunFolder(this.store, archive, run);
    const sealed = folder.seal(aManifest(1, { archive, run, columns, ...figures, objects, finishedAt, ...changes }));
    await beforeManifest(sealed);
    await folder.commit(sealed);
    return figures.bytes;
  }

  /** One bit of the run's object is another one. Returns what it was. */
  async flipBit(run: string, archive = 'events'): Promise<Buffer> {
    const key = this.keyOf(run, archive);
    const found = await this.store.get(key, 1e6);
    if (found === undefined) throw new Error(`${key} is not there`);
    const changed = Buffer.from(found.body);
    changed.writeUInt8(changed.readUInt8(changed.length - 12) ^ 1, changed.length - 12);
    await this.store.put(key, changed, { contentType: 'application/gzip' });
    return found.body;
  }

  async remove(run: string, what: 'data' | 'manifest', archive = 'events'): Promise<void> {
    await this.store.remove([what === 'data' ? this.keyOf(run, archive) : manifestKey(archive, run)]);
  }

  /** When the run was proved, by its folder; undefined before. */
  async provedAt(run: string, archive = 'events'): Promise<string | undefined> {
    return (await new RunFolder(this.store, archive, run).verified())?.at;
  }

  /** Notes a proof of so many days ago. */
  async prove(run: string, daysAgo: number, archive = 'events'): Promise<void> {
    const at = new Date(Date.now() - daysAgo * DAY_MS).toISOString();
    await new RunFolder(this.store, archive, run).noteVerified({
      ...{ format: 'pgsluice/verified/1', archive, run, at, sha256: '0'.repeat(64), objects: 1, rows: 10, bytes: 1 },
      ...{ host: 'another', tool: { name: 'pgsluice', version: '0.1.0' } },
    });
  }
}
