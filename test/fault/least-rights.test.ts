/** A destination that allows the rights of docs/install.md and nothing else, and what becomes of it with fewer. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, before, describe, test } from 'node:test';
import { checkCommand } from '../../src/commands/check.ts';
import { listCommand } from '../../src/commands/list.ts';
import { restoreCommand } from '../../src/commands/restore.ts';
import { verifyCommand } from '../../src/commands/verify.ts';
import { S3_REQUESTS, type S3Request } from '../../src/store/s3/actions.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import type { SeenRequest } from '../support/s3-proxy.ts';
import { createWideTable, openSite, type Site } from '../support/site.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const RUN = '20261123T021500Z';

interface Statement {
  Action: string | string[];
  Resource: string;
}

const [, json = ''] =
  /The least that an IAM role or user needs:\s+```json\n(.*?)```/s.exec(
    readFileSync(path.join(ROOT, 'docs/install.md'), 'utf8'),
  ) ?? [];
const { Statement: documented } = JSON.parse(json) as { Statement: Statement[] };

/** Whether the documented policy allows a request, without one of its actions. */
function allowedBy(statements: readonly Statement[], without = ''): (seen: SeenRequest) => boolean {
  return ({ operation, key }) => {
    // Ceph refuses this one under a policy; and so each key is seen that is removed.
    if (operation === 'DeleteObjects') return false;
    const { action, on } = S3_REQUESTS[operation as S3Request];
    if (action === without) return false;
    const resource = on === 'bucket' ? 'arn:aws:s3:::acme-archive' : `arn:aws:s3:::acme-archive/${key}`;
    return statements.some(({ Action, Resource }) => [Action].flat().includes(action) && fits(Resource, resource));
  };
}

function fits(pattern: string, resource: string): boolean {
  return new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(resource);
}

