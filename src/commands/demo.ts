/** `pgsluice demo`: the main job, with the very code of `pgsluice run`, on servers that it brings along. */
import { Closers } from '../base/closers.ts';
import { UsageError } from '../base/errors.ts';
import { countOf, formatBytes, formatCount } from '../base/units.ts';
import { archiveNamed, destinationOf } from '../config/resolve.ts';
import type { Config } from '../config/schema.ts';
import { countRows, DEMO_ARCHIVE, openDemo, type DemoEnvironment } from '../demo/environment.ts';
import { runOnHosts } from '../demo/hosts.ts';
import { describeHosts, type HostsReport } from '../demo/hosts-report.ts';
import { readContent } from '../verify/content.ts';
import type { ManifestObject } from '../ledger/manifest.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import type { RunResult } from '../run/run-archive.ts';
import { openStore } from '../store/open.ts';
import { watchInterrupts } from './interrupt.ts';
import { EXIT } from './entry.ts';
import { chooseArchives, openConfig, openLog, type Invocation } from './invocation.ts';
import { printJson, printLines } from './terminal/print.ts';
import { describeResult, runWithBar } from './run.ts';

const MAX_ROWS = 100_000_000;
/** One of them is killed, and others have to go on. */
const MIN_HOSTS = 2;
const MAX_HOSTS = 16;

/** Rows in the table, and rows that the objects hold when they are read again. */
interface Proof {
  tableRows: number;
  archivedRows: number;
}

export async function demoCommand(
  invocation: Invocation,
  options: { rows: string; keep: boolean; serve: boolean; hosts?: string },
): Promise<number> {
  const rows = parseRows(options.rows);
  const hosts = parseHosts(options.hosts);
  if (hosts !== undefined && options.serve) throw new UsageError('--hosts and --serve: give one of the two');
  const closers = new Closers();
  const interrupt = watchInterrupts();
  const say = (text: string): void => {
    invocation.stderr.write(invocation.stderr.isTTY ? `\r\u001b[2K${text}` : `${text}\n`);
  };
  try {
    const demo = await openDemo(rows, closers, interrupt.signal, say, invocation.environment['PATH']);
    if (invocation.stderr.isTTY) invocation.stderr.write('\r\u001b[2K');
    const own = {
      ...invocation,
      configFile: demo.configFile,
      environment: { ...invocation.environment, ...demo.variables },
    };
    const exitCode = await archiveAndProve(own, demo, interrupt.signal, () =>
      hosts === undefined
        ? runHere(own, interrupt.signal)
        : runElsewhere(invocation, demo, { count: hosts, rows }, interrupt.signal, say),
    );
    if (exitCode === EXIT.done && options.serve) await serve(own, demo, rows, interrupt.signal);
    else if (exitCode === EXIT.done && options.keep) await keepUp(invocation, demo, interrupt.signal);
    return interrupt.interrupted && !options.keep && !options.serve ? EXIT.interrupted : exitCode;
  } catch (error) {
    if (interrupt.interrupted) return EXIT.interrupted;
    throw error;
  } finally {
    await closers.close();
    interrupt.release();
  }
}

function parseRows(text: string): number {
  const rows = Number(text.replaceAll(/[,_]/g, ''));
  if (Number.isInteger(rows) && rows >= 0 && rows <= MAX_ROWS) return rows;
  throw new UsageError(`--rows ${text}: must be a whole number from 0 to ${formatCount(MAX_ROWS)}`);
}

function parseHosts(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const hosts = Number(text);
  if (Number.isInteger(hosts) && hosts >= MIN_HOSTS && hosts <= MAX_HOSTS) return hosts;
  throw new UsageError(`--hosts ${text}: must be a whole number from ${MIN_HOSTS} to ${MAX_HOSTS}`);
}

interface DemoRun {
  result: RunResult | undefined;
  /** Who did what; absent where this process did all. */
  hosts?: HostsReport;
}

async function runHere(invocation: Invocation, signal: AbortSignal): Promise<DemoRun> {
  const config = openConfig(invocation);
  const [result] = await runWithBar(invocation, config, chooseArchives(config, [DEMO_ARCHIVE]), signal);
  return { result };
}

