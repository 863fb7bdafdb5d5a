/** What an operator should know of a table or query before he trusts an archive of it: `plan` and `check --online` say it. */
import { FOLDER_KEY } from '../ledger/names.ts';
import { isPseudoType, type Column } from '../postgres/columns.ts';
import type { Subject } from './subject.ts';

/** A line each; empty when there is nothing to say. */
export function warnOfSubject({ selection, relation, name }: Subject): string[] {
  return [
    ...(relation?.isPopulated === false ? [describeUnfilled(name)] : []),
    ...warnOfNames(selection.columns),
    ...warnOfPseudoTypes(selection.columns),
    ...(hasHeirs(relation) ? [describeHeirs(name)] : []),
  ];
}

/** Of columns whose JSON somebody's cast would make. `run` says it as well. */
export function warnOfCasts(columns: readonly Pick<Column, 'name' | 'type' | 'encoding' | 'isMadeByCast'>[]): string[] {
  return columns
    .filter(({ isMadeByCast }) => isMadeByCast === true)
    .map(({ name, type, encoding }) =>
      encoding === 'text'
        ? `column ${name} is archived as the text of its type, ${type}, which restores exactly; lines: server takes what its cast to json prints`
        : `column ${name} is archived as a cast to json of ${type} prints it, which may lose something, and may not restore`,
    );
}

/** Whether tables inherit from it that are no partitions: their rows are read with its own. */
export function hasHeirs(relation: Subject['relation']): boolean {
  return relation !== undefined && relation.hasChildren && relation.kind !== 'partitioned';
}

function describeUnfilled(name: string): string {
  return `the materialized view ${name} was never filled, and cannot be read before REFRESH MATERIALIZED VIEW`;
}

function describeHeirs(name: string): string {
  return `tables inherit from ${name}: their rows are archived with its own, and a restore puts all of them into one table`;
}

/** Of columns whose names other readers take for something else. */
export function warnOfNames(columns: readonly { name: string }[]): string[] {
  const folded = Map.groupBy(columns, ({ name }) => name.toLowerCase());
  return [...folded.values()].flatMap((alike) => {
    const names = alike.map(({ name }) => name);
    const isFolderKey = names.some((name) => name.toLowerCase() === FOLDER_KEY);
    return [
      ...(isFolderKey ? [describeFolderKey(names)] : []),
      ...(names.length === 1
        ? []
        : [`columns ${names.join(', ')}: many readers ignore case, and take one for the other`]),
    ];
  });
}

/** Of columns that no restore can bring back, as no table has such a one. */
export function warnOfPseudoTypes(columns: readonly Pick<Column, 'name' | 'type' | 'typeOid'>[]): string[] {
  return columns
    .filter(({ typeOid }) => isPseudoType(typeOid))
    .map(
      ({ name, type }) =>
        `column ${name} is of type ${type}, which no table can have, so that a restore is refused: cast it in the query, to text or to a type of your own`,
    );
}

/** bool, integers, date and uuid, which are read from the name of a folder as they were. */
const READ_ALIKE: ReadonlySet<number> = new Set([16, 20, 21, 23, 1082, 2950]);

/** Of the columns of `partitionBy`, whose values other readers take from the folders, and of those that such a reader takes for them. */
export function warnOfFolderKeys(
  columns: readonly Pick<Column, 'name' | 'baseTypeOid'>[],
  partitionBy: readonly string[],
): string[] {
  return partitionBy.flatMap((key) => {
    const replaced = columns.filter(({ name, baseTypeOid }) =>
      name === key ? !READ_ALIKE.has(baseTypeOid) : name.toLowerCase() === key.toLowerCase(),
    );
    return replaced.map(({ name }) =>
      name === key
        ? `column ${name}: readers that take ${key}=… of the folders for a column guess its type, and may take 042 for 42 and an empty text for NULL; docs/format.md says how to read it`
        : `column ${name}: readers that take ${key}=… of the folders for a column, and ignore case, replace its values by those of ${key}; docs/format.md says how to read it`,
    );
  });
}

function describeFolderKey(names: readonly string[]): string {
  return `column ${names.join(', ')}: readers that take ${FOLDER_KEY}=… of the folders for a column replace its values by the run id; docs/format.md says how to read it`;
}
