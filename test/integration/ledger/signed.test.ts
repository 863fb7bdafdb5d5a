import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Invocation } from '../../../src/commands/invocation.ts';
import { restoreCommand } from '../../../src/commands/restore.ts';
import { runCommand } from '../../../src/commands/run.ts';
import { verifyCommand } from '../../../src/commands/verify.ts';
import { runCli, type Ending } from '../../support/cli.ts';
import { commandOfFile } from '../../support/in-process.ts';
import { skipWithout } from '../../support/needs.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';

const RUN = '20261123T021500Z';
const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-signed-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const bucket = path.join(folder, 'bucket');
const runFolder = path.join(bucket, 't', `run=${RUN}`);
const manifest = path.join(runFolder, '_manifest.json');
let database: TestDatabase;
let ours: { publicKey: string; file: string };
let theirs: { publicKey: string; file: string };

async function keygen(name: string): Promise<{ publicKey: string; file: string }> {
  const ending = await runCli(['keygen', path.join(folder, name), '--json']);
  assert.equal(ending.code, 0, ending.stderr);
  return JSON.parse(ending.stdout) as { publicKey: string; file: string };
}

/** Writes a config with this `signing`. */
function writeConfig(signing: object | undefined): string {
  const file = path.join(folder, 'pgsluice.yaml');
  const config = {
    sources: { default: { url: database.url } },
    destinations: { default: { url: `file://${bucket}`, ...(signing === undefined ? {} : { signing }) } },
    archives: { t: { table: 't' } },
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

function check(signing: object, ...args: string[]): Promise<Ending> {
  return runCli(['check', ...args, '--config', writeConfig(signing)]);
}

/** How a command ends under this `signing`, and all that it says. */
async function ending(
  signing: object | undefined,
  command: (invocation: Invocation) => Promise<number>,
): Promise<{ code: number; said: string }> {
  try {
    const { code, stdout } = await commandOfFile(writeConfig(signing), {}, command);
    return { code, said: stdout };
  } catch (error) {
    return { code: 1, said: String(error) };
  }
}

const run = (signing?: object) =>
  ending(signing, (invocation) => runCommand(invocation, ['t'], { all: false, runId: RUN }));
const verify = (signing: object | undefined, how: Partial<Invocation> = {}) =>
  ending(signing, (invocation) => verifyCommand({ ...invocation, ...how }, 't', { run: RUN }));
const restore = (signing: object) =>
  ending(signing, (invocation) => {
    const how = { create: true, onConflict: 'fail', selfReferences: 'refuse' };
    return restoreCommand(invocation, 't', { ...how, run: RUN, into: 'public.back' });
  });
const both = ({ file, publicKey }: { publicKey: string; file: string }) => ({
  key: `\${file:${file}}`,
  trust: [publicKey],
});

before(async () => {
  database = await testDatabase();
  await database.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)');
  ours = await keygen('ours.pem');
  theirs = await keygen('theirs.pem');
});
beforeEach(() => {
  rmSync(bucket, { recursive: true, force: true });
});

describe('a signed archive', () => {
  test('is proved and restored by who trusts the key, and by who trusts nobody in particular', async () => {
    assert.equal((await run(both(ours))).code, 0);
    for (const signing of [
      both(ours),
      { trust: [ours.publicKey] },
      { trust: [theirs.publicKey, ours.publicKey] },
      undefined,
    ]) {
      const { code, said } = await verify(signing);
      assert.equal(code, 0, said);
    }
  });

  test('is not believed by who trusts other keys, nor when it was changed, nor without its signature', async () => {
    assert.equal((await run(both(ours))).code, 0);
    const signed = readFileSync(manifest, 'utf8');
    const changed = signed.replace('"rows": 100', '"rows": 101');
    const bare = `${signed.slice(0, signed.lastIndexOf(',\n  "signature": '))}\n}\n`;
    assert.notEqual(changed, signed);
    const cases: [text: string, trust: string, says: RegExp][] = [
      [signed, theirs.publicKey, /is signed by the key [0-9a-f]{16}, which is not trusted/],
      [changed, ours.publicKey, /is not what the key [0-9a-f]{16} has signed/],
      [bare, ours.publicKey, /_manifest\.json has no signature/],
    ];
    for (const [text, trust, says] of cases) {
      writeFileSync(manifest, text);
      const verified = await verify({ trust: [trust] });
      assert.equal(verified.code, 3, verified.said);
      assert.match(verified.said, says);
      const restored = await restore({ trust: [trust] });
      assert.notEqual(restored.code, 0);
      assert.match(restored.said, says);
      const { rows } = await database.client.query<{ back: unknown }>(`SELECT to_regclass('public.back') AS back`);
      assert.deepEqual(rows, [{ back: null }]);
    }
  });

  test('from before signing was switched on is believed when the command says so, and one of another key is not', async () => {
    assert.equal((await run()).code, 0);
    const signing = { trust: [ours.publicKey] };
    const refused = await verify(signing);
    assert.equal(refused.code, 3);
    assert.match(refused.said, /_manifest\.json has no signature \(.*pass --allow-unsigned/);
    assert.equal((await verify(signing, { allowUnsigned: true })).code, 0);
    // As a process, that the option is read as well.
    const allowing = ['verify', 't', RUN, '--allow-unsigned', '--config', writeConfig(signing)];
    assert.equal((await runCli(allowing)).code, 0);
    rmSync(bucket, { recursive: true });
    assert.equal((await run(both(theirs))).code, 0);
    assert.equal((await verify(signing, { allowUnsigned: true })).code, 3);
  });

  test('has signatures that openssl checks, as docs/format.md says', { skip: skipWithout('openssl') }, async () => {
    assert.equal((await run(both(ours))).code, 0);
    const format = readFileSync(path.join(import.meta.dirname, '../../../docs/format.md'), 'utf8');
    const recipe = /<!-- signature -->\s+```sh\n([\s\S]*?)```/.exec(format)?.[1] ?? '';
    assert.ok(recipe.includes('openssl pkeyutl'), 'the recipe is in docs/format.md');
    const checkByOpenssl = (): string =>
      execFileSync('sh', ['-ec', recipe], {
        cwd: path.dirname(manifest),
        env: { ...process.env, PUBLIC_KEY: ours.publicKey },
        encoding: 'utf8',
      });
    assert.match(checkByOpenssl(), /Signature Verified Successfully/);
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"rows": 100', '"rows": 101'));
    assert.throws(checkByOpenssl);
  });
});

test('a plan that is not signed by a trusted key is not taken up, and left as it is', async () => {
  // A run that could not be finished: its journal stays.
  await database.client.query('CREATE TABLE IF NOT EXISTS gone (id int)');
  assert.equal((await run(both(theirs))).code, 0);
  cpSync(manifest, path.join(folder, 'kept.json'));
  const plan = path.join(runFolder, '_pgsluice', 'plan.json');
  rmSync(manifest);
  execFileSync('mkdir', ['-p', path.dirname(plan)]);
  writeFileSync(plan, '{\n  "format": "pgsluice/plan/1",\n  "archive": "t"\n}\n');
  const { code, said } = await run(both(ours));
  assert.equal(code, 1, said);
  assert.match(said, /"code": ?"untrusted"/);
  assert.equal(readFileSync(plan, 'utf8'), '{\n  "format": "pgsluice/plan/1",\n  "archive": "t"\n}\n');
});

test('a key is written for its owner alone, once, and shown nowhere', async () => {
  assert.equal(statSync(ours.file).mode & 0o777, 0o600);
  const again = await runCli(['keygen', ours.file]);
  assert.deepEqual([again.code, again.stderr.includes('EEXIST')], [2, true]);
  const pem = readFileSync(ours.file, 'utf8').split('\n')[1] ?? '';
  const bad = await check({ key: `\${file:${ours.file}}`, trust: [theirs.publicKey] });
  assert.equal(bad.code, 2);
  assert.match(bad.stderr, /signing\.trust: must have the public key of signing\.key/);
  const good = await check(both(ours), '--json');
  assert.ok(!`${good.stdout}${good.stderr}${bad.stderr}`.includes(pem));
  const swapped = await check({ trust: [`\${file:${ours.file}}`] });
  assert.match(swapped.stderr, /must be a public key, not a private one/);
});
