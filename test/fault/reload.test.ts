import assert from 'node:assert/strict';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { before, describe, test } from 'node:test';
import type { Failure } from '../../src/base/errors.ts';
import type { Manifest } from '../../src/ledger/manifest.ts';
import { eventually } from '../support/cli.ts';
import { HTTP, NEVER, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { assertEachOnce, assertOnlyTheRunIsLeft, createRows, idsOf, segmented } from '../support/segments.ts';
import { openSite, PREFIX, type Site } from '../support/site.ts';

const ROWS = 20_000;
const OTHER = 'other/';
const MORTAL_THREADS = pathToFileURL(path.join(import.meta.dirname, '../support/mortal-threads.ts')).href;

let site: Site;

before(async () => {
  site = await openSite();
  site.environment['NODE_OPTIONS'] = `--import ${MORTAL_THREADS}`;
  await createRows(site, 'rows', ROWS);
});

/** Writes the config, in which the only destination leads to that prefix. */
async function writeConfig(prefix: string, file?: string): Promise<string> {
  return site.writeConfig(
    {
      http: HTTP,
      destinations: { default: site.destination({ url: `s3://archive/${prefix.slice(0, -1)}` }) },
      archives: {
        moved: segmented('rows', 'key', '64KiB', { schedule: NEVER, retry: { attempts: 5, backoff: '20ms' } }),
      },
    },
    file,
  );
}

async function trigger(daemon: TestDaemon): Promise<string> {
  const { status, body } = await daemon.post('/api/archives/moved/run');
  assert.equal(status, 202, body);
  return (JSON.parse(body) as { run: string }).run;
}

const committed = ({ msg }: { msg: string }): boolean => msg === 'run committed';

describe('a reload that gives a destination another place, in the middle of a run', () => {
  test('leaves the run where it began, also on a thread that starts after it, and the next run goes to the new place', async () => {
    const config = await writeConfig(PREFIX);
    const daemon = await startDaemon(site, config);
    const { cli } = daemon;
    const slow = site.proxy.order('PutObject', { kind: 'delay', ms: 200 }, 10_000, '.jsonl.gz');
    const first = await trigger(daemon);
    await eventually('a segment is done', async () =>
      site.proxy.requests.some(({ key }) => key.includes('/_pgsluice/part-')),
    );
    await writeConfig(OTHER, config);
    cli.kill('SIGHUP');
    await cli.waitForLog('config reloaded');
    const died = await eventually('a thread dies at work', async () => {
      cli.kill('SIGUSR2');
      return cli.log.find(({ msg }) => msg.startsWith('segment failed'));
    });
    assert.equal((died['failure'] as Failure).code, 'worker-died');
    await cli.waitForLog(committed);
    slow.cancel();

    assertEachOnce(await idsOf(site, 'moved', first), ROWS);
    await assertOnlyTheRunIsLeft(site, 'moved', first);
    assert.deepEqual(
      (await site.keys()).filter((key) => !key.startsWith(PREFIX)),
      [],
    );

    const before = await site.keys('moved');
    const second = await trigger(daemon);
    await cli.waitForLog(committed, 2);
    assert.deepEqual(await site.keys('moved'), before, 'the first place is left alone');
    const folder = `${OTHER}moved/run=${second}/`;
    const manifest = JSON.parse((await site.stored(`${folder}_manifest.json`))!.body.toString()) as Manifest;
    assert.equal(manifest.rows, ROWS);
    assert.deepEqual(
      (await site.keys()).filter((key) => key.startsWith(folder)),
      [`${folder}_manifest.json`, ...manifest.objects.map(({ key }) => key)],
    );
    await daemon.stop();
    await site.waitForNoBackends();
  });
});
