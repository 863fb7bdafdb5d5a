/** Builds the statements that read an archive's rows. */
import type { Column } from './columns.ts';
import { quoteIdentifier } from './identifiers.ts';

/** A statement with its parameters, `$1` onwards. */
export interface Statement {
  text: string;
  params: readonly unknown[];
}

/** Where the rows come from: a relation with an optional filter, or a query with its parameters. */
export type RowSource =
  | { kind: 'relation'; from: string; where: string | undefined; columns: readonly Column[] }
  | { kind: 'query'; sql: string; params: readonly unknown[]; columns: readonly Column[] };

/** What narrows a source to one segment. `predicate` and `orderBy` name columns by the references of {@link columnReference}. */
export interface Narrowing {
  /** Reads this relation in place of the source's own: a leaf of a partitioned table. */
  from?: string;
  predicate?: string;
  orderBy?: string;
}

/** The statement that gives exactly the source's columns; those with encoding `server` as JSON text. */
export function buildSelect(source: RowSource, narrowing: Narrowing = {}): Statement {
  const list = source.columns.map((column, index) => selectItem(column, columnReference(source, index))).join(', ');
  const conditions = [source.kind === 'relation' ? source.where : undefined, narrowing.predicate];
  const wanted = conditions.filter((condition) => condition !== undefined).map((condition) => `(${condition}\n)`);
  const where = wanted.length === 0 ? '' : ` WHERE ${wanted.join(' AND ')}`;
  const order = narrowing.orderBy === undefined ? '' : ` ORDER BY ${narrowing.orderBy}`;
  return {
    text: `SELECT ${list} FROM ${fromItem(source, narrowing)}${where}${order}`,
    params: source.kind === 'query' ? source.params : [],
  };
}

/** How SQL refers to the column at `index`: a query's columns are renamed by position, as their names may be alike. */
export function columnReference(source: RowSource, index: number): string {
  const column = source.columns[index];
  if (column === undefined) throw new Error(`there is no column ${index}`);
  return source.kind === 'query' ? `q.c${index + 1}` : quoteIdentifier(column.name);
}

function selectItem(column: Column, reference: string): string {
  return column.encoding === 'server' ? `to_json(${reference})::text` : reference;
}

function fromItem(source: RowSource, narrowing: Narrowing): string {
  if (source.kind === 'relation') return narrowing.from ?? source.from;
  const names = source.columns.map((_, index) => `c${index + 1}`).join(', ');
  return `(\n${source.sql}\n) AS q${names === '' ? '' : `(${names})`}`;
}
