/** What the page and `status` say at 3 a.m.: ten bad nights of a fake daemon, and as many as are cheap of a real one. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { statusCommand } from '../../src/commands/status.ts';
import type { State } from '../../src/daemon/view/state.ts';
import { badNights, type BadNight } from '../support/bad-nights.ts';
import { assertAccessible, assertNoSidewaysScroll, openPage, reasonForNoBrowser } from '../support/browser.ts';
import { eventually } from '../support/cli.ts';
import { EVERY_SECOND, HTTP, NEVER, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import { commandOfFile } from '../support/in-process.ts';
import { openPageOf } from '../support/page.ts';
import { createGatedView, createWideTable, openSite, type GatedView, type Site } from '../support/site.ts';

/** With this set to a folder, each night is kept there as a picture, for a desk and for a phone. */
const PICTURES = process.env['PGSLUICE_PICTURES'];
/** With this set to anything, the pictures of docs/images of a bad night are made anew; `pngquant` makes them small. */
const DOCS_PICTURES = process.env['PGSLUICE_DOCS_PICTURES'];
const DOCS_IMAGES = path.join(import.meta.dirname, '../../docs/images');
const DESK = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

const noBrowser = reasonForNoBrowser();

describe('a bad night', () => {
  test('is said of by the page on the first screen of a phone', { skip: noBrowser ?? false }, async () => {
    const [first, ...others] = badNights();
    assert.ok(first);
    const { page, daemon, complaints } = await openPageOf(first.facts, { viewport: PHONE });
    await assertShown(page, first);
    if (DOCS_PICTURES !== undefined) {
      await page.screenshot({ path: path.join(DOCS_IMAGES, 'status-page-phone.png') });
      await page.setViewportSize({ width: 1280, height: 560 });
      await page.screenshot({ path: path.join(DOCS_IMAGES, 'status-page-night.png') });
      await page.setViewportSize(PHONE);
    }
    for (const night of others) {
      daemon.say(night.facts);
      await assertShown(page, night);
    }
    assert.deepEqual(complaints, []);
  });

  test('is said of by status, in its first line and in full', async (t) => {
    for (const night of badNights()) {
      const daemon = new FakeDaemon(night.facts);
      const url = await daemon.start();
      t.after(() => daemon.stop());
      const { code, stdout } = await commandOfFile('none', {}, (invocation) =>
        statusCommand({ ...invocation, json: false }, { url }),
      );
      for (const said of night.status) assert.match(stdout, said, night.name);
      assert.equal(code, night.exit, night.name);
      if (PICTURES !== undefined) await writeFile(picture(night.name, 'status', 'txt'), stdout);
    }
  });
});

async function assertShown(page: Page, { name, page: onPage, row }: BadNight): Promise<void> {
  const alarm = page.locator('.alarm');
  const article = page.getByRole('article', { name: 'page_views' });
  // What two nights have in common may be of the one before.
  for (const [part, where] of [
    ...onPage.map((one) => [one, alarm] as const),
    ...row.map((one) => [one, article] as const),
  ])
    await eventually(`the page says ${part} of: ${name}`, async () => part.test(await where.innerText()));
  const { y = 0, height = 0 } = (await alarm.boundingBox()) ?? {};
  assert.ok(y + height <= PHONE.height, `${name}: what is wrong ends at ${y + height} px`);
  // Of a config file and its patterns no archive comes first.
  if (name !== 'bad reload' && name !== 'no tables')
    assert.equal(await page.getByRole('article').first().getAttribute('aria-label'), 'page_views', name);
  await assertNoSidewaysScroll(page);
  if (PICTURES === undefined) return;
  await page.screenshot({ path: picture(name, 'phone') });
  await page.setViewportSize(DESK);
  await page.screenshot({ path: picture(name, 'desk') });
  await page.setViewportSize(PHONE);
}

function picture(night: string, form: string, type = 'png'): string {
  return path.join(PICTURES ?? '', `night-${night.replaceAll(' ', '-')}-${form}.${type}`);
}

