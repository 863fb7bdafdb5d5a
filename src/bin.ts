#!/usr/bin/env node
/**
 * What npm links as `pgsluice`: says which Node is needed where an older one would stumble over the program's syntax.
 * So this file keeps to plain syntax, and imports the program only when it can run.
 */
import { readFileSync } from 'fs';
import { join } from 'path';

/** Set by the build alone: the program is in scripts then, and these commands are in one of their own. */
declare const DAEMON_COMMANDS: string | undefined;

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

// Without a listener, Node opens its debugger at this signal, and whoever reaches that is the process. The unit closes it before, too.
process.on('SIGUSR1', () => undefined);

const packageFile = join(import.meta.dirname, '../package.json');
const { engines } = JSON.parse(readFileSync(packageFile, 'utf8')) as { engines: { node: string } };
const needed = engines.node.replace('>=', '');
const running = process.versions.node;

if (isOlder(running, needed)) {
  process.stderr.write(`pgsluice needs Node.js ${needed} or newer; ${process.execPath} is ${running}\n`);
  // The same as for a bad config: another start will not help.
  process.exitCode = 2;
} else {
  void start();
}

async function start(): Promise<void> {
  if (typeof DAEMON_COMMANDS === 'undefined') {
    const { runProgram } = await import('./cli.ts');
    await runProgram();
    return;
  }
  const { runScript } = await import('./base/script.ts');
  const { growHeapsAsUsual } = await import('./base/process-memory.ts');
  const [, , first = ''] = process.argv;
  // Each command needs other functions; without one, as for `--help`, the fewest.
  const use = /^[a-z]+$/.test(first) ? first : 'none';
  const name = DAEMON_COMMANDS.split(' ').includes(first) ? 'daemon' : 'program';
  const script = join(import.meta.dirname, `program/${name}.js`);
  const { exports: program, keepCode } = runScript<typeof import('./cli.ts')>(script, use, process.env);
  await program.runProgram();
  // One that failed has not done what later ones will.
  if (process.exitCode !== 0 || (use === first && !program.isCommand(first))) return;
  growHeapsAsUsual();
  undisturbed(keepCode);
}

/** What was asked for is done: a signal that comes meanwhile is too late, and is not to make it look as if it were not. */
function undisturbed(work: () => void): void {
  const ignore = (): void => undefined;
  for (const signal of ENDING_SIGNALS) process.on(signal, ignore);
  work();
  for (const signal of ENDING_SIGNALS) process.off(signal, ignore);
}

function isOlder(version: string, than: string): boolean {
  const [major, minor] = numbers(version);
  const [wantedMajor, wantedMinor] = numbers(than);
  return major === wantedMajor ? minor < wantedMinor : major < wantedMajor;
}

function numbers(version: string): [number, number] {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return [major, minor];
}
