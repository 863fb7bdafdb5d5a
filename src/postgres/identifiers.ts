/** Identifiers and literals as Postgres reads them. */
import { fail } from '../base/errors.ts';

/** `"we""ird"`: an identifier in double quotes, so that any name is taken as it is. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** `'it''s'`: a string literal that does not depend on standard_conforming_strings. */
export function quoteLiteral(text: string): string {
  const escaped = text.replaceAll("'", "''");
  return escaped.includes('\\') ? ` E'${escaped.replaceAll('\\', '\\\\')}'` : `'${escaped}'`;
}

/** A table's name, with its schema when it was given. */
export interface TableName {
  schema: string | undefined;
  table: string;
}

/**
 * Splits `schema.table` as Postgres would: names without quotes are folded to lower case, `"quoted.Names"` are kept.
 * Throws FailureError when it is no such name.
 */
export function parseTableName(text: string): TableName {
  const parts = splitIdentifiers(text);
  const [first, second] = parts;
  if (first === undefined || parts.length > 2) {
    throw fail('bad-table-name', {
      stage: 'plan',
      message: `"${text}" is not a table name`,
    });
  }
  return second === undefined ? { schema: undefined, table: first } : { schema: first, table: second };
}

/** `"schema"."table"`, quoted. */
export function quoteTableName(name: TableName): string {
  const table = quoteIdentifier(name.table);
  return name.schema === undefined ? table : `${quoteIdentifier(name.schema)}.${table}`;
}

function splitIdentifiers(text: string): string[] {
  const parts: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")+)"|([^\s".]+))\s*(\.|$)/gy;
  let more = true;
  while (more) {
    const match = pattern.exec(text);
    if (match === null) return [];
    const [, quoted, bare, end] = match;
    parts.push(quoted === undefined ? foldCase(bare ?? '') : quoted.replaceAll('""', '"'));
    more = end === '.';
  }
  return parts;
}

/** Postgres folds ASCII letters only, in the encodings that matter here. */
export function foldCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}
