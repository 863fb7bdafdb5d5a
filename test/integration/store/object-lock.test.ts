/** Runs into buckets with versions and Object Lock, as moto has them. What it lacks is said in support/moto.ts. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import { verifyPass, type PassParts } from '../../../src/audit/verify-pass.ts';
import { checkCommand } from '../../../src/commands/check.ts';
import { purgeCommand } from '../../../src/commands/purge.ts';
import { verifyCommand } from '../../../src/commands/verify.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { commandInProcess, runInProcess } from '../../support/in-process.ts';
import { recordTo } from '../../support/record-log.ts';
import { motoProblem, startMoto, type Moto } from '../../support/moto.ts';
import { createWideTable, openSite, type Site } from '../../support/site.ts';

const RUN = '20261123T021500Z';
const DAY_MS = 86_400_000;
const HELD = { mode: 'GOVERNANCE', retain: '365d' };

/** Of a pass of standing verification that tells how each run came out of it. */
function passParts(site: Site, config: string, ended: string[]): PassParts {
  const loaded = loadConfig(config, site.environment);
  return {
    ...{ config: () => loaded, log: recordTo([]), signal: new AbortController().signal, memory: new Map() },
    foundDifferentMs: () => undefined,
    hooks: {
      ...{ found: () => undefined, begin: () => undefined, progress: () => undefined },
      failed: (_archive, { code }) => ended.push(code),
      end: (_due, { status }) => ended.push(status),
    },
  };
}

interface Verified {
  ok: boolean;
  holds?: { manifest: { mode: string; until: string } | null; objects: number; earliest: string; notHeld: number };
  warnings: string[];
  objects: { key: string; hold?: { mode: string; until: string } | null }[];
}

