import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { eventually } from '../support/cli.ts';
import { runInProcess, startInProcess } from '../support/in-process.ts';
import { oracleLines } from '../support/read-lines.ts';
import { createGatedView, failureOf, type GatedView, openSite, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';
const NO_CODEC = { compression: { codec: 'none' } };
const ROWS = 1200;

describe('a source whose backend is terminated in mid-run', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
  });

  /** Most rows lie before the gate, so that some parts are on their way when it is reached. */
  async function gate(name: string): Promise<GatedView> {
    return createGatedView(site, name, ROWS, 1100);
  }

  async function assertWhole(view: GatedView): Promise<void> {
    const lines = await site.lines(view.table, RUN);
    assert.equal(lines.length, view.rows);
    assert.ok(lines.join('\n') === (await oracleLines(site.database.url, view.table)).join('\n'), 'the lines differ');
    assert.deepEqual(site.pendingUploads(view.table), []);
  }

  test('once is read again from the start, and the run commits', async () => {
    const view = await gate('once');
    const config = await site.writeConfig({ archives: { once: { table: 'once', ...NO_CODEC } } });
    const run = startInProcess(site, config, 'once', RUN);
    await view.reached();
    assert.equal(await site.terminateBackends(`pgsluice once/${RUN}/%`), 1);
    const retry = await run.waitForLog('tried again');
    assert.deepEqual((retry.fields['failure'] as { code: string; transient: boolean }).code, 'connection-lost');
    await view.open();
    const { result } = await run.ended;
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.equal((await site.manifest('once', RUN))?.consistency, 'single-snapshot');
    await assertWhole(view);
  });

  test('at every attempt fails the run, loudly, with what was tried', async () => {
    const view = await gate('always');
    const config = await site.writeConfig({
      archives: { always: { table: 'always', ...NO_CODEC, retry: { attempts: 3, backoff: '1ms' } } },
    });
    const run = startInProcess(site, config, 'always', RUN);
    let killed = 0;
    for (; killed < 3; killed += 1) {
      await view.reached();
      assert.equal(await site.terminateBackends(`pgsluice always/${RUN}/%`), 1);
      if (killed < 2) await run.waitForLog('tried again', killed + 1);
    }
    const failure = failureOf([(await run.ended).result]);
    assert.equal(failure.code, 'connection-lost');
    assert.equal(failure.stage, 'read');
    assert.equal(failure.transient, true);
    assert.match(failure.message, /after 3 attempts/);
    assert.equal(run.log.filter(({ level, message }) => level === 'error' && message === 'run failed').length, 1);
    await site.assertNothingLeft('always', RUN);
    await site.waitForNoBackends();
  });

  test('and was only the one that holds the lock and the snapshot: it commits what is whole, or fails loudly', async () => {
    const view = await gate('held');
    const config = await site.writeConfig({ archives: { held: { table: 'held', ...NO_CODEC } } });
    const run = startInProcess(site, config, 'held', RUN);
    await view.reached();
    assert.equal(await site.terminateBackends(`pgsluice held on %`), 1);
    await eventually('only the reader is left', async () => (await site.backends('pgsluice held on %')).length === 0);
    await view.open();
    const { result } = await run.ended;
    if (result.status === 'committed') await assertWhole(view);
    else {
      assert.ok(result.error !== undefined && result.error.code !== 'internal', JSON.stringify(result.error));
      await site.assertNothingLeft('held', RUN);
    }
    assert.notEqual((await runInProcess(site, config, 'held', RUN)).result.status, 'failed');
    await assertWhole(view);
  });

  test('together with the one that holds the snapshot is planned again or fails loudly, and is never wrong', async () => {
    const view = await gate('pair');
    const config = await site.writeConfig({ archives: { pair: { table: 'pair', ...NO_CODEC } } });
    const run = startInProcess(site, config, 'pair', RUN);
    await view.reached();
    assert.equal(await site.terminateBackends(`pgsluice pair%`), 2);
    await eventually('the run goes on, or is over', async () => {
      return (
        run.log.some(({ message }) => message === 'run failed') || (await site.backends('pgsluice pair/%')).length > 0
      );
    });
    await view.open();
    const { result } = await run.ended;
    if (result.status === 'committed') await assertWhole(view);
    else {
      assert.ok(result.error !== undefined && result.error.code !== 'internal', JSON.stringify(result.error));
      await site.assertNothingLeft('pair', RUN);
      assert.equal((await runInProcess(site, config, 'pair', RUN)).result.status, 'committed');
      await assertWhole(view);
    }
  });

  test('by an operator who cancels the query is not tried again against their will', async () => {
    const view = await gate('cancelled');
    const config = await site.writeConfig({ archives: { cancelled: { table: 'cancelled', ...NO_CODEC } } });
    const run = startInProcess(site, config, 'cancelled', RUN);
    await view.reached();
    await site.database.client.query(
      `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgsluice cancelled/${RUN}/%'`,
    );
    const failure = failureOf([(await run.ended).result]);
    assert.equal(failure.code, 'query-cancelled');
    assert.equal(failure.transient, false);
    await site.assertNothingLeft('cancelled', RUN);
    await view.open();
  });
});
