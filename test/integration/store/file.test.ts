import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { FailureError } from '../../../src/base/errors.ts';
import { NEVER } from '../../../src/base/signals.ts';
import type { DestinationConfig } from '../../../src/config/schema.ts';
import { toFileFailure } from '../../../src/store/file/errors.ts';
import { openStore } from '../../../src/store/open.ts';
import type { Store } from '../../../src/store/store.ts';
import { collect, failureOf, partsOf, testConformance, uploadOptions } from './conformance.ts';

function openFolder(folder: string): Store {
  const destination: DestinationConfig = {
    name: 'default',
    url: pathToFileURL(folder).href,
    location: { kind: 'file', folder },
    partBytes: 5 * 1024 ** 2,
    partsInFlight: 'auto',
    forcePathStyle: false,
    checksums: 'when-supported',
  };
  return openStore(destination, NEVER);
}

testConformance('a folder', async () => {
  const base = await mkdtemp(path.join(tmpdir(), 'pgsluice-file-'));
  const folders = new Map<Store, string>();
  return {
    // ENTRIES_AT_ONCE of src/store/file/file.ts.
    keysPerPage: 256,
    async open() {
      const folder = path.join(base, `archive${'s'.repeat(folders.size)}`);
      const store = openFolder(folder);
      folders.set(store, folder);
      return store;
    },
    async countPending(store) {
      const names = await readdir(folders.get(store) ?? '', { recursive: true }).catch(() => []);
      return names.filter((name) => name.endsWith('.tmp')).length;
    },
    close: () => rm(base, { recursive: true, force: true }),
  };
});

describe('a folder', () => {
  let folder: string;
  let store: Store;
  const text = { contentType: 'text/plain' };

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'pgsluice-file-'));
    store = openFolder(folder);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const key of [
    '../out',
    'a/../../out',
    '/etc/passwd',
    'a//b',
    './a',
    'a/.',
    '',
    'nul\0',
    '.x.lq1-01234567-89ab-cdef-0123-456789abcdef.tmp',
  ]) {
    it(`refuses the key ${JSON.stringify(key)}`, async () => {
      assert.equal((await failureOf(store.put(key, Buffer.from('x'), text))).code, 'key-refused');
      assert.equal((await failureOf(store.get(key, 1))).code, 'key-refused');
    });
  }

  it('does not follow symbolic links below its folder', async () => {
    const outside = await mkdtemp(path.join(tmpdir(), 'pgsluice-outside-'));
    await writeFile(path.join(outside, 'secret'), 'secret');
    await symlink(outside, path.join(folder, 'link'));
    await symlink(path.join(outside, 'secret'), path.join(folder, 'file'));
    assert.equal((await failureOf(store.put('link/x', Buffer.from('x'), text))).code, 'symlink-refused');
    assert.equal((await failureOf(store.get('link/secret', 10))).code, 'symlink-refused');
    assert.equal((await failureOf(store.get('file', 10))).code, 'symlink-refused');
    assert.deepEqual(await collect(store.list('')), []);
    await rm(outside, { recursive: true });
  });

  describe('where something stands that is no file', () => {
    const open: net.Server[] = [];
    after(() => open.forEach((server) => server.close()));
    const makers: Record<string, (at: string) => Promise<unknown>> = {
      'a FIFO': async (at) => execFileSync('mkfifo', [at]),
      'a socket': async (at) => {
        const server = net.createServer().listen(at);
        open.push(server);
        await once(server, 'listening');
      },
      'a folder': (at) => mkdir(at),
    };
    for (const [what, make] of Object.entries(makers)) {
      it(`does not wait for ${what}, and says what is wrong`, async () => {
        const key = `odd/${what.replace(' ', '-')}`;
        await mkdir(path.join(folder, 'odd'), { recursive: true });
        await make(path.join(folder, key));
        const readings = [() => store.get(key, 10), () => collect(store.read(key, new AbortController().signal))];
        for (const read of readings) {
          const failure = await failureOf(read());
          assert.equal(failure.code, 'key-refused');
          assert.match(failure.hint, /stands where the object should be/);
        }
        assert.equal(await store.head(key), undefined);
        assert.deepEqual(await collect(store.list('odd/')), []);
      });
    }

    it('does not read a device, which may never end', async () => {
      const devices = openFolder('/dev');
      assert.equal((await failureOf(devices.get('zero', 10))).code, 'key-refused');
      assert.equal((await failureOf(collect(devices.read('zero', AbortSignal.timeout(5000))))).code, 'key-refused');
    });
  });

  it('lists in the order of the bytes of whole keys, as S3 does', async () => {
    const order = ['s/A', 's/a-b', 's/a.x', 's/a/1', 's/a/2', 's/a0', 's/b', 's/z', 's/é', 's/\uffee', 's/\u{1f418}'];
    for (const key of [...order].reverse()) await store.put(key, Buffer.from('x'), text);
    assert.deepEqual(
      (await collect(store.list('s/'))).map(({ key }) => key),
      order,
    );
  });

  it('leaves no empty folder behind', async () => {
    await store.put('deep/er/and/deeper', Buffer.from('x'), text);
    await store.remove(['deep/er/and/deeper']);
    assert.ok(!(await readdir(folder)).includes('deep'));
  });

  it('makes no folder for a probe, nor for a condition that does not hold', async () => {
    const fresh = openFolder(path.join(folder, 'not', 'yet'));
    await fresh.probe();
    const { outcome } = await fresh.put('a/b', Buffer.from('x'), { ...text, replaces: '0'.repeat(32) });
    assert.notEqual(outcome, 'written');
    assert.ok(!(await readdir(folder)).includes('not'));
  });

  it('says what to do when its folder cannot be made or written', async () => {
    await writeFile(path.join(folder, 'plain'), '');
    const failure = await failureOf(openFolder(path.join(folder, 'plain', 'archive')).probe());
    assert.equal(failure.code, 'folder-missing');
    if (process.getuid?.() === 0) return;
    await mkdir(path.join(folder, 'locked'));
    await chmod(path.join(folder, 'locked'), 0o555);
    assert.equal((await failureOf(openFolder(path.join(folder, 'locked')).probe())).code, 'access-denied');
  });

  it('reports a full disk in the middle of an upload, and leaves nothing of it', async () => {
    const failure = toFileFailure(
      Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
      'writing a',
    );
    assert.ok(failure instanceof FailureError);
    assert.deepEqual([failure.failure.code, failure.failure.transient], ['disk-full', false]);
  });

  it('does not take a file for an object that is a temporary one of a killed process', async () => {
    const name = '.part-00000.gz.lq1-01234567-89ab-cdef-0123-456789abcdef.tmp';
    await mkdir(path.join(folder, 'killed'));
    await writeFile(path.join(folder, 'killed', name), 'half');
    assert.deepEqual(await collect(store.list('killed/')), []);
    const pending = await store.listUploads('killed/');
    assert.ok(typeof pending !== 'string');
    assert.deepEqual(
      pending.map(({ key }) => key),
      ['killed/part-00000.gz'],
    );
    await store.abortUpload('killed/part-00000.gz', pending[0]?.uploadId ?? '');
    assert.deepEqual(await store.listUploads('killed/'), []);
  });

  it('refuses an upload id that would lead elsewhere', async () => {
    await store.upload('kept.tmp', partsOf(10).body(), uploadOptions());
    await store.abortUpload('x', '/../kept');
    assert.equal((await store.head('kept.tmp'))?.bytes, 10);
  });
});
