/** The lines that a config's variables take in the environment file beside it, and that file with them. */
import { parseEnvironment } from '../config/environment-file.ts';

export interface Variable {
  name: string;
  value: string;
}

/** A whole reference, which can be written into a config as it is: nothing of a URL stands in it. */
export function variableOf(source: string): string | undefined {
  return /^\$\{([A-Za-z_]\w*)\}$/.exec(source)?.[1];
}

export function isFileReference(source: string): boolean {
  return /^\$\{file:\/[^{}]*\}$/.test(source);
}

/** As {@link parseEnvironment} and systemd read it back. */
export function environmentLine({ name, value }: Variable): string {
  if (/^[\w@%+=:,./?&~-]+$/.test(value)) return `${name}=${value}`;
  return `${name}="${value.replaceAll(/["\\$`]/g, '\\$&')}"`;
}

/** Those that the file does not have, or has another value for. */
export function missingVariables(text: string, wanted: readonly Variable[]): { absent: Variable[]; other: Variable[] } {
  const there = parseEnvironment(text);
  const lacking = wanted.filter(({ name, value }) => there[name] !== value);
  return {
    absent: lacking.filter(({ name }) => !Object.hasOwn(there, name)),
    other: lacking.filter(({ name }) => Object.hasOwn(there, name)),
  };
}

/** The text with these variables: each in the place of the last line that sets it, or at the end. All else stays as it is. */
export function withVariables(text: string, variables: readonly Variable[]): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  for (const variable of variables) {
    const at = lines.findLastIndex((line) => new RegExp(`^\\s*${variable.name}=`).test(line));
    if (at === -1) lines.push(environmentLine(variable));
    else lines[at] = environmentLine(variable);
  }
  return `${lines.join('\n')}\n`;
}
