/** A real Chromium for the tests of the page: the system's, or the one that comes as a package. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after } from 'node:test';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const SYSTEM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** It asks nobody outside for anything: this machine may have no way out. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

/** What a page that works does long before. */
const WAIT_MS = 30_000;

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** A page, and all that it complained of. */
export interface WatchedPage {
  page: Page;
  /** Errors on the console, uncaught ones, violations of the content security policy, requests that left the origin. */
  complaints: string[];
}

let launched: Promise<Browser> | undefined;

/** Why there is no browser to test with; undefined when there is one. */
export async function reasonForNoBrowser(): Promise<string | undefined> {
  try {
    await openBrowser();
    return undefined;
  } catch (error) {
    return `no Chromium runs here: ${String(error).split('\n')[0] ?? ''}`;
  }
}

/** Opens `url` in a context of its own; it is closed with the browser at the end of the file. */
export async function openPage(url: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const browser = await openBrowser();
  // The language of a machine without one, en-US@posix, is none that Intl knows.
  const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1320, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== new URL(url).origin)
      complaints.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  return { page, complaints };
}

/** Fails when axe-core finds a serious violation, and names the elements. */
export async function assertAccessible(page: Page): Promise<void> {
  // Not by a script element: the policy of the page would refuse it. This way is the debugger's.
  const { readFile } = await import('node:fs/promises');
  await page.evaluate(await readFile(AXE, 'utf8'));
  const violations = await page.evaluate<string[]>(`axe.run().then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 200)).slice(0, 5).join(' | ')))`);
  assert.deepEqual(violations, []);
}

/** Fails when the page can be scrolled sideways, and names what sticks out. */
export async function assertNoSidewaysScroll(page: Page): Promise<void> {
  const wide = await page.evaluate<string[]>(`(() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    return [...document.body.querySelectorAll('*')]
      .filter((element) => element.getBoundingClientRect().right > room + 1)
      .map((element) => element.outerHTML.slice(0, 120)).slice(0, 8).concat('wider than ' + room);
  })()`);
  assert.deepEqual(wide, []);
}

async function openBrowser(): Promise<Browser> {
  launched ??= launch();
  return launched;
}

async function launch(): Promise<Browser> {
  const executablePath = SYSTEM.find((path) => existsSync(path)) ?? (await packagedChromium());
  return chromium.launch({ executablePath, args: ARGUMENTS, timeout: 30_000 });
}

/** Unpacks the browser of the package into the temporary folder, once for all later runs. */
async function packagedChromium(): Promise<string> {
  const { default: packaged } = await import('@sparticuz/chromium');
  return packaged.executablePath();
}

after(async () => {
  const browser = await launched?.catch(() => undefined);
  await browser?.close();
});
