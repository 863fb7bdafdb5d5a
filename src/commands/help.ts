/** The end of a command's help: an example, its exit codes, and the variables that it looks at. */
import { EXIT, VARIABLES, type CommandEntry, type VariableName } from './entry.ts';

/** All commands look at these. */
const OF_ALL: readonly VariableName[] = ['PGSLUICE_CONFIG', 'NAME'];

/** Text for below the options. */
export function describeEnd(entry: CommandEntry): string {
  return [
    '',
    'Example:',
    `  $ ${entry.example}`,
    '',
    'Exit codes:',
    ...inColumns(exitsOf(entry)),
    '',
    'Environment:',
    ...inColumns(variablesOf(entry)),
  ].join('\n');
}

/** Code and meaning, from 0 on. */
export function exitsOf({ exits }: Pick<CommandEntry, 'exits'>): [code: string, meaning: string][] {
  return Object.entries({ [EXIT.done]: 'done', ...exits });
}

/** Name and meaning, in the order of the declaration. */
export function variablesOf({ variables }: Pick<CommandEntry, 'variables'>): [name: string, meaning: string][] {
  const names: readonly string[] = [...OF_ALL, ...variables];
  return Object.entries(VARIABLES).filter(([name]) => names.includes(name));
}

function inColumns(rows: readonly [string, string][]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, meaning]) => `  ${name.padEnd(width)}  ${meaning}`);
}
