import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { verifyCommand } from '../../src/commands/verify.ts';
// Hosts find out soon who is gone, also those in the process of this test.
import '../support/as-host.ts';
import { eventually, happened } from '../support/cli.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { withDatabase } from '../support/postgres.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { importIntoProgram } from '../support/program.ts';
import { assertEachOnce, assertOnlyTheRunIsLeft, createRows, idsOf, RUN, segmented } from '../support/segments.ts';
import { type ServerPair, startServerPair } from '../support/server-pair.ts';
import { openSite, type Site } from '../support/site.ts';

const ROWS = 4000;
let pair: ServerPair;
let site: Site;

before(async () => {
  pair = await startServerPair();
  site = await openSite(pair.primaryUrl);
  await createRows(site, 'rows', ROWS);
  await pair.inStep();
});
after(async () => pair.stop());
beforeEach(() => {
  site.proxy.reset();
});

async function configOf(archive: string, serverUrl: string): Promise<string> {
  const url = withDatabase(serverUrl, site.database.name);
  const archives = { [archive]: segmented('rows', 'key', '32KiB') };
  return site.writeConfig({ sources: { default: { url } }, archives });
}

async function assertWhole(archive: string, config: string): Promise<void> {
  assertEachOnce(await idsOf(site, archive, RUN), ROWS);
  const { code, stdout } = await commandInProcess(site, config, (invocation) =>
    verifyCommand(invocation, archive, { run: RUN }),
  );
  assert.equal(code, 0, stdout);
  await assertOnlyTheRunIsLeft(site, archive);
}

describe('one run on a primary and on its standby, whose locks know nothing of each other', () => {
  test('is committed once, and what the one that was frozen sends late changes nothing', async () => {
    const onPrimary = await configOf('both', pair.primaryUrl);
    const onStandby = await configOf('both', pair.standbyUrl);
    const { promise: released, resolve: letGo } = Promise.withResolvers<undefined>();
    const held = site.proxy.order('PutObject', { kind: 'hold', until: released }, 2, '.jsonl.gz', 2);
    const first = site.start(['run', 'both', '--run-id', RUN, '--json'], onPrimary, {
      NODE_OPTIONS: importIntoProgram('as-host'),
    });
    await happened(held);
    // As long as it lives, it is left alone.
    const refused = await runInProcess(site, onStandby, 'both', RUN);
    assert.equal(refused.result.error?.code, 'locked');
    assert.match(refused.result.error.message, /which is at work/);
    first.kill('SIGSTOP');
    const second = await runInProcess(site, onStandby, 'both', RUN);
    assert.equal(second.result.status, 'committed', JSON.stringify(second.result.error));
    const manifest = await site.manifest('both', RUN);
    letGo(undefined);
    first.kill('SIGCONT');
    const { stdout } = await first.ended();
    assert.match(stdout, /"(taken-over|already-committed)"/);
    const late = site.proxy.seen('PutObject').filter(({ key }) => key.endsWith('.jsonl.gz'));
    await eventually('what was held has come', async () => late.every(({ isOver }) => isOver));
    assert.equal(late.filter(({ status }) => status === 412).length, 2);
    assert.deepEqual(await site.manifest('both', RUN), manifest);
    await assertWhole('both', onStandby);
  });

  test('goes on by itself when the primary is killed and the standby promoted', async (t) => {
    const proxy = await startPostgresProxy(pair.primaryUrl);
    t.after(() => proxy.stop());
    const config = await configOf('promoted', proxy.url);
    const { promise: released, resolve: letGo } = Promise.withResolvers<undefined>();
    const held = site.proxy.order('PutObject', { kind: 'hold', until: released }, 1, '.jsonl.gz', 3);
    const running = runInProcess(site, config, 'promoted', RUN);
    await happened(held);
    proxy.serverOf = () => pair.standbyUrl;
    await pair.failOver();
    letGo(undefined);
    const { result, log } = await running;
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.ok(log.some(({ message }) => message === 'session lost, the run goes on with a new one'));
    assert.equal((await site.manifest('promoted', RUN))?.consistency, 'resumed');
    await assertWhole('promoted', config);
  });
});