test('each request that the sources can send is in the table of rights', () => {
  const folder = path.join(ROOT, 'src/store/s3');
  const sources = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8'));
  const sent = sources.flatMap((source) => [...source.matchAll(/new (\w+)Command\(/g)].map(([, name = '']) => name));
  for (const name of [...sent, 'UploadPart']) assert.ok(name in S3_REQUESTS, name);
});

describe('a destination with the rights that the docs name', () => {
  let site: Site;
  let config: string;

  before(async () => {
    site = await openSite();
    await createWideTable(site, 'wide', 900);
    await site.database.client.query('CREATE TABLE back (LIKE wide INCLUDING ALL)');
  });
  afterEach(() => {
    site.proxy.reset();
    site.proxy.allows = () => true;
  });

  async function write(archive: string): Promise<string> {
    // One segment has several parts, the other one is short.
    const options = { table: 'wide', segments: { by: 'key', targetSize: '7MiB' }, compression: { codec: 'none' } };
    config = await site.writeConfig({ archives: { [archive]: options } });
    return config;
  }

  async function check(): Promise<{ code: number; stdout: string; warnings: string[]; problems: string[] }> {
    const { code, stdout } = await commandInProcess(site, config, (invocation) =>
      checkCommand(invocation, { online: true }),
    );
    return { code, stdout, ...(JSON.parse(stdout) as { warnings: string[]; problems: string[] }) };
  }

  const aboutDestination = (texts: string[]): string[] => texts.filter((text) => text.startsWith('destinations.'));

  test('is all that check --online, a run, list, verify and restore need', async () => {
    await write('life');
    site.proxy.allows = allowedBy(documented);
    const checked = await check();
    assert.deepEqual([checked.code, aboutDestination(checked.warnings), checked.problems], [0, [], []]);
    assert.match(checked.stdout, /it keeps the conditions of all writes/);
    assert.match(checked.stdout, /whether it keeps versions; that takes s3:GetBucketVersioning/);
    assert.deepEqual(await site.keys(), [], 'the probe is removed');
    await site.leaveUpload('life', '20261101T000000Z');
    const { result, log } = await runInProcess(site, config, 'life', RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.deepEqual(
      log.filter(({ message }) => message.includes('may not')),
      [],
    );
    assert.ok(site.proxy.seen('UploadPart').length > 0);
    assert.equal((await commandInProcess(site, config, (invocation) => listCommand(invocation, 'life'))).code, 0);
    const verified = await commandInProcess(site, config, (invocation) => verifyCommand(invocation, 'life', {}));
    assert.equal(verified.code, 0, verified.stdout);
    const restored = await commandInProcess(site, config, (invocation) =>
      restoreCommand(invocation, 'life', {
        into: 'public.back',
        onConflict: 'fail',
        selfReferences: 'refuse',
        create: false,
      }),
    );
    assert.equal(restored.code, 0, restored.stdout);
    const refused = site.proxy.requests.filter(({ status }) => status === 403).map(({ operation }) => operation);
    // The probe asks for more, and does without.
    const optional = ['GetBucketVersioning', 'GetObjectLockConfiguration', 'GetBucketLifecycleConfiguration'];
    assert.deepEqual([...new Set(refused)].sort(), ['DeleteObjects', ...optional].sort());
    assert.deepEqual(
      (await site.keys()).filter((key) => key.includes('_pgsluice')),
      [],
    );
  });

  for (const [request, what] of [
    ['ListMultipartUploads', 's3:ListBucketMultipartUploads'],
    ['DeleteObject', 'may not be removed'],
  ] as const) {
    const { action } = S3_REQUESTS[request];
    test(`without ${action}, runs are committed, and it is said once`, async () => {
      const archive = `without_${request.toLowerCase()}`;
      await write(archive);
      site.proxy.allows = allowedBy(documented, action);
      const said: string[] = [];
      for (const run of [RUN, '20261124T021500Z']) {
        const { result, log } = await runInProcess(site, config, archive, run);
        assert.equal(result.status, 'committed', JSON.stringify(result.error));
        said.push(...log.map(({ message }) => message).filter((message) => message.includes('may not')));
      }
      assert.equal(said.length, 1, said.join());
      assert.ok(said[0]?.includes(what), said[0]);
    });
  }

  test('without s3:AbortMultipartUpload, what a dead run left stays, and the run is committed', async () => {
    const archive = 'without_abort';
    await write(archive);
    for (const run of ['20261101T000000Z', '20261102T000000Z']) await site.leaveUpload(archive, run);
    site.proxy.allows = allowedBy(documented, 's3:AbortMultipartUpload');
    const { result, log } = await runInProcess(site, config, archive, RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    const said = log.filter(({ message }) => message.includes('may not be aborted'));
    assert.equal(said.length, 1, 'of several, it is said once');
    assert.match(JSON.stringify(said[0]?.fields), /s3:AbortMultipartUpload/);
  });

  test('without s3:DeleteObject, the probe stays and is named', async () => {
    await write('probe_stays');
    site.proxy.allows = allowedBy(documented, 's3:DeleteObject');
    const { code, warnings } = await check();
    const left = (await site.keys('_pgsluice-probe')).at(-1) ?? 'none';
    assert.equal(code, 0);
    assert.ok(aboutDestination(warnings)[0]?.includes(left), warnings.join());
    assert.match(warnings.join(), /s3:DeleteObject/);
  });

  test('where heads may not be written, check --online finds it, and writes none', async () => {
    await write('headless');
    site.proxy.allows = ({ operation, key }) => operation !== 'PutObject' || !key.endsWith('_head.json');
    const { code, problems } = await check();
    assert.equal(code, 1);
    assert.match(problems.join(), /archives\.headless: no run can be committed.*_head\.json.*Allow s3:PutObject on/);
    site.proxy.allows = () => true;
    assert.equal((await check()).code, 0);
    assert.deepEqual(await site.keys('headless'), []);
  });

  for (const action of ['s3:ListBucket', 's3:GetObject', 's3:PutObject']) {
    test(`without ${action}, that is what check and a run ask for`, async () => {
      const archive = `without_${action.slice(3).toLowerCase()}`;
      await write(archive);
      site.proxy.allows = allowedBy(documented, action);
      const { code, problems } = await check();
      assert.equal(code, 1);
      assert.match(problems.join(), new RegExp(`Allow ${action} on`));
      const { result } = await runInProcess(site, config, archive, RUN);
      assert.equal(result.error?.code, 'access-denied');
      assert.match(result.error.hint, new RegExp(`Allow ${action} on`));
      assert.match(result.error.message, /failed: AccessDenied, without a text|refused it without a word/);
    });
  }
});
