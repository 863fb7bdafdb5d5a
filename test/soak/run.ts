/** `npm run soak`: the real daemon for half an hour under what really happens, and a report; exit 1 when something is wrong. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import path from 'node:path';
import { Closers } from '../../src/base/closers.ts';
import { UsageError } from '../../src/base/errors.ts';
import { createLog } from '../../src/base/log.ts';
import { watchInterrupts } from '../../src/commands/interrupt.ts';
import { openHistory } from '../../src/daemon/history/history.ts';
import { newSeed, openRandom } from '../support/random.ts';
import { Application, TABLES } from './application.ts';
import { type Disturbance, type Disturbed, HARD, KILLS, PASSING, shuffled } from './disturbances.ts';
import { Lives, ROWS_AT_ONCE } from './lives.ts';
import { Proofs } from './proofs.ts';
import { describe, type Findings, judge } from './report.ts';
import { INTERVAL_MS, openSite, type SoakSite } from './site.ts';
import { compareWithHistory } from './skips.ts';
import { SlotBook } from './slot-book.ts';
import { SourceView } from './source-view.ts';

const HELP = `npm run soak -- [options]

  --minutes N   how long, 30 by default; a part of a minute is possible
  --seed N      the same disturbances again
  --log FILE    what the daemons say goes there
`;

/** The compiled program, which is what users run. */
const PROGRAM = path.join(import.meta.dirname, '../../dist/bin.js');

/** In the first third the daemon is killed again and again; then it lives on, as growth shows in a long life alone. */
const KILLS_PART = 1 / 3;
const KILL_EVERY_MS = 15_000;
const DISTURB_EVERY_MS = 8000;
const DISTURB_HARD_EVERY_MS = 45_000;
const SAMPLE_EVERY_MS = 2000;
const PROVE_EVERY_MS = 10_000;
/** Runs are kept for so long. */
const KEEP_MS = 120_000;
/** For what is in progress at the end, and what is taken up: each run that failed without S3 is watched for 90 s before. */
const SETTLE_MS = 600_000;
/** The reload that ends the slots may not have come when it is looked for the first time. */
const RESTFUL_LOOKS = 3;
const MOST_SHOWN = 50;

