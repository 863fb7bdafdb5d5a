import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { afterEach, before, describe, test } from 'node:test';
import { happened } from '../support/cli.ts';
import { runInProcess } from '../support/in-process.ts';
import { oracleLines } from '../support/read-lines.ts';
import { createGatedView, createWideTable, failureOf, openSite, resultsOf, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';
/** Of 10 kB each: two parts and a bit. */
const ROWS = 1100;
const NO_CODEC = { compression: { codec: 'none' }, segments: { by: 'none' } };

describe('a destination that fails in mid-run', () => {
  let site: Site;
  let expected: string[];

  before(async () => {
    site = await openSite();
    await createWideTable(site, 'wide', ROWS);
    expected = await oracleLines(site.database.url, 'wide');
  });
  afterEach(() => {
    site.proxy.reset();
  });

  async function assertWhole(archive: string): Promise<void> {
    // As booleans: 15 MB of lines are not to be printed.
    assert.ok(
      (await site.lines(archive, RUN)).join('\n') === expected.join('\n'),
      'the archive differs from the table',
    );
    assert.deepEqual(site.pendingUploads(archive), []);
  }

  test('and stays down fails the run as transient, and leaves what the next run sweeps before it commits', async () => {
    const config = await site.writeConfig({
      archives: { downed: { table: 'wide', ...NO_CODEC, retry: { attempts: 2, backoff: '10ms' } } },
    });
    const stalled = site.proxy.order('UploadPart', { kind: 'stall' }, 1);
    const running = runInProcess(site, config, 'downed', RUN);
    await happened(stalled);
    await site.proxy.down();
    const failure = failureOf([(await running).result]);
    assert.equal(failure.code, 'connection-refused');
    assert.equal(failure.stage, 'upload');
    assert.equal(failure.transient, true);
    assert.match(failure.hint, /127\.0\.0\.1:\d+ is up/);
    assert.equal(await site.manifest('downed', RUN), undefined);
    await site.waitForNoBackends();

    await site.proxy.up();
    const left = site.pendingUploads('downed').length;
    const { result, log } = await runInProcess(site, config, 'downed', RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.equal(log.filter(({ message }) => message.includes('aborted an unfinished upload')).length, left);
    await assertWhole('downed');
  });

  test('and answers 503 to every request for a while is tried again until it commits', async () => {
    const config = await site.writeConfig({
      archives: { busy: { table: 'wide', ...NO_CODEC, retry: { attempts: 5, backoff: '10ms' } } },
    });
    // The SDK tries each request three times, so seven in a row fail a segment at least once.
    const fault = site.proxy.order('UploadPart', { kind: 'error', status: 503, code: 'SlowDown' }, 7);
    const { result, log } = await runInProcess(site, config, 'busy', RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.equal(fault.hits, 7);
    assert.ok(log.some(({ level, message }) => level === 'warn' && message.includes('tried again')));
    await assertWhole('busy');
  });

  test('and loses the answer of the request that finishes the upload has the object, once', async () => {
    const config = await site.writeConfig({ archives: { lost: { table: 'wide', ...NO_CODEC } } });
    const fault = site.proxy.order('CompleteMultipartUpload', { kind: 'lose-answer' }, 1);
    const { result } = await runInProcess(site, config, 'lost', RUN);
    assert.equal(fault.hits, 1);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    await assertWhole('lost');
  });

  test('and loses the answer of the commit says committed, as it is', async () => {
    const config = await site.writeConfig({ archives: { lost_commit: { table: 'wide', ...NO_CODEC } } });
    const fault = site.proxy.order('PutObject', { kind: 'lose-answer' }, 1, '_manifest.json');
    const { result } = await runInProcess(site, config, 'lost_commit', RUN);
    assert.equal(fault.hits, 1);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    await assertWhole('lost_commit');
  });

  test('and forbids the upload fails at once, without a retry, and stops the query', async () => {
    const config = await site.writeConfig({ archives: { forbidden: { table: 'wide', ...NO_CODEC } } });
    const fault = site.proxy.order('UploadPart', { kind: 'error', status: 403, code: 'AccessDenied' }, 1000);
    const { result, log } = await runInProcess(site, config, 'forbidden', RUN);
    const failure = failureOf([result]);
    assert.equal(failure.code, 'access-denied');
    assert.equal(failure.transient, false);
    assert.match(failure.hint, /s3:PutObject/);
    assert.ok(fault.hits <= 2, 'both parts on their way may be refused, once each');
    assert.ok(log.every(({ message }) => !message.includes('tried again')));
    await site.assertNothingLeft('forbidden', RUN);
    await site.waitForNoBackends();
  });

  test('and does not take the manifest leaves the run uncommitted; the next one commits', async () => {
    const config = await site.writeConfig({ archives: { nearly: { table: 'wide', ...NO_CODEC } } });
    site.proxy.order('PutObject', { kind: 'error', status: 403, code: 'AccessDenied' }, 1, '_manifest.json');
    assert.equal(failureOf([(await runInProcess(site, config, 'nearly', RUN)).result]).code, 'access-denied');
    await site.assertNothingLeft('nearly', RUN);
    assert.equal((await runInProcess(site, config, 'nearly', RUN)).result.status, 'committed');
    await assertWhole('nearly');
  });
});

describe('a folder as destination', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await createWideTable(site, 'wide', ROWS);
  });

  const isRoot = process.getuid?.() === 0;

  test(
    'on a disk that is full fails with disk-full, and leaves no part of a file',
    { skip: skipWithoutMount() },
    async (t) => {
      const folder = path.join(site.folder, 'small');
      await mkdir(folder);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]);
      t.after(() => {
        execFileSync('umount', [folder]);
      });
      const config = await site.writeConfig({
        destinations: { default: { url: `file://${folder}` } },
        archives: { wide: { table: 'wide', ...NO_CODEC } },
      });
      const failure = failureOf([(await runInProcess(site, config, 'wide', RUN)).result]);
      assert.equal(failure.code, 'disk-full');
      assert.match(failure.hint, /Free space/);
      const left = execFileSync('find', [folder, '-type', 'f', '-not', '-path', '*/_pgsluice/*'], { encoding: 'utf8' });
      assert.equal(left, '');
      await site.waitForNoBackends();
    },
  );

  test('that is no folder fails with what to check', async () => {
    const file = path.join(site.folder, 'a-file');
    await writeFile(file, '');
    const config = await site.writeConfig({
      destinations: { default: { url: `file://${file}/sub` } },
      archives: { wide: { table: 'wide', ...NO_CODEC } },
    });
    const failure = failureOf([(await runInProcess(site, config, 'wide', RUN)).result]);
    assert.equal(failure.code, 'folder-missing');
    assert.match(failure.hint, /is a folder/);
    assert.match((await site.run(['check', '--online'], config)).stderr, /destinations\.default: .*a-file/);
  });

  test(
    'that may not be written fails with access-denied',
    { skip: isRoot ? 'root may write anywhere' : false },
    async () => {
      const folder = path.join(site.folder, 'closed');
      await mkdir(folder, { mode: 0o500 });
      const config = await site.writeConfig({
        destinations: { default: { url: `file://${folder}` } },
        archives: { wide: { table: 'wide', ...NO_CODEC } },
      });
      assert.equal(failureOf([(await runInProcess(site, config, 'wide', RUN)).result]).code, 'access-denied');
    },
  );
});

/** A small file system can be mounted by root only, and not in every container. */
function skipWithoutMount(): string | false {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'a file system cannot be mounted here';
  }
}

describe('two processes at once', () => {
  test('on one archive: one commits, the other fails with the code locked, which names the first', async () => {
    const site = await openSite();
    const gated = await createGatedView(site, 'gated', 20, 10);
    const config = await site.writeConfig({ archives: { gated: { table: 'gated' } } });
    const first = site.start(['run', 'gated', '--run-id', RUN, '--json'], config);
    await gated.reached();
    for (const id of [RUN, '20261124T021500Z']) {
      const failure = failureOf([(await runInProcess(site, config, 'gated', id)).result]);
      assert.equal(failure.code, 'locked');
      assert.equal(failure.stage, 'lock');
      assert.match(failure.message, new RegExp(`"pgsluice gated on .+:${first.pid}" \\(backend \\d+`));
    }
    await gated.open();
    const [result] = resultsOf(await first.ended());
    assert.equal(result?.status, 'committed');
    assert.equal((await site.lines('gated', RUN)).length, 20);
    assert.equal((await runInProcess(site, config, 'gated', '20261124T021500Z')).result.status, 'committed');
  });
});
