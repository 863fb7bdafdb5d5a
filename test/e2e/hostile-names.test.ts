/** What lies in the bucket, and what the server says, reaches a terminal as text: no byte of it steers the terminal. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { before, describe, test } from 'node:test';
import type { Manifest } from '../../src/ledger/manifest.ts';
import type { Ending } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import { runHere } from '../support/here.ts';
import { archiveOf } from '../support/page-facts.ts';
import { openSite, type Site } from '../support/site.ts';

const RUN = '20261123T021500Z';
const LATER = '20261124T021500Z';
/** Clears the screen, begins a line that says what is not so, and turns the order of the letters that follow. */
const HOSTILE = '\u001b[2J\r\nevents  20261123T021500Z  committed\u202e\u009b31m\u007f\u0007\ttext';
const SHOWN = String.raw`\x1b[2J\r\nevents  20261123T021500Z  committed\u202e\x9b31m\x7f\x07\ttext`;

let site: Site;
let config: string;
let folder: string;

before(async () => {
  site = await openSite();
  folder = path.join(site.folder, 'store');
  await site.database.client.query(
    `CREATE TABLE events (id int PRIMARY KEY, note text); INSERT INTO events VALUES (1, 'x');
     CREATE FUNCTION sing(what text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', what; END $$`,
  );
  await site.database.client.query(`CREATE TABLE ${quote(`t${HOSTILE}`)} (id int)`);
  config = await site.writeConfig({
    destinations: { default: { url: pathToFileURL(folder).href } },
    archives: {
      events: { table: 'events' },
      failing: { query: `SELECT * FROM events WHERE sing(${literal(HOSTILE)})` },
      odd: { table: quote(`t${HOSTILE}`) },
    },
  });
  await site.archiveHere(['events', '--run-id', RUN], config);
});

const quote = (name: string): string => `"${name}"`;
const literal = (text: string): string => `'${text}'`;

function assertHarmless({ stdout, stderr }: Pick<Ending, 'stdout' | 'stderr'>): void {
  for (const output of [stdout, stderr])
    // The line breaks between our own lines are the only control characters.
    assert.doesNotMatch(output.replaceAll('\n', ''), /[\p{Cc}\p{Bidi_Control}]/u, JSON.stringify(output));
  assert.doesNotMatch(stdout + stderr, /^events {2}20261123T021500Z {2}committed/m, 'a line is forged');
}

async function forge(run: string, change: (manifest: Manifest) => void): Promise<void> {
  const file = path.join(folder, `events/run=${run}/_manifest.json`);
  const manifest = JSON.parse(await readFile(file, 'utf8')) as Manifest;
  change(manifest);
  await writeFile(file, JSON.stringify(manifest));
}

describe('a terminal is not steered', () => {
  test('by an error of the server, in run, in the log and in list', async () => {
    const run = await site.here(['run', 'failing', '--run-id', LATER], config);
    assert.equal(run.code, 1);
    assertHarmless(run);
    assert.ok(run.stdout.includes(SHOWN), run.stdout);
    const list = await site.here(['list'], config);
    assert.equal(list.code, 0, list.stderr);
    assertHarmless({ ...list, stdout: list.stdout.replace(/^events .*$/m, '') });
    assert.ok(list.stdout.includes(SHOWN), list.stdout);
  });

  test('by a name of the database, in plan and check', async () => {
    const plan = await site.here(['plan', 'odd'], config);
    assert.equal(plan.code, 0, plan.stderr);
    assertHarmless(plan);
    assert.ok(plan.stdout.includes(SHOWN), plan.stdout);
    assertHarmless(await site.here(['check', '--online'], config));
  });

  test('by a manifest, in list, verify and restore', async () => {
    await site.archiveHere(['events', '--run-id', LATER], config);
    await forge(LATER, (manifest) => {
      manifest.table = HOSTILE;
      manifest.host = HOSTILE;
      manifest.columns[1]!.name = HOSTILE;
      manifest.columns[1]!.type = HOSTILE;
      manifest.objects[0]!.sha256 = HOSTILE;
      manifest.objects[0]!.firstKey = [HOSTILE];
    });
    for (const args of [
      ['list', 'events'],
      ['verify', 'events', LATER],
      ['restore', 'events', LATER, '--into', 'public.events', '--key-from', '1'],
      ['restore', 'events', LATER, '--into', 'public.fresh', '--create'],
    ]) {
      const ending = await site.here(args, config);
      const own = ending.stdout.replaceAll(/^events +\d{8}T\d{6}Z +committed.*$/gm, '');
      assertHarmless({ ...ending, stdout: own });
    }
    await forge(LATER, (manifest) => {
      manifest.archive = HOSTILE;
    });
    const verify = await site.here(['verify', 'events', LATER], config);
    assert.equal(verify.code, 3);
    assertHarmless(verify);
  });

  test('by a daemon that says what it likes', async (t) => {
    const failure = { run: LATER, code: HOSTILE, message: HOSTILE, hint: HOSTILE, at: '2026-11-24T02:15:00Z' };
    const daemon = new FakeDaemon({
      archives: [archiveOf(HOSTILE, { health: 'failing', lastFailure: failure })],
      host: HOSTILE,
      lie: (state) => {
        const archives = state.archives.map((one) => ({ ...one, state: HOSTILE as 'ok', nextSlot: HOSTILE }));
        return { ...state, version: HOSTILE, archives };
      },
    });
    const url = await daemon.start();
    t.after(() => daemon.stop());
    const status = await runHere(['status', '--url', url, '--config', config], site.environment);
    assert.equal(status.code, 1, 'it is failing');
    assertHarmless(status);
    assert.ok(status.stdout.includes(SHOWN), status.stdout);
  });
});

test('JSON says the same, and has no such byte either', async () => {
  const { stdout } = await site.here(['list', 'failing', '--json'], config);
  assert.match(stdout, /^[\x20-\x7e\n]+$/);
  const [run] = JSON.parse(stdout) as { error: string }[];
  assert.ok(run?.error.includes(HOSTILE), stdout);
});

test('a message of 1 MB is cut', async () => {
  const long = await site.writeConfig({
    destinations: { default: { url: pathToFileURL(folder).href } },
    archives: { long: { query: `SELECT * FROM events WHERE sing(repeat('x', 1024 * 1024))` } },
  });
  const run = await site.here(['run', 'long', '--run-id', LATER], long);
  assert.ok(run.stdout.length < 10_000 && run.stdout.includes('…'), String(run.stdout.length));
  const list = await site.here(['list', 'long'], long);
  assert.ok(list.stdout.length < 2000 && list.stdout.includes('…'), String(list.stdout.length));
});
