/** Turns an archive's table or query, its columns and its filter into what the statements are built from. */
import type { Client } from '../postgres/connect.ts';
import { fail } from '../base/errors.ts';
import { nearestName } from '../base/suggest.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import type { Column } from '../postgres/columns.ts';
import { quoteTableName } from '../postgres/identifiers.ts';
import { describeKeyOrder } from '../postgres/table-stats.ts';
import { describeQuery, describeRelation, type Relation } from '../postgres/relation.ts';
import { bindSlot, describeSqlProblem, trimStatement } from '../postgres/sql-text.ts';
import type { Selection } from '../postgres/select.ts';

/** What an archive reads, as of one slot. */
export interface Subject {
  /** As the operator knows it: `public.fetch_queue`, or `query`. */
  name: string;
  selection: Selection;
  /** Undefined for a query. */
  relation: Relation | undefined;
  /** Column names that a key cut may use: the configured key, else the primary key; only names that are read. */
  key: readonly string[];
  /** What the order of the key depends on besides its values: types, collations and their versions. */
  keyOrder: readonly string[];
}

/** Describes the archive's table or query on `client`, with `:slot` bound. Throws FailureError for what is not there. */
export async function describeSubject(client: Client, archive: ArchiveConfig, slot: Date): Promise<Subject> {
  requireOneExpression('where', archive.where);
  requireOneExpression('query', archive.query);
  if (archive.table !== undefined) return describeTable(client, archive, archive.table, slot);
  const sql = trimStatement(bindSlot(archive.query ?? '', slot));
  const params = archive.params ?? [];
  const columns = await describeQuery(client, sql, params);
  const key = archive.key ?? [];
  requireColumns(columns, key, 'key');
  return { name: 'query', selection: { kind: 'query', sql, params, columns }, relation: undefined, key, keyOrder: [] };
}

/** The config is checked for it when it is loaded; here it must hold, whoever calls. */
function requireOneExpression(option: string, sql: string | undefined): void {
  const problem = sql === undefined ? undefined : describeSqlProblem(sql);
  if (problem === undefined) return;
  throw fail('syntax-error', {
    stage: 'plan',
    message: `${option} ${problem}`,
  });
}

async function describeTable(client: Client, archive: ArchiveConfig, table: string, slot: Date): Promise<Subject> {
  const relation = await describeRelation(client, table);
  const columns = chooseColumns(relation.columns, archive);
  const key = archive.key ?? relation.primaryKey;
  if (archive.key !== undefined) requireColumns(relation.columns, archive.key, 'key');
  return {
    name: `${relation.schema}.${relation.name}`,
    selection: {
      kind: 'relation',
      from: quoteTableName({ schema: relation.schema, table: relation.name }),
      where: archive.where === undefined ? undefined : bindSlot(archive.where, slot),
      columns,
    },
    relation,
    key,
    keyOrder: await describeKeyOrder(client, relation.oid, key),
  };
}

function chooseColumns(all: readonly Column[], archive: ArchiveConfig): Column[] {
  if (archive.columns !== undefined) return requireColumns(all, archive.columns, 'columns');
  const { exclude = [] } = archive;
  requireColumns(all, exclude, 'exclude');
  return all.filter((column) => !exclude.includes(column.name));
}

/** The columns of these names, in their order. Throws FailureError that names every one that is not there. */
function requireColumns(all: readonly Column[], names: readonly string[], option: string): Column[] {
  const unknown = names.filter((name) => !all.some((column) => column.name === name));
  if (unknown.length > 0) {
    throw fail('column-not-found', {
      stage: 'plan',
      message: unknown
        .map((name) => `${option} names "${name}", which is not a column${suggestion(all, name)}`)
        .join('; '),
      hint: 'Column names are taken exactly as they are in the catalogue, without quotes.',
    });
  }
  return names.flatMap((name) => all.filter((column) => column.name === name).slice(0, 1));
}

function suggestion(all: readonly Column[], name: string): string {
  const near = nearestName(
    name,
    all.map((column) => column.name),
  );
  return near === undefined ? '' : `; did you mean "${near}"?`;
}
