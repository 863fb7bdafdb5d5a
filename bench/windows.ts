/**
 * Windows over years: a back-fill that is killed again and again, folders that are deleted, two daemons at it together; and what a
 * slot costs that has nothing to do, over many runs. By hand, `DAYS=1095 RUNS=10000 node bench/windows.ts` after `npm run build`.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { Closers } from '../src/base/closers.ts';
import { NEVER } from '../src/base/signals.ts';
import { loadConfig } from '../src/config/load.ts';
import type { Manifest } from '../src/ledger/manifest.ts';
import { dataKey, manifestKey, runPrefix } from '../src/ledger/names.ts';
import { formatRunId } from '../src/ledger/run-id.ts';
import { openStore } from '../src/store/open.ts';
import type { Store } from '../src/store/store.ts';
import { PROGRAM } from './compiled.ts';
import { openCountedSite } from './counted-site.ts';
import type { Counted } from './request-counter.ts';

const DAYS = Number(process.env['DAYS'] ?? 60);
const RUNS = Number(process.env['RUNS'] ?? 1000);
const ROWS_A_DAY = 50;
const DELETED = 5;
const SHARED = 40;
const FIRST_MS = Date.UTC(2022, 0, 1);
const [HOUR_MS, DAY_MS] = [3_600_000, 86_400_000];

const closers = new Closers();
try {
  const { folder, client, counted, ends } = await openCountedSite('windows', closers);
  await fillTables(client);
  const configOf = (host: string): string => {
    const file = path.join(folder, `${host}.yaml`);
    const window = { column: 'at', every: 'day' };
    const config = {
      ...ends,
      archives: {
        events: { table: 'events', window, ...(host === 'alone' ? {} : { schedule: '* * * * * *' }) },
        ...(host === 'alone' ? { hours: { table: 'hours', window: { column: 'at', every: 'hour' } } } : {}),
      },
      state: path.join(folder, `state-${host}`),
      http: {},
      control: path.join(folder, `${host}.sock`),
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  };
  const alone = configOf('alone');
  const config = loadConfig(alone, {});
  const store = openStore(config.destinations['default'] ?? fail('no destination'), NEVER);
  closers.add('the store', () => {
    store.close();
  });

  await backFill(alone, counted);
  await assertAllDays(store, 'after the kills');
  await deleteAndMake(alone, counted, store);
  await twoDaemons([configOf('first'), configOf('second')], counted, store);
  await idleSlots(alone, counted, store);
} finally {
  await closers.close();
}

async function fillTables(client: pg.Client): Promise<void> {
  const first = new Date(FIRST_MS).toISOString();
  await client.query(
    `CREATE TABLE events AS SELECT i AS id, $1::timestamptz + i * interval '1 day' / ${ROWS_A_DAY} AS at, repeat('x', 200) AS note
       FROM generate_series(0, ${DAYS * ROWS_A_DAY - 1}) AS i`,
    [first],
  );
  await client.query(
    `CREATE TABLE hours AS SELECT i AS id, $1::timestamptz + i * interval '1 hour' AS at FROM generate_series(0, ${RUNS - 1}) AS i`,
    [first],
  );
  for (const table of ['events', 'hours'])
    await client.query(`ALTER TABLE ${table} ADD PRIMARY KEY (id); CREATE INDEX ON ${table} (at); ANALYZE ${table}`);
}

/** Kills it at random, until one goes through. */
async function backFill(configFile: string, counted: Counted): Promise<void> {
  const [requests, started] = [counted.requests, performance.now()];
  let kills = 0;
  for (;;) {
    const child = start(['run', 'events', '--json'], configFile);
    const over = once(child, 'close');
    const killed = await Promise.race([over.then(() => false), sleep(1000 + Math.random() * 6000).then(() => true)]);
    // In the end one goes on by itself, however slow the machine is.
    if (!killed || kills >= DAYS / 20) {
      await over;
      if (child.exitCode !== 0) throw new Error(`the run ended with ${child.exitCode}`);
      break;
    }
    child.kill('SIGKILL');
    await over;
    kills += 1;
  }
  tell('back-filled', { days: DAYS, kills }, counted, requests, started);
}

async function deleteAndMake(configFile: string, counted: Counted, store: Store): Promise<void> {
  const deleted = daysOf(DELETED);
  for (const run of deleted) await removeRun(store, run);
  const [requests, started] = [counted.requests, performance.now()];
  const made = await runJson(['run', 'events'], configFile);
  const ids = made.map(({ run }) => run);
  if (ids.join() !== deleted.join()) throw new Error(`deleted ${deleted.join()}, made ${ids.join()}`);
  tell(`${DELETED} folders deleted: exactly those made`, { made: ids.length }, counted, requests, started);
  await assertAllDays(store, 'after the folders were deleted');
}

/** Two hosts with schedules each second, while folders vanish. Each window is committed once, by one of them. */
async function twoDaemons(files: string[], counted: Counted, store: Store): Promise<void> {
  const deleted = daysOf(Math.min(SHARED, DAYS));
  for (const run of deleted) await removeRun(store, run);
  const [requests, started] = [counted.requests, performance.now()];
  const daemons = files.map((file) => start(['daemon'], file));
  const said = daemons.map((daemon) => text(daemon.stderr ?? fail('no stderr')));
  try {
    while (await isAnyMissing(store, deleted)) await sleep(200);
    await sleep(3000);
  } finally {
    for (const daemon of daemons) daemon.kill('SIGTERM');
  }
  const logs = await Promise.all(said);
  const committed = logs.map((log) => committedIn(log));
  const all = committed.flat().sort();
  if (all.join() !== [...deleted].sort().join()) throw new Error(`deleted ${deleted.length}, committed ${all.join()}`);
  const shares = committed.map((runs) => runs.length).join(' and ');
  tell(`two daemons: each of ${deleted.length} windows made once`, { shares }, counted, requests, started);
}

