import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyCommand } from '../../src/commands/verify.ts';
import type { Manifest } from '../../src/ledger/manifest.ts';
import { formatRunId } from '../../src/ledger/run-id.ts';
import { type CliProcess, eventually } from '../support/cli.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { openRandom } from '../support/random.ts';
import type { Fault, OrderedFault, SeenRequest } from '../support/s3-proxy.ts';
import { createRows, segmented } from '../support/segments.ts';
import { openSite, type Site } from '../support/site.ts';

/** How many rounds with each of the two tables; `.ci/run` makes more, and hundreds were run for what docs/architecture.md says. */
const ROUNDS = Number(process.env['PGSLUICE_TEST_ROUNDS'] ?? 1);
/** Operations whose conditions the server ignores, such as `CompleteMultipartUpload`: then what is damaged is only counted. */
const IGNORED = (process.env['PGSLUICE_TEST_IGNORED'] ?? '').split(',').filter((name) => name !== '');

const ROWS = 3000;
/** Of some 8 kB that no codec makes smaller than half; five MiB of them are a part. */
const WIDE_ROWS = 2400;
/** A process of which nothing came for so long waits for what the test holds, or is frozen. */
const PATIENCE_MS = 4000;
/** So long may the start of one take, before it has logged anything. */
const START_MS = 15_000;
/** What a run sends, about. */
const REQUESTS_OF_A_RUN = 40;

const random = openRandom();
const chance = (percent: number): boolean => random.integer(1, 100) <= percent;
let site: Site;
let configs: Record<'primary' | 'standby', string[]>;

/** What happened, over all rounds. */
const counts = {
  rounds: 0,
  kills: 0,
  freezes: 0,
  locksLost: 0,
  faults: 0,
  holds: 0,
  refused: 0,
  takenOver: 0,
  committedByOther: 0,
  stuck: [] as string[],
  different: [] as string[],
};

/** Two names of one place, so that each of two processes has a lock which the other knows nothing of, as on a primary and its standby. */
const BUCKETS = { primary: 'archive', standby: 'twin' } as const;

before(async () => {
  site = await openSite();
  site.proxy.aliases.set(BUCKETS.standby, BUCKETS.primary);
  for (const operation of IGNORED) site.proxy.conditional.delete(operation);
  await createRows(site, 'rows', ROWS);
  await site.database.client.query(
    `CREATE TABLE wide (id int PRIMARY KEY, v text NOT NULL);
     INSERT INTO wide SELECT i, string_agg(md5((i * 1000 + j)::text), '')
     FROM generate_series(1, ${WIDE_ROWS}) AS i, generate_series(1, 256) AS j GROUP BY i; ANALYZE wide`,
  );
  configs = { primary: await configsFor('primary'), standby: await configsFor('standby') };
});

/** The same archives by other configs: the first one, other rows, other columns, another codec, other segments. */
async function configsFor(side: keyof typeof BUCKETS): Promise<string[]> {
  const destinations = { default: site.destination({ url: `s3://${BUCKETS[side]}/pg` }) };
  const files: string[] = [];
  for (const changes of [
    {},
    { where: 'id > 7' },
    { columns: ['id'] },
    { compression: { codec: 'zstd', level: 1 } },
    { segments: { by: 'key', targetSize: '64KiB', parallel: 2 } },
  ]) {
    const archives = {
      rows: segmented('rows', 'key', '32KiB', changes),
      wide: segmented('wide', 'key', '7MiB', { compression: { codec: 'none' }, ...changes }),
    };
    files.push(await site.writeConfig({ destinations, archives }));
  }
  return files;
}

/** Requests that a fault may happen to. */
const TARGETS: readonly (readonly [operation: string, keyEnd: string, mostPassed: number])[] = [
  ['PutObject', '.jsonl.gz', 8],
  ['PutObject', 'part-00001.jsonl.gz', 1],
  ['PutObject', '.json', 6],
  ['PutObject', 'plan.json', 2],
  ['PutObject', '_manifest.json', 0],
  ['CompleteMultipartUpload', '', 3],
  ['UploadPart', '', 5],
  ['DeleteObjects', '', 0],
  ['AbortMultipartUpload', '', 1],
  ['HeadObject', '', 10],
  ['GetObject', '', 5],
  ['ListObjectsV2', '', 4],
];

/** What a process may have sent last when it died; it is held until the run was gone on with. */
const LAST_WORDS: typeof TARGETS = [
  ['PutObject', '.jsonl.gz', 8],
  ['CompleteMultipartUpload', '', 3],
  ['PutObject', 'part-00001.json', 0],
  ['PutObject', 'plan.json', 1],
  ['PutObject', '_manifest.json', 0],
  ['DeleteObjects', '', 0],
];

function isOf(archive: string, { key, query, operation }: SeenRequest): boolean {
  return operation === 'DeleteObjects' || `${key} ${query['prefix'] ?? ''}`.includes(`pg/${archive}/`);
}

