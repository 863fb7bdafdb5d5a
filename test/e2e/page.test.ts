import assert from 'node:assert/strict';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { assertAccessible, assertNoSidewaysScroll, openPage, reasonForNoBrowser } from '../support/browser.ts';
import type { FormerArchive } from '../../src/audit/former-archives.ts';
import type { RehearsalFindings } from '../../src/audit/rehearsal/rehearsal-pass.ts';
import type { ProofStanding } from '../../src/daemon/audits.ts';
import type { PurgeStanding } from '../../src/daemon/purges.ts';
import type { RehearsalStanding } from '../../src/daemon/rehearsals.ts';
import type { ArchiveState } from '../../src/daemon/view/state.ts';
import type { RehearsalResult } from '../../src/ledger/rehearsals.ts';
import { TOKEN } from '../support/fake-daemon.ts';
import { openPageOf } from '../support/page.ts';
import {
  allStates,
  archiveOf,
  at,
  detailOf,
  FAILURE,
  historyOf,
  HOSTILE,
  purgeEnding,
  runningRun,
  segmentOf,
  SHOWN_FAILURE,
  success,
  windowsOf,
} from '../support/page-facts.ts';
import { createArticleTable } from '../../src/demo/article-table.ts';
import { eventually, type LogLine } from '../support/cli.ts';
import { HTTP, startDaemon } from '../support/daemon.ts';
import { createGatedView, createWideTable, openSite, type Site } from '../support/site.ts';

/** With this set to a folder, every state is kept there as a picture. */
const PICTURES = process.env['PGSLUICE_PICTURES'];

/** With this set to anything, the pictures of docs/images are taken anew, which takes some minutes; `pngquant` makes them small. */
const DOCS_PICTURES = process.env['PGSLUICE_DOCS_PICTURES'];
const DOCS_IMAGES = path.join(import.meta.dirname, '../../docs/images');

const PHONE = { viewport: { width: 320, height: 700 } };

const noBrowser = reasonForNoBrowser();