async function isAnyMissing(store: Store, runs: readonly string[]): Promise<boolean> {
  for (const run of runs) if ((await store.head(manifestKey('events', run))) === undefined) return true;
  return false;
}

/** Runs whose commit a log tells. */
function committedIn(log: string): string[] {
  const runs: string[] = [];
  for (const line of log.split('\n').filter(Boolean)) {
    const { status, run } = JSON.parse(line) as { status?: string; run?: string };
    if (status === 'committed' && run !== undefined) runs.push(run);
  }
  return runs;
}

/** A bucket with many runs: the manifest of one real run, written for all others as well. */
async function idleSlots(configFile: string, counted: Counted, store: Store): Promise<void> {
  const first = formatRunId(new Date(FIRST_MS));
  await runJson(['run', 'hours', '--run-id', first], configFile);
  const found = await store.get(manifestKey('hours', first), 64 * 1024 ** 2);
  const manifest = JSON.parse((found ?? fail('no manifest')).body.toString()) as Manifest;
  const hours = Array.from({ length: RUNS - 1 }, (_, at) => FIRST_MS + (at + 1) * HOUR_MS).values();
  const write = async (): Promise<void> => {
    for (const fromMs of hours) await store.put(...copyFor(manifest, fromMs));
  };
  await Promise.all(Array.from({ length: 16 }, write));
  for (const what of ['first', 'further', 'further']) {
    const [requests, started] = [counted.requests, performance.now()];
    const { printed, cpuSeconds } = await measured(['run', 'hours'], configFile);
    if (printed.length > 0) throw new Error(`a slot that had nothing to do made ${printed.length}`);
    tell(`nothing to do over ${RUNS} runs, the ${what} time`, { cpuSeconds }, counted, requests, started);
  }
  for (const [what, args] of [
    ['their calendar by list', ['list', 'hours', '--windows']],
    ['their rows counted', ['plan', 'hours', '--late']],
  ] as const) {
    const [requests, started] = [counted.requests, performance.now()];
    const { cpuSeconds } = await measured([...args], configFile);
    tell(what, { windows: RUNS, cpuSeconds }, counted, requests, started);
  }
}

function copyFor(manifest: Manifest, fromMs: number): [string, Buffer, { contentType: string }] {
  const run = formatRunId(new Date(fromMs));
  const point = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  const window = { column: 'at', from: point(fromMs), to: point(fromMs + HOUR_MS) };
  const objects = manifest.objects.map((object, at) => ({
    ...object,
    key: `pg/${dataKey('hours', run, at, 'jsonl.gz')}`,
  }));
  const body = Buffer.from(JSON.stringify({ ...manifest, run, window, objects }));
  return [manifestKey('hours', run), body, { contentType: 'application/json' }];
}

/** The ids of so many days, spread over all. */
function daysOf(count: number): string[] {
  return Array.from({ length: count }, (_, at) =>
    formatRunId(new Date(FIRST_MS + Math.floor(((at + 0.5) * DAYS) / count) * DAY_MS)),
  );
}

async function removeRun(store: Store, run: string): Promise<void> {
  const keys = (await Array.fromAsync(store.list(runPrefix('events', run)))).map(({ key }) => key);
  await store.remove(keys);
}

/** Each day has its run with its rows, and there is nothing else. */
async function assertAllDays(store: Store, when: string): Promise<void> {
  const folders = (await Array.fromAsync(store.listFolders('events/'))).sort();
  const expected = Array.from({ length: DAYS }, (_, day) => `run=${formatRunId(new Date(FIRST_MS + day * DAY_MS))}`);
  if (folders.join() !== expected.join()) throw new Error(`${when}: ${folders.length} folders of ${DAYS} days`);
  let rows = 0;
  for (const folder of folders) {
    const found = await store.get(`events/${folder}/_manifest.json`, 64 * 1024 ** 2);
    rows += (JSON.parse((found ?? fail(`${folder} is not committed`)).body.toString()) as Manifest).rows;
  }
  if (rows !== DAYS * ROWS_A_DAY) throw new Error(`${when}: ${rows} rows`);
}

function start(args: readonly string[], configFile: string): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, ...args, '--config', configFile], {
    stdio: ['ignore', args.includes('--json') ? 'pipe' : 'ignore', args[0] === 'daemon' ? 'pipe' : 'ignore'],
  });
  child.stdout?.resume();
  return child;
}

async function runJson(args: readonly string[], configFile: string): Promise<{ run: string }[]> {
  return (await measured(args, configFile)).printed;
}

/** With the CPU that the process took, as the shell tells it: of a busy machine, that says more than seconds. */
async function measured(
  args: readonly string[],
  configFile: string,
): Promise<{ printed: { run: string }[]; cpuSeconds: number }> {
  const command = [process.execPath, PROGRAM, ...args, '--json', '--config', configFile];
  const child = spawn('bash', ['-c', 'TIMEFORMAT="%U %S"; time "$@"', 'bash', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [printed, said] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  if (child.exitCode !== 0) throw new Error(said);
  const [user = 0, system = 0] = (said.trimEnd().split('\n').at(-1) ?? '').split(' ').map(Number);
  return { printed: JSON.parse(printed) as { run: string }[], cpuSeconds: Math.round((user + system) * 10) / 10 };
}

function tell(what: string, figures: object, counted: Counted, requests: number, started: number): void {
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  // What it is run for.
  console.log(what, { ...figures, requests: counted.requests - requests, seconds });
}

function fail(why: string): never {
  throw new Error(why);
}
