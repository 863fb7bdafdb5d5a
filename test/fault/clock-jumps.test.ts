/**
 * The real daemon under a system clock that jumps, by libfaketime: it reads once a second what a file says of it, and leaves
 * the monotonic clock alone, by which timers go.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RunEnding } from '../../src/daemon/run-ending.ts';
import { parseRunId } from '../../src/ledger/run-id.ts';
import { eventually } from '../support/cli.ts';
import { HTTP, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { skipWithout } from '../support/needs.ts';
import { openSite } from '../support/site.ts';

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** How far ahead of the machine's clock it is set. PGSLUICE_TEST_JUMPS=all tries more. */
const MANY = [SECOND_MS, 10 * SECOND_MS, HOUR_MS, DAY_MS, 60 * DAY_MS, 400 * DAY_MS].flatMap((ms) => [ms, 0, -ms, 0]);
const jumps = process.env['PGSLUICE_TEST_JUMPS'] === 'all' ? MANY : [60 * DAY_MS, 0];
/** Far above what a daemon that has just begun grows by itself; 60 days of seconds, one by one, took 600. */
const MOST_GROWTH_MIB = 200;

/** A clock that is set by its distance from that of the machine. */
class FakeClock {
  readonly #file: string;
  #aheadMs = 0;

  constructor(file: string) {
    this.#file = file;
    this.setAhead(0);
  }

  get now(): number {
    return Date.now() + this.#aheadMs;
  }

  setAhead(byMs: number): void {
    this.#aheadMs = byMs;
    // In one step: what it reads half of a file makes libfaketime end the process, or hang in that.
    writeFileSync(`${this.#file}.new`, `${byMs < 0 ? '' : '+'}${byMs / SECOND_MS}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }

  set(time: string): void {
    this.setAhead(Date.parse(time) - Date.now());
  }

  get environment(): Record<string, string> {
    // The wrapper knows where its library is.
    const { stdout } = spawnSync('faketime', ['2026-01-01 00:00:00', 'printenv', 'LD_PRELOAD'], { encoding: 'utf8' });
    assert.notEqual(stdout.trim(), '');
    return {
      LD_PRELOAD: stdout.trim(),
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_CACHE_DURATION: '1',
      DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }
}

/** Resolves to the runs of the archive that were committed for slots of the hour after this time. */
async function runsSince(daemon: TestDaemon, archive: string, sinceMs: number): Promise<string[]> {
  const { runs } = await daemon.json<{ runs: RunEnding[] }>(`/api/history?archive=${archive}&limit=50`);
  const isOfThem = ({ status, run }: RunEnding): boolean => {
    const afterMs = parseRunId(run).getTime() - sinceMs;
    return status === 'committed' && afterMs >= 0 && afterMs < HOUR_MS;
  };
  return runs.filter(isOfThem).map(({ run }) => run);
}

/** Milliseconds that the daemon took for its slowest answer, until a slot after now was archived. */
async function waitForSlot(daemon: TestDaemon, clock: FakeClock): Promise<number> {
  const sinceMs = clock.now;
  let slowestMs = 0;
  await eventually('a slot after the jump is archived', async () => {
    const askedAt = performance.now();
    assert.equal((await daemon.get('/healthz')).status, 200);
    slowestMs = Math.max(slowestMs, performance.now() - askedAt);
    return (await runsSince(daemon, 'seconds', sinceMs)).length > 0;
  });
  return slowestMs;
}

function rssBytes({ cli }: TestDaemon): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${cli.pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

/** Slots come as before, at once, whatever was jumped over; and nothing of that is kept in memory. */
async function jumpAbout(t: TestContext, daemon: TestDaemon, clock: FakeClock): Promise<void> {
  const rssBefore = rssBytes(daemon);
  for (const aheadMs of jumps) {
    clock.setAhead(aheadMs);
    const slowestMs = await waitForSlot(daemon, clock);
    const grownMiB = (rssBytes(daemon) - rssBefore) / 1024 ** 2;
    const what = `to ${aheadMs / SECOND_MS} s ahead: slowest answer ${slowestMs.toFixed()} ms, RSS ${grownMiB.toFixed()} MiB more`;
    t.diagnostic(what);
    assert.ok(grownMiB < MOST_GROWTH_MIB, what);
  }
  assert.ok(daemon.cli.log.some(({ msg }) => msg.startsWith('the clock has jumped')));
}

/** Of the slots of a schedule of five fields that were jumped over, the latest is made. */
async function jumpOver(daemon: TestDaemon, clock: FakeClock): Promise<void> {
  clock.setAhead(50 * HOUR_MS);
  const passedMs = Math.floor(clock.now / HOUR_MS) * HOUR_MS;
  await eventually('the latest slot is archived', async () => (await runsSince(daemon, 'hourly', passedMs)).length > 0);
}

interface Change {
  justBefore: string;
  slot: string;
  /** Right after what the clocks would show as the same time. */
  again: string;
}

/** When the clocks of Berlin are set ahead, 2:30 is not shown, and due at the jump; when they are set back, at the first of two. */
const CHANGES: Change[] = [
  { justBefore: '2027-03-28T00:59:57Z', slot: '20270328T010000Z', again: '2027-03-28T01:30:05Z' },
  { justBefore: '2027-10-31T00:29:57Z', slot: '20271031T003000Z', again: '2027-10-31T01:30:05Z' },
];

async function changeClocks(daemon: TestDaemon, clock: FakeClock, { justBefore, slot, again }: Change): Promise<void> {
  clock.set(justBefore);
  const sinceMs = clock.now;
  await eventually(`${slot} is archived`, async () => (await runsSince(daemon, 'nightly', sinceMs)).length > 0);
  clock.set(again);
  await waitForSlot(daemon, clock);
  const { runs } = await daemon.json<{ runs: RunEnding[] }>('/api/history?archive=nightly&limit=10');
  const ofThatNight = runs.filter(({ run }) => run.startsWith(slot.slice(0, 8)));
  assert.deepEqual(
    ofThatNight.map(({ run, status }) => [run, status]),
    [[slot, 'committed']],
  );
}

test(
  'a daemon whose clock jumps goes on at once, and takes no more memory',
  { skip: skipWithout('faketime') },
  async (t) => {
    const site = await openSite();
    await site.database.client.query('CREATE TABLE small AS SELECT 1 AS id');
    const clock = new FakeClock(path.join(site.folder, 'clock'));
    const archive = { table: 'public.small', timezone: 'Europe/Berlin' };
    const config = await site.writeConfig({
      archives: {
        seconds: { ...archive, schedule: '*/2 * * * * *', catchUp: 'none' },
        hourly: { ...archive, schedule: '0 * * * *' },
        nightly: { ...archive, schedule: '30 2 * * *' },
      },
      destinations: { default: { url: `file://${site.folder}/archive` } },
      http: HTTP,
    });
    const daemon = await startDaemon(site, config, clock.environment);
    await jumpAbout(t, daemon, clock);
    await jumpOver(daemon, clock);
    for (const change of CHANGES) await changeClocks(daemon, clock, change);
  },
);
