/** What is taken for an archive that is not in the config any more, and what is not. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { findFormerArchives, isFormer, type FormerArchive } from '../../../src/audit/former-archives.ts';
import { fail, type Failure } from '../../../src/base/errors.ts';
import { FormerArchives } from '../../../src/daemon/former-archives.ts';
import { describeFormer } from '../../../src/daemon/view/former-state.ts';
import { headKey, manifestKey, planKey } from '../../../src/ledger/names.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';
import { AuditSite } from './support.ts';

const [A, B, C] = ['20260101T000000Z', '20260102T000000Z', '20260102T000000Z_2'] as const;

async function find(site: AuditSite, only?: string): Promise<{ found: FormerArchive[]; failed: string[] }> {
  const failed: string[] = [];
  const parts = {
    signal: new AbortController().signal,
    onFailure: ({ name }: { name: string }, { code }: Failure) => failed.push(`${name} ${code}`),
    onCut: () => assert.fail('there is little'),
  };
  return { found: await findFormerArchives(site.config, parts, only), failed };
}

/** A file, with its folders, without any word of ours. */
function lay(site: AuditSite, key: string, body = ''): void {
  const file = path.join(site.folder, key);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, body);
}

const summaries = ({ found }: { found: FormerArchive[] }) =>
  found.map(({ archive, destination, runs, latestRun }) => [archive, destination.name, runs, latestRun]);

describe('an archive that was taken out of the config', () => {
  test('is found as long as its folder is there, with its runs, and is none any more once it is back', async () => {
    const site = new AuditSite({ events: {}, orders: {} });
    for (const run of [B, A, C]) await site.commit(run, { archive: 'orders' });
    await site.commit(A);
    assert.deepEqual(await find(site), { found: [], failed: ['broken folder-missing'] });
    site.configure({ events: {} });
    const { found, failed } = await find(site);
    assert.deepEqual([summaries({ found }), failed], [[['orders', 'default', 3, C]], ['broken folder-missing']]);
    assert.equal(found[0]?.url, `${site.store.url}orders/`);
    assert.deepEqual(summaries(await find(site, 'orders')), summaries({ found }));
    assert.deepEqual((await find(site, 'order')).found, []);
    const [orders] = found;
    assert.equal(isFormer(site.config, orders), true);
    assert.equal(isFormer(site.configure({ events: {}, orders: {} }), orders), false, 'it is back');
  });

  test('is one that has moved to another destination as well', async () => {
    const site = new AuditSite({ events: { destination: 'broken' } });
    await site.commit(A);
    assert.deepEqual(summaries(await find(site)), [['events', 'default', 1, A]]);
  });

  test('is known by one run that was planned, or by its head, where no manifest is left', async () => {
    const site = new AuditSite();
    lay(site, planKey('begun', A), '{ "format": "pgsluice/plan/2", "archive": "begun" }');
    const link = { run: A, sha256: 'a'.repeat(64) };
    const tool = { name: 'pgsluice', version: '0.1.0' };
    const head = { format: 'pgsluice/head/1', archive: 'headed', ...link, before: null, host: 'h', tool };
    lay(site, headKey('headed'), `${JSON.stringify(head, null, 2)}\n`);
    lay(site, `headed/run=${A}/part-00000.jsonl.gz`);
    assert.deepEqual(summaries(await find(site)), [
      ['begun', 'default', 1, A],
      ['headed', 'default', 1, A],
    ]);
  });

  test('is no folder of somebody else, whatever it is called and whatever lies there', async () => {
    const site = new AuditSite();
    lay(site, `lake/run=${A}/part-00000.parquet`, 'PAR1');
    lay(site, manifestKey('table', A), '{ "manifest-version": 2 }');
    lay(site, manifestKey('empty', A));
    lay(site, manifestKey('wide', A), `{ "x": "${' '.repeat(100_000)}", "format": "pgsluice/manifest/1" }`);
    mkdirSync(path.join(site.folder, manifestKey('folder', A)), { recursive: true });
    lay(site, headKey('headless'), '[[[[');
    lay(site, `headless/run=${A}/x`);
    lay(site, manifestKey('not-run', 'yesterday'), '{ "format": "pgsluice/manifest/1" }');
    for (const name of ['_hidden', 'a b', 'x\u202e', '\u001b[31m', '..hidden', 'n'.repeat(101)])
      lay(site, manifestKey(name, A), '{ "format": "pgsluice/manifest/1" }');
    await site.commit(A, { archive: 'elsewhere' });
    symlinkSync(path.join(site.folder, 'elsewhere'), path.join(site.folder, 'linked'));
    assert.deepEqual(summaries(await find(site)), [['elsewhere', 'default', 1, A]]);
  });
});

describe('the daemon', () => {
  test('looks with the slots at most once an hour, and once more when it is asked meanwhile', async () => {
    const site = new AuditSite();
    let [looks, release] = [0, (): void => undefined];
    const first = new Promise<void>((resolve) => (release = resolve));
    const former = new FormerArchives({
      ...{ config: () => site.config, log: recordTo([]), signal: new AbortController().signal },
      changed: () => undefined,
      find: async () => {
        looks += 1;
        await first;
        return [];
      },
    });
    assert.equal(describeFormer(former.found), null);
    former.come();
    former.come();
    assert.equal(looks, 1);
    const again = former.look();
    release();
    await again;
    assert.equal(looks, 2);
    former.come();
    assert.deepEqual([looks, describeFormer(former.found)], [2, { archives: [], count: 0 }]);
  });

  test('keeps what it knows of a destination that does not answer, tells of each once, and shows some of many', async () => {
    const site = new AuditSite();
    const [destination] = Object.values(site.config.destinations);
    const log: LogLine[] = [];
    const many = Array.from({ length: 60 }, (_, at) => ({
      ...{ archive: `gone${at}`, destination: destination!, url: `file:///gone${at}/` },
      ...{ runs: 1, isMore: false, latestRun: A },
    }));
    let isBroken = false;
    const former = new FormerArchives({
      ...{ config: () => site.config, log: recordTo(log), signal: new AbortController().signal },
      changed: () => undefined,
      find: (_config, { onFailure }) => {
        if (!isBroken) return Promise.resolve(many);
        onFailure(destination!, fail('throttled', { stage: 'verify', message: 'slow down' }).failure);
        return Promise.resolve([]);
      },
    });
    await former.look();
    isBroken = true;
    await former.look();
    await former.look();
    const shown = describeFormer(former.found);
    assert.deepEqual([shown?.count, shown?.archives.length, shown?.archives[0]?.name], [60, 50, 'gone0']);
    const told = log.filter(({ fields }) => 'failure' in fields);
    assert.deepEqual([log.length, told.length], [2, 1]);
    site.configure({ gone0: {} });
    assert.equal(describeFormer(former.found)?.count, 59, 'one that the config has again');
  });
});
