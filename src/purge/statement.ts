/**
 * The statements of a batch. A row goes only if its line, as the server prints it at that instant, is the archived one: the row
 * is locked first, and what is locked is what is compared. Without the lock, a row whose update commits while the DELETE
 * waits for it would go with content that nobody archived.
 */
import type { ManifestColumn } from '../ledger/manifest.ts';
import type { Column } from '../postgres/columns.ts';
import { quoteIdentifier, quoteTableName } from '../postgres/identifiers.ts';
import type { KeyType } from '../postgres/key-types.ts';
import { exactRows } from './exact.ts';
import type { Reference } from './look.ts';

/** What the statements are made of. */
export interface PurgeTarget {
  schema: string;
  table: string;
  /** Else rows of tables that inherit from it are none of its own. */
  isPartitioned: boolean;
  columns: readonly Column[];
  archived: readonly ManifestColumn[];
  key: readonly (KeyType & { name: string })[];
  references: readonly Pick<Reference, 'schema' | 'relation' | 'columns' | 'referenced' | 'operators'>[];
  /** A fence, and what partitions are told apart by; its bounds are the last two parameters. */
  window: { column: string; type: 'date' | 'timestamp' | 'timestamptz' } | undefined;
}

/** Parameters of both: a list of values for each column of the key, the list of digests, the bounds of the window. */
export interface PurgeStatements {
  /** Deletes; gives `n` of each row that was locked, from 1, and whether it went. */
  remove: string;
  /** Gives `n` of each row whose key is there, and what it is: `changed`, `inexact`, `referenced` or `equal`. */
  look: string;
}

export function buildStatements(target: PurgeTarget): PurgeStatements {
  const { schema, table, columns, archived, key } = target;
  const row = freeAlias(columns);
  const from = `${target.isPartitioned ? '' : 'ONLY '}${quoteTableName({ schema, table })} AS ${row}`;
  const isSame = (side: string): string =>
    key
      .map(({ name, operators }, at) => `${row}.${quoteIdentifier(name)} OPERATOR(${operators}.=) ${side}.k${at + 1}`)
      .join(' AND ');
  const exact = exactRows(columns, archived, row).conditions;
  const referenced = target.references.map((reference) => existsReference(reference, row));
  const fence = fenceOf(target, row);
  const remaining = referenced.map((exists) => `NOT ${exists}`);
  const conditions = [`${digestOf(row)} OPERATOR(pg_catalog.=) a.d`, ...exact, ...remaining, ...fence].join(
    '\n    AND ',
  );
  const names = key.map((_, at) => `a.k${at + 1}`).join(', ');
  return {
    remove: `WITH ${archivedRows(target)}, l AS MATERIALIZED (
  SELECT ${names}, a.n, ${row}.tableoid AS t, ${row}.ctid AS c FROM ${from} JOIN a ON ${isSame('a')}
  WHERE ${conditions}
  FOR UPDATE OF ${row} SKIP LOCKED
), gone AS (
  DELETE FROM ${from} USING l WHERE ${[ALL_COMPARED, isSame('l'), isThatVersion(row), ...fence].join(' AND ')} RETURNING l.n
)
SELECT l.n::pg_catalog.int4 AS n, l.n OPERATOR(pg_catalog.=) ANY (SELECT gone.n FROM gone) AS went FROM l`,
    look: `WITH ${archivedRows(target)}
SELECT a.n::pg_catalog.int4 AS n, CASE
    WHEN (${digestOf(row)} OPERATOR(pg_catalog.=) a.d) IS NOT TRUE THEN 'changed'
    ${exact.length === 0 ? '' : `WHEN (${exact.join(' AND ')}) IS NOT TRUE THEN 'inexact'`}
    ${referenced.length === 0 ? '' : `WHEN ${referenced.join(' OR ')} THEN 'referenced'`}
    ELSE 'equal' END AS outcome
FROM ${from} JOIN a ON ${[isSame('a'), ...fence].join(' AND ')}`,
  };
}

/**
 * Has all rows compared before the first one goes: `l` is else read row by row, and a trigger that fires for one could change
 * how the next one is printed.
 */
const ALL_COMPARED = '(SELECT pg_catalog.count(*) FROM l) OPERATOR(pg_catalog.>) 0';

/**
 * The very version of the row that was locked and compared. The key leads there, and is not believed: it may have ceased to be
 * one since the preflight, so that another row has the same.
 */
function isThatVersion(row: string): string {
  return `${row}.tableoid OPERATOR(pg_catalog.=) l.t AND ${row}.ctid OPERATOR(pg_catalog.=) l.c`;
}

/** As the archive was printed; a JSON value may hold line breaks between its parts, which lines have as blanks. */
function digestOf(row: string): string {
  const line = `pg_catalog.translate(pg_catalog.row_to_json(${row}.*)::pg_catalog.text, E'\\n\\r', '  ')`;
  return `pg_catalog.sha256(pg_catalog.convert_to(${line}, 'UTF8'))`;
}

/** Of several lists, `unnest` is a word of the grammar, which no search path has a say in. */
function archivedRows({ key }: PurgeTarget): string {
  const lists = key.map(({ type }, at) => `$${at + 1}::${type}[]`);
  const names = key.map((_, at) => `k${at + 1}`);
  return `a AS MATERIALIZED (
  SELECT * FROM unnest(${[...lists, `$${key.length + 1}::pg_catalog.bytea[]`].join(', ')})
    WITH ORDINALITY AS u(${[...names, 'd', 'n'].join(', ')})
)`;
}

function fenceOf({ window, key }: PurgeTarget, row: string): string[] {
  if (window === undefined) return [];
  const column = `${row}.${quoteIdentifier(window.column)}`;
  const bound = (at: number): string => `$${key.length + 2 + at}::pg_catalog.${window.type}`;
  return [`${column} OPERATOR(pg_catalog.>=) ${bound(0)}`, `${column} OPERATOR(pg_catalog.<) ${bound(1)}`];
}

function existsReference(
  { schema, relation, columns, referenced, operators }: PurgeTarget['references'][number],
  row: string,
): string {
  const equal = columns.map((column, at) => {
    const operator = operators[at];
    const there = referenced[at];
    if (operator === undefined || there === undefined)
      throw new Error('a foreign key has as many operators as columns');
    const name = `OPERATOR(${quoteIdentifier(operator.schema)}.${operator.name})`;
    return `${row}.${quoteIdentifier(there)} ${name} r.${quoteIdentifier(column)}`;
  });
  return `EXISTS (SELECT FROM ${quoteTableName({ schema, table: relation })} AS r WHERE ${equal.join(' AND ')})`;
}

/** A column of this name would be taken for the row. */
function freeAlias(columns: readonly Column[]): string {
  let alias = 'pgsluice_row';
  while (columns.some(({ name }) => name === alias)) alias += '_';
  return alias;
}