/** What lets go of requests that are held for longer, and what takes the orders of a round back. */
interface OrderedFaults {
  otherHasEnded: () => void;
  letGo: () => void;
  cancel: () => void;
}

function untilThen(until: Promise<unknown>): Fault {
  return { kind: 'hold', until };
}

/** What a process may live through by itself. */
function passingFaults(): Fault[] {
  return [
    untilThen(sleep(random.integer(200, 4000))),
    { kind: 'delay', ms: random.integer(50, 1500) },
    { kind: 'lose-answer' },
    { kind: 'error', status: 503, code: 'SlowDown' },
  ];
}

/** With `isOvertaken`, one alone: data of the first process waits until the second has committed, and its sender lives. */
function orderFaults(archive: string, isOvertaken: boolean): OrderedFaults {
  const { promise: late, resolve: letGo } = Promise.withResolvers<undefined>();
  const { promise: afterOther, resolve: otherHasEnded } = Promise.withResolvers<undefined>();
  const canHappen = ([operation]: (typeof TARGETS)[number]): boolean =>
    archive === 'wide' || !operation.includes('Upload');
  const orders: OrderedFault[] = [];
  for (let faults = isOvertaken ? 1 : random.integer(2, 5); faults > 0; faults -= 1) {
    const isLast = faults === 1;
    const lasts = isOvertaken ? LAST_WORDS.slice(0, 2) : LAST_WORDS;
    const [operation, keyEnd, mostPassed] = random.pick((isLast ? lasts : TARGETS).filter(canHappen));
    const held = [isOvertaken ? afterOther : late, ...(isLast ? [afterOther] : [late])];
    const fault = random.pick([...held.map(untilThen), ...(isLast ? [] : passingFaults())]);
    const passed = random.integer(0, mostPassed);
    const ordered = site.proxy.order(operation, fault, 1, keyEnd, passed, (seen) => isOf(archive, seen));
    orders.push(ordered);
    void ordered.firstHit.then(() => {
      counts.faults += 1;
      if (fault.kind === 'hold') counts.holds += 1;
    });
  }
  return {
    otherHasEnded: () => {
      otherHasEnded(undefined);
    },
    letGo: () => {
      otherHasEnded(undefined);
      letGo(undefined);
    },
    cancel: () => {
      for (const order of orders) order.cancel();
    },
  };
}

/** Ends what the server still has of the archive's processes, as it does when a lock's holder was silent for too long. */
async function endBackends(archive: string): Promise<number> {
  const pattern = `pgsluice ${archive}%`;
  const ended = await site.terminateBackends(pattern);
  await eventually('no backend is left', async () => (await site.backends(pattern)).length === 0);
  return ended;
}

/** Resolves once the archive's processes have sent so many more requests, or none for a while, or this one has ended. */
async function untilSent(archive: string, cli: CliProcess, count: number): Promise<void> {
  const { length } = site.proxy.requests;
  const sent = (): number => site.proxy.requests.slice(length).filter((seen) => isOf(archive, seen)).length;
  let last = 0;
  let since = Date.now();
  while (!cli.hasEnded && sent() < count) {
    if (sent() > last) {
      last = sent();
      since = Date.now();
    }
    if (Date.now() - since > (cli.stderr === '' ? START_MS : PATIENCE_MS)) return;
    await sleep(10);
  }
}

/** What becomes of a process while it runs. Returns what lets it go on, if it was frozen. */
async function disturb(archive: string, cli: CliProcess, whatMayHappen: 'anything' | 'its end'): Promise<() => void> {
  await untilSent(archive, cli, random.integer(1, REQUESTS_OF_A_RUN));
  const isFrozen = whatMayHappen === 'anything' && chance(50);
  cli.kill(isFrozen ? 'SIGSTOP' : 'SIGKILL');
  if (isFrozen) counts.freezes += 1;
  else counts.kills += 1;
  return () => {
    cli.kill('SIGCONT');
  };
}

/** Waits for its end as long as something comes of it, and kills it then. */
async function endOrKill(archive: string, cli: CliProcess): Promise<void> {
  await untilSent(archive, cli, Infinity);
  cli.kill('SIGCONT');
  if (cli.kill('SIGKILL')) counts.kills += 1;
  await cli.ended().catch(() => undefined);
}

