/**
 * The history of runs, and what must survive a restart besides: which archives are paused, and since when slots count.
 */
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { errorText } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { isBusy, openHistoryFile, type OpenedHistory } from './history-file.ts';
import type { DifferentRun } from '../different-run.ts';
import type { PurgeEnding } from '../purge-ending.ts';
import { isCancelled, isFault, type RunEnding } from '../run-ending.ts';

const MOST_ROWS = 20_000;
const MOST_DAYS = 2 * 366;
const PRUNE_EVERY = 100;
/** Rows that wait for a locked file. */
const MOST_UNSAVED = 1000;

const COLUMNS =
  'archive, run, status, reason, trigger, started_at, finished_at, seconds, rows, objects, json_bytes, bytes, ' +
  'retries, resumed, peak_heap_bytes, peak_rss_bytes, other_host, paused_seconds, error, troubles';

/** What is kept of an archive. */
export interface ArchiveRecord {
  /** Expression and time zone, so that a change is noticed. */
  schedule: string;
  /** Slots before this are not missed: the archive, or its schedule, was not there yet. */
  dueSince: Date;
  paused: boolean;
}

/** Why the history cannot be used, and since when. */
export interface HistoryProblem {
  at: string;
  message: string;
  hint: string;
}

/** No method throws: what cannot be read is empty, and what cannot be written is reported once. */
export class History {
  readonly #database: DatabaseSync;
  readonly #log: Log;
  readonly #archives = new Map<string, ArchiveRecord>();
  #unsaved: RunEnding[] = [];
  #added = 0;
  readonly #inMemory: HistoryProblem | undefined;
  #problem: (HistoryProblem & { what: string }) | undefined;