process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.problems.join('\n')}\n`);
  return 2;
});

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '30' },
      seed: { type: 'string' },
      log: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const minutes = Number(values.minutes);
  if (!(minutes > 0 && minutes <= 24 * 60)) throw new UsageError(`--minutes takes up to 1440, not "${values.minutes}"`);
  const seed = values.seed === undefined ? newSeed() : Number(values.seed);
  if (!Number.isInteger(seed)) throw new UsageError(`--seed takes a whole number, not "${values.seed ?? ''}"`);
  const interrupt = watchInterrupts();
  const closers = new Closers();
  try {
    return await soak({ lengthMs: minutes * 60_000, seed, logFile: values.log }, closers, interrupt.signal);
  } finally {
    await closers.close();
    interrupt.release();
  }
}

interface SoakOptions {
  lengthMs: number;
  seed: number;
  logFile: string | undefined;
}

async function soak(options: SoakOptions, closers: Closers, interrupt: AbortSignal): Promise<number> {
  const { lengthMs, seed, logFile } = options;
  const startedAt = Date.now();
  const random = openRandom(seed);
  const site = await openSite(closers);
  const application = new Application(site.postgres.url, random);
  closers.add('the application', () => application.stop());
  await application.start();
  const book = new SlotBook();
  const source = new SourceView(site.postgres.url);
  const lives = new Lives({ program: PROGRAM, logFile, site, book, countConnections: () => source.countSessions() });
  closers.add('the daemon', () => {
    lives.killAtOnce();
  });
  const proofs = new Proofs(site.store, site.keyPrefix, KEEP_MS, (archive, run) => {
    book.committed(archive, run);
  });
  await lives.start();
  const disturbances = new Map<string, number>();
  await disturb({ site, lives, source, random }, proofs, disturbances, lengthMs, interrupt);
  const lastSlotMs = await comeToRest(site, lives);
  const left = await whatIsLeft(site, lives, source, proofs);
  await readLastRows(site, book);
  await application.stop();
  const byReason = new Map<string, number>();
  for (const { reason } of lives.saidSkips) byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
  const findings: Findings = {
    ...{ seed, seconds: (Date.now() - startedAt) / 1000, starts: lives.startsMs.length, kills: lives.killsMs.length },
    ...{ disturbances, transfers: application.transfers, samples: lives.longest.samples, left },
    slots: book.report(
      TABLES.map(({ archive }) => archive),
      INTERVAL_MS,
      lives.startsMs,
      lastSlotMs,
    ),
    skips: { said: lives.saidSkips.length, kept: book.skips.length, byReason },
    failures: book.failures,
    troubles: lives.troubles,
    runs: proofs,
    problems: [
      ...lives.problems,
      ...compareWithHistory(lives.saidSkips, book.skips, lives.killsMs),
      ...proofs.problems,
    ],
  };
  process.stdout.write(describe(findings));
  const wrong = judge(findings);
  for (const problem of wrong.slice(0, MOST_SHOWN)) process.stdout.write(`wrong: ${problem}\n`);
  if (wrong.length > MOST_SHOWN) process.stdout.write(`wrong: and ${wrong.length - MOST_SHOWN} more\n`);
  process.stdout.write(wrong.length === 0 ? 'all is well\n' : `${wrong.length} things are wrong\n`);
  return wrong.length === 0 ? 0 : 1;
}

/** Disturbs, looks and proves until the time is over, each at its own pace; the daemon is looked at between disturbances. */
async function disturb(
  disturbed: Disturbed,
  proofs: Proofs,
  counts: Map<string, number>,
  lengthMs: number,
  interrupt: AbortSignal,
): Promise<void> {
  const { lives, site, random } = disturbed;
  const startedAt = Date.now();
  const ageMs = (): number => Date.now() - startedAt;
  const [kills, passing, hard] = [shuffled(KILLS, random), shuffled(PASSING, random), shuffled(HARD, random)];
  const cause = async ({ name, cause }: Disturbance): Promise<void> => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
    await cause(disturbed);
  };
  const due = { kill: KILL_EVERY_MS / 2, passing: 0, hard: lengthMs * KILLS_PART, proof: 0 };
  while (ageMs() < lengthMs && !interrupt.aborted) {
    if (ageMs() < lengthMs * KILLS_PART && ageMs() >= due.kill) {
      due.kill = ageMs() + KILL_EVERY_MS;
      await cause(kills.next().value);
    }
    if (ageMs() >= due.passing) {
      due.passing = ageMs() + DISTURB_EVERY_MS;
      await cause(passing.next().value);
    }
    if (ageMs() >= due.hard) {
      due.hard = ageMs() + DISTURB_HARD_EVERY_MS;
      await cause(hard.next().value);
    }
    await lives.look();
    if (ageMs() >= due.proof) {
      due.proof = ageMs() + PROVE_EVERY_MS;
      await proofs.look();
    }
    // What the proxy has seen is of no use here.
    site.proxy.requests.length = 0;
    await sleep(SAMPLE_EVERY_MS);
  }
}

/**
 * Nothing is disturbed any more; the daemon starts once more, takes up what was left, and gets no further slots. Resolves
 * to when that was so.
 */
async function comeToRest(site: SoakSite, lives: Lives): Promise<number> {
  site.proxy.reset();
  site.writeConfig('good');
  await lives.stop();
  await lives.start();
  await sleep(2 * INTERVAL_MS);
  site.writeConfig('at rest');
  const lastSlotMs = Date.now();
  lives.daemon.kill('SIGHUP');
  let restful = 0;
  for (const until = Date.now() + SETTLE_MS; Date.now() < until;) {
    await sleep(SAMPLE_EVERY_MS);
    await lives.look();
    restful = (await isAtRest(lives)) ? restful + 1 : 0;
    if (restful === RESTFUL_LOOKS) return lastSlotMs;
  }
  lives.problems.push(`runs were still in progress ${SETTLE_MS / 1000} s after the last slot`);
  return lastSlotMs;
}

async function isAtRest({ daemon }: Lives): Promise<boolean> {
  const { archives, queue } = await daemon.state();
  return (
    queue.active + queue.waiting === 0 &&
    archives.every(({ current, waiting }) => current === null && waiting.length === 0)
  );
}

async function whatIsLeft(site: SoakSite, lives: Lives, source: SourceView, proofs: Proofs): Promise<Findings['left']> {
  await lives.stop();
  const sessions = (await source.countSessions()) ?? 0;
  const uploads = site.proxy.pendingUploads().map(({ key }) => key);
  return { sessions, uploads, ...(await proofs.look()) };
}

/** What the last daemon wrote when nobody could ask it any more. */
async function readLastRows({ stateFolder }: SoakSite, book: SlotBook): Promise<void> {
  const history = await openHistory(stateFolder, createLog({ level: 'silent' }));
  book.add(history.list(ROWS_AT_ONCE));
  history.close();
}
