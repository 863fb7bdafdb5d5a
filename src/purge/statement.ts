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
import { DIGEST_BYTES } from './proof.ts';

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

/** Parameters of both: an array of values for each column of the key, all digests as one, the bounds of the window. Lines count from 1. */
export interface PurgeStatements {
  /** Deletes; gives how many lines had their row locked, how many of these went, and the numbers of those that did not. */
  remove: string;
  /**
   * Gives how many lines have a row of their key, by what it is: `changed`, `inexact`, `referenced` or `equal`. A last parameter has
   * the numbers of lines to leave out.
   */
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
SELECT pg_catalog.count(*)::pg_catalog.int4 AS locked, pg_catalog.count(*) FILTER (WHERE lines.went)::pg_catalog.int4 AS deleted,
  pg_catalog.array_agg(lines.n) FILTER (WHERE NOT lines.went)::pg_catalog.text AS kept
FROM (
  SELECT DISTINCT l.n, l.n OPERATOR(pg_catalog.=) ANY (SELECT gone.n FROM gone) AS went FROM l
) AS lines`,
    look: `WITH ${archivedRows(target)}
SELECT found.outcome, pg_catalog.count(*)::pg_catalog.int4 AS lines FROM (
  SELECT CASE
    WHEN (${digestOf(row)} OPERATOR(pg_catalog.=) a.d) IS NOT TRUE THEN 'changed'
    ${exact.length === 0 ? '' : `WHEN (${exact.join(' AND ')}) IS NOT TRUE THEN 'inexact'`}
    ${referenced.length === 0 ? '' : `WHEN ${referenced.join(' OR ')} THEN 'referenced'`}
    ELSE 'equal' END AS outcome
  FROM ${from} JOIN a ON ${[isSame('a'), ...fence].join(' AND ')}
  WHERE a.n OPERATOR(pg_catalog.<>) ALL ($${key.length + 2 + fence.length}::pg_catalog.int8[])
) AS found GROUP BY found.outcome`,
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
export function digestOf(row: string): string {
  const line = `pg_catalog.translate(pg_catalog.row_to_json(${row}.*)::pg_catalog.text, E'\\n\\r', '  ')`;
  return `pg_catalog.sha256(pg_catalog.convert_to(${line}, 'UTF8'))`;
}

/** A digest is taken by its place: as an array of so many, they would take the server and us longer than the deleting does. */
function archivedRows({ key }: PurgeTarget): string {
  const lists = key.map(({ type }, at) => `pg_catalog.unnest($${at + 1}::${type}[])`);
  const names = key.map((_, at) => `k${at + 1}`);
  const at = `((u.n OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog.*) ${DIGEST_BYTES} OPERATOR(pg_catalog.+) 1)::pg_catalog.int4`;
  return `a AS MATERIALIZED (
  SELECT u.*, pg_catalog.substr($${key.length + 1}::pg_catalog.bytea, ${at}, ${DIGEST_BYTES}) AS d
  FROM ROWS FROM (${lists.join(', ')}) WITH ORDINALITY AS u(${[...names, 'n'].join(', ')})
)`;
}

function fenceOf({ window, key }: PurgeTarget, row: string): string[] {
  if (window === undefined) return [];
  const column = `${row}.${quoteIdentifier(window.column)}`;
  const bound = (at: number): string => `$${key.length + 2 + at}::pg_catalog.${window.type}`;
  return [`${column} OPERATOR(pg_catalog.>=) ${bound(0)}`, `${column} OPERATOR(pg_catalog.<) ${bound(1)}`];
}

export function existsReference(
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
export function freeAlias(columns: readonly Column[]): string {
  let alias = 'pgsluice_row';
  while (columns.some(({ name }) => name === alias)) alias += '_';
  return alias;
}