  constructor({ database, inMemory }: OpenedHistory, log: Log) {
    this.#database = database;
    this.#inMemory = inMemory;
    this.#log = log;
    this.#try('read', () => {
      for (const row of database.prepare('SELECT * FROM archives').all()) {
        this.#archives.set(String(row['name']), {
          schedule: String(row['schedule']),
          dueSince: new Date(String(row['due_since'])),
          paused: row['paused'] === 1,
        });
      }
    });
    this.#prune();
  }

  /** Undefined while it can be used. */
  get problem(): HistoryProblem | undefined {
    if (this.#problem === undefined) return this.#inMemory;
    const { at, message, hint } = this.#problem;
    return { at, message, hint };
  }

  /** Keeps that this host has begun the run, so that it is known as ours after a kill. */
  started(archive: string, run: string): void {
    this.#try('written', () => {
      this.#database
        .prepare('INSERT OR REPLACE INTO starts (archive, run, started_at) VALUES (?, ?, ?)')
        .run(archive, run, new Date().toISOString());
    });
  }

  /** Whether this host has begun the run, and not only gone on with what it found in the destination. */
  hasStarted(archive: string, run: string): boolean {
    const sql = `SELECT 1 FROM starts WHERE archive = ? AND run = ? UNION ALL
      SELECT 1 FROM runs WHERE archive = ? AND run = ? AND status <> 'skipped' AND trigger <> 'taken up'`;
    return this.#try('read', () => this.#database.prepare(sql).get(archive, run, archive, run)) !== undefined;
  }

  add(ending: RunEnding): void {
    this.#unsaved.push(ending);
    if (this.#unsaved.length > MOST_UNSAVED) this.#unsaved.shift();
    this.#try('written', () => {
      const insert = this.#database.prepare(
        `INSERT INTO runs (${COLUMNS}) VALUES (${COLUMNS.replaceAll(/\w+/g, '?')})`,
      );
      for (let next = this.#unsaved[0]; next !== undefined; next = this.#unsaved[0]) {
        insert.run(...toRow(next));
        this.#unsaved.shift();
      }
    });
    this.#added += 1;
    if (this.#added % PRUNE_EVERY === 0) this.#prune();
  }

  /** The last `limit` attempts, newest first; of one archive or of all. */
  list(limit: number, archive?: string): RunEnding[] {
    return archive === undefined
      ? this.#select('ORDER BY id DESC LIMIT ?', limit)
      : this.#select('WHERE archive = ? ORDER BY id DESC LIMIT ?', archive, limit);
  }

  /** The attempts of one run, newest first. */
  attemptsOf(archive: string, run: string): RunEnding[] {
    return this.#select('WHERE archive = ? AND run = ? ORDER BY id DESC LIMIT 100', archive, run);
  }

  /** The last attempt that was committed. */
  lastSuccess(archive: string): RunEnding | undefined {
    return this.#select("WHERE archive = ? AND status = 'committed' ORDER BY id DESC LIMIT 1", archive)[0];
  }

  /** Rows of the run that was committed before this one. */
  rowsBefore(archive: string, run: string): number | undefined {
    const where = "WHERE archive = ? AND status = 'committed' AND run <> ? ORDER BY id DESC LIMIT 1";
    return this.#select(where, archive, run)[0]?.rows;
  }

  /** Faults since the last success; undefined when there are none. */
  failuresInARow(archive: string): { count: number; since: string } | undefined {
    const sql = `SELECT reason, finished_at FROM runs WHERE archive = :archive AND status = 'failed' AND id >
      (SELECT coalesce(max(id), 0) FROM runs WHERE archive = :archive AND status = 'committed') ORDER BY id`;
    const rows = this.#try('read', () => this.#database.prepare(sql).all({ archive })) ?? [];
    const faults = rows.filter(({ reason }) => isFault({ status: 'failed', reason: String(reason) }));
    const [first] = faults;
    return first === undefined ? undefined : { count: faults.length, since: String(first['finished_at']) };
  }

  /** The latest run, by its id, that was committed. */
  latestCommitted(archive: string, notAfter: string): string | undefined {
    const where = "WHERE archive = ? AND status = 'committed' AND run <= ? ORDER BY run DESC LIMIT 1";
    return this.#select(where, archive, notAfter)[0]?.run;
  }

  /** The last attempt that failed and was not ended from outside. */
  lastFailure(archive: string): RunEnding | undefined {
    return this.#select("WHERE archive = ? AND status = 'failed' ORDER BY id DESC LIMIT 100", archive).find(isFault);
  }

  /** Whether the run's last attempt was cancelled by hand, here or on another host. */
  wasCancelled(archive: string, run: string): boolean {
    return isCancelled(this.attemptsOf(archive, run)[0]?.reason ?? '');
  }

  /** Keeps how a purge ended. One that cannot be written is lost: `_purge.json` in the run's folder says what it did. */
  addPurge(ending: PurgeEnding): void {
    const { archive, run, status, reason, finishedAt } = ending;
    this.#try('written', () => {
      this.#database
        .prepare('INSERT INTO purges (archive, run, status, reason, finished_at, ending) VALUES (?, ?, ?, ?, ?, ?)')
        .run(archive, run, status, reason, finishedAt, JSON.stringify(ending));
    });
    this.#added += 1;
    if (this.#added % PRUNE_EVERY === 0) this.#prune();
  }

  /** The last `limit` purges, newest first; of one archive or of all. */
  purges(limit: number, archive?: string): PurgeEnding[] {
    return archive === undefined
      ? this.#selectPurges('ORDER BY id DESC LIMIT ?', limit)
      : this.#selectPurges('WHERE archive = ? ORDER BY id DESC LIMIT ?', archive, limit);
  }

  /** The purges of one run, newest first. */
  purgesOf(archive: string, run: string): PurgeEnding[] {
    return this.#selectPurges('WHERE archive = ? AND run = ? ORDER BY id DESC LIMIT 100', archive, run);
  }

  /** Runs that were found to differ from their manifests, and were not proved good since. */
  differences(): DifferentRun[] {
    const read = (): DifferentRun[] =>
      this.#database
        .prepare('SELECT found FROM differences ORDER BY archive, run')
        .all()
        .map(({ found }) => JSON.parse(String(found)) as DifferentRun);
    return this.#try('read', read) ?? [];
  }

  setDifference(different: DifferentRun): void {
    const { archive, run } = different;
    this.#try('written', () => {
      this.#database
        .prepare('INSERT OR REPLACE INTO differences (archive, run, found) VALUES (?, ?, ?)')
        .run(archive, run, JSON.stringify(different));
    });
  }

  clearDifference(archive: string, run: string): void {
    this.#try('written', () => {
      this.#database.prepare('DELETE FROM differences WHERE archive = ? AND run = ?').run(archive, run);
    });
  }

  archive(name: string): Readonly<ArchiveRecord> | undefined {
    return this.#archives.get(name);
  }

  setArchive(name: string, record: ArchiveRecord): void {
    this.#archives.set(name, record);
    this.#try('written', () => {
      this.#database
        .prepare('INSERT OR REPLACE INTO archives (name, schedule, due_since, paused) VALUES (?, ?, ?, ?)')
        .run(name, record.schedule, record.dueSince.toISOString(), record.paused ? 1 : 0);
    });
  }

  close(): void {
    this.#try('closed', () => {
      this.#database.close();
    });
  }

  #select(rest: string, ...values: (string | number)[]): RunEnding[] {
    return (
      this.#try('read', () =>
        this.#database
          .prepare(`SELECT ${COLUMNS} FROM runs ${rest}`)
          .all(...values)
          .map(fromRow),
      ) ?? []
    );
  }

  #selectPurges(rest: string, ...values: (string | number)[]): PurgeEnding[] {
    const read = (): PurgeEnding[] =>
      this.#database
        .prepare(`SELECT ending FROM purges ${rest}`)
        .all(...values)
        .map(({ ending }) => JSON.parse(String(ending)) as PurgeEnding);
    return this.#try('read', read) ?? [];
  }

  #prune(): void {
    const oldest = new Date(Date.now() - MOST_DAYS * 86_400_000).toISOString();
    this.#try('written', () => {
      // Those that are committed are taken up no more.
      this.#database.exec(
        "DELETE FROM starts WHERE (archive, run) IN (SELECT archive, run FROM runs WHERE status = 'committed')",
      );
      this.#database.prepare('DELETE FROM starts WHERE started_at < ?').run(oldest);
      this.#database
        .prepare('DELETE FROM starts WHERE rowid <= (SELECT rowid FROM starts ORDER BY rowid DESC LIMIT 1 OFFSET ?)')
        .run(MOST_ROWS);
      for (const table of ['runs', 'purges']) {
        this.#database.prepare(`DELETE FROM ${table} WHERE finished_at < ?`).run(oldest);
        this.#database
          .prepare(`DELETE FROM ${table} WHERE id <= (SELECT id FROM ${table} ORDER BY id DESC LIMIT 1 OFFSET ?)`)
          .run(MOST_ROWS);
      }
    });
  }

  /** Says once that something is wrong, and once that it is over. */
  #try<T>(what: string, work: () => T): T | undefined {
    try {
      const result = work();
      // On a full disk it can be read all the time.
      if (this.#problem?.what === what) {
        this.#log.info('the history can be used again');
        this.#problem = undefined;
      }
      return result;
    } catch (error) {
      const hint = isBusy(error) ? 'another process holds it' : 'look at the disk and at the option state';
      const text = errorText(error);
      if (this.#problem === undefined)
        this.#log.warn({ error: text, hint }, `the history cannot be ${what}; the runs go on without it`);
      const at = new Date().toISOString();
      this.#problem ??= { what, at, message: `the history cannot be ${what}: ${text}`, hint };
      return undefined;
    }
  }
}