describe('the status page', { skip: noBrowser ?? false, concurrency: 4 }, () => {
  test('shows each state of an archive in words, with its last success, next run and failure', async () => {
    const { page, complaints } = await openPageOf({
      archives: allStates(),
      runs: historyOf(['fetch_queue', 'page_views', 'sessions']),
    });
    await page.getByRole('article', { name: 'fetch_queue' }).waitFor();
    const words = {
      fetch_queue: 'Running',
      page_views: 'Failing',
      order_events: 'Late',
      sessions: 'OK',
      audit_log: 'Paused',
      invoices: 'Never ran',
    };
    for (const [name, word] of Object.entries(words))
      assert.equal(await page.getByRole('article', { name, exact: true }).locator('.badge').first().innerText(), word);
    const failing = await page.getByRole('article', { name: 'page_views' }).innerText();
    const told: string[] = [...(Object.values(SHOWN_FAILURE) as string[]), `docs/errors.md#${FAILURE.code}`];
    for (const text of ['At 02:15', 'Europe/Berlin', '1d 1h ago', 'in 4h', ...told])
      assert.ok(failing.includes(text), `${text} is not in ${failing}`);
    assert.match(await page.getByRole('article', { name: 'order_events' }).innerText(), /due now/);
    assert.equal(await page.getByRole('article').first().getAttribute('aria-label'), 'page_views');
    assert.equal(
      await page.getByRole('button', { name: /Run now/ }).count(),
      0,
      'it is read-only without a token in the config',
    );
    assert.equal(await page.title(), '(2) pgsluice · db-archive-01');
    await assertAccessible(page);
    await picture(page, 'overview');
    assert.deepEqual(complaints, []);
  });

  test('shows windows as a calendar: each state in words, by the pointer and by the keyboard, with the way to its run', async () => {
    const detail = windowsOf('fetch_queue');
    const facts = {
      archives: [archiveOf('fetch_queue'), archiveOf('sessions')],
      windows: [detail],
      detail: detailOf(),
    };
    const { page, complaints } = await openPageOf(facts);
    const panel = page.getByRole('region', { name: 'Windows' });
    await panel.getByRole('heading', { name: /2026, 78 windows/ }).waitFor();
    for (const words of [
      'damaged',
      'failed',
      'running',
      'unfinished',
      'missing',
      'expired',
      'purged',
      'archived',
      'empty',
    ])
      await panel.getByRole('listitem').filter({ hasText: words }).waitFor();
    await panel.getByRole('link', { name: '2026-03-11: failed' }).hover();
    assert.match(await panel.locator('.window-told').innerText(), /2026-03-11: failed.*20260311T000000Z/);
    await panel.getByRole('link', { name: '2026-03-19: running' }).focus();
    for (const [key, name] of [
      ['ArrowUp', '2026-03-18: archived'],
      ['ArrowLeft', '2026-03-11: failed'],
      ['Home', '2026-01-01: archived'],
      ['ArrowRight', '2026-01-08: archived'],
    ] as const) {
      await page.keyboard.press(key);
      const label = await page.evaluate<string>('document.activeElement.getAttribute("aria-label")');
      assert.ok(label.startsWith(name), `${key} leads to ${label}`);
    }
    assert.match(await panel.locator('.window-told').innerText(), /4\d\d,\d{3} rows, 9\d\.\d MiB, committed/);
    await assertAccessible(page);
    await picture(page, 'windows');
    await panel.getByRole('button', { name: '2025-06' }).click();
    await panel.getByRole('heading', { name: /2025, 365 windows/ }).waitFor();
    await picture(page, 'windows-year');
    await panel.getByRole('link', { name: '2025-06-02: archived' }).click();
    await page.waitForURL('**/#/runs/fetch_queue/20250602T000000Z');
    assert.deepEqual(complaints, []);
  });

  test('shows windows on a phone: a tap tells, the next one leads to the run; hours by days', async () => {
    const windows = [windowsOf('fetch_queue'), windowsOf('sessions', 'hour'), windowsOf('invoices', 'month')];
    const archives = ['fetch_queue', 'sessions', 'invoices'].map((name) => archiveOf(name));
    const facts = { archives, windows, detail: detailOf() };
    const { page, complaints } = await openPageOf(facts, { ...PHONE, hasTouch: true }, '#/windows/fetch_queue');
    const panel = page.getByRole('region', { name: 'Windows' });
    const failed = panel.getByRole('link', { name: '2026-03-11: failed' });
    await failed.tap();
    assert.match(await panel.locator('.window-told').innerText(), /2026-03-11: failed/);
    const { width = 0 } = (await failed.boundingBox()) ?? {};
    assert.ok(width >= 24, `${width} px are too small for a finger`);
    await assertNoSidewaysScroll(page);
    await assertAccessible(page);
    await picture(page, 'windows-phone');
    await panel.getByLabel('Archive', { exact: true }).selectOption('sessions');
    await panel.getByRole('heading', { name: /2026-03, 463 windows/ }).waitFor();
    await assertNoSidewaysScroll(page);
    await picture(page, 'windows-phone-hours');
    await panel.getByLabel('Archive', { exact: true }).selectOption('invoices');
    await panel.getByRole('heading', { name: '140 windows' }).waitFor();
    await assertNoSidewaysScroll(page);
    await picture(page, 'windows-phone-months');
    await panel.getByLabel('Archive', { exact: true }).selectOption('fetch_queue');
    await failed.tap();
    await failed.tap();
    await page.waitForURL('**/#/runs/fetch_queue/20260311T000000Z');
    assert.deepEqual(complaints, []);
  });

  test('says of a purge what goes, what stayed and why, of an archive and of a run, and how it goes on', async () => {
    const totals = { deleted: 465_860, absent: 0, changed: 130, locked: 5, referenced: 2, inexact: 3, kept: 0 };
    const problem = { code: 'purge-triggers', message: `trigger ${HOSTILE} fires on each delete`, hint: 'Accept it.' };
    const ended = purgeEnding({ status: 'refused', reason: 'purge-triggers', problems: [problem] });
    const done = purgeEnding({ totals, totalsHere: { ...totals, locked: 0 } });
    const purges: PurgeStanding = {
      due: [{ run: '20261101T000000Z', rows: 466_000, dueMs: Date.now() - 7_200_000, isBegun: false }],
      ...{ held: [], last: done, lastPurged: done, failure: undefined },
      refused: new Map([[ended.run, ended]]),
    };
    const archives = [archiveOf('fetch_queue', {}, { purges }), archiveOf('sessions')];
    const purge = {
      state: 'running' as const,
      startedAt: at(-600).toISOString(),
      finishedAt: null,
      host: 'db-archive-01',
      totals,
    };
    const facts = { archives, detail: detailOf({ purge, purges: [done, ended] }) };
    const { page, daemon, complaints } = await openPageOf(facts);
    const line = page.getByRole('article', { name: 'fetch_queue' }).locator('.purge');
    await line.getByText('1 run due, the oldest since 2h').waitFor();
    const said = await line.innerText();
    for (const text of [
      'last 20261122T021500Z purged: 465,860 deleted, 130 changed since, 5 locked by somebody, 2 referred to by other rows, 3 with values',
      '1 run does not go by themselves',
      HOSTILE,
      'Accept it.',
    ])
      assert.ok(said.includes(text), `${text} is not in ${said}`);
    assert.equal(await page.getByRole('article', { name: 'sessions' }).locator('.purge').isVisible(), false);
    const current = {
      ...{ run: '20261101T000000Z', lines: 466_000, linesDone: 116_500, elapsedSeconds: 75, pause: null, totals },
      ...{ state: 'deleting' as const, percent: 25, step: null },
    };
    const saying = (change: Partial<typeof current>): void => {
      daemon.say({
        lie: (state) => ({
          ...state,
          archives: state.archives.map((one) => ({
            ...one,
            purge: one.purge && { ...one.purge, current: { ...current, ...change } },
          })),
        }),
      });
    };
    saying({});
    await line.getByText('deleting 20261101T000000Z 25% in 1m 15s, 465,860 deleted').waitFor();
    const pause = { reason: 'lag', message: 'db2 is far behind', hint: '', since: '', seconds: 20 };
    saying({ pause } as unknown as Partial<typeof current>);
    await line.getByText('20261101T000000Z pauses: db2 is far behind').waitFor();
    await assertAccessible(page);
    await picture(page, 'purge');
    await page.evaluate(`location.hash = '#/runs/fetch_queue/20261122T021500Z'`);
    const panel = page.getByRole('region', { name: 'Purge' });
    await panel.getByText(/^begun /).waitFor();
    await panel.getByText('465,860 deleted, 130 changed since, 5 locked by somebody').first().waitFor();
    const [first, second] = await panel.getByRole('listitem').allInnerTexts();
    assert.match(first ?? '', /^purged .*1m 15s · 465,860 deleted, 130 changed since, 2 referred/);
    assert.ok(second?.startsWith('refused ') && second.includes(HOSTILE) && second.includes('purge-triggers'), second);
    await assertAccessible(page);
    await picture(page, 'purged-run');
    daemon.facts.detail = detailOf();
    await page.reload();
    await page.getByRole('heading', { name: 'Manifest' }).waitFor();
    assert.equal(await panel.isVisible(), false, 'of a run that was never purged');
    assert.deepEqual(complaints, []);
  });

  test('shows by what an archive is trusted, and how many of its runs were proved', async () => {
    const daysAgo = (days: number): number => at(-86_400 * days).getTime();
    const run = (day: number, committed: number, provedMs: number | undefined) => ({
      ...{ run: `202601${String(day).padStart(2, '0')}T000000Z`, bytes: 1, committedMs: daysAgo(committed), provedMs },
    });
    const proofs: ProofStanding = {
      runs: [run(1, 90, daysAgo(40)), run(2, 80, daysAgo(3)), run(3, 70, daysAgo(2)), run(4, 9, undefined)],
      ...{ last: undefined, different: [], unreadable: new Set(), failure: undefined },
    };
    const rehearsed = (run: string, days: number, message?: string): RehearsalResult => ({
      ...{ run, at: at(-86_400 * days).toISOString(), rows: 10, objects: 1, objectsOfRun: 1, jsonBytes: 1, seconds: 1 },
      ...{ substitutes: [], host: 'h', status: message === undefined ? ('equal' as const) : ('different' as const) },
      ...(message !== undefined && { message, code: 'rehearsal-different' }),
    });
    const runs = proofs.runs as unknown as RehearsalFindings['runs'];
    const [first = '', second = ''] = runs.map(({ run }) => run);
    const back: RehearsalStanding = {
      findings: { runs, results: [rehearsed(first, 5)] },
      unknown: undefined,
      failure: undefined,
    };
    const lost: RehearsalStanding = {
      findings: { runs, results: [rehearsed(first, 5), rehearsed(second, 4, `not these rows ${HOSTILE}`)] },
      ...{ unknown: undefined, failure: { ...SHOWN_FAILURE, run: second } },
    };
    const archives = [
      archiveOf('fetch_queue', {}, { proofs, rehearsals: back }),
      archiveOf('page_views', {}, { rehearsals: lost }),
      archiveOf('sessions'),
    ];
    const former = [{ archive: 'orders', url: `s3://bucket/${HOSTILE}/orders/`, runs: 3, isMore: false }].map(
      (one) => ({
        ...{ ...one, latestRun: first },
        destination: { name: 'default' } as unknown as FormerArchive['destination'],
      }),
    );
    const { page, complaints } = await openPageOf({ archives, former });
    const below = await page.locator('.former').innerText();
    assert.match(
      below,
      /^Not in the config .*nothing is archived, purged or audited[^]*orders · 3 runs, the latest 20260101/,
    );
    assert.ok(below.includes(HOSTILE));
    const row = page.getByRole('article', { name: 'fetch_queue' });
    const textOf = async (name: string): Promise<string> =>
      (await page.getByRole('article', { name }).innerText()).replaceAll(/\s+/g, ' ');
    const text = await textOf('fetch_queue');
    assert.match(text, /last archived 3h \d\dm ago last proved 2d( 0h)? ago oldest unproved 9d( 0h)? ago/);
    assert.match(text, /ago last rehearsed 5d( 0h)? ago .*Rehearsals 1 of 4 runs came back as archived/);
    assert.doesNotMatch(text, /did not come back/);
    const other = await textOf('page_views');
    assert.match(
      other,
      /last archived 3h \d\dm ago last rehearsed 4d( 0h)? ago, did not come back Rehearsals 1 run did/,
    );
    for (const said of [`${second} did not come back`, HOSTILE, SHOWN_FAILURE.message])
      assert.ok(other.includes(said), `${said} is not in ${other}`);
    assert.doesNotMatch(other, /Proofs|last proved/);
    assert.doesNotMatch(await textOf('sessions'), /last archived|Rehearsals/);
    const label = await row.locator('.share-bar').getAttribute('aria-label');
    assert.equal(label, 'Runs by their proofs: 3 proved in time, 1 never proved');
    assert.equal(await page.getByRole('article', { name: 'sessions' }).locator('.share-bar').count(), 0);
    await assertAccessible(page);
    await picture(page, 'trust');
    assert.deepEqual(complaints, []);
  });

  test('is dark where dark is preferred, and as readable', async () => {
    const { page, complaints } = await openPageOf(
      { archives: allStates(), canAct: true, runs: historyOf(['fetch_queue']) },
      { colorScheme: 'dark' },
    );
    await page.getByRole('article', { name: 'fetch_queue' }).waitFor();
    await assertAccessible(page);
    await picture(page, 'dark');
    assert.deepEqual(complaints, []);
  });

  test('fits a phone of 320 pixels, both views', async () => {
    const long = 'an_archive_with_a_name_that_somebody_thought_should_say_all_there_is_to_say_about_it';
    const archives = [
      ...allStates(),
      archiveOf(long, { lastFailure: FAILURE, health: 'failing', lastSuccess: undefined }),
    ];
    const { page, complaints } = await openPageOf(
      { archives, canAct: true, runs: historyOf(['fetch_queue', long]), detail: detailOf({ error: SHOWN_FAILURE }) },
      PHONE,
    );
    await page.locator('.chart-card').first().waitFor();
    await assertNoSidewaysScroll(page);
    await assertAccessible(page);
    await picture(page, 'narrow');
    await page.evaluate(`location.hash = '#/runs/${long}/20261122T021500Z'`);
    await page.getByRole('heading', { name: 'Manifest' }).waitFor();
    await assertNoSidewaysScroll(page);
    await assertAccessible(page);
    await picture(page, 'narrow-run');
    assert.deepEqual(complaints, []);
  });

  test('follows a run live', async () => {
    const { page, daemon, complaints } = await openPageOf({ archives: allStates() });
    const bar = page.getByRole('progressbar', { name: 'Progress of fetch_queue' });
    await bar.waitFor();
    assert.equal(await bar.getAttribute('aria-valuenow'), '45');
    daemon.say({ archives: [archiveOf('fetch_queue', {}, { current: runningRun('fetch_queue', 382_586) })] });
    await page.getByText('382,586 of ~466,000').waitFor();
    assert.equal(await bar.getAttribute('aria-valuenow'), '82');
    const stalled = { seconds: 340, waitsFor: ['UploadPart of pg/fetch_queue/part-00003'] };
    const stall = (one: ArchiveState): ArchiveState => ({
      ...one,
      current: one.current && { ...one.current, stalled },
    });
    daemon.say({ lie: (state) => ({ ...state, archives: state.archives.map(stall) }) });
    await page.getByText('Nothing has moved for 5m 40s. It waits for UploadPart of pg/').waitFor();
    const pause = {
      reason: 'lag' as const,
      message: 'db2 is far behind',
      hint: 'Look at db2.',
      since: '',
      seconds: 340,
    };
    const hold = (one: ArchiveState): ArchiveState => ({ ...one, current: one.current && { ...one.current, pause } });
    daemon.say({ lie: (state) => ({ ...state, archives: state.archives.map(hold) }) });
    await page.getByText('Paused for 5m 40s by its pace: db2 is far behind. Look at db2.').waitFor();
    const host = { host: 'arch-02', pid: 812, version: '0.1.0', threads: 8, isLive: true };
    const hosts = [
      { ...host, tasks: ['fetch_queue/20261123T021500Z/3', 'fetch_queue/20261123T021500Z/4'] },
      { ...host, host: 'arch-03', isLive: false, tasks: [] },
      { ...host, host: 'arch-04', version: '0.0.9', tasks: [] },
    ];
    daemon.say({ lie: (state) => ({ ...state, hosts }) });
    await page.getByText('arch-04, process 812').waitFor();
    await page.getByText('version 0.0.9 does none of this version').waitFor();
    const said = await page.getByRole('listitem').filter({ hasText: 'process 812' }).allInnerTexts();
    assert.match(said[0] ?? '', /2 of 8 busy\s+fetch_queue\/20261123T021500Z\/3, fetch_queue\/20261123T021500Z\/4/);
    assert.match(said[1] ?? '', /silent/);
    await assertAccessible(page);
    daemon.say({ lie: (state) => state });
    await page.getByText('process 812').first().waitFor({ state: 'hidden' });
    await page.getByText('Paused for').waitFor({ state: 'hidden' });
    const archives = [archiveOf('fetch_queue', { lastSuccess: success(0, '20261123T021500Z') })];
    daemon.say({ archives, runs: historyOf(['fetch_queue'], 1) });
    await page.getByText('Nothing is running. Next is fetch_queue, in 4h').waitFor();
    await page.getByRole('cell', { name: '20261122T021500Z' }).waitFor();
    assert.equal(await page.locator('#announcer').textContent(), 'fetch_queue is now ok');
    assert.deepEqual(complaints, []);
  });

  test('says which host has a run that this one stands by for, and from which it took one up', async () => {
    const held = { ...runningRun('fetch_queue'), state: 'standby', holder: 'db-archive-02' } as const;
    const runs = historyOf(['fetch_queue'], 1).map((run) => ({ ...run, otherHost: 'db-archive-03' }));
    const archives = [archiveOf('fetch_queue', {}, { current: held })];
    const { page, daemon, complaints } = await openPageOf({ archives, runs, canAct: true });
    await page.getByText('in progress on db-archive-02').waitFor();
    await page.getByText('taken up from db-archive-03').waitFor();
    await page.getByText('Standby', { exact: true }).first().waitFor();
    assert.equal(await page.getByRole('progressbar', { name: 'Progress of fetch_queue' }).count(), 0);
    // What another host has is cancelled there.
    assert.equal(await page.getByRole('button', { name: 'Cancel: fetch_queue' }).count(), 0);
    held.progress?.tookUp('db-archive-02');
    daemon.say({ archives: [archiveOf('fetch_queue', {}, { current: { ...held, state: 'running' } })] });
    await page.getByText('taken up from db-archive-02').waitFor();
    await assertAccessible(page);
    assert.deepEqual(complaints, []);
  });

  test('draws memory against its limits, and says it in words too', async () => {
    const { page } = await openPageOf({ archives: allStates() });
    await page.locator('.chart canvas').waitFor();
    const words = (await page.locator('.chart').getAttribute('aria-label')) ?? '';
    assert.match(words, /173 MiB of a limit of \d+ MiB.*of a limit of 80.0 MiB\. 12,\d{3},\d{3} rows were archived/);
    const before = await page.locator('.chart canvas').boundingBox();
    await page.setViewportSize({ width: 700, height: 800 });
    await becomesTrue(
      page,
      `document.querySelector('.chart canvas').getBoundingClientRect().width !== ${before?.width ?? 0}`,
    );
    await assertNoSidewaysScroll(page);
  });

  test('asks for the token once, keeps it in memory only, and asks again when it is refused', async () => {
    const { page, daemon } = await openPageOf({ archives: allStates(), canAct: true });
    await page.getByRole('button', { name: 'Run now: sessions' }).click();
    await page.getByLabel('Needed to run sessions').fill('wrong');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('The daemon refused: a bearer token is needed').waitFor();
    await assertAccessible(page);
    await page.getByLabel('Needed to run sessions').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.getByText('sessions: run requested').waitFor();
    await page.getByRole('button', { name: 'Cancel: fetch_queue' }).click();
    await page.getByRole('button', { name: 'Cancel the run' }).click();
    await page.getByText('fetch_queue: cancel requested').waitFor();
    await page.getByRole('button', { name: 'Resume: audit_log' }).click();
    await page.getByText('audit_log: schedule resumed').waitFor();
    assert.deepEqual(daemon.orders, ['run sessions', 'cancel fetch_queue', 'resume audit_log']);
    assert.equal(await page.evaluate('localStorage.length + sessionStorage.length + document.cookie.length'), 0);
  });

  test('says since when it is stale, and comes back by itself', async () => {
    const { page, daemon } = await openPageOf({ archives: allStates() });
    await page.getByText(/^Live · /).waitFor();
    daemon.facts.broken = true;
    daemon.hangUp();
    await page.getByText(/^Stale since \d\d:\d\d:\d\d\.$/).waitFor();
    await page.getByText(/Next try in \d+ second/).waitFor();
    await page.getByText('This is a defect in pgsluice; the log says more.').waitFor();
    assert.match(await page.title(), /^\(disconnected\)/);
    await assertAccessible(page);
    await picture(page, 'disconnected');
    daemon.facts.broken = false;
    // It may have come back by itself before the button could be pressed.
    await page
      .getByRole('button', { name: 'Try now' })
      .click({ timeout: 3000 })
      .catch(() => undefined);
    await page.getByText(/^Live · /).waitFor();
    assert.equal(await page.locator('#banner').isVisible(), false);
  });

  test('says so when there is no data at all, no archive, or no run', async () => {
    const down = await openPageOf({ broken: true });
    await down.page.getByText('No data from the daemon.').waitFor();
    const empty = await openPageOf({ samples: [] });
    await empty.page.getByText('The config has no archives yet.').waitFor();
    await empty.page.getByText('No run has ended yet.').waitFor();
    await empty.page.getByText('The chart begins with the second sample.').waitFor();
    await assertAccessible(empty.page);
    await picture(empty.page, 'empty');
    await empty.page.evaluate(`location.hash = '#/runs/a/20261122T021500Z'`);
    await empty.page.getByText('There is no run 20261122T021500Z of a').waitFor();
  });

  test('shows one run with its segments, attempts, failure and hint, and its manifest', async () => {
    const failed = detailOf({
      status: 'failed',
      error: SHOWN_FAILURE,
      manifest: null,
      segments: [
        segmentOf(0, 'done', { rows: 58_250, bytes: 12.6e6 }),
        segmentOf(1, 'failed', { attempts: 5, error: SHOWN_FAILURE }),
        segmentOf(2, 'waiting'),
      ],
      attempts: historyOf(['fetch_queue'], 6).slice(4),
    });
    const { page, daemon, complaints } = await openPageOf(
      { archives: allStates(), detail: failed },
      {},
      '#/runs/fetch_queue/20261122T021500Z',
    );
    await page.getByRole('heading', { name: 'fetch_queue 20261122T021500Z' }).waitFor();
    await page.getByText(FAILURE.hint).first().waitFor();
    await page.getByText('There is no manifest').waitFor();
    assert.match(await page.getByRole('row', { name: /Failed/ }).innerText(), /1\s+Failed\s+5/);
    await assertAccessible(page);
    await picture(page, 'failed-run');
    daemon.facts.detail = detailOf();
    await page.getByRole('link', { name: 'All archives' }).click();
    await page.getByRole('heading', { name: 'Archives' }).waitFor();
    await page.goBack();
    await page.getByText('8 objects, 466,000 rows').waitFor();
    await page.locator('summary', { hasText: 'objects' }).click();
    await page.getByText('part-00007.jsonl.gz').click();
    await page.getByText('0badcafe').waitFor();
    assert.equal(await page.title(), '(2) pgsluice · db-archive-01');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy JSON' }).click();
    await page.getByText('The manifest is on the clipboard').waitFor();
    assert.deepEqual(
      JSON.parse(await page.evaluate<string>('navigator.clipboard.readText()')),
      daemon.facts.detail.manifest,
    );
    await assertAccessible(page);
    await picture(page, 'run');
    assert.deepEqual(complaints, []);
  });

  test('finds one of 200 archives, and stays quick', async () => {
    const failing = { health: 'failing' as const, lastFailure: FAILURE, lastSuccess: undefined };
    const archives = Array.from({ length: 200 }, (_none, index) =>
      archiveOf(`tenant_${index}`, index % 50 === 7 ? failing : {}),
    );
    const runs = historyOf(archives.slice(0, 25).map(({ name }) => name));
    const { page, daemon, complaints } = await openPageOf({ archives, runs });
    await page.getByText('200 archives', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Show 196 archives that are well' }).waitFor();
    assert.equal(await page.getByRole('article').count(), 4, 'those that are well are folded');
    assert.equal(await page.getByRole('article').first().getAttribute('aria-label'), 'tenant_107');
    const took = await page.evaluate(`new Promise((resolve) => {
      const began = performance.now();
      setTimeout(() => requestAnimationFrame(() => resolve(performance.now() - began)));
    })`);
    // A busy machine takes some seconds for anything.
    assert.ok(Number(took) < 10_000, `a frame took ${String(took)} ms`);
    await page.getByLabel('Find an archive').fill('tenant_19');
    await page.getByText('11 of 200 archives').waitFor();
    daemon.say({ archives });
    assert.equal(await page.evaluate('document.activeElement.id'), 'search');
    await page.getByLabel('Find an archive').fill('');
    await page.getByRole('button', { name: '4 failing' }).click();
    await page.getByText('4 of 200 archives').waitFor();
    assert.deepEqual(complaints, []);
  });

  test('can be used by keyboard', async () => {
    const { page } = await openPageOf({ archives: allStates(), canAct: true });
    await page.getByRole('article', { name: 'sessions' }).waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate('document.activeElement.id'), 'main');
    await page.getByRole('button', { name: 'Pause: sessions' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await becomesTrue(page, `document.activeElement.getAttribute('aria-label') === 'Pause: sessions'`);
  });
});

describe('the status page of a real daemon', { skip: noBrowser ?? false }, () => {
  const token = 'a-token-of-the-test';
  let site: Site;

  before(async () => {
    site = await openSite();
  });

  test('shows a run live, then its manifest; a failure with its hint; and runs an archive by its button', async () => {
    const view = await createGatedView(site, 'slow', 400, 300);
    await createWideTable(site, 'broken', 50);
    const config = await site.writeConfig({
      archives: {
        slow: { table: 'slow', schedule: '0 3 * * *', timezone: 'Europe/Berlin' },
        broken: { table: 'broken', retry: { attempts: 1, backoff: '100ms' } },
      },
      http: { ...HTTP, token },
    });
    const { cli, url } = await startDaemon(site, config);
    const { page, complaints } = await openPage(`${url}/`);
    const slow = page.getByRole('article', { name: 'slow' });
    await slow.getByText('At 03:00').waitFor();
    await slow.getByText('Europe/Berlin').waitFor();

    await page.getByRole('button', { name: 'Run now: slow' }).click();
    await page.getByLabel('Needed to run slow').fill(token);
    await page.keyboard.press('Enter');
    await view.reached();
    await page.getByRole('progressbar', { name: 'Progress of slow' }).waitFor();
    await slow.getByText('Running').waitFor();
    await page.locator('.chart canvas').waitFor();
    await view.open();
    await slow.getByText('400 rows in').waitFor();
    await page
      .getByRole('row', { name: /slow .* Committed .* 400/ })
      .getByRole('link')
      .click();
    await page.getByText('1 object, 400 rows').waitFor();
    await page.getByText(/pgsluice.manifest.\d/).waitFor();
    await assertAccessible(page);
    await page.goBack();

    site.proxy.order('PutObject', { kind: 'error', status: 403, code: 'AccessDenied' }, 1000, 'part-00000.jsonl.gz');
    await page.getByRole('button', { name: 'Run now: broken' }).click();
    const broken = page.getByRole('article', { name: 'broken' });
    await broken.getByText('Failing').waitFor();
    const hint = await broken.locator('.failure-hint').innerText();
    assert.ok(hint.length > 20, hint);
    await broken.locator('.failure').getByRole('link').click();
    await page.getByText('Why it failed').waitFor();
    await page.locator('section.failure').getByText(hint).waitFor();
    await page.getByText('There is no manifest').waitFor();
    assert.deepEqual(complaints, []);

    cli.kill('SIGTERM');
    await page.getByText(/^Stale since/).waitFor();
    assert.equal((await cli.ended()).code, 0, cli.stderr);
  });
});

if (DOCS_PICTURES !== undefined) {
  describe('the pictures of the documentation', () => {
    const rows = { fetch_queue: 466_000, page_views: 300_000, order_events: 120_000, sessions: 80_000 };
    const names = Object.keys(rows);
    const token = 'a-token-of-the-test';

    test(
      'are taken of a real daemon during runs; those of a bad night are made by page-nights.test.ts',
      { timeout: 600_000 },
      async () => {
        const site = await openSite();
        for (const [name, count] of Object.entries(rows))
          await createArticleTable(site.database.client, { table: `public.${name}`, rows: count });
        const schedules = {
          fetch_queue: '15 2 * * *',
          page_views: '0 */12 * * *',
          order_events: '30 1 * * 1-5',
          sessions: '0 3 * * 1',
        };
        const archives = Object.fromEntries(
          Object.entries(schedules).map(([name, schedule]) => [
            name,
            { table: `public.${name}`, schedule, timezone: 'Europe/Berlin', segments: { targetSize: '48MiB' } },
          ]),
        );
        const daemon = await startDaemon(site, await site.writeConfig({ archives, http: { ...HTTP, token } }));
        const { cli } = daemon;
        const url = `${daemon.url}/`;
        const order = async (name: string): Promise<void> => {
          const headers = { Authorization: `Bearer ${token}` };
          // Its line in the log is there a moment before a run gives way to the next.
          await eventually(
            `${name} is begun`,
            async () => (await fetch(`${url}api/archives/${name}/run`, { method: 'POST', headers })).ok,
          );
        };
        const ended = (line: LogLine): boolean => line.status === 'committed' || line.status === 'failed';
        for (let round = 1; round <= 2; round += 1) {
          for (const name of names) await order(name);
          await cli.waitForLog(ended, round * names.length);
        }
        const { page } = await openPage(url, { viewport: { width: 1280, height: 1000 } });
        await page.getByText('Nothing is running').waitFor();
        for (const name of names) await order(name);
        await daemon.until('fetch_queue', ({ current }) => (current?.percent ?? 0) > 40);
        await page
          .getByText(/^[45]\d%$/)
          .first()
          .waitFor();
        await page.screenshot({ path: path.join(DOCS_IMAGES, 'status-page-running.png') });
        await cli.waitForLog(ended, 3 * names.length);
        cli.kill('SIGTERM');
        await cli.ended();
      },
    );
  });
}

/** Waits for an expression; not by Playwright's own waiting, which evaluates in the page, as its policy forbids. */
async function becomesTrue(page: Page, expression: string): Promise<void> {
  await eventually(expression, () => page.evaluate<boolean>(expression));
}

/** A picture of the whole page for the one who designs it; not taken in a usual run. */
async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES !== undefined) await page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });
}
