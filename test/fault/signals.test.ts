import assert from 'node:assert/strict';
import { afterEach, before, describe, test } from 'node:test';
import { eventually, happened } from '../support/cli.ts';
import { oracleLines } from '../support/read-lines.ts';
import { createGatedView, createWideTable, openSite, resultsOf, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';
const NO_CODEC = { compression: { codec: 'none' }, segments: { by: 'none' } };

describe('a run that gets a signal', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await createWideTable(site, 'wide', 3000);
  });
  afterEach(() => {
    site.proxy.reset();
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    test(`${signal} while the destination is slow drops everything, and exits with 130`, async () => {
      const archive = `slow_${signal.toLowerCase()}`;
      const config = await site.writeConfig({ archives: { [archive]: { table: 'wide', ...NO_CODEC } } });
      const stalled = site.proxy.order('UploadPart', { kind: 'stall' }, 1000);
      const cli = site.start(['run', archive, '--run-id', RUN, '--json'], config);
      await happened(stalled);
      cli.kill(signal);
      const ending = await cli.ended();
      assert.equal(ending.code, 130, ending.stderr);
      const [result] = resultsOf(ending);
      assert.equal(result?.status, 'failed');
      assert.equal(result.error?.code, 'interrupted');
      assert.match(result.error.message, new RegExp(signal));
      assert.match(result.error.hint, /--run-id/);
      await site.assertNothingLeft(archive, RUN);
      await site.waitForNoBackends();
    });
  }

  test('while the source is slow stops the query on the server as well', async () => {
    const view = await createGatedView(site, 'slow_source', 1500, 1200);
    const config = await site.writeConfig({ archives: { slow_source: { table: 'slow_source', ...NO_CODEC } } });
    const cli = site.start(['run', 'slow_source', '--run-id', RUN], config);
    await view.reached();
    cli.kill('SIGTERM');
    const ending = await cli.ended();
    assert.equal(ending.code, 130, ending.stderr);
    await site.assertNothingLeft('slow_source', RUN);
    await site.waitForNoBackends();
    await view.open();
  });

  test('while it waits for a retry does not wait for the end of the pause', async () => {
    const config = await site.writeConfig({
      archives: { pausing: { table: 'wide', ...NO_CODEC, retry: { attempts: 3, backoff: '1h' } } },
    });
    site.proxy.order('UploadPart', { kind: 'error', status: 503, code: 'SlowDown' }, 1000);
    const cli = site.start(['run', 'pausing', '--run-id', RUN], config);
    await cli.waitForLog('tried again');
    cli.kill('SIGTERM');
    assert.equal((await cli.ended()).code, 130);
    await site.assertNothingLeft('pausing', RUN);
  });

  test('with several archives on and waiting fails all that have not committed', async () => {
    const names = ['first', 'second', 'third'];
    const config = await site.writeConfig({
      archives: Object.fromEntries(names.map((name) => [name, { table: 'wide', ...NO_CODEC }])),
      workers: { threads: 1 },
    });
    const stalled = site.proxy.order('UploadPart', { kind: 'stall' }, 1000);
    const cli = site.start(['run', '--all', '--run-id', RUN, '--json'], config);
    await happened(stalled);
    cli.kill('SIGTERM');
    const ending = await cli.ended();
    assert.equal(ending.code, 130, ending.stderr);
    const results = resultsOf(ending);
    assert.deepEqual(
      results.map(({ archive, status, error }) => [archive, status, error?.code]),
      names.map((name) => [name, 'failed', 'interrupted']),
    );
    for (const name of names) await site.assertNothingLeft(name, RUN);
    await site.waitForNoBackends();
  });

  test('a second time ends at once, and the next run cleans up', async () => {
    const config = await site.writeConfig({ archives: { twice: { table: 'wide', ...NO_CODEC } } });
    const stalled = site.proxy.order('UploadPart', { kind: 'stall' }, 1000);
    const clinging = site.proxy.order('AbortMultipartUpload', { kind: 'stall' }, 1000);
    const cli = site.start(['run', 'twice', '--run-id', RUN], config);
    await happened(stalled);
    cli.kill('SIGTERM');
    await happened(clinging);
    cli.kill('SIGTERM');
    assert.equal((await cli.ended()).code, 130);
    site.proxy.reset();
    assert.equal(site.pendingUploads('twice').length, 1);
    assert.equal((await site.archive(['twice', '--run-id', RUN], config))[0]?.status, 'committed');
    assert.deepEqual(site.pendingUploads('twice'), []);
  });

  test('SIGKILL leaves no manifest, and the next start sweeps the upload and commits', async () => {
    const config = await site.writeConfig({
      archives: { killed: { table: 'wide', ...NO_CODEC }, killed_too: { table: 'wide', ...NO_CODEC } },
    });
    const stalled = site.proxy.order('UploadPart', { kind: 'stall' }, 1000);
    const cli = site.start(['run', '--all', '--run-id', RUN], config);
    await happened(stalled);
    await eventually('both uploads are begun', async () => site.proxy.pendingUploads().length === 2);
    cli.kill('SIGKILL');
    assert.equal((await cli.ended()).signal, 'SIGKILL');
    site.proxy.reset();
    assert.equal(await site.manifest('killed', RUN), undefined);
    assert.equal(site.pendingUploads('killed').length, 1);
    const listed = await site.run(['list', 'killed', '--json'], config);
    const statuses = (JSON.parse(listed.stdout) as { status: string }[]).map(({ status }) => status);
    assert.ok(
      statuses.every((status) => status === 'unfinished'),
      statuses.join(),
    );

    // The server notices that the killed process is gone when it writes to its socket; the lock lives until then.
    await site.waitForNoBackends();
    const again = site.start(['run', 'killed', '--run-id', RUN, '--json'], config);
    const [result] = resultsOf(await again.ended());
    assert.equal(result?.status, 'committed', JSON.stringify(result?.error));
    assert.equal(again.log.filter(({ msg }) => msg.includes('aborted an unfinished upload')).length, 1);
    assert.deepEqual(site.pendingUploads('killed'), []);
    assert.equal(site.pendingUploads('killed_too').length, 1, 'the upload of another archive is left alone');
    assert.ok((await site.lines('killed', RUN)).join() === (await oracleLines(site.database.url, 'wide')).join());
  });

  test('SIGKILL between the last object and the commit leaves no manifest, and the next run commits', async () => {
    const config = await site.writeConfig({ archives: { late: { table: 'wide', ...NO_CODEC } } });
    const stalled = site.proxy.order('PutObject', { kind: 'stall' }, 1, '_manifest.json');
    const cli = site.start(['run', 'late', '--run-id', RUN], config);
    await happened(stalled);
    cli.kill('SIGKILL');
    await cli.ended();
    await site.assertNothingLeft('late', RUN);
    await site.waitForNoBackends();
    assert.equal((await site.archive(['late', '--run-id', RUN], config))[0]?.status, 'committed');
    assert.equal((await site.lines('late', RUN)).length, 3000);
  });
});
