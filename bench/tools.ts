/** Finds the programs of the contenders, and says which are missing. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { UsageError } from '../src/base/errors.ts';
import { isExecutable } from '../src/demo/own-command.ts';
import { CONTENDERS, type Contender, type Tool } from './contenders.ts';
import { say } from './site.ts';

/** Those whose programs are all there; the others are named with how to install what they miss. */
export function findRunnable(wanted: readonly Contender[]): Contender[] {
  return wanted.filter(({ name, tools }) => areThere(tools, name));
}

/** Whether all these programs are there; says for whom which are missing. */
export function areThere(tools: readonly Tool[], name: string): boolean {
  const missing = tools.filter((tool) => find(tool.command) === undefined);
  for (const { command, install } of missing) say(`skipped: ${name}, as ${command} is missing; ${install}`);
  return missing.length === 0;
}

/** Contenders by name; all when none is named. Throws for a name that is not one. */
export function chooseContenders(names: readonly string[]): readonly Contender[] {
  const unknown = names.filter((name) => !CONTENDERS.some((contender) => contender.name === name));
  if (unknown.length > 0)
    throw new UsageError(
      `no contender is called ${unknown.join(' or ')}; there are ${CONTENDERS.map(({ name }) => name).join(', ')}`,
    );
  return names.length === 0 ? CONTENDERS : CONTENDERS.filter(({ name }) => names.includes(name));
}

/** The program itself: pyenv's shim in front of it would cost the AWS CLI a fifth of a second. */
export function findAws(): string {
  const found = find('aws') ?? 'aws';
  if (!found.includes('/.pyenv/shims/')) return found;
  try {
    return execFileSync('pyenv', ['which', 'aws'], { encoding: 'utf8' }).trim();
  } catch {
    return found;
  }
}

function find(command: Tool['command']): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, command))
    .find(isExecutable);
}

/** A wrong option needs no stack: its message on standard error, and the exit code for it. Rethrows anything else. */
export function usageExit(error: unknown): number {
  if (!(error instanceof UsageError)) throw error;
  for (const problem of error.problems) process.stderr.write(`${problem}\n`);
  return 2;
}
