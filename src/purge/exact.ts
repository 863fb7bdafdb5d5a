/**
 * Which values a line tells whole. Two rows that differ must not have the same line, so types are allowed one by one: what is
 * not known here is refused. docs/format.md has the list of what JSON loses.
 */
import type { ManifestColumn } from '../ledger/manifest.ts';
import type { Column } from '../postgres/columns.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';

/** Types of Postgres's own whose output tells them whole, whatever the settings that are not ours. */
const PLAIN_TYPES: ReadonlySet<number> = new Set([
  // boolean, bytea, name, bigint, smallint, integer, text, oid, xid
  16, 17, 19, 20, 21, 23, 25, 26, 28,
  // point, lseg, path, box, polygon, line, real, double precision, circle
  600, 601, 602, 603, 604, 628, 700, 701, 718,
  // cidr, macaddr8, macaddr, inet, char(n), varchar, date, time, timestamp, timestamptz, interval, timetz
  650, 774, 829, 869, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1266,
  // bit, varbit, numeric, uuid, pg_lsn, tsvector; not tsquery, whose output leaves brackets out
  1560, 1562, 1700, 2950, 3220, 3614,
  // ranges and multiranges of integer, numeric, timestamp, timestamptz, date, bigint
  3904, 3906, 3908, 3910, 3912, 3926, 4451, 4532, 4533, 4534, 4535, 4536,
]);

/** Types of a key that are compared by one equality everywhere, and whose text their input reads as the same value; enums are, too. */
const KEY_TYPES: ReadonlySet<number> = new Set([
  // boolean, bytea, name, bigint, smallint, integer, text, oid, cidr, real, double precision, macaddr8, macaddr, inet
  16, 17, 19, 20, 21, 23, 25, 26, 650, 700, 701, 774, 829, 869,
  // char(n), varchar, date, time, timestamp, timestamptz, interval, timetz, bit, varbit, numeric, uuid, pg_lsn
  1042, 1043, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950, 3220,
]);

const JSON_TYPE = 114;
const JSONB_TYPE = 3802;
const XML_TYPE = 142;
/** They begin at 0, and are no true arrays. */
const VECTORS: ReadonlySet<number> = new Set([22, 30]);

/** What must hold of a row besides its line, or that no condition can be written. */
export type Exactness = { condition: string | undefined } | 'lossy';

/** `reference` is how SQL refers to the column. */
export function exactnessOf(column: Column, archived: ManifestColumn, reference: string): Exactness {
  const { baseTypeOid, elementTypeOid } = column;
  if (archived.encoding === 'text' || column.encoding === 'text' || column.isMadeByCast === true) return 'lossy';
  if (PLAIN_TYPES.has(baseTypeOid)) return { condition: undefined };
  if (column.isEnum) return archived.encoding === 'string' ? { condition: undefined } : 'lossy';
  switch (baseTypeOid) {
    case JSON_TYPE:
      return { condition: `${noJsonNull('json_typeof', reference)} AND ${noLineBreaks(reference)}` };
    case JSONB_TYPE:
      return { condition: noJsonNull('jsonb_typeof', reference) };
    case XML_TYPE:
      // The cast to text gives what is stored; the output leaves out the declaration, and without one a line feed at the begin.
      return { condition: `(${reference}::pg_catalog.text OPERATOR(pg_catalog.~) E'^(<\\\\?xml|\\n)') IS NOT TRUE` };
  }
  if (elementTypeOid === null || VECTORS.has(baseTypeOid) || !PLAIN_TYPES.has(elementTypeOid)) return 'lossy';
  return {
    condition: `(pg_catalog.array_dims(${reference}) OPERATOR(pg_catalog.!~) '^([[]1:[0-9]+[]])+$') IS NOT TRUE`,
  };
}

/** JSON null and NULL print alike. */
function noJsonNull(typeOf: string, reference: string): string {
  return `(pg_catalog.${typeOf}(${reference}) OPERATOR(pg_catalog.=) 'null') IS NOT TRUE`;
}

/** They are blanks in a line. */
function noLineBreaks(reference: string): string {
  return `(pg_catalog.format('%s', ${reference}) OPERATOR(pg_catalog.~) E'[\\n\\r]') IS NOT TRUE`;
}

export function isKeyType({ baseTypeOid, isEnum }: Column): boolean {
  return isEnum || KEY_TYPES.has(baseTypeOid);
}

/** The conditions of all columns of a relation that is called `alias`, and the names of those of which none can be written. */
export function exactRows(
  columns: readonly Column[],
  archived: readonly ManifestColumn[],
  alias: string,
): { conditions: string[]; lossy: Column[] } {
  const conditions: string[] = [];
  const lossy: Column[] = [];
  for (const [at, column] of columns.entries()) {
    const before = archived[at];
    const exactness =
      before === undefined ? 'lossy' : exactnessOf(column, before, `${alias}.${quoteIdentifier(column.name)}`);
    if (exactness === 'lossy') lossy.push(column);
    else if (exactness.condition !== undefined) conditions.push(exactness.condition);
  }
  return { conditions, lossy };
}
