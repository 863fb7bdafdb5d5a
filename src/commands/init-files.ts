/** The files of `init`: the config, and the environment file beside it with what the config refers to. */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { errorText, UsageError } from '../base/errors.ts';
import { makeFolderSync } from '../base/make-folder.ts';
import { registerSecret } from '../base/secrets.ts';
import { readServiceEnvironment } from '../config/environment-file.ts';
import { loadConfig } from '../config/load.ts';
import type { TypedEnds } from '../config/typed.ts';
import {
  isFileReference,
  type missingVariables,
  variableOf,
  withVariables,
  type Variable,
} from '../init/environment.ts';
import { writeWhole } from '../init/write-file.ts';
import { DEFAULT_CONFIG } from './entry.ts';
import type { InitOptions } from './init-ends.ts';
import type { Invocation } from './invocation.ts';
import { askYes, type Questions } from './terminal/questions.ts';

export const STDOUT = '-';
const CONFIG_MODE = 0o644;
const SECRET_MODE = 0o600;

/** Where every other command of this user then finds it, as far as there is such a place. */
export function outputOf({ environment, json }: Invocation, { output, config }: InitOptions): string {
  if (output === STDOUT) {
    if (json) throw new UsageError('--output - prints the config, and --json a document: leave one of them out');
    return STDOUT;
  }
  const isRoot = process.getuid?.() === 0;
  return path.resolve(
    output ?? config ?? environment['PGSLUICE_CONFIG'] ?? (isRoot ? DEFAULT_CONFIG : 'pgsluice.yaml'),
  );
}

/** The service has its own, where a user's own daemon may not write. */
export function stateOf(output: string): string | undefined {
  const isOfService = output === STDOUT || output === DEFAULT_CONFIG;
  return isOfService ? undefined : path.join(path.dirname(output), 'state');
}

/** Before anything is asked of a server. Throws UsageError. */
export async function mayReplace(output: string, force: boolean, questions: Questions | undefined): Promise<boolean> {
  if (output === STDOUT) return false;
  requireFolder(output);
  if (!isThere(output)) return false;
  if (force) return true;
  const isWanted =
    questions !== undefined && (await askYes(questions, `${output} is there already. Replace it?`, 'y/N'));
  if (isWanted) return true;
  throw new UsageError(`${output} is there already; --force replaces it, --output FILE writes another one`);
}

/** That of the service is made; any other may be a typing error. */
function requireFolder(output: string): void {
  const folder = path.dirname(output);
  if (output === DEFAULT_CONFIG || statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw new UsageError(`there is no folder ${folder}: make it, or give another --output`);
}

function isThere(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined || found.isFile()) return found !== undefined;
  throw new UsageError(
    `${file} is ${found.isDirectory() ? 'a folder' : 'no file'}: name the file to write by --output`,
  );
}

/**
 * That of this shell, and where it has nothing, that of the service: also for the libraries, which look for theirs by themselves.
 * With the text of the service's file, for what is to be put into it.
 */
export function environmentOf({ environment }: Invocation, output: string) {
  const { file, values, problem } = readServiceEnvironment(output === STDOUT ? './pgsluice.yaml' : output);
  for (const [name, value] of Object.entries(values)) environment[name] ??= value;
  return { environment, file, variables: problem === undefined ? (readText(file) ?? '') : '' };
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** A URL, and what has part of one, is not written into a config: it may have a password. */
export function writtenSource(source: string): string {
  return variableOf(source) !== undefined || isFileReference(source) ? source : '${DATABASE_URL}';
}

export function variablesOf(
  written: string,
  url: string,
  { destination }: TypedEnds,
  environment: NodeJS.ProcessEnv,
): Variable[] {
  const name = variableOf(written);
  const source = name === undefined ? [] : [{ name, value: url }];
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: key, AWS_SESSION_TOKEN: token } = environment;
  // What goes with a token ends in hours.
  const hasKeys = /^s3:/i.test(destination) && id !== undefined && key !== undefined && token === undefined;
  if (hasKeys) registerSecret(key);
  const keys = hasKeys
    ? [
        { name: 'AWS_ACCESS_KEY_ID', value: id },
        { name: 'AWS_SECRET_ACCESS_KEY', value: key },
      ]
    : [];
  return [...source, ...keys];
}

export type Lacking = ReturnType<typeof missingVariables>;

/** Another value is replaced only where that was said. Throws UsageError. */
export async function mayWriteEnvironment(
  { writeEnvironment, force }: InitOptions,
  { absent, other }: Lacking,
  file: string,
  questions: Questions | undefined,
): Promise<boolean> {
  if (absent.length + other.length === 0) return false;
  const names = [...absent, ...other].map(({ name }) => name).join(', ');
  if (other.length > 0 && !force) {
    if (!writeEnvironment) return false;
    const clash = other.map(({ name }) => name).join(', ');
    throw new UsageError(
      `${file} has another ${clash}: --force replaces it, or take another name: --source '\${NAME}'`,
    );
  }
  if (writeEnvironment) return true;
  return questions !== undefined && (await askYes(questions, `Write ${names} into ${file} (mode 0600)?`, 'Y/n'));
}

/** It is loaded as any command would load it, before it has its name. */
export function writeConfig(
  { stdout }: Invocation,
  output: string,
  text: string,
  { replace, environment }: { replace: boolean; environment: NodeJS.ProcessEnv },
): void {
  if (output === STDOUT) {
    stdout.write(text);
    return;
  }
  const prove = (temporary: string): void => {
    loadConfig(temporary, environment);
  };
  try {
    if (output === DEFAULT_CONFIG) makeFolderSync(path.dirname(output), 0o755);
    writeWhole(output, text, { replace, mode: CONFIG_MODE, prove });
  } catch (error) {
    throw new UsageError(`${output} is not written: ${errorText(error)}`);
  }
}

export function writeEnvironment(file: string, text: string, variables: readonly Variable[]): void {
  try {
    writeWhole(file, withVariables(text, variables), { replace: true, mode: SECRET_MODE });
  } catch (error) {
    throw new UsageError(`${file} is not written: ${errorText(error)}`);
  }
}
