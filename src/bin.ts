#!/usr/bin/env node
/**
 * What npm links as `pgsluice`: says which Node is needed where an older one would stumble over the program's syntax.
 * So this file keeps to plain syntax, and imports the program only when it can run.
 */
import { readFileSync } from 'fs';

// Without a listener, Node opens its debugger at this signal, and whoever reaches that is the process. The unit closes it before, too.
process.on('SIGUSR1', () => undefined);

const packageFile = new URL('../package.json', import.meta.url);
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
  const { keepCompiledCode } = await import('./base/compile-cache.ts');
  keepCompiledCode(process.env);
  await import('./cli.ts');
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
