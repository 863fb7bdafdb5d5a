import assert from 'node:assert/strict';
import http from 'node:http';
import { before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { restoreCommand } from '../../src/commands/restore.ts';
import type { RestoreResult } from '../../src/restore/request.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { openSite, PREFIX, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';

describe('an object that is not what its manifest says', () => {
  let site: Site;
  let config: string;

  before(async () => {
    site = await openSite();
    await site.database.client.query(
      `CREATE TABLE original (id int PRIMARY KEY, pad text);
       ALTER TABLE original ALTER pad SET STORAGE EXTERNAL;
       INSERT INTO original SELECT i, (SELECT string_agg(md5((i * 1000 + j)::text), '') FROM generate_series(1, 100) AS j)
       FROM generate_series(1, 600) AS i; ANALYZE original`,
    );
    const segments = { by: 'key', targetSize: '512KiB' };
    config = await site.writeConfig({
      log: { level: 'silent' },
      workers: { threads: 1 },
      archives: {
        gzipped: { table: 'original', segments },
        zstd: { table: 'original', segments, compression: { codec: 'zstd' } },
        plain: { table: 'original', segments, compression: { codec: 'none' } },
      },
    });
    for (const archive of ['gzipped', 'zstd', 'plain']) {
      const { result } = await runInProcess(site, config, archive, RUN);
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
    }
  });

  async function restore(archive: string): Promise<{ code: number; stdout: string }> {
    const options = { into: 'public.back', create: true, onConflict: 'fail', selfReferences: 'refuse' };
    return commandInProcess(site, config, (invocation) => restoreCommand(invocation, archive, options));
  }

  /** Those that were restored with all as it was. */
  const restored = new Set<string>();

  /** Restores with `key` changed, then with it as it was, once for each archive. Resolves to the first result. */
  async function restoreDamaged(
    archive: string,
    name: string,
    change: (body: Buffer) => Buffer,
  ): Promise<RestoreResult> {
    const key = `${PREFIX}${archive}/run=${RUN}/${name}`;
    const { client } = site.database;
    const original = (await site.stored(key))!.body;
    const changed = change(Buffer.from(original));
    assert.equal(changed.length, original.length, 'the preflight would see another size');
    await overwrite(key, changed);
    await client.query('DROP TABLE IF EXISTS back');
    const { code, stdout } = await restore(archive);
    assert.equal(code, 1, stdout);
    const manifest = (await site.manifest(archive, RUN))!;
    const damaged = manifest.objects.find((object) => object.key === key)!;
    const { rows } = await client.query(
      `SELECT count(*)::int AS rows FROM back WHERE id BETWEEN ${damaged.firstKey?.[0]} AND ${damaged.lastKey?.[0]}`,
    );
    assert.deepEqual(rows, [{ rows: 0 }], 'a damaged object restores nothing');
    await overwrite(key, original);
    const result = JSON.parse(stdout) as RestoreResult;
    if (restored.has(archive)) return result;
    restored.add(archive);
    const again = await restore(archive);
    assert.equal(again.code, 0, again.stdout);
    const { rows: equal } = await client.query(
      'SELECT count(*)::int AS rows, (SELECT count(*)::int FROM (TABLE original EXCEPT TABLE back) AS x) AS missing FROM back',
    );
    assert.deepEqual(equal, [{ rows: 600, missing: 0 }]);
    return result;
  }

  test('in one byte of a value restores nothing, though all of its rows could be read', async () => {
    const { error } = await restoreDamaged('plain', 'part-00001.jsonl', (body) => {
      const at = body.length - 100;
      body.write(body.toString('latin1', at, at + 1) === 'a' ? 'b' : 'a', at);
      return body;
    });
    assert.equal(error?.code, 'object-damaged');
    assert.match(error.message, /part-00001\.jsonl is not what the manifest says: .*SHA-256/);
    assert.match(error.hint, /Bring the object back/);
  });

  test('in the middle of its compression restores nothing', async () => {
    for (const [archive, name] of [
      ['gzipped', 'part-00001.jsonl.gz'],
      ['zstd', 'part-00001.jsonl.zst'],
    ] as const) {
      const { error } = await restoreDamaged(archive, name, (body) => {
        const at = Math.floor(body.length / 2);
        body.writeUInt8(body.readUInt8(at) ^ 0x55, at);
        return body;
      });
      assert.equal(error?.code, 'object-damaged', JSON.stringify(error));
    }
  });

  test('in its place, as it is another whole one, restores nothing', async () => {
    const { error } = await restoreDamaged('gzipped', 'part-00002.jsonl.gz', (body) => {
      const other = gzipSync('{"id":1,"pad":"x"}\n');
      return Buffer.concat([other, Buffer.alloc(body.length - other.length)]);
    });
    assert.equal(error?.code, 'object-damaged', JSON.stringify(error));
  });

  test('in its columns is refused where it differs', async () => {
    const { error } = await restoreDamaged('plain', 'part-00000.jsonl', (body) => {
      body.write('{"ie":', 0);
      return body;
    });
    assert.equal(error?.code, 'bad-line');
    assert.match(error.message, /line 1 of the object, at column "id"/);
  });

  async function overwrite(key: string, body: Buffer): Promise<void> {
    const { host, port } = site.s3;
    const status = await new Promise((resolve, reject) => {
      http
        .request({ host, port, method: 'PUT', path: `/archive/${encodeURI(key)}` }, (answer) => {
          answer.resume().on('end', () => {
            resolve(answer.statusCode);
          });
        })
        .on('error', reject)
        .end(body);
    });
    assert.equal(status, 200);
  }
});
