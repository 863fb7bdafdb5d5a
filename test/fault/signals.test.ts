import assert from 'node:assert/strict';
import { afterEach, before, describe, test } from 'node:test';
import { listCommand } from '../../src/commands/list.ts';
import type { Rehearsals } from '../../src/ledger/rehearsals.ts';
import { eventually, happened, withDeadline } from '../support/cli.ts';
import { EVERY_SECOND } from '../support/daemon.ts';
import { commandInProcess, runInProcess, type RunInProcess } from '../support/in-process.ts';
import { testDatabase } from '../support/postgres.ts';
import { startPostgresProxy, type PostgresProxy } from '../support/postgres-proxy.ts';
import { oracleLines } from '../support/read-lines.ts';
import { createGatedView, createWideTable, openSite, PREFIX, resultsOf, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';
/** Of 10 kB each: two parts and a bit. */
const ROWS = 1100;
const NO_CODEC = { compression: { codec: 'none' }, segments: { by: 'none' } };

describe('a run that gets a signal', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await createWideTable(site, 'wide', ROWS);
  });
  afterEach(() => {
    site.proxy.reset();
  });

  /** The next run with the same id, which commits; resolves to what it logs. */
  async function goOn(config: string, archive: string): Promise<RunInProcess['log']> {
    // The server notices that the killed process is gone when it writes to its socket; the lock lives until then.
    await site.waitForNoBackends();
    const { result, log } = await runInProcess(site, config, archive, RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    return log;
  }

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
    await goOn(config, 'twice');
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
    const listed = await commandInProcess(site, config, (invocation) => listCommand(invocation, 'killed'));
    const statuses = (JSON.parse(listed.stdout) as { status: string }[]).map(({ status }) => status);
    assert.ok(
      statuses.every((status) => status === 'unfinished'),
      statuses.join(),
    );

    const log = await goOn(config, 'killed');
    assert.equal(log.filter(({ message }) => message.includes('aborted an unfinished upload')).length, 1);
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
    await goOn(config, 'late');
    assert.equal((await site.lines('late', RUN)).length, ROWS);
  });
});

describe('a daemon that is killed while it rehearses a restore', () => {
  const KEY = `${PREFIX}back/_rehearsals.json`;

  /**
   * Of connections with such a name nothing is answered any more from the end of that command on, or from the first word; with
   * `behind`, only once there was a connection of that name.
   */
  function holdFrom(
    proxy: PostgresProxy,
    held: RegExp,
    { command, behind }: { command?: string; behind?: RegExp } = {},
  ): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    let [isHeld, isDue] = [false, behind === undefined];
    proxy.onConnection = (name) => {
      isDue ||= behind?.test(name) === true;
      if (!held.test(name)) return undefined;
      return ({ type, body }, bytes) => {
        const isIt = command === undefined || (type === 'C' && body.toString('latin1').startsWith(command));
        isHeld ||= isDue && isIt;
        if (isHeld) resolve(undefined);
        return isHeld ? undefined : bytes;
      };
    };
    return promise;
  }

  test('leaves at each step at most one table, which the next start drops, and then a run comes back', async (t) => {
    const [site, scratch] = [await openSite(), await testDatabase(t)];
    const proxy = await startPostgresProxy(scratch.url);
    t.after(() => proxy.stop());
    await createWideTable(site, 'wide', 200);
    const sources = { default: { url: '${DATABASE_URL}' }, scratch: { url: proxy.url } };
    const config = await site.writeConfig({
      archives: { back: { table: 'wide' } },
      workers: { threads: 1 },
      ...{ sources, audits: { rehearse: { schedule: EVERY_SECOND, source: 'scratch' } } },
    });
    assert.equal((await runInProcess(site, config, 'back', RUN)).result.status, 'committed');
    const stored = async (): Promise<Rehearsals> => {
      const found = await site.stored(KEY);
      return found === undefined ? { attempts: [], results: [] } : (JSON.parse(found.body.toString()) as Rehearsals);
    };
    const tables = async (): Promise<string[]> => {
      const { rows } = await scratch.client.query<{ name: string }>(
        "SELECT relname AS name FROM pg_class WHERE relname LIKE 'pgsluice%' AND relkind = 'r' ORDER BY 1",
      );
      return rows.map(({ name }) => name).filter((name) => name.startsWith('pgsluice_rehearsal_'));
    };
    const strangers = `pgsluice_rehearsal_${'f'.repeat(32)}`;
    await scratch.client.query(`CREATE TABLE ${strangers} (i int)`);
    const session = /^pgsluice rehearsal on /;
    const comparing = /^pgsluice rehearsal back\//;
    const steps: [at: string, tables: number, reach: () => Promise<unknown>][] = [
      ['its table is noted', 0, () => holdFrom(proxy, /^pgsluice restore back\/\w+ on /)],
      ['rows are there', 1, () => holdFrom(proxy, /^pgsluice restore back\/\w+\/0$/, { command: 'COPY' })],
      ['they are compared', 1, () => holdFrom(proxy, comparing)],
      ['its table is about to go', 1, () => holdFrom(proxy, session, { command: 'DROP TABLE', behind: comparing })],
    ];
    let before: string[] = [];
    for (const [at, left, reach] of steps) {
      const reached = reach();
      const cli = site.start(['daemon'], config);
      await withDeadline(reached, () => `it has not come to where ${at}; it said:\n${cli.stderr}`);
      cli.kill('SIGKILL');
      assert.equal((await cli.ended()).signal, 'SIGKILL');
      const ours = (await tables()).filter((name) => name !== strangers);
      assert.equal(ours.length, left, `${at}: ${ours.join()}`);
      assert.deepEqual(
        before.filter((name) => ours.includes(name)),
        [],
        'what the one before has left is gone',
      );
      assert.equal((await stored()).attempts.length, 1, at);
      before = ours;
    }
    proxy.onConnection = () => undefined;
    const last = site.start(['daemon'], config);
    await last.waitForLog('has come back as it was archived');
    last.kill('SIGTERM');
    assert.equal((await last.ended()).code, 0, last.stderr);
    const { attempts, results } = await stored();
    assert.deepEqual([attempts, results.map(({ run, status }) => `${run} ${status}`)], [[], [`${RUN} equal`]]);
    assert.deepEqual(await tables(), [strangers]);
  });
});
