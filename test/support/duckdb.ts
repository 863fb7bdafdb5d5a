/** DuckDB, where it is there: reads archives as others do. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const DUCKDB = path.join(import.meta.dirname, '../../node_modules/.duckdb/node_modules/@duckdb/node-api/lib/index.js');

/** For `skip`: why it cannot be asked, or false. */
export const withoutDuckDb = existsSync(DUCKDB) ? false : 'DuckDB is not there; .ci/run fetches it';

interface DuckDb {
  DuckDBInstance: {
    create: (at: string) => Promise<{
      connect: () => Promise<{
        runAndReadAll: (sql: string) => Promise<{ getRowObjectsJson: () => Record<string, string | null>[] }>;
      }>;
    }>;
  };
}

/** The rows that the last of the statements gives; `run/` in them is this folder. */
export async function queryDuckDb(sql: string, folder: string): Promise<Record<string, string | null>[]> {
  const { DuckDBInstance } = (await import(pathToFileURL(DUCKDB).href)) as DuckDb;
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  let rows: Record<string, string | null>[] = [];
  for (const statement of sql.replaceAll("'run/", `'${folder}/`).split(/;\s*$/m))
    if (statement.trim() !== '') rows = (await connection.runAndReadAll(statement)).getRowObjectsJson();
  return rows;
}
