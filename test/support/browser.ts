/** A real Chromium for the tests of the page: the system's, or the one that comes as a package. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after } from 'node:test';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { unpackChromium } from './chromium.ts';

const SYSTEM_FONTS = '/etc/fonts/fonts.conf';
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

/** Unpacked and cold, on a busy machine. */
const LAUNCH_LIMIT_MS = 60_000;

/** What a page that works does long before. */
const WAIT_MS = 30_000;

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** A page, and all that it complained of. */
export interface WatchedPage {
  page: Page;
  /** Errors on the console, uncaught ones, violations of the content security policy, requests that left the origin. */
  complaints: string[];
}

/** How a page is opened; `prepare` is done with it before it asks for anything. */
export type PageOptions = BrowserContextOptions & { prepare?: (page: Page) => Promise<unknown> };

let launched: Promise<Browser> | undefined;

/**
 * Why no browser can be had here; undefined when there should be one. One that does not start is a failure of the tests
 * that need it, not a reason to leave them out.
 */
export function reasonForNoBrowser(): string | undefined {
  if (systemChromium() !== undefined || (process.platform === 'linux' && process.arch === 'x64')) return undefined;
  return `there is no Chromium here, and none comes as a package for ${process.platform} on ${process.arch}`;
}

/** Opens `url` in a context of its own; it is closed with the browser at the end of the file. */
export async function openPage(url: string, options: PageOptions = {}): Promise<WatchedPage> {
  const { prepare, ...contextOptions } = options;
  const browser = await openBrowser();
  const context = await browser.newContext({
    locale: 'en-US',
    viewport: { width: 1320, height: 900 },
    ...contextOptions,
  });
  const page = await context.newPage();
  await prepare?.(page);
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
  const options = { args: ARGUMENTS, timeout: LAUNCH_LIMIT_MS };
  const system = systemChromium();
  if (system !== undefined) return chromium.launch({ ...options, executablePath: system });
  const { executable: executablePath, libraries, fonts } = await unpackChromium();
  const environment = existsSync(SYSTEM_FONTS) ? process.env : { ...process.env, FONTCONFIG_PATH: fonts };
  try {
    return await chromium.launch({ ...options, executablePath, env: defined(environment) });
  } catch (error) {
    if (!String(error).includes('error while loading shared libraries')) throw error;
    const env = defined({ ...environment, LD_LIBRARY_PATH: libraries });
    return chromium.launch({ ...options, executablePath, env });
  }
}

function systemChromium(): string | undefined {
  return SYSTEM.find((file) => existsSync(file));
}

function defined(environment: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

after(async () => {
  const browser = await launched?.catch(() => undefined);
  await browser?.close();
});
