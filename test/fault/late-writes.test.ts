import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import { eventually } from '../support/cli.ts';
import { createRows, partKey, putObject, RUN, segmented, startQuickly } from '../support/segments.ts';
import { openSite, type Site } from '../support/site.ts';

const ROWS = 4000;
let site: Site;

before(async () => {
  site = await openSite();
  startQuickly(site);
  await createRows(site, 'rows', ROWS);
});
beforeEach(() => {
  site.proxy.reset();
});

describe('a request that is held over a kill and a second run', () => {
  for (const [what, keyEnd, changes] of [
    ['PUT of a segment, same plan', 'part-00001.jsonl.gz', {}],
    ['PUT of a segment, other plan', 'part-00001.jsonl.gz', { where: 'id > 7' }],
    ['PUT of a segment, other codec', 'part-00001.jsonl.gz', { compression: { codec: 'zstd' } }],
    ['manifest', '_manifest.json', {}],
  ] as const) {
    test(`${what}: let go after the commit, it changes nothing that verify proves`, async () => {
      const archive = `late_${what.replaceAll(/\W+/g, '_').toLowerCase()}`;
      const first = await site.writeConfig({ archives: { [archive]: segmented('rows', 'key', '32KiB') } });
      const second = await site.writeConfig({ archives: { [archive]: segmented('rows', 'key', '32KiB', changes) } });
      const { promise: released, resolve: letGo } = Promise.withResolvers<undefined>();
      const held = site.proxy.order('PutObject', { kind: 'hold', until: released }, 1, keyEnd);
      const victim = site.start(['run', archive, '--run-id', RUN], first);
      await held.firstHit;
      victim.kill('SIGKILL');
      await victim.ended();
      await site.waitForNoBackends();
      const late = site.proxy.seen('PutObject').find(({ key }) => key.endsWith(keyEnd))!;
      const [result] = await site.archive([archive, '--run-id', RUN], second);
      assert.equal(result?.status, 'committed', JSON.stringify(result?.error));
      letGo(undefined);
      await eventually('the held request was answered', async () => late.status !== 0);
      assert.equal(late.status, 412);
      const verified = await site.run(['verify', archive, RUN], second);
      assert.equal(verified.code, 0, verified.stdout);
    });
  }
});

describe('an object that is overwritten between its receipt and the commit', () => {
  test('ends the run as object-changed, and nothing is committed', async () => {
    const config = await site.writeConfig({ archives: { swapped: segmented('rows', 'key', '32KiB') } });
    const held = site.proxy.order('PutObject', { kind: 'delay', ms: 3000 }, 1, '_pgsluice/part-00002.json');
    const cli = site.start(['run', 'swapped', '--run-id', RUN, '--json'], config);
    await held.firstHit;
    await putObject(site, partKey('swapped', 2), Buffer.from('of somebody else'));
    const { stdout } = await cli.ended();
    assert.match(stdout, /"code": ?"object-changed"/);
    assert.equal(await site.manifest('swapped', RUN), undefined);
  });
});