describe('a real daemon in a bad night', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
  });

  test('says in its state, in status and on its page what fails and what is late, whatever else goes on', async (t) => {
    const view = await createGatedView(site, 'stuck', 20, 10);
    await createWideTable(site, 'events', 10);
    const daemon = await startBadly(site, view);
    const { counts, refusedConfig, archives } = await daemon.json<State>('/api/state');
    const expected = { archives: 5, failing: 2, late: 1, damaged: 0, purgesHeld: 0, standby: 0, paused: 1 };
    assert.deepEqual(counts, expected);
    assert.match(refusedConfig?.problems.join() ?? '', /tabel/);
    const failed = Object.fromEntries(archives.map(({ name, lastFailure }) => [name, lastFailure?.code]));
    assert.deepEqual([failed['source_down'], failed['bucket_gone']], ['connection-refused', 'bucket-missing']);
    const [down] = archives;
    assert.equal(down?.failuresInARow, 1);
    assert.equal(down.failingSince, down.lastFailure?.at);
    assert.deepEqual(down.source, { name: 'down', address: '127.0.0.1:1/app' });
    const status = await site.here(['status', '--socket', daemon.socket], daemon.config);
    assert.equal(status.code, 1, status.stderr);
    assert.match(status.stdout, /^2 failing, 1 late, 1 paused of 5 archives; the config file is refused\n/);
    assert.match(status.stdout, /^late +late, running /m);
    if (noBrowser === undefined) await assertPages(daemon);
    else t.diagnostic(noBrowser);
    await view.open();
    await daemon.stop();
  });
});

/** A daemon with two archives that fail, one that is late, one that is paused, and a config file that it has refused. */
async function startBadly(site: Site, view: GatedView): Promise<TestDaemon> {
  const retry = { attempts: 1 };
  const file = await site.writeConfig({
    sources: { default: { url: '${DATABASE_URL}' }, down: { url: 'postgres://nobody@127.0.0.1:1/app' } },
    destinations: { default: site.destination(), gone: site.destination({ url: 's3://no-such-bucket/pg' }) },
    archives: {
      source_down: { table: 'events', source: 'down', retry },
      bucket_gone: { table: 'events', destination: 'gone', retry },
      late: { table: view.table, schedule: EVERY_SECOND, lateAfter: '1s' },
      paused: { table: 'events', schedule: NEVER },
      well: { table: 'events' },
    },
    http: HTTP,
  });
  const daemon = await startDaemon(site, file);
  for (const name of ['source_down', 'bucket_gone', 'well'])
    assert.equal((await daemon.post(`/api/archives/${name}/run`)).status, 202);
  assert.equal((await daemon.post('/api/archives/paused/pause')).status, 200);
  await site.writeConfig({ archives: { well: { tabel: 'events' } } }, file);
  daemon.cli.kill('SIGHUP');
  await daemon.until('source_down', ({ failing }) => failing);
  await daemon.until('bucket_gone', ({ failing }) => failing);
  await daemon.until('late', ({ late, current }) => late && current?.status === 'running');
  await daemon.until('well', ({ lastSuccess }) => lastSuccess !== null);
  await daemon.cli.waitForLog('the new config is bad');
  return daemon;
}

/** The overview, and the page of an archive with its config and its commands. */
async function assertPages(daemon: TestDaemon): Promise<void> {
  const { page, complaints } = await openPage(`${daemon.url}/`, { viewport: PHONE });
  await page.getByRole('heading', { name: '2 failing, 1 late, config file refused' }).waitFor();
  await page.locator('.alarm').getByRole('link', { name: 'source_down' }).click();
  await page.getByRole('heading', { name: 'source_down' }).first().waitFor();
  await page.getByText('127.0.0.1:1/app').first().waitFor();
  await page.getByText(/pgsluice trigger source_down --run-id \d{8}T\d{6}Z --config/).waitFor();
  const yaml = await page.getByRole('region', { name: 'Config as YAML' }).innerText();
  assert.match(yaml, /url: ['"]?\*\*\*['"]?/);
  assert.doesNotMatch(yaml, /nobody/);
  await assertNoSidewaysScroll(page);
  await assertAccessible(page);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy the command to see its runs' }).click();
  await page.getByText('The command is on the clipboard').waitFor();
  const copied = await page.evaluate<string>('navigator.clipboard.readText()');
  assert.equal(copied, `pgsluice list source_down --config ${daemon.config}`);
  if (PICTURES !== undefined) {
    await page.screenshot({ path: picture('archive', 'phone'), fullPage: true });
    await page.setViewportSize(DESK);
    await page.screenshot({ path: picture('archive', 'desk'), fullPage: true });
  }
  await page.getByRole('link', { name: 'All archives' }).click();
  await page.getByRole('heading', { name: 'Archives', exact: true }).waitFor();
  await page.evaluate(`location.hash = '#/archives/other'`);
  await page.getByText('There is no archive other in the config').waitFor();
  assert.deepEqual(complaints, []);
}
