/** The text of a first config, as a person would write it. Pure. */
import type { TypedEnds } from '../config/typed.ts';
import { countOf, formatBytes, formatCount } from '../base/units.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { FoundTable, Look } from './look.ts';
import type { SuggestedArchive, Suggestion } from './suggest.ts';
import { commentText, yamlReference, yamlText } from './yaml.ts';

export interface ConfigParts {
  look: Pick<Look, 'database' | 'others' | 'unreadable'>;
  /** With the source as the config refers to it. */
  ends: TypedEnds;
  /** Where the source's URL is to be set; undefined where it refers to a file of its own. */
  environmentFile: string | undefined;
  suggestion: Pick<Suggestion, 'archives' | 'refused'>;
  timezone: string;
  /** For a daemon that is started by hand; undefined where the service has one. */
  stateFolder: string | undefined;
}

/** What stands against a purge is named up to so many times. */
const MOST_AGAINST = 5;
const MOST_REFUSED = 20;

export function configText(parts: ConfigParts): string {
  const { look, ends, environmentFile, suggestion, timezone, stateFolder } = parts;
  const { archives } = suggestion;
  const set = environmentFile === undefined ? '' : ` # is set in ${commentText(environmentFile)}`;
  const lines = [
    `# What pgsluice archives, from where to where, and when: a first config for database ${commentText(look.database.name)}, by \`pgsluice init\`.`,
    '# `pgsluice check --online` says what is not right with it. All options: docs/config.md.',
    '',
    'sources:',
    '  default:',
    `    url: ${yamlReference(ends.source)}${set}`,
    '',
    'destinations:',
    '  default:',
    `    url: ${yamlText(ends.destination)}`,
    ...(ends.region === undefined ? [] : [`    region: ${yamlText(ends.region)}`]),
    ...(ends.endpoint === undefined ? [] : [`    endpoint: ${yamlText(ends.endpoint)}`]),
    ...(ends.forcePathStyle === true ? ['    forcePathStyle: true'] : []),
    '',
    'archives:',
    '  # Each goes to a folder of its name: all rows of the table, at each slot. The lines with a # are proposals:',
    '  #   where   only old rows; :slot is the time of the run',
    '  #   window  instead of where: each partition, month or day once, when it is over (docs/windows.md)',
    '  #   purge   deletes from the table what a run was proved to hold (docs/purge.md); below it, what stands against that',
    '',
    ...archives.flatMap((archive, index) => archiveLines(archive, index, timezone)),
    ...leftOutLines(parts),
    'http: { listen: 127.0.0.1:8432 } # the status page and the metrics',
    ...(stateFolder === undefined
      ? []
      : [`# state: ${commentText(yamlText(stateFolder))} # history and socket of a daemon that you start yourself`]),
  ];
  return `${lines.join('\n')}\n`;
}

function archiveLines(archive: SuggestedArchive, index: number, timezone: string): string[] {
  const { name, table, tableName } = archive;
  return [
    `  # ${describeTable(table)}`,
    `  ${yamlText(name)}:`,
    `    table: ${yamlText(tableName)}`,
    ...(table.kind === 'foreign' ? ['    consistency: none # a foreign table has no snapshot'] : []),
    `    schedule: '${slotOf(index)}'`,
    ...(timezone === 'UTC' ? [] : [`    timezone: ${yamlText(timezone)}`]),
    ...filterLines(archive),
    ...purgeLines(archive),
    '',
  ];
}

/** One after the other, ten minutes apart, from a quarter past two on. */
function slotOf(index: number): string {
  const minutes = 2 * 60 + 15 + 10 * index;
  return `${minutes % 60} ${Math.floor(minutes / 60) % 24} * * *`;
}

function describeTable(table: FoundTable): string {
  const { bytes, rows, key, time, kind } = table;
  // Neither has pages or a key of its own.
  if (kind === 'view' || kind === 'foreign') return kind === 'view' ? 'a view' : 'a foreign table';
  const facts = [
    bytes === 0 ? 'empty' : formatBytes(bytes),
    ...(rows === undefined ? [] : [`about ${countOf(rows, 'row')}`]),
    key.length > 0 ? `key ${key.join(', ')}` : 'no primary key',
    ...(time === undefined || time.isPartitionKey ? [] : [`${time.isIndexed ? 'index' : 'no index'} on ${time.name}`]),
    ...describeParts(table),
  ];
  return commentText(facts.join('; '));
}

function describeParts({ parts, kind, time }: FoundTable): string[] {
  if (parts === 0) return [];
  if (kind !== 'partitioned') return [`${formatCount(parts)} inherit from it`];
  return [`${countOf(parts, 'partition')}${time?.isPartitionKey === true ? ` by ${time.name}` : ''}`];
}

function filterLines({ table: { time }, window }: SuggestedArchive): string[] {
  if (time === undefined) return [];
  const column = /^[a-z_][a-z0-9_]*$/.test(time.name) ? time.name : quoteIdentifier(time.name);
  const where = `${column} < :slot - interval '90 days'`;
  return [
    `    # where: ${column === time.name ? where : yamlText(where)}`,
    ...(time.mayChange ? [] : [`    # window: { column: ${yamlText(time.name)}, every: ${window} }`]),
  ];
}

function purgeLines({ window, againstPurge, purgeEffects }: SuggestedArchive): string[] {
  const isRefused = againstPurge.length > 0;
  const then = window === 'partition' ? ', then: drop' : '';
  const alongside = window === 'partition' ? ' with the window' : '';
  const note = isRefused ? ` # as it is, refused${alongside}:` : alongside === '' ? '' : ` #${alongside}`;
  const said = isRefused ? againstPurge : purgeEffects;
  const shown = said.slice(0, MOST_AGAINST).map((text) => `    #   ${commentText(text)}`);
  const more = said.length > shown.length ? [`    #   and ${said.length - shown.length} more`] : [];
  return [`    # purge: { after: 7d${then} }${note}`, ...shown, ...more];
}

function leftOutLines({ look: { database, others, unreadable }, suggestion: { refused } }: ConfigParts): string[] {
  const lines = refused
    .slice(0, MOST_REFUSED)
    .map(({ tableName, why }) => `${tableName}, which cannot be archived as it is: ${why}`);
  if (refused.length > MOST_REFUSED) lines.push(`${refused.length - MOST_REFUSED} more that cannot be archived`);
  if (unreadable.total > 0) lines.push(describeUnreadable(database.role, unreadable));
  if (others > 0)
    lines.push(`${countOf(others, 'smaller table')}; \`pgsluice init --table\` takes those that are named`);
  return lines.length === 0 ? [] : ['  # Left out:', ...lines.map((line) => `  #   ${commentText(line)}`), ''];
}

/** For people, here and on the terminal. */
export function describeUnreadable(role: string, { names, total }: Look['unreadable']): string {
  const more = total > names.length ? ` and ${total - names.length} more` : '';
  const to = quoteIdentifier(role);
  return `${countOf(total, 'table')} that the role ${role} may not read: ${names.join(', ')}${more} (GRANT SELECT ON … TO ${to})`;
}
