/** Whether what a manifest says was read is the table of the config, which may leave the schema to the search path. */
import { parseTableName } from '../postgres/identifiers.ts';

/** `wanted` is as in the config, `read` is `schema.table` without quotes. */
export function isTable(wanted: string, read: string): boolean {
  const { schema, table } = parseTableName(wanted);
  return schema === undefined ? read.endsWith(`.${table}`) : read === `${schema}.${table}`;
}