/** A primary and a standby, or one server whose lock was lost: two processes at one run, of which none knows of the other. */
async function race(
  archive: string,
  run: string,
  config: string,
  isOvertaken: boolean,
  secondHasEnded: () => Promise<void>,
): Promise<void> {
  const start = (file: string): CliProcess => site.start(['run', archive, '--run-id', run, '--json'], file);
  const isOneServer = !isOvertaken && chance(35);
  const first = start(config);
  const disturbing = isOneServer || (!isOvertaken && chance(70)) ? disturb(archive, first, 'anything') : undefined;
  if (isOneServer) {
    await disturbing;
    if ((await endBackends(archive)) > 0) counts.locksLost += 1;
  } else await untilSent(archive, first, isOvertaken ? Infinity : random.integer(0, REQUESTS_OF_A_RUN / 2));
  const second = start(random.pick(isOneServer ? configs.primary : configs.standby));
  const disturbingSecond =
    !isOvertaken && chance(50) ? disturb(archive, second, isOneServer ? 'its end' : 'anything') : undefined;
  const thawSecond = await disturbingSecond;
  if (chance(50)) (await disturbing)?.();
  thawSecond?.();
  await endOrKill(archive, second);
  await secondHasEnded();
  (await disturbing)?.();
  await endOrKill(archive, first);
  for (const { stdout } of [first, second]) {
    if (stdout.includes('"taken-over"')) counts.takenOver += 1;
    if (stdout.includes('"already-committed"')) counts.committedByOther += 1;
  }
}

/** Goes on with the run, undisturbed, until it is committed. Why it cannot be is what is wrong then. */
async function commit(archive: string, run: string, config: string): Promise<string | undefined> {
  await endBackends(archive);
  const { result } = await runInProcess(site, config, archive, run);
  return result.error === undefined ? undefined : `${result.error.code}: ${result.error.message}`;
}

async function verify(archive: string, run: string): Promise<string | undefined> {
  const { code, stdout } = await commandInProcess(site, configs.primary[0]!, (invocation) =>
    verifyCommand(invocation, archive, { run }),
  );
  if (code === 0) return undefined;
  return (
    stdout
      .match(/"message": ?"[^"]*"/g)
      ?.slice(0, 3)
      .join(' ') ?? stdout
  );
}

function rowsOf(archive: string): readonly number[] {
  const rows = archive === 'rows' ? ROWS : WIDE_ROWS;
  return [rows, rows - 7];
}

function isWell(): boolean {
  return counts.different.length + counts.stuck.length === 0;
}

async function oneRound(archive: string, run: string): Promise<void> {
  const isOvertaken = chance(25);
  const { otherHasEnded, letGo, cancel } = orderFaults(archive, isOvertaken);
  const config = random.pick(chance(60) ? configs.primary.slice(0, 1) : configs.primary);
  const { length } = site.proxy.requests;
  /** The manifest as it was when it came. */
  let committed: Buffer | undefined;
  const manifest = async (): Promise<Buffer | undefined> =>
    (await site.stored(`pg/${archive}/run=${run}/_manifest.json`))?.body;
  await race(archive, run, config, isOvertaken, async () => {
    committed = await manifest();
    otherHasEnded();
  });
  // Half of the time everything late comes before the run is gone on with, else only once it is committed.
  if (chance(50)) letGo();
  cancel();
  const stuck = await commit(archive, run, chance(50) ? config : random.pick(configs.primary));
  letGo();
  const requests = site.proxy.requests.slice(length).filter((seen) => isOf(archive, seen));
  await eventually('everything late has come', async () => requests.every(({ isOver }) => isOver)).catch(
    (error: unknown) => {
      const open = requests.filter(({ isOver }) => !isOver);
      const late = open.map(({ operation, key, status }) => `${operation} ${key} (${status})`);
      throw new Error(`${archive} ${run}: ${late.join(', ')}`, { cause: error });
    },
  );
  const after = await manifest();
  counts.rounds += 1;
  counts.refused += requests.filter(
    ({ operation, status }) => site.proxy.conditional.has(operation) && [404, 409, 412].includes(status),
  ).length;
  if (stuck !== undefined || after === undefined) {
    counts.stuck.push(`${archive} ${run} ${stuck ?? 'there is no manifest'}`);
    return;
  }
  const { rows } = JSON.parse(after.toString()) as Manifest;
  const problems = [await verify(archive, run)];
  if (committed?.equals(after) === false) problems.push('the manifest has changed');
  if (!rowsOf(archive).includes(rows)) problems.push(`it has ${rows} rows`);
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length > 0) counts.different.push(`${archive} ${run} ${found.join('; ')}`);
}

describe('two processes at one run, requests that come late, freezes and kills', () => {
  test('leave what verify proves, once it is committed', { timeout: 60_000 + ROUNDS * 60_000 }, async (t) => {
    t.diagnostic(`PGSLUICE_TEST_SEED=${random.seed}`);
    try {
      await Promise.all(
        ['rows', 'wide'].map(async (archive) => {
          for (let round = 1; round <= ROUNDS && (IGNORED.length > 0 || isWell()); round += 1)
            await oneRound(archive, formatRunId(new Date(Date.UTC(2026, 10, 23) + round * 1000)));
        }),
      );
    } finally {
      t.diagnostic(JSON.stringify(counts));
    }
    if (IGNORED.length > 0) return;
    assert.deepEqual(counts.different, []);
    assert.deepEqual(counts.stuck, []);
  });
});
