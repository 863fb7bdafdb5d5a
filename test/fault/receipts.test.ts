import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { listCommand } from '../../src/commands/list.ts';
import { verifyCommand } from '../../src/commands/verify.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { oracleLines } from '../support/read-lines.ts';
import {
  assertEachOnce,
  assertOnlyTheRunIsLeft,
  createRows,
  idsOf,
  partKey,
  putObject,
  removeObject,
  RUN,
  segmented,
  uploadsBegun,
} from '../support/segments.ts';
import { openSite, PREFIX, type Site } from '../support/site.ts';

const ROWS = 4000;
const TARGET = '32KiB';

interface Listed {
  archive: string;
  run: string;
  status: string;
  segmentsDone: number;
  segments: number | null;
  error: string | null;
}

let site: Site;

before(async () => {
  site = await openSite();
});

async function failureCode(archive: string, config: string): Promise<string | undefined> {
  const { result } = await runInProcess(site, config, archive, RUN);
  return result.error?.code;
}

async function list(config: string, archive: string): Promise<Listed[]> {
  const { stdout } = await commandInProcess(site, config, (invocation) => listCommand(invocation, archive));
  return JSON.parse(stdout) as Listed[];
}

describe('a run that failed right before its commit', () => {
  before(async () => {
    await createRows(site, 'rows', ROWS);
  });
  beforeEach(() => {
    site.proxy.reset();
  });

  /** All segments are done, and all receipts written; only the plan that says so is refused. */
  async function failAtCommit(archive: string, config: string): Promise<void> {
    const refused = site.proxy.order(
      'PutObject',
      { kind: 'error', status: 403, code: 'AccessDenied' },
      1,
      'plan.json',
      1,
    );
    assert.equal(await failureCode(archive, config), 'access-denied');
    refused.cancel();
    site.proxy.reset();
  }

  /** What it logs. */
  async function goOn(archive: string, config: string): Promise<string> {
    const { result, log } = await runInProcess(site, config, archive, RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    return log.map(({ message, fields }) => `${message} ${String(fields['why'])}`).join('\n');
  }

  async function assertWhole(archive: string, from = 'rows'): Promise<void> {
    const lines = await site.lines(archive, RUN);
    const expected = await oracleLines(site.database.url, from);
    assert.ok(lines.toSorted().join() === expected.toSorted().join(), 'the lines differ');
    await assertOnlyTheRunIsLeft(site, archive);
  }

  test('is listed as failed with its progress and its reason, commits without a further upload, and is listed so', async () => {
    const config = await site.writeConfig({ archives: { whole: segmented('rows', 'key', TARGET) } });
    await failAtCommit('whole', config);
    const [failed] = await list(config, 'whole');
    assert.ok(failed?.segments !== null && failed!.segments > 8);
    assert.deepEqual([failed!.status, failed!.segmentsDone], ['failed', failed!.segments]);
    assert.match(failed!.error ?? '', /^access-denied: /);
    site.proxy.reset();
    await goOn('whole', config);
    assert.deepEqual(uploadsBegun(site.proxy.requests, 'whole'), []);
    await assertWhole('whole');
    assert.equal((await site.manifest('whole', RUN))?.consistency, 'single-snapshot');
    const [committed] = await list(config, 'whole');
    assert.deepEqual(
      [committed?.status, committed?.segmentsDone, committed?.error],
      ['committed', failed!.segments, null],
    );
  });

  test('does again those segments whose object was cut, changed by a bit, replaced or removed', async () => {
    const config = await site.writeConfig({ archives: { damaged: segmented('rows', 'key', TARGET) } });
    await failAtCommit('damaged', config);
    const body = async (segment: number): Promise<Buffer> =>
      Buffer.from((await site.stored(partKey('damaged', segment)))!.body);
    const [cut, flipped, other] = [await body(1), await body(3), await body(4)];
    flipped.writeUInt8(flipped.readUInt8(flipped.length >> 1) ^ 8, flipped.length >> 1);
    await putObject(site, partKey('damaged', 1), cut.subarray(0, -100));
    await putObject(site, partKey('damaged', 3), flipped);
    await putObject(site, partKey('damaged', 5), other);
    await removeObject(site, partKey('damaged', 6));
    const log = await goOn('damaged', config);
    assert.equal(log.split('a receipt does not match its object').length - 1, 4);
    assert.deepEqual(uploadsBegun(site.proxy.requests, 'damaged').toSorted(), [1, 3, 5, 6]);
    await assertWhole('damaged');
    assert.equal((await site.manifest('damaged', RUN))?.consistency, 'resumed');
  });

  for (const [what, changes, from] of [
    ['columns', { columns: ['v', 'id'] }, '(SELECT v, id FROM rows)'],
    ['filter', { where: 'id % 2 = 0' }, '(SELECT * FROM rows WHERE id % 2 = 0)'],
    ['table', { table: 'others' }, 'others'],
    ['codec', { compression: { codec: 'zstd' } }, 'rows'],
    ['key', { key: 'v' }, 'rows'],
  ] as const) {
    test(`starts over when its ${what} changed, and mixes nothing`, async () => {
      const archive = `other_${what}`;
      await site.database.client.query(
        `CREATE TABLE IF NOT EXISTS others AS SELECT * FROM rows WHERE id > 1000; ALTER TABLE others ALTER id SET NOT NULL;
         CREATE UNIQUE INDEX IF NOT EXISTS others_id ON others (id); CREATE UNIQUE INDEX IF NOT EXISTS rows_v ON rows (v)`,
      );
      await failAtCommit(
        archive,
        await site.writeConfig({ archives: { [archive]: segmented('rows', 'key', TARGET) } }),
      );
      const key = what === 'table' ? { key: 'id' } : {};
      const config = await site.writeConfig({
        archives: { [archive]: segmented('rows', 'key', TARGET, { ...changes, ...key }) },
      });
      const log = await goOn(archive, config);
      assert.match(log, /run starts over/);
      await assertWhole(archive, from);
    });
  }

  test('starts over when a column of its table changed', async () => {
    await site.database.client.query(
      'CREATE TABLE altered AS SELECT * FROM rows; ALTER TABLE altered ADD PRIMARY KEY (id)',
    );
    const config = await site.writeConfig({ archives: { altered: segmented('altered', 'key', TARGET) } });
    await failAtCommit('altered', config);
    await site.database.client.query(`ALTER TABLE altered ADD more int DEFAULT 7`);
    assert.match(await goOn('altered', config), /run starts over/);
    await assertWhole('altered', 'altered');
  });

  test('does not mind other sizes of segments: it keeps to the plan that it has', async () => {
    await failAtCommit('resized', await site.writeConfig({ archives: { resized: segmented('rows', 'key', TARGET) } }));
    await goOn('resized', await site.writeConfig({ archives: { resized: segmented('rows', 'key', '64KiB') } }));
    assert.deepEqual(uploadsBegun(site.proxy.requests, 'resized'), []);
    await assertWhole('resized');
  });

  test('by pages commits when all is done, and is planned again when not', async () => {
    const config = await site.writeConfig({
      archives: { pages: segmented('rows', 'pages', TARGET), pages_cut: segmented('rows', 'pages', TARGET) },
    });
    await failAtCommit('pages', config);
    await goOn('pages', config);
    assert.deepEqual(uploadsBegun(site.proxy.requests, 'pages'), []);
    await assertWhole('pages');
    await failAtCommit('pages_cut', config);
    await removeObject(site, partKey('pages_cut', 2));
    assert.match(await goOn('pages_cut', config), /run starts over.*segments by pages/);
    await assertWhole('pages_cut');
    assert.equal((await site.manifest('pages_cut', RUN))?.consistency, 'single-snapshot');
  });

  test('removes no object that its plan does not name: it becomes one without rows', async () => {
    const config = await site.writeConfig({ archives: { strays: segmented('rows', 'key', TARGET) } });
    await failAtCommit('strays', config);
    await putObject(site, partKey('strays', 77), Buffer.from('of a plan of more segments'));
    await goOn('strays', config);
    const removed = site.proxy.requests.filter(({ operation }) => operation.startsWith('DeleteObject'));
    assert.equal(removed.length, 1, 'more than the journal was removed');
    const stray = (await site.manifest('strays', RUN))?.objects.find(({ key }) => key === partKey('strays', 77));
    assert.equal(stray?.rows, 0);
    await assertWhole('strays');
    const verified = await commandInProcess(site, config, (invocation) =>
      verifyCommand(invocation, 'strays', { run: RUN }),
    );
    assert.equal(verified.code, 0, verified.stdout);
  });
});

describe('receipts of an earlier plan', () => {
  for (const by of ['key', 'pages'] as const) {
    test(`by ${by} that outlived it are not mixed in`, async () => {
      const archive = `stale_${by}`;
      await createRows(site, archive, ROWS);
      const config = await site.writeConfig({ archives: { [archive]: segmented(archive, by, TARGET) } });
      const forbid = { kind: 'error', status: 403, code: 'AccessDenied' } as const;
      site.proxy.order('PutObject', forbid, 1, 'plan.json', 1);
      assert.equal(await failureCode(archive, config), 'access-denied');
      site.proxy.reset();
      // As a removal that was cut in the middle leaves it: the plan is gone, and the receipts are there.
      await removeObject(site, `${PREFIX}${archive}/run=${RUN}/_pgsluice/plan.json`);
      await site.database.client.query(
        `DELETE FROM ${archive} WHERE id > 1000; INSERT INTO ${archive} SELECT -i, md5(i::text) FROM generate_series(1, 3000) AS i`,
      );
      await site.database.client.query(`VACUUM FULL ANALYZE ${archive}`);
      // The new plan gets as far as its third segment.
      site.proxy.order('PutObject', forbid, 9, 'part-00002.jsonl.gz');
      assert.equal(await failureCode(archive, config), 'access-denied');
      const [listed] = await list(config, archive);
      assert.ok(listed!.segmentsDone < listed!.segments!, 'receipts of the earlier plan are counted');
      site.proxy.reset();
      const { result } = await runInProcess(site, config, archive, RUN);
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
      assert.ok((await idsOf(site, archive)).toSorted((a, b) => a - b).join() === expected().join(), 'the ids differ');
      await assertOnlyTheRunIsLeft(site, archive);
    });
  }

  function expected(): number[] {
    return [...Array.from({ length: 3000 }, (_, at) => at - 3000), ...Array.from({ length: 1000 }, (_, at) => at + 1)];
  }

  test('that cannot be read are done again', async () => {
    await createRows(site, 'unreadable', ROWS);
    const config = await site.writeConfig({ archives: { unreadable: segmented('unreadable', 'key', TARGET) } });
    site.proxy.order('PutObject', { kind: 'error', status: 403, code: 'AccessDenied' }, 1, 'plan.json', 1);
    assert.equal(await failureCode('unreadable', config), 'access-denied');
    site.proxy.reset();
    const receipt = (await site.keys('unreadable')).findLast((key) => key.includes('/_pgsluice/part-'))!;
    const { body } = (await site.stored(receipt))!;
    const { receipts } = JSON.parse(body.toString()) as { receipts: { segment: number }[] };
    await putObject(site, receipt, body.subarray(0, body.length >> 1));
    await runInProcess(site, config, 'unreadable', RUN);
    assert.deepEqual(
      uploadsBegun(site.proxy.requests, 'unreadable').toSorted((a, b) => a - b),
      receipts.map(({ segment }) => segment),
    );
    assertEachOnce(await idsOf(site, 'unreadable'), ROWS);
    assert.ok(gunzipSync((await site.stored(partKey('unreadable', 1)))!.body).length > 0);
  });
});
