/** The demo over several hosts: a coordinator and workers as processes of their own, one of which is killed in mid-run. */
import os from 'node:os';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Client } from 'pg';
import { Closers } from '../base/closers.ts';
import { UsageError } from '../base/errors.ts';
import { DEMO_ARCHIVE, type DemoEnvironment } from './environment.ts';
import { HostsRecord, type HostsReport } from './hosts-report.ts';
import { type LogLine, OwnProcess } from './own-process.ts';

const QUEUE = 'pgsluice_queue';
/** The shortest that the config takes. */
const SILENCE = '15s';
/** Segments, about, so that each worker has several and one can be killed among them. */
const SEGMENTS = 48;
const BYTES_A_ROW = 1000;
const LEAST_SEGMENT_KIB = 64;
/** Segments that have to be done before one is killed, for each worker. */
const DONE_BEFORE_KILL = 1;

export interface HostsRun extends HostsReport {
  /** What `pgsluice run --json` has printed. */
  output: string;
}

/** The run as the config of the demo has it, but over `count` workers. */
export async function runOnHosts(
  demo: DemoEnvironment,
  { count, rows, environment }: { count: number; rows: number; environment: NodeJS.ProcessEnv },
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<HostsRun> {
  const config = await prepareHosts(demo, count, rows);
  const own = { ...environment, ...demo.variables, QUEUE_URL: queueUrl(demo.databaseUrl) };
  const closers = new Closers();
  const start = (args: readonly string[], onLine: (line: LogLine, child: OwnProcess) => void): OwnProcess => {
    const child: OwnProcess = new OwnProcess([...args, '--config', config], own, (line) => onLine(line, child));
    closers.add(`process ${child.pid}`, () => child.stop());
    return child;
  };
  const record = new HostsRecord(os.hostname());
  try {
    say(`starting ${count} workers`);
    await Promise.all(Array.from({ length: count }, () => startWorker(start, record, { count, signal, say })));
    say('the run begins, led by one more process');
    record.begin(performance.now());
    const coordinator = start(['run', DEMO_ARCHIVE, '--json'], (line) => {
      record.fromCoordinator(line, performance.now());
    });
    const output = await Promise.race([coordinator.ended(), abortOf(signal)]);
    if (output === '') throw new UsageError(`the run could not begin: ${coordinator.lastWords}`);
    return { output, ...record.report() };
  } finally {
    await closers.close();
  }
}

/** Resolves once it is ready. It is killed with the first segment that it begins when enough are done, unless another one was. */
async function startWorker(
  start: (args: readonly string[], onLine: (line: LogLine, child: OwnProcess) => void) => OwnProcess,
  record: HostsRecord,
  { count, signal, say }: { count: number; signal: AbortSignal; say: (text: string) => void },
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const worker = start(['worker'], (line, child) => {
    record.fromWorker(child.pid, line);
    if (line.msg === 'worker is ready') resolve(undefined);
    if (line.msg !== 'a segment begins' || record.hasKilled || record.done < count * DONE_BEFORE_KILL) return;
    child.kill();
    record.killed(child.pid, performance.now());
    say(
      `process ${child.pid} is killed with segment ${String(line['segment'])}; others do it after ${SILENCE} at most`,
    );
  });
  await Promise.race([promise, worker.ended().then(() => endedEarly(worker)), abortOf(signal)]);
}

/** The queue has a database of its own; and a config beside that of the demo, which goes to all these processes. */
async function prepareHosts(
  { configFile, databaseUrl }: DemoEnvironment,
  count: number,
  rows: number,
): Promise<string> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${QUEUE}`);
  } finally {
    await client.end();
  }
  const kib = Math.max(LEAST_SEGMENT_KIB, Math.ceil((rows * BYTES_A_ROW) / SEGMENTS / 1024));
  const config = (await readFile(configFile, 'utf8'))
    .replace(/segments: .*/, `segments: { on: hosts, targetSize: ${kib}KiB, parallel: ${2 * count} }`)
    .replace(/threads: .*/, 'threads: 1 # in each worker')
    .replace(/log: .*/, `hosts: { url: '\${QUEUE_URL}', silence: ${SILENCE} }\nlog: { format: json, level: debug }`);
  const file = path.join(path.dirname(configFile), 'hosts.yaml');
  await writeFile(file, config);
  return file;
}

function queueUrl(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.pathname = `/${QUEUE}`;
  return url.href;
}

function endedEarly({ lastWords }: OwnProcess): never {
  throw new UsageError(`a worker could not start: ${lastWords}`);
}

/** Rejects with the signal's reason. */
function abortOf(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return promise;
}
