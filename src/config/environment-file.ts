/** The variables of the service, for commands that an operator gives: the file beside the config that the unit names. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { readText } from './read.ts';

export interface ServiceEnvironment {
  file: string;
  /** Empty where there is no such file, or it cannot be taken. */
  values: Readonly<Record<string, string>>;
  /** Why a file that is there is not taken. */
  problem: string | undefined;
}

/** What steers a process before it runs is not the config's business. */
const NOT_TAKEN = /^(?:NODE_|LD_|PATH$|HOME$|SHELL$)/;
const OTHERS_WRITE = 0o022;

/**
 * Reads `environment` in the folder of the config, as `EnvironmentFile=/etc/pgsluice/environment` does. Only a file that
 * nobody else can have written is taken. Never throws.
 */
export function readServiceEnvironment(configFile: string, uid = process.getuid?.() ?? 0): ServiceEnvironment {
  const file = path.join(path.dirname(path.resolve(configFile)), 'environment');
  const nothing = { file, values: {}, problem: undefined };
  try {
    const { uid: owner, mode } = statSync(file);
    if ((owner !== 0 && owner !== uid) || (mode & OTHERS_WRITE) !== 0)
      return { ...nothing, problem: `${file} is not taken, as other users can write it: chmod 600 ${file}` };
    const taken = Object.entries(parseEnvironment(readText(file))).filter(([name]) => !NOT_TAKEN.test(name));
    return { ...nothing, values: Object.fromEntries(taken) };
  } catch (error) {
    const isDenied =
      error instanceof Error && /EACCES|no permission/.test(`${error.message} ${String(Reflect.get(error, 'code'))}`);
    const problem = `${file} has the variables of the service, and this user may not read it: give the command with sudo`;
    return isDenied ? { ...nothing, problem } : nothing;
  }
}

/** As systemd.exec(5) reads it: `NAME=value` a line, comments with `#` or `;`, quotes, and a backslash at the end of a line. */
export function parseEnvironment(text: string): Record<string, string> {
  const values: [string, string][] = [];
  for (const line of text.replace(/\\\r?\n/g, '').split(/\r?\n/)) {
    const [, name, value] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) values.push([name, unquote(value.trim())]);
  }
  return Object.fromEntries(values);
}

function unquote(value: string): string {
  const [, single, double] = /^(?:'(.*)'|"(.*)")$/.exec(value) ?? [];
  return single ?? (double ?? value).replace(/\\(["\\$`])/g, '$1');
}