describe('a bucket with Object Lock', { skip: motoProblem() }, () => {
  let site: Site;
  let moto: Moto;
  before(async () => {
    [site, moto] = await Promise.all([openSite(), startMoto()]);
    await createWideTable(site, 'wide', 900);
    await site.database.client.query('CREATE TABLE small AS SELECT i AS id FROM generate_series(1, 9) AS i');
    await site.database.client.query('ALTER TABLE small ADD PRIMARY KEY (id)');
  });

  async function configOf(
    bucket: string,
    destination: Record<string, unknown>,
    table = 'small',
    besides: object = {},
    sections: object = {},
  ): Promise<string> {
    const place = { url: `s3://${bucket}/pg`, endpoint: moto.endpoint, region: moto.region };
    const options = { table, segments: { by: 'key', targetSize: '7MiB' }, compression: { codec: 'none' } };
    return site.writeConfig({
      destinations: { default: site.destination({ ...place, ...destination }) },
      archives: { life: { ...options, ...besides } },
      ...sections,
    });
  }

  async function verify(config: string): Promise<Verified & { code: number }> {
    const command = await commandInProcess(site, config, (invocation) => verifyCommand(invocation, 'life', {}));
    return { code: command.code, ...(JSON.parse(command.stdout) as Verified) };
  }

  async function check(config: string): Promise<{ code: number; text: string; problems: string[] }> {
    const { code, stdout } = await commandInProcess(site, config, (invocation) =>
      checkCommand(invocation, { online: true }),
    );
    return { code, text: stdout, problems: (JSON.parse(stdout) as { problems: string[] }).problems };
  }

  /** All versions, the journal's too, with the time until which each is held. */
  async function holdsOf(Bucket: string): Promise<{ key: string; versionId: string; until: Date | undefined }[]> {
    const { Versions = [] } = await moto.client.send(new ListObjectVersionsCommand({ Bucket }));
    return Promise.all(
      Versions.map(async ({ Key = '', VersionId = '' }) => {
        const head = await moto.client.send(new HeadObjectCommand({ Bucket, Key, VersionId }));
        return { key: Key, versionId: VersionId, until: head.ObjectLockRetainUntilDate };
      }),
    );
  }

  test('data objects and manifests are held, of one part and of several, and nothing that is written again', async () => {
    await moto.createLockedBucket('held');
    const config = await configOf('held', { objectLock: HELD }, 'wide');
    const checked = await check(config);
    assert.deepEqual([checked.code, checked.problems], [0, []]);
    assert.match(checked.text, /data objects and manifests are held for 365 days each \(GOVERNANCE\)/);
    const { result } = await runInProcess(site, config, 'life', RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    for (const { key, until } of await holdsOf('held')) {
      const isToBeHeld = /part-\d+\.jsonl$|_manifest\.json$/.test(key) && !key.includes('_pgsluice');
      const days = until === undefined ? undefined : Math.round((until.getTime() - Date.now()) / DAY_MS);
      assert.deepEqual([key, days], [key, isToBeHeld ? 365 : undefined]);
    }
    const verified = await verify(config);
    assert.deepEqual([verified.code, verified.ok, verified.warnings], [0, true, []]);
    assert.equal(verified.holds?.manifest?.mode, 'GOVERNANCE');
    assert.equal(verified.holds.objects, verified.objects.length);
    for (const { hold } of verified.objects) assert.match(hold?.until ?? 'none', /^\d{4}-\d\d-\d\dT/);
  });

  test('what is held is still there when it was hidden, and verify tells that it is gone from where it lay', async () => {
    const config = await configOf('held', { objectLock: HELD }, 'wide');
    const [object] = (await holdsOf('held')).filter(({ key }) => key.endsWith('part-00000.jsonl'));
    const place = { Bucket: 'held', Key: object?.key ?? '' };
    await assert.rejects(moto.client.send(new DeleteObjectCommand({ ...place, VersionId: object?.versionId })), {
      name: 'AccessDenied',
    });
    const { VersionId } = await moto.client.send(new DeleteObjectCommand(place));
    assert.equal((await verify(config)).code, 3);
    // The way back: the marker goes, and the version that is held is the latest one again.
    await moto.client.send(new DeleteObjectCommand({ ...place, VersionId }));
    assert.equal((await verify(config)).code, 0);
  });

  test('verify warns of what is not held, or for less than the config says', async () => {
    await moto.createLockedBucket('shorter');
    const before = await configOf('shorter', {});
    assert.equal((await runInProcess(site, before, 'life', RUN)).result.status, 'committed');
    assert.equal((await verify(before)).holds, undefined);
    const config = await configOf('shorter', { objectLock: HELD });
    const without = await verify(config);
    assert.equal(without.code, 0);
    assert.match(without.warnings.join(), /its manifest, pg\/life\/run=\w+\/part-00000\.jsonl are not held/);
    const manifest = `pg/life/run=${RUN}/_manifest.json`;
    for (const [Key, days] of [
      [manifest, 400],
      [manifest.replace('_manifest.json', 'part-00000.jsonl'), 30],
    ] as const) {
      const Retention = { Mode: 'GOVERNANCE', RetainUntilDate: new Date(Date.now() + days * DAY_MS) } as const;
      await moto.client.send(new PutObjectRetentionCommand({ Bucket: 'shorter', Key, Retention }));
    }
    const short = await verify(config);
    assert.match(
      short.warnings.join(),
      /^pg\/life\/run=\w+\/part-00000\.jsonl \(until [\dTZ:-]+\) is held for less than the 365 days of objectLock\.retain$/,
    );
    const stricter = await verify(await configOf('shorter', { objectLock: { mode: 'COMPLIANCE', retain: '10d' } }));
    assert.match(stricter.warnings.join(), /are held in GOVERNANCE, while objectLock.mode is COMPLIANCE/);
  });

  test('a bucket that holds all by default works too, and check --online says that journals stay behind', async () => {
    await moto.createLockedBucket('default', { Mode: 'COMPLIANCE', Days: 3 });
    const config = await configOf('default', {});
    const checked = await check(config);
    assert.deepEqual([checked.code, checked.problems], [0, []]);
    assert.match(checked.text, /holds each object for 3 days by default \(COMPLIANCE\): of each run's journal/);
    const { result } = await runInProcess(site, config, 'life', RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    const verified = await verify(config);
    assert.deepEqual([verified.code, verified.warnings, verified.holds?.notHeld], [0, [], 0]);
    assert.equal(verified.holds?.manifest?.mode, 'COMPLIANCE');
    const again = await runInProcess(site, config, 'life', RUN);
    assert.equal(again.result.status, 'already-committed');
  });

  for (const [name, destination, byDefault] of [
    ['governed', { objectLock: HELD }],
    ['complied', { objectLock: { mode: 'COMPLIANCE', retain: '2d' } }],
    ['held_by_default', {}, { Mode: 'GOVERNANCE', Days: 2 }],
  ] as [string, object, Parameters<Moto['createLockedBucket']>[1]?][])
    test(`rows of a run that is held are purged, what is noted of it is written again, and what expires is no error: ${name}`, async (t) => {
      const bucket = name.replaceAll('_', '-');
      await moto.createLockedBucket(bucket, byDefault);
      await site.database.client.query(`CREATE TABLE ${name} AS TABLE small; ALTER TABLE ${name} ADD PRIMARY KEY (id)`);
      const options = { purge: { after: '1h' }, mayExpireAfter: '1h' };
      const config = await configOf(bucket, { ...destination }, name, options, { log: { level: 'silent' } });
      assert.equal((await runInProcess(site, config, 'life', RUN)).result.status, 'committed');
      const purged = await commandInProcess(site, config, (invocation) =>
        purgeCommand(invocation, 'life', { runs: [RUN], execute: true, yes: true }),
      );
      assert.equal(purged.code, 0, purged.stdout);
      const { rows } = await site.database.client.query(`SELECT FROM ${name}`);
      assert.equal(rows.length, 0);
      const audit = async (): Promise<string[]> => {
        const ended: string[] = [];
        await verifyPass(passParts(site, config, ended), { schedule: '', everyMs: 0, atMostBytes: 1e9 });
        return ended;
      };
      assert.deepEqual([await audit(), await audit()], [['proved'], ['proved']]);
      const verified = await verify(config);
      assert.deepEqual([verified.code, verified.warnings, verified.holds?.notHeld], [0, [], 0]);
      const holds = await holdsOf(bucket);
      for (const document of ['_purge.json', '_verified.json'])
        assert.ok(holds.filter(({ key }) => key.endsWith(document)).length >= 2, `${document} was written again`);
      if (byDefault === undefined)
        for (const { key, until } of holds)
          assert.equal(
            until !== undefined,
            /part-\d+\.jsonl$|_manifest\.json$/.test(key) && !key.includes('_pgsluice'),
            key,
          );
      // What a lifecycle rule does to a version that is held: it hides it.
      const data = holds.filter(({ key }) => /\/part-\d+\.jsonl$/.test(key) && !key.includes('_pgsluice'));
      for (const { key: Key } of data) await moto.client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
      assert.equal((await verify(config)).code, 3, 'the run is too young for it');
      t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 2 * 3_600_000 });
      const expired = await verify(config);
      assert.partialDeepStrictEqual(expired, { code: 0, ok: true, expired: true, objects: [] });
      assert.deepEqual([await audit(), await audit()], [['expired'], ['expired']]);
      t.mock.timers.reset();
      const after = await holdsOf(bucket);
      for (const { versionId } of data)
        assert.ok(after.find((one) => one.versionId === versionId)?.until !== undefined);
    });

  test('a bucket without Object Lock is refused by check --online and by a run, with what to do', async () => {
    await moto.client.send(new CreateBucketCommand({ Bucket: 'plain' }));
    const config = await configOf('plain', { objectLock: HELD });
    const { code, problems } = await check(config);
    assert.equal(code, 1);
    assert.match(problems.join(), /destinations\.default: .*the bucket has no Object Lock/);
    const { result } = await runInProcess(site, config, 'life', RUN);
    assert.deepEqual([result.status, result.error?.code], ['failed', 'object-lock-missing']);
    assert.match(result.error?.hint ?? '', /Turn Object Lock on for the bucket plain/);
  });
});