async function runElsewhere(
  { environment, stderr }: Invocation,
  demo: DemoEnvironment,
  size: { count: number; rows: number },
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<DemoRun> {
  const { output, ...hosts } = await runOnHosts(demo, { ...size, environment }, signal, say);
  if (stderr.isTTY) stderr.write('\r\u001b[2K');
  const [result] = JSON.parse(output) as RunResult[];
  return { result, hosts };
}

async function archiveAndProve(
  invocation: Invocation,
  demo: DemoEnvironment,
  signal: AbortSignal,
  run: () => Promise<DemoRun>,
): Promise<number> {
  const config = openConfig(invocation);
  const { result, hosts } = await run();
  if (result === undefined || result.status === 'failed') {
    if (result !== undefined) printLines(invocation, describeResult(result));
    return EXIT.failed;
  }
  const { objects, proof } = await prove(config, demo, result, signal);
  const equal = proof.tableRows === proof.archivedRows;
  if (invocation.json) printJson(invocation, { ...result, ...proof, equal, ...(hosts === undefined ? {} : { hosts }) });
  else printLines(invocation, describeDemo(result, objects, proof, hosts));
  return equal ? EXIT.done : EXIT.different;
}

/** Reads every object again and counts, beside what the table says. */
async function prove(
  config: Config,
  demo: DemoEnvironment,
  result: RunResult,
  signal: AbortSignal,
): Promise<{ objects: ManifestObject[]; proof: Proof }> {
  const archive = archiveNamed(config, DEMO_ARCHIVE);
  if (archive === undefined) throw new Error('the demo config has no archive');
  const store = openStore(destinationOf(config, archive), signal);
  try {
    const folder = new RunFolder(store, archive.name, result.run);
    const manifest = await folder.manifest();
    if (manifest === undefined) throw new Error('the demo has no manifest');
    const objects = await Array.fromAsync(manifest.objects);
    let archivedRows = 0;
    for (const object of objects) {
      const content = await readContent(store, folder.keyOf(object), archive.compression.codec, signal);
      archivedRows += content.lines;
    }
    return { objects, proof: { tableRows: await countRows(demo.databaseUrl), archivedRows } };
  } finally {
    store.close();
  }
}

function describeDemo(
  result: RunResult,
  objects: readonly ManifestObject[],
  proof: Proof,
  hosts?: HostsReport,
): string[] {
  const rate = (amount: number): number => amount / Math.max(result.seconds, 0.001);
  const equal = proof.tableRows === proof.archivedRows;
  return [
    '',
    `archived public.fetch_queue as run ${result.run}`,
    `  rows              ${formatCount(result.rows)}  (${formatCount(rate(result.rows))} a second)`,
    `  JSONL             ${formatBytes(result.jsonBytes)}  (${(rate(result.jsonBytes) / 1e6).toFixed(1)} MB/s)`,
    `  gzip              ${formatBytes(result.bytes)}`,
    `  time              ${result.seconds.toFixed(1)} s`,
    `  peak worker heap  ${formatBytes(result.peakHeapBytes)}`,
    `  peak RSS          ${formatBytes(result.peakRssBytes)}, the whole process${hosts === undefined ? '' : ' of the coordinator'}`,
    ...(hosts === undefined
      ? objects.map((object) => `  object            ${object.key}  ${formatBytes(object.bytes)}`)
      : [...describeHosts(hosts), `  objects           ${formatCount(objects.length)}, one a segment`]),
    `  manifest          ${result.manifest ?? ''}`,
    `  proof             ${countOf(proof.archivedRows, 'row')} in the objects, ${formatCount(proof.tableRows)} in the table: ${equal ? 'equal' : 'DIFFERENT'}`,
  ];
}

/** Goes on as the daemon that it would be on a server, until Ctrl-C. */
async function serve(invocation: Invocation, demo: DemoEnvironment, rows: number, signal: AbortSignal): Promise<void> {
  const { prepareServing, serveDemo } = await import('../demo/serve.ts');
  const { url, token } = await prepareServing(demo, rows);
  // Not by printLines: this token, too, is made up for whoever looks at the demo.
  invocation.stdout.write(
    `\nthe daemon goes on until Ctrl-C, with a run every minute\n  page   ${url}\n  token  ${token}, for its buttons\n`,
  );
  signal.addEventListener('abort', () => sayLine(invocation, 'the daemon and the servers are stopped'), { once: true });
  const reload = (): Config => openConfig(invocation);
  const log = openLog(invocation, reload(), { level: 'warn' });
  await serveDemo({ configFile: invocation.configFile, reload, log, signal });
}

/** In the place of the `^C` that a terminal prints. */
function sayLine({ stderr }: Invocation, text: string): void {
  if (stderr.isTTY) stderr.write(`\r\u001b[K${text}\n`);
}

async function keepUp(invocation: Invocation, demo: DemoEnvironment, signal: AbortSignal): Promise<void> {
  // Not by printLines: the passwords of these servers are made up, and what a person needs to look at them.
  invocation.stdout.write(`\nthe servers stay up until Ctrl-C:\n${demo.hints.map((hint) => `  ${hint}\n`).join('')}`);
  if (signal.aborted) return;
  // A timer keeps the process alive; a signal alone would not.
  const alive = setInterval(() => undefined, 60_000);
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true });
  });
  clearInterval(alive);
  sayLine(invocation, 'the servers are stopped');
}
