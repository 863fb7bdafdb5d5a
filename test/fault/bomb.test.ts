import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { before, describe, test } from 'node:test';
import { createGzip, createZstdCompress, type Gzip, type ZstdCompress } from 'node:zlib';
import type { Manifest } from '../../src/ledger/manifest.ts';
import { RunFolder } from '../../src/ledger/run-folder.ts';
import { openFileStore } from '../../src/store/file/file.ts';
import { verifyRun, type Verification } from '../../src/verify/run.ts';
import { countRows, openYard, type Yard } from '../integration/restore/support.ts';
import { testDatabase } from '../support/postgres.ts';

const MIB = 1024 ** 2;
const BOMB_BYTES = 512 * MIB;
const COMPRESSORS: Record<string, () => Gzip | ZstdCompress> = { gzip: createGzip, zstd: createZstdCompress };

let yard: Yard;

before(async () => {
  yard = await openYard(await testDatabase());
  await yard.client.query(
    `CREATE TABLE original AS SELECT i AS id, 'n'::text AS note FROM generate_series(1, 300) AS i`,
  );
});

/** Good lines over and over, as a hose: no more of them is held than a piece. */
async function pack(codec: string): Promise<Buffer> {
  const piece = Buffer.from('{"id":1,"note":"n"}\n'.repeat(MIB / 20));
  const pieces = Array.from({ length: BOMB_BYTES / MIB }, () => piece);
  return buffer(Readable.from(pieces, { objectMode: false }).pipe(COMPRESSORS[codec]!()));
}

/** A run whose one object is a bomb, of which the manifest says that it is the stored one. */
async function plant(codec: string): Promise<RunFolder> {
  const { run } = await yard.archive({ table: 'public.original', compression: { codec } });
  const folder = new RunFolder(openFileStore(path.join(yard.folder, 'store')), 'it', run);
  const manifestFile = path.join(yard.folder, 'store', `it/run=${run}/_manifest.json`);
  const manifest = JSON.parse(await readFile(manifestFile, 'utf8')) as Manifest;
  const bomb = await pack(codec);
  assert.ok(bomb.length < BOMB_BYTES / 100);
  const [object] = manifest.objects;
  object!.bytes = manifest.bytes = bomb.length;
  object!.sha256 = createHash('sha256').update(bomb).digest('hex');
  await writeFile(path.join(yard.folder, 'store', object!.key), bomb);
  await writeFile(manifestFile, JSON.stringify(manifest));
  return folder;
}

async function verify(folder: RunFolder): Promise<Verification> {
  const retry = { attempts: 1, backoffMs: 1, forMs: 1 };
  const options = {
    keyPrefix: '',
    sample: undefined,
    windowBytes: 8 * MIB,
    retry,
    signal: new AbortController().signal,
  };
  return verifyRun(folder, (await folder.manifest())!, { ...options, onProgress: () => undefined });
}

for (const codec of Object.keys(COMPRESSORS)) {
  describe(`an object of ${codec} that holds far more than its manifest says`, () => {
    let folder: RunFolder;

    before(async () => {
      folder = await plant(codec);
    });

    test('is read by verify no further than that', async () => {
      const { ok, objects } = await verify(folder);
      assert.equal(ok, false);
      const [object] = await Array.fromAsync(objects('all'));
      assert.match(object!.problems[0]!.message, /^it has more than .* was read no further$/);
    });

    test('is read by restore no further than that, and leaves no row', async () => {
      const result = await yard.restore(`back_${codec}`, { create: true });
      assert.equal(result.error?.code, 'object-damaged', JSON.stringify(result));
      assert.match(result.error.message, /it holds more, and was read no further/);
      assert.equal(await countRows(yard.client, `back_${codec}`), 0);
    });
  });
}