/** Opens the history in `folder`; see history-file.ts for what happens when that is not possible. */
export async function openHistory(folder: string, log: Log): Promise<History> {
  return new History(await openHistoryFile(folder, log), log);
}

function toRow(ending: RunEnding): (string | number | null)[] {
  const { archive, run, status, reason, trigger, startedAt, finishedAt, seconds, rows, objects } = ending;
  const { jsonBytes, bytes, retries, resumed, peakHeapBytes, peakRssBytes, otherHost, pausedSeconds, error, troubles } =
    ending;
  return [
    ...[archive, run, status, reason, trigger, startedAt, finishedAt, seconds, rows, objects],
    ...[jsonBytes, bytes, retries, resumed ? 1 : 0, peakHeapBytes, peakRssBytes, otherHost, pausedSeconds],
    error === null ? null : JSON.stringify(error),
    JSON.stringify(troubles),
  ];
}

function fromRow(row: Record<string, SQLOutputValue>): RunEnding {
  const text = (column: string): string => String(row[column]);
  const number = (column: string): number => Number(row[column]);
  return {
    archive: text('archive'),
    run: text('run'),
    status: text('status') as RunEnding['status'],
    startedAt: text('started_at'),
    finishedAt: text('finished_at'),
    seconds: number('seconds'),
    pausedSeconds: number('paused_seconds'),
    rows: number('rows'),
    objects: number('objects'),
    jsonBytes: number('json_bytes'),
    bytes: number('bytes'),
    retries: number('retries'),
    resumed: row['resumed'] === 1,
    peakHeapBytes: number('peak_heap_bytes'),
    peakRssBytes: number('peak_rss_bytes'),
    reason: text('reason'),
    otherHost: row['other_host'] === null ? null : text('other_host'),
    error: row['error'] === null ? null : (JSON.parse(text('error')) as RunEnding['error']),
    trigger: text('trigger') as RunEnding['trigger'],
    troubles: JSON.parse(text('troubles')) as RunEnding['troubles'],
  };
}
