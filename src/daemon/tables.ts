/** What entries with `tables` stand for while the daemon runs: what their sources said last, or else what lies in the destination. */
import { fail, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { ownEntry } from '../base/own.ts';
import { archiveNamed, withArchives } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { archiveOfTable, isMeant } from '../config/tables.ts';
import { parseTableName } from '../postgres/identifiers.ts';
import { expandByFolders, expandEntries, type Expanded } from '../run/expand.ts';
import { showFailure, type ShownFailure } from './run-ending.ts';

/** An entry whose source does not answer, or says what cannot be archives. */
export interface FailingEntry {
  name: string;
  /** By its name in the config. */
  source: string;
  tables: readonly string[];
  /** Since when, in ISO 8601. */
  since: string;
  /** The first of them, and how many there are. */
  failures: readonly ShownFailure[];
  count: number;
}

/** Told once when an entry begins to fail, and once when that is over. */
export interface TablesEvents {
  failing: (entry: FailingEntry) => void;
  /** `isGone` where the config does not have it any more. */
  well: (name: string, isGone: boolean) => void;
  /** Something else is shown of one that fails. */
  changed: () => void;
}

export interface TablesParts {
  log: Log;
  /** Ends reads of destinations. */
  signal: AbortSignal;
  events: TablesEvents;
  /** For tests. */
  ask?: (config: Config) => Promise<Expanded[]>;
}

/** An entry may find a thousand tables that can be no archives. */
const MOST_FAILURES = 5;
/** Of the archives that came or went, in the log. */
const MOST_NAMED = 20;

export class Tables {
  readonly #parts: TablesParts;
  /** By the name of the entry. */
  #known = new Map<string, readonly ArchiveConfig[]>();
  readonly #failing = new Map<string, FailingEntry>();
  /** What was told of those that fail. */
  readonly #told = new Map<string, string>();

  constructor(parts: TablesParts) {
    this.#parts = parts;
  }

  /** As of the last time that the sources were asked. */
  get failing(): FailingEntry[] {
    return [...this.#failing.values()];
  }

  /** The config with the archives that its entries stand for now. Never throws. */
  async expand(config: Config): Promise<Config> {
    const archives = Object.values(config.archives).filter(({ entry }) => entry === undefined);
    const plain = withArchives({ ...config, archives: {} }, archives);
    this.#forgetOthers(config);
    if (Object.keys(config.patterns).length === 0) return plain;
    const expanded = await (this.#parts.ask ?? expandEntries)(plain);
    const known = new Map<string, readonly ArchiveConfig[]>();
    for (const one of expanded) known.set(one.entry.name, await this.#archivesOf(plain, one));
    this.#settleNames(expanded, known);
    this.#tellChanges(known);
    this.#known = known;
    return withArchives(plain, [...known.values()].flat());
  }

  /** A source that finds nothing any more may be another one: its archives stay, and fail aloud. */
  async #archivesOf(plain: Config, { entry, archives, isAnswered }: Expanded): Promise<readonly ArchiveConfig[]> {
    if (archives.length > 0) return archives;
    const before = this.#known.get(entry.name)?.flatMap(({ table = '' }) => {
      const name = parseTableName(table);
      // The entry may have other patterns by now.
      return isMeant(entry, name) ? [archiveOfTable(entry, name)] : [];
    });
    const kept = before ?? (isAnswered ? [] : await this.#lookAtFolders(plain, entry));
    return kept.filter(({ name }) => archiveNamed(plain, name) === undefined);
  }

  /** What is kept of an entry goes before what another one finds by the same name: two sources would be in one archive. */
  #settleNames(expanded: readonly Expanded[], known: Map<string, readonly ArchiveConfig[]>): void {
    const holders = new Map<string, string>();
    for (const { entry, archives } of expanded)
      if (archives.length === 0)
        for (const { name } of known.get(entry.name) ?? []) if (!holders.has(name)) holders.set(name, entry.name);
    for (const one of expanded) {
      const { entry, archives, isAnswered } = one;
      const isFree = ({ name }: ArchiveConfig): boolean => (holders.get(name) ?? entry.name) === entry.name;
      const all = known.get(entry.name) ?? [];
      known.set(entry.name, all.filter(isFree));
      const taken = all.filter((archive) => !isFree(archive));
      const failures = [...one.failures, ...taken.map((archive) => describeTaken(archive, holders.get(archive.name)))];
      this.#tellFailures(entry, failures, whatOf(archives.length > 0, isAnswered));
    }
  }

  async #lookAtFolders(plain: Config, entry: ArchiveConfig): Promise<ArchiveConfig[]> {
    try {
      return await expandByFolders(plain, entry, this.#parts.signal);
    } catch {
      return [];
    }
  }

  /** In the log once, until something else is wrong; to others once, until it is over. */
  #tellFailures({ name, source, tables = [] }: ArchiveConfig, failures: readonly Failure[], what: string): void {
    const { log, events } = this.#parts;
    const before = this.#failing.get(name);
    const [failure, ...others] = failures;
    if (failure === undefined) {
      if (before === undefined) return;
      this.#forget(name);
      log.info({ entry: name, since: before.since }, 'an entry with tables is well again');
      events.well(name, false);
      return;
    }
    const shown = failures.slice(0, MOST_FAILURES).map(showFailure);
    const since = before?.since ?? new Date().toISOString();
    const entry = { name, source, tables, since, failures: shown, count: failures.length };
    this.#failing.set(name, entry);
    const told = JSON.stringify(failures.map(describeKind));
    if (told === this.#told.get(name)) return;
    this.#told.set(name, told);
    const further = others.slice(0, MOST_FAILURES - 1).map(({ message }) => message);
    log.error({ entry: name, failure, count: failures.length, ...(others.length > 0 && { further }) }, what);
    if (before === undefined) events.failing(entry);
    else events.changed();
  }

  /** Entries that the config does not have any more are asked for nothing. */
  #forgetOthers({ patterns }: Config): void {
    for (const name of this.#failing.keys()) {
      if (ownEntry(patterns, name) !== undefined) continue;
      this.#forget(name);
      this.#parts.events.well(name, true);
    }
  }

  #forget(name: string): void {
    this.#failing.delete(name);
    this.#told.delete(name);
  }

  #tellChanges(known: ReadonlyMap<string, readonly ArchiveConfig[]>): void {
    const { log } = this.#parts;
    for (const [entry, archives] of known) {
      const before = this.#known.get(entry) ?? [];
      const found = namesBeside(archives, before);
      const gone = namesBeside(before, archives);
      if (found.length > 0)
        log.info(
          { entry, count: found.length, archives: found.slice(0, MOST_NAMED) },
          'tables were found: each is an archive from now on',
        );
      if (gone.length > 0)
        log.warn(
          { entry, count: gone.length, archives: gone.slice(0, MOST_NAMED) },
          'tables are gone: their archives are taken out, and what they have in the destination stays',
        );
    }
  }
}

function whatOf(isFound: boolean, isAnswered: boolean): string {
  if (isFound) return 'tables are left out, as they can be no archives';
  return isAnswered
    ? 'an entry finds no table; its archives stay as they are'
    : 'the source does not say which tables there are; archives that are known stay as they are';
}

function describeTaken({ name, table = '' }: ArchiveConfig, holder = ''): Failure {
  const message = `table ${table} would be the archive ${name}, which entry ${holder} has, whose source does not say otherwise now`;
  return fail('table-not-taken', { stage: 'plan', message }).failure;
}

/** A server that is down may say so in other words each time; of tables, each is named. */
function describeKind({ code, message }: Failure): string {
  return code === 'table-not-taken' ? message : code;
}

/** Names of archives that the others do not have. */
function namesBeside(archives: readonly ArchiveConfig[], others: readonly ArchiveConfig[]): string[] {
  const names = new Set(others.map(({ name }) => name));
  return archives.map(({ name }) => name).filter((name) => !names.has(name));
}
