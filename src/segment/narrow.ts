/**
 * Narrows what a run reads to one of its segments. How the run is cut and which part is meant are plain data, which may come from
 * another host; the SQL is made here, and a value stands in it as a literal alone.
 */
import type { Reader } from '../config/reader.ts';
import { hasBinaryEncoder } from '../format/jsonl/write/binary/column.ts';
import type { Column } from '../postgres/columns.ts';
import { hasValues, type ValueColumn } from '../postgres/distinct-values.ts';
import { quoteLiteral } from '../postgres/identifiers.ts';
import { compareRow, type Compared } from '../postgres/row-comparison.ts';
import { buildSelect, type Narrowing, type Selection, type Statement } from '../postgres/select.ts';

/** A key that rows are cut by. */
export interface KeyParts {
  columns: readonly Compared[];
  /** Whether rows without a key must be reckoned with. */
  nullable: boolean;
}

/** A leaf of a table as SQL names it; see postgres/table-stats.ts. */
export interface NamedLeaf {
  oid: number;
  from: string;
  hasPages: boolean;
}

/** The table that was asked for: its OID where it has this name itself, and its name, quoted. A filter may call it so, and a leaf takes that name on. */
export interface NamedTable {
  oid: number | undefined;
  name: string;
}

/** How the rows of a run are cut. */
export type CutParts =
  | { by: 'none' }
  | ({ by: 'key' } & KeyParts)
  | { by: 'pages'; table: NamedTable; leaves: ReadonlyMap<number, NamedLeaf> }
  | { by: 'value'; columns: readonly ValueColumn[]; key: KeyParts | undefined };

interface Range {
  lower: readonly string[] | null;
  upper: readonly string[] | null;
}

interface LeafPages {
  leaf: number;
  name: string;
  fromPage: number;
  toPage: number | null;
}

/** Which part of the rows a segment is: what a plan has of it. */
export interface Part {
  range?: Range;
  pages?: LeafPages;
  leaves?: readonly Pick<LeafPages, 'leaf' | 'name'>[];
  partition?: readonly (string | null)[];
}

/** The statement that reads the part; columns that the reader cannot encode are asked for as JSON text. Throws as {@link narrowTo}. */
export function selectPart(selection: Selection, cut: CutParts, part: Part, reader: Reader): Statement {
  const asksServer = reader === 'cursor' ? undefined : (column: Column): boolean => !hasBinaryEncoder(column);
  return buildSelect(selection, narrowTo(cut, part), asksServer);
}

/** Throws an Error for a leaf that the table has not. */
export function narrowTo(cut: CutParts, part: Part): Narrowing {
  switch (cut.by) {
    case 'none':
      return {};
    case 'key':
      return part.range === undefined ? {} : narrowToRange(part.range, cut);
    case 'pages':
      return narrowToLeaves(cut, part);
    case 'value':
      return narrowToValue(cut, part);
  }
}

/** The leaf that a plan means. Throws an Error for one that the table has not. */
export function leafNamed<L extends NamedLeaf>(
  { leaf, name }: Pick<LeafPages, 'leaf' | 'name'>,
  { table, leaves }: { table: NamedTable; leaves: ReadonlyMap<number, L> },
): L {
  const found = leaves.get(leaf);
  if (found === undefined) throw new Error(`${name} (${leaf}) is no part of ${table.name}`);
  return found;
}

/**
 * The condition and the order of a range. Where the key may be NULL, "below the upper bound" is put as "not known to be
 * at or above it", so that such rows fall into exactly one range. An index cannot serve that, so a proven key does without,
 * and after the first range, which holds the rows whose first column is NULL, that column's own bound goes along.
 */
function narrowToRange(range: Range, { columns: key, nullable }: KeyParts): Narrowing {
  const conditions: string[] = [];
  if (range.lower !== null) conditions.push(compareRow(key, '>=', literals(range.lower)));
  if (range.upper !== null) {
    const upper = literals(range.upper);
    conditions.push(nullable ? `(${compareRow(key, '>=', upper)}) IS NOT TRUE` : compareRow(key, '<', upper));
    if (nullable && range.lower !== null) conditions.push(leadingAtMost(range.upper, key));
  }
  const orderBy = key.map(({ reference }) => reference).join(', ');
  return conditions.length === 0 ? { orderBy } : { predicate: conditions.join(' AND '), orderBy };
}

function leadingAtMost(values: readonly string[], key: readonly Compared[]): string {
  return compareRow(key.slice(0, 1), '<=', literals(values));
}

function literals(values: readonly string[]): string[] {
  return values.map(quoteLiteral);
}

function narrowToLeaves(cut: Extract<CutParts, { by: 'pages' }>, { pages, leaves }: Part): Narrowing {
  if (leaves !== undefined) return { from: leaves.map((each) => nameAs(leafNamed(each, cut), cut.table)) };
  return pages === undefined ? {} : narrowToPages(pages, leafNamed(pages, cut), cut.table);
}

/** A filter may name the table. */
function nameAs(leaf: NamedLeaf, table: NamedTable): string {
  return leaf.oid === table.oid ? leaf.from : `${leaf.from} AS ${table.name}`;
}

function narrowToPages({ fromPage, toPage }: LeafPages, leaf: NamedLeaf, table: NamedTable): Narrowing {
  const from = nameAs(leaf, table);
  if (!leaf.hasPages || (fromPage === 0 && toPage === null)) return { from };
  const lower = `ctid OPERATOR(pg_catalog.>=) '(${fromPage},0)'::pg_catalog.tid`;
  if (toPage === null) return { from, predicate: lower };
  return { from, predicate: `${lower} AND ctid OPERATOR(pg_catalog.<) '(${toPage},0)'::pg_catalog.tid` };
}

function narrowToValue({ columns, key }: Extract<CutParts, { by: 'value' }>, part: Part): Narrowing {
  const condition = hasValues(columns, part.partition ?? []);
  const { predicate, ...order } =
    part.range === undefined || key === undefined ? ({} as Narrowing) : narrowToRange(part.range, key);
  return { ...order, predicate: predicate === undefined ? condition : `${condition} AND ${predicate}` };
}
