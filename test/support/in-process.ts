/** Runs archives and commands in the process of the test, which saves the start of one: many runs share their threads. */
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after } from 'node:test';
import type { Invocation } from '../../src/commands/invocation.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Bindings } from '../../src/work/bindings.ts';
import { Threads } from '../../src/work/threads.ts';
import { runArchive, type RunResult } from '../../src/run/run-archive.ts';
import './bundled-threads.ts';
import { eventually } from './cli.ts';
import { recordTo, type LogLine } from './record-log.ts';
import type { Site } from './site.ts';

/** How a run ended, and what it logged. */
export interface RunInProcess {
  result: RunResult;
  log: LogLine[];
}

/** One that goes on. */
export interface LiveRun {
  /** What it has logged so far. */
  log: readonly LogLine[];
  /** Whether it is over. */
  isOver: () => boolean;
  ended: Promise<RunInProcess>;
  /** Resolves to the `count`-th line of the log with this in its message. */
  waitForLog: (text: string, count?: number) => Promise<LogLine>;
}

const bindings = new Bindings();
const places = new Map<string, Threads>();

/** Runs one archive of a config file under that id; `threads` says whose threads it shares with others. */
export async function runInProcess(
  site: Site,
  configFile: string,
  archive: string,
  run: string,
  threads = 'all',
  log: LogLine[] = [],
): Promise<RunInProcess> {
  const config = loadConfig(configFile, site.environment);
  const place = places.get(threads) ?? new Threads(config.workers, bindings);
  places.set(threads, place);
  const generation = bindings.add(config);
  const context = { config, generation, place, log: recordTo(log), signal: new AbortController().signal };
  const archiveConfig = config.archives[archive];
  if (archiveConfig === undefined) throw new Error(`the config has no archive ${archive}`);
  try {
    return { result: await runArchive(context, archiveConfig, run), log };
  } finally {
    bindings.drop(generation);
  }
}

/** Begins a run that the test does something to. */
export function startInProcess(site: Site, configFile: string, archive: string, run: string): LiveRun {
  const log: LogLine[] = [];
  let isOver = false;
  const ended = runInProcess(site, configFile, archive, run, 'all', log).finally(() => {
    isOver = true;
  });
  // Who waits for it is told.
  ended.catch(() => undefined);
  const waitForLog = async (text: string, count = 1): Promise<LogLine> =>
    eventually(`it logs "${text}"`, async () => {
      const line = log.filter(({ message }) => message.includes(text))[count - 1];
      if (line === undefined && isOver) throw new Error(`the run ended without "${text}": ${JSON.stringify(log)}`);
      return line;
    });
  return { log, isOver: () => isOver, ended, waitForLog };
}

/** Runs a command with `--json` in the process of the test. Rejects with what the program itself would report. */
export async function commandInProcess(
  site: Site,
  configFile: string,
  command: (invocation: Invocation) => Promise<number>,
): Promise<{ code: number; stdout: string }> {
  return commandOfFile(configFile, site.environment, command);
}

/** The same for a config file without a site. */
export async function commandOfFile(
  configFile: string,
  environment: Record<string, string>,
  command: (invocation: Invocation) => Promise<number>,
): Promise<{ code: number; stdout: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  stderr.resume();
  const said = text(stdout);
  const code = await command({
    configFile,
    json: true,
    environment: { ...environment },
    // No terminal: nothing more of a stream is looked at than what any stream has.
    stdout: stdout as unknown as NodeJS.WriteStream,
    stderr: stderr as unknown as NodeJS.WriteStream,
  });
  stdout.end();
  return { code, stdout: await said };
}

after(async () => {
  for (const place of places.values()) await place.close();
});
