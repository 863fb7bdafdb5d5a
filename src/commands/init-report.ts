/** What `init` says in the end. */
import { countOf, formatBytes, formatCount } from '../base/units.ts';
import type { TypedEnds } from '../config/typed.ts';
import { describeUnreadable } from '../init/config-text.ts';
import { environmentLine } from '../init/environment.ts';
import type { FoundTable, Look } from '../init/look.ts';
import type { Suggestion } from '../init/suggest.ts';
import { DEFAULT_CONFIG } from './entry.ts';
import { STDOUT, type Lacking } from './init-files.ts';
import type { Invocation } from './invocation.ts';
import { formatGrid } from './terminal/grid.ts';
import { printJson, printLines } from './terminal/print.ts';

export interface Told {
  output: string;
  found: Look;
  chosen: readonly FoundTable[];
  suggestion: Suggestion;
  ends: TypedEnds;
  environmentFile: string;
  lacking: Lacking;
  isWritten: boolean;
}

export function tell(invocation: Invocation, told: Told): void {
  if (invocation.json) printJson(invocation, asJson(told));
  else printLines(invocation, describe(told), told.output === STDOUT ? invocation.stderr : invocation.stdout);
}

function asJson({ output, found, suggestion, ends, environmentFile, lacking, isWritten }: Told): unknown {
  return {
    ok: true,
    config: output,
    database: found.database,
    destination: ends.destination,
    archives: suggestion.archives.map(({ name, table, tableName, againstPurge }) => ({
      ...{ name, table: tableName, kind: table.kind, bytes: table.bytes, rows: table.rows ?? null },
      ...{ key: table.key, time: table.time ?? null, partitions: table.parts, againstPurge },
    })),
    leftOut: {
      others: found.others + found.tables.length - suggestion.archives.length - suggestion.refused.length,
      unreadable: found.unreadable,
      refused: suggestion.refused.map(({ tableName, why }) => ({ table: tableName, why })),
    },
    environment: {
      file: environmentFile,
      written: isWritten,
      missing: isWritten ? [] : [...lacking.absent, ...lacking.other].map(({ name }) => name),
    },
    warnings: warningsOf(suggestion),
  };
}

function warningsOf({ findings }: Suggestion): string[] {
  return findings
    .filter(({ level }) => level === 'warning')
    .map(({ message, hint }) => `${message}${hint === undefined ? '' : ` (${hint})`}`);
}

function describe({ output, found, chosen, suggestion, ends, environmentFile, lacking, isWritten }: Told): string[] {
  const { database, unreadable } = found;
  const { archives, refused } = suggestion;
  const rows = archives.map(({ tableName, table: { kind, bytes, rows: count, key, time } }) => [
    ...[tableName, formatBytes(bytes), count === undefined ? '' : formatCount(count), key.join(', ')],
    time === undefined
      ? ''
      : `${time.name}${time.isIndexed || time.isPartitionKey || kind === 'view' ? '' : ', no index'}`,
  ]);
  const others = found.others + found.tables.length - chosen.length;
  const where = output === STDOUT ? '' : ` --config ${output}`;
  const isDefault = output === DEFAULT_CONFIG;
  return [
    `database ${database.name}, Postgres ${database.version}${database.isStandby ? ', a standby' : ''}, as role ${database.role}, to ${ends.destination}`,
    ...formatGrid(['table', 'size', 'rows', 'key', 'time'], rows, [1, 2]).map((line) => `  ${line}`),
    ...refused.map(({ tableName, why }) => `left out: ${tableName}: ${why}`),
    ...(unreadable.total === 0 ? [] : [`left out: ${describeUnreadable(database.role, unreadable)}`]),
    ...(others === 0 ? [] : [`left out: ${countOf(others, 'other table')}; --table takes those that are named`]),
    ...(output === STDOUT ? [] : [`written: ${output}, ${countOf(archives.length, 'archive')}`]),
    ...describeEnvironment(environmentFile, lacking, isWritten),
    `next: pgsluice check --online${isDefault ? '' : where}${describeWarnings(suggestion)}`,
  ];
}

function describeWarnings(suggestion: Suggestion): string {
  const { length } = warningsOf(suggestion);
  return length === 0 ? '' : `  # has ${countOf(length, 'warning')}`;
}

function describeEnvironment(file: string, { absent, other }: Lacking, isWritten: boolean): string[] {
  const lines = [...absent, ...other];
  if (lines.length === 0) return [];
  const names = lines.map(({ name }) => name).join(', ');
  if (isWritten) return [`written: ${file}, ${names}, for its owner alone`];
  const clash = other.length === 0 ? '' : ' in the place of what it says now';
  return [
    `to be put into ${file}${clash}, which is to have mode 0600 (--write-environment does both), with what is hidden here:`,
    ...lines.map((line) => `  ${environmentLine(line)}`),
  ];
}
