/**
 * Opens the file of the history, whatever state it is in: a damaged one is set aside, and without a folder it is kept
 * in memory.
 */
import { renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { errorText } from '../../base/errors.ts';
import { makeFolderSync } from '../../base/make-folder.ts';
import type { Log } from '../../base/log.ts';

export const HISTORY_FILE = 'pgsluice.db';

/** The event loop waits for no longer when another process holds the file. */
const BUSY_TIMEOUT_MS = 200;

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** Each brings the file from one version, its index, to the next. */
const MIGRATIONS = [
  `CREATE TABLE runs (
     id INTEGER PRIMARY KEY, archive TEXT NOT NULL, run TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
     trigger TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT NOT NULL, seconds REAL NOT NULL,
     rows INTEGER NOT NULL, objects INTEGER NOT NULL, json_bytes INTEGER NOT NULL, bytes INTEGER NOT NULL,
     retries INTEGER NOT NULL, resumed INTEGER NOT NULL, peak_heap_bytes INTEGER NOT NULL,
     peak_rss_bytes INTEGER NOT NULL, error TEXT, troubles TEXT NOT NULL) STRICT;
   CREATE INDEX runs_of_archive ON runs (archive, run);
   CREATE INDEX runs_by_end ON runs (finished_at);
   CREATE TABLE archives (
     name TEXT PRIMARY KEY, schedule TEXT NOT NULL, due_since TEXT NOT NULL, paused INTEGER NOT NULL) STRICT`,
  `CREATE TABLE starts (
     archive TEXT NOT NULL, run TEXT NOT NULL, started_at TEXT NOT NULL, PRIMARY KEY (archive, run)) STRICT`,
  'ALTER TABLE runs ADD COLUMN other_host TEXT',
  'ALTER TABLE runs ADD COLUMN paused_seconds REAL NOT NULL DEFAULT 0',
  `CREATE TABLE purges (
     id INTEGER PRIMARY KEY, archive TEXT NOT NULL, run TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
     finished_at TEXT NOT NULL, ending TEXT NOT NULL) STRICT;
   CREATE INDEX purges_of_archive ON purges (archive, run)`,
  `CREATE TABLE differences (
     archive TEXT NOT NULL, run TEXT NOT NULL, found TEXT NOT NULL, PRIMARY KEY (archive, run)) STRICT`,
];

/** The history, and why it is in memory alone where it is. */
export interface OpenedHistory {
  database: DatabaseSync;
  inMemory?: { at: string; message: string; hint: string };
}

/**
 * Opens the history in `folder`, or in memory when that cannot be; then a line of the log says why. Never throws
 * because of the file.
 */
export async function openHistoryFile(folder: string, log: Log): Promise<OpenedHistory> {
  const Database = await loadSqlite();
  const file = path.join(folder, HISTORY_FILE);
  try {
    makeFolderSync(folder, 0o700);
    return { database: openOrSetAside(Database, file, log) };
  } catch (error) {
    log.warn(
      { file, error: errorText(error) },
      'the history cannot be kept in its file; it is kept in memory, until the daemon ends: see the option state',
    );
    const message = `the history cannot be kept in ${file}, and is lost when the daemon ends: ${errorText(error)}`;
    const hint = 'look at the disk and at the option state, then restart the daemon';
    return { database: openMemory(Database), inMemory: { at: new Date().toISOString(), message, hint } };
  }
}

/** Whether another process has the file; it may be free later. */
export function isBusy(error: unknown): boolean {
  return [SQLITE_BUSY, SQLITE_LOCKED].includes(sqliteCode(error));
}

type Database = typeof DatabaseSync;

function openMemory(Sqlite: Database): DatabaseSync {
  const database = new Sqlite(':memory:');
  migrate(database);
  return database;
}

function openOrSetAside(Sqlite: Database, file: string, log: Log): DatabaseSync {
  try {
    return openFile(Sqlite, file);
  } catch (error) {
    if (![SQLITE_CORRUPT, SQLITE_NOTADB].includes(sqliteCode(error))) throw error;
    const aside = `${file}.damaged-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}`;
    renameSync(file, aside);
    // They belong to the damaged file, and would damage a new one.
    for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true });
    log.warn({ file, aside, error: errorText(error) }, 'the history was damaged; it is set aside, and a new one begun');
    return openFile(Sqlite, file);
  }
}

function openFile(Sqlite: Database, file: string): DatabaseSync {
  const database = new Sqlite(file);
  try {
    database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA cache_size = -512`);
    const check = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
    if (check.quick_check !== 'ok') throw Object.assign(new Error(check.quick_check), { errcode: SQLITE_CORRUPT });
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    migrate(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function migrate(database: DatabaseSync): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > MIGRATIONS.length) throw new Error(`it is of a newer version of pgsluice (${version})`);
  for (const [index, migration] of MIGRATIONS.entries()) {
    if (index < version) continue;
    database.exec(`BEGIN IMMEDIATE; ${migration}; PRAGMA user_version = ${index + 1}; COMMIT`);
  }
}

function sqliteCode(error: unknown): number {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'errcode') : undefined;
  // The upper bits say more exactly what is wrong.
  return typeof code === 'number' ? code & 0xff : 0;
}

/** Older versions of Node warn that the module is experimental; an operator can do nothing about it. */
async function loadSqlite(): Promise<Database> {
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = () => undefined;
  try {
    return (await import('node:sqlite')).DatabaseSync;
  } finally {
    process.emitWarning = emitWarning;
  }
}
