/** Folders by value, `<column>=<value>/`, named and escaped as Hive does it: what reads Hive's layout reads ours. */
import { MAX_PARTITION_COLUMNS } from '../config/schema.ts';

/** A value for each column of a layout, as Postgres prints it; null is NULL. */
export type PartitionValues = readonly (string | null)[];

/** What Hive calls the folder of NULL, and that of the empty text. */
const DEFAULT_PARTITION = '__HIVE_DEFAULT_PARTITION__';
/** Readers take it for NULL in any case of its letters: as a value, it is spelt otherwise. */
const LIKE_DEFAULT = /^_(?=_HIVE_DEFAULT_PARTITION__$)/i;
const UNDERSCORE = '%5F';

/** The characters that Hive escapes in names and values of folders: org.apache.hadoop.hive.common.FileUtils has the list. */
const ESCAPED = /[\u0001-\u001f"#%'*/:=?\\\u007f{[\]^]/g;

/** The folder of a value, such as `domain_id=42/`; ends in `/`. Without columns there is none: ''. */
export function partitionFolder(columns: readonly string[], values: PartitionValues): string {
  if (columns.length !== values.length)
    throw new Error(`there are ${values.length} values for ${columns.length} columns`);
  return columns.map((column, at) => `${escapeName(column)}=${escapeValue(values[at] ?? null)}/`).join('');
}

/** Whether a folder is one that {@link partitionFolder} makes; '' is one of no columns. It never leads elsewhere. */
export function isPartitionFolder(folder: string): boolean {
  if (folder === '') return true;
  if (!folder.endsWith('/')) return false;
  const parts = folder.slice(0, -1).split('/');
  return parts.length <= MAX_PARTITION_COLUMNS && parts.every(isPartitionPart);
}

function isPartitionPart(part: string): boolean {
  const [name = '', value, ...others] = part.split('=');
  if (name === '' || value === undefined || value === '' || others.length > 0) return false;
  if (escapeName(unescapeName(name)) !== name) return false;
  return value === DEFAULT_PARTITION || escapeValue(unescapeName(value)) === value;
}

function escapeValue(value: string | null): string {
  if (value === null || value === '') return DEFAULT_PARTITION;
  return escapeName(value).replace(LIKE_DEFAULT, UNDERSCORE);
}

function escapeName(name: string): string {
  return name.replace(
    ESCAPED,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

function unescapeName(escaped: string): string {
  return escaped.replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** By column, as a manifest has it. */
export type Partition = Readonly<Record<string, string | null>>;

/** The values by their columns. */
export function partitionOf(columns: readonly string[], values: PartitionValues): Record<string, string | null> {
  return Object.fromEntries(columns.map((column, at) => [column, values[at] ?? null]));
}

/** What one option `--partition` asks for: a value of one column. */
export interface PartitionChoice {
  column: string;
  value: string | null;
}

/**
 * Reads options such as `domain_id=42`, `domain_id=` (the empty text) or `domain_id` (NULL) for a run that lies in folders of
 * these columns; a text for people where one of them cannot be meant.
 */
export function readChoices(texts: readonly string[], columns: readonly string[]): PartitionChoice[] | string {
  const choices: PartitionChoice[] = [];
  for (const text of texts) {
    // A name may hold a `=`, and begin as another one does.
    const [column] = columns.filter((name) => text === name || text.startsWith(`${name}=`)).sort(byLength);
    if (column === undefined)
      return `--partition ${text}: ${columns.length === 0 ? 'it lies in no folders by value' : `its folders are of ${columns.join(', ')}`}`;
    if (choices.some((choice) => choice.column === column)) return `--partition ${text}: ${column} was given before`;
    choices.push({ column, value: text === column ? null : text.slice(column.length + 1) });
  }
  return choices;
}

function byLength(a: string, b: string): number {
  return b.length - a.length;
}

/** Whether an object is of what was chosen. One of another layout, which has no rows, is not. */
export function isChosen(partition: Partition | undefined, choices: readonly PartitionChoice[]): boolean {
  return choices.every(({ column, value }) => partition?.[column] === value);
}

/** The folder that all chosen objects lie in, as far as the columns are given from the first one on; '' where that is not. */
export function commonFolder(columns: readonly string[], choices: readonly PartitionChoice[]): string {
  const values: (string | null)[] = [];
  for (const column of columns) {
    const choice = choices.find((one) => one.column === column);
    if (choice === undefined) break;
    values.push(choice.value);
  }
  return partitionFolder(columns.slice(0, values.length), values);
}
