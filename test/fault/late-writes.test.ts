import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import { verifyCommand } from '../../src/commands/verify.ts';
import { eventually, happened, withDeadline } from '../support/cli.ts';
import { commandInProcess, runInProcess, startInProcess } from '../support/in-process.ts';
import type { SeenRequest } from '../support/s3-proxy.ts';
import { createRows, partKey, putObject, RUN, segmented } from '../support/segments.ts';
import { createWideTable, openSite, type Site } from '../support/site.ts';

const ROWS = 4000;
let site: Site;

before(async () => {
  site = await openSite();
  await createRows(site, 'rows', ROWS);
  await createWideTable(site, 'wide', 1300);
  await site.database.client.query('ANALYZE wide');
});

describe('a request that is held over a kill and a second run', () => {
  const [PUT, COMPLETE, part] = ['PutObject', 'CompleteMultipartUpload', 'part-00001.jsonl.gz'];
  const cases = [
    ['PUT of a segment, same plan', PUT, part, {}],
    ['PUT of a segment, other plan', PUT, part, { where: 'id > 7' }],
    ['PUT of a segment, other codec', PUT, part, { compression: { codec: 'zstd' } }],
    ['PUT of a segment, other config', PUT, part, { columns: ['id'] }],
    ['Complete of a segment, same plan', COMPLETE, 'part-00000.jsonl', {}],
    ['Complete of a segment, other plan', COMPLETE, 'part-00000.jsonl', { where: 'id > 7' }],
    ['Complete of a segment, other codec', COMPLETE, 'part-00000.jsonl', { compression: { codec: 'zstd' } }],
    ['manifest', PUT, '_manifest.json', {}],
    ['manifest, other plan', PUT, '_manifest.json', { where: 'id > 7' }],
    ['removal of the journal', 'DeleteObjects', '', {}, 200],
  ] as const;
  type Case = (typeof cases)[number];
  interface HeldRequest {
    seen: SeenRequest;
    letGo: () => void;
  }
  const held = new Map<string, HeldRequest>();

  function nameOf([what]: Case): string {
    return `late_${what.replaceAll(/\W+/g, '_').toLowerCase()}`;
  }

  function archiveOf([, operation]: Case, changes: object): object {
    return operation === COMPLETE
      ? segmented('wide', 'key', '6MiB', { compression: { codec: 'none' }, ...changes })
      : segmented('rows', 'key', '32KiB', changes);
  }

  /** Resolves once the archive has sent what is to come late. */
  async function hold(one: Case): Promise<void> {
    const [, operation, keyEnd] = one;
    const archive = nameOf(one);
    const { promise: released, resolve } = Promise.withResolvers<undefined>();
    const { promise: sent, resolve: isSent } = Promise.withResolvers<SeenRequest>();
    const isIt = (seen: SeenRequest): boolean => {
      // A removal names no key: only one archive comes so far.
      if (operation !== 'DeleteObjects' && !seen.key.includes(`/${archive}/`)) return false;
      isSent(seen);
      return true;
    };
    site.proxy.order(operation, { kind: 'hold', until: released }, 1, keyEnd, 0, isIt);
    const seen = await withDeadline(sent, () => `${archive} has not sent it`);
    held.set(archive, {
      seen,
      letGo: () => {
        resolve(undefined);
      },
    });
  }

  // One process has all of these archives: each has a request on its way when it is killed.
  before(async () => {
    const archives = Object.fromEntries(cases.map((one) => [nameOf(one), archiveOf(one, {})]));
    // So many archives are worked on at once as there are threads.
    const config = await site.writeConfig({ archives, workers: { threads: cases.length } });
    const allHeld = Promise.all(cases.map(hold));
    const victim = site.start(['run', '--all', '--run-id', RUN], config);
    await allHeld;
    victim.kill('SIGKILL');
    await victim.ended();
    await site.waitForNoBackends();
  });

  for (const one of cases) {
    const [what, operation, , changes, status = 412] = one;
    test(`${what}: let go after the commit, it changes nothing that verify proves`, async () => {
      const archive = nameOf(one);
      const { seen: late, letGo } = held.get(archive)!;
      const second = await site.writeConfig({ archives: { [archive]: archiveOf(one, changes) } });
      const { result } = await runInProcess(site, second, archive, RUN);
      const ending = operation === 'DeleteObjects' ? 'already-committed' : 'committed';
      assert.equal(result.status, ending, JSON.stringify(result.error));
      assert.equal(late.status, 0, 'it came before the commit');
      letGo();
      await eventually('the held request was answered', async () => late.status !== 0);
      assert.equal(late.status, status);
      const verified = await commandInProcess(site, second, (invocation) =>
        verifyCommand(invocation, archive, { run: RUN }),
      );
      assert.equal(verified.code, 0, verified.stdout);
    });
  }
});

describe('a request that is held over two further tries', () => {
  beforeEach(() => {
    site.proxy.reset();
  });

  test('does not take an object that was written again with equal rows for the one that it was to replace', async () => {
    // One after the other: the second is written when the third fails.
    const segments = { by: 'key', targetSize: '32KiB', parallel: 1 };
    const configOf = (changes: object): Promise<string> =>
      site.writeConfig({ archives: { again: segmented('rows', 'key', '32KiB', { segments, ...changes }) } });
    const [whole, other] = [await configOf({}), await configOf({ columns: ['id'] })];
    const [, second, third] = [0, 1, 2].map((segment) => partKey('again', segment)) as [string, string, string];
    site.proxy.order('PutObject', { kind: 'error', status: 403, code: 'AccessDenied' }, 1, third);
    assert.equal((await runInProcess(site, whole, 'again', RUN)).result.status, 'failed');
    const { promise: released, resolve: letGo } = Promise.withResolvers<undefined>();
    const held = site.proxy.order('PutObject', { kind: 'hold', until: released }, 1, second);
    const victim = site.start(['run', 'again', '--run-id', RUN], other);
    await happened(held);
    victim.kill('SIGKILL');
    await victim.ended();
    await site.waitForNoBackends();
    const late = site.proxy.seen('PutObject').findLast(({ key }) => key === second)!;
    assert.match(String(late.headers['if-match']), /^[0-9a-f]{32}$/);
    assert.equal((await runInProcess(site, whole, 'again', RUN)).result.status, 'committed');
    letGo(undefined);
    await eventually('the held request was answered', async () => late.status !== 0);
    assert.equal(late.status, 412);
  });
});

describe('an object that is overwritten between its receipt and the commit', () => {
  beforeEach(() => {
    site.proxy.reset();
  });

  test('ends the run as object-changed, and nothing is committed', async () => {
    const config = await site.writeConfig({ archives: { swapped: segmented('rows', 'key', '32KiB') } });
    let segment = -1;
    // A receipt may stand in one document with others, which is named for the first of them.
    const held = site.proxy.order('PutObject', { kind: 'delay', ms: 3000 }, 1, '.json', 0, ({ key }) => {
      const [, first] = /_pgsluice\/part-(\d+)\.json$/.exec(key) ?? [];
      if (first === undefined || segment >= 0) return false;
      segment = Number(first);
      return true;
    });
    const { ended } = startInProcess(site, config, 'swapped', RUN);
    await happened(held);
    await putObject(site, partKey('swapped', segment), Buffer.from('of somebody else'));
    assert.equal((await ended).result.error?.code, 'object-changed');
    assert.equal(await site.manifest('swapped', RUN), undefined);
  });
});
