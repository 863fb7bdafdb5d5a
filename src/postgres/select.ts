/** Builds the statements that read an archive's rows. */
import type { Column } from './columns.ts';
import { quoteIdentifier } from './identifiers.ts';

/** A statement with its parameters, `$1` onwards. */
export interface Statement {
  text: string;
  params: readonly unknown[];
}

/**
 * For the driver: a query that is sent by the extended protocol also without parameters, so that the server refuses
 * text which turns out to be several statements. The option is missing in the driver's types.
 */
export function asOneStatement(text: string, params: readonly unknown[]): { text: string; values: unknown[] } {
  const query = { text, values: [...params], queryMode: 'extended' };
  return query;
}

/** What is read of a source: a relation with an optional filter, or a query with its parameters. */
export type Selection =
  | { kind: 'relation'; from: string; where: string | undefined; columns: readonly Column[] }
  | { kind: 'query'; sql: string; params: readonly unknown[]; columns: readonly Column[] };

/**
 * What narrows a selection to one segment. `predicate` and `orderBy` name columns by the references of {@link
 * columnReference}.
 */
export interface Narrowing {
  /** Reads this relation in place of the selection's own, or these one after the other: leaves of a partitioned table. */
  from?: string | readonly string[];
  predicate?: string;
  orderBy?: string;
}

/**
 * Whether a column is asked for as JSON text of the server's own. By default those are that are not printed as scalars. One whose
 * encoding is `text` never is.
 */
export type AsksServer = (column: Column) => boolean;

const asksByEncoding: AsksServer = (column) => column.encoding === 'server';

/** The statement that gives exactly the selection's columns, in their order. */
export function buildSelect(
  selection: Selection,
  narrowing: Narrowing = {},
  asksServer: AsksServer = asksByEncoding,
): Statement {
  const list = selection.columns
    .map((column, index) => selectItem(columnReference(selection, index), column, asksServer))
    .join(', ');
  const conditions = [selection.kind === 'relation' ? selection.where : undefined, narrowing.predicate];
  const wanted = conditions.filter((condition) => condition !== undefined).map((condition) => `(${condition}\n)`);
  const where = wanted.length === 0 ? '' : ` WHERE ${wanted.join(' AND ')}`;
  const order = narrowing.orderBy === undefined ? '' : ` ORDER BY ${narrowing.orderBy}`;
  const selects = fromItems(selection, narrowing).map((from) => `SELECT ${list} FROM ${from}${where}`);
  return {
    text: `${selects.join('\nUNION ALL ')}${order}`,
    params: selection.kind === 'query' ? selection.params : [],
  };
}

/** How SQL refers to the column at `index`: a query's columns are renamed by position, as their names may be alike. */
export function columnReference(selection: Selection, index: number): string {
  const column = selection.columns[index];
  if (column === undefined) throw new Error(`there is no column ${index}`);
  return selection.kind === 'query' ? `q.c${index + 1}` : quoteIdentifier(column.name);
}

function selectItem(reference: string, column: Column, asksServer: AsksServer): string {
  if (column.encoding === 'text') return outputOf(reference);
  return asksServer(column) ? `pg_catalog.to_json(${reference})::pg_catalog.text` : reference;
}

/** What the type's output prints: a cast to text may be one that somebody wrote, and prints something else. A row of NULLs is no NULL. */
function outputOf(reference: string): string {
  return `CASE WHEN ${reference} IS DISTINCT FROM NULL THEN pg_catalog.format('%s', ${reference}) END`;
}

function fromItems(selection: Selection, { from }: Narrowing): readonly string[] {
  if (selection.kind === 'relation' && from !== undefined) return typeof from === 'object' ? from : [from];
  return [fromSelection(selection)];
}

/** The selection as an item of FROM, without its filter; its columns go by {@link columnReference}. */
export function fromSelection(selection: Selection): string {
  if (selection.kind === 'relation') return selection.from;
  const names = selection.columns.map((_, index) => `c${index + 1}`).join(', ');
  return `(\n${selection.sql}\n) AS q${names === '' ? '' : `(${names})`}`;
}
