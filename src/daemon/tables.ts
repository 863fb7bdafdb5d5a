/** What entries with `tables` stand for while the daemon runs: what their sources said last, or else what lies in the destination. */
import type { Log } from '../base/log.ts';
import { archiveNamed, withArchives } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { archiveOfTable } from '../config/tables.ts';
import { parseTableName } from '../postgres/identifiers.ts';
import { expandByFolders, expandEntries, type Expanded } from '../run/expand.ts';

export interface TablesParts {
  log: Log;
  /** Ends reads of destinations. */
  signal: AbortSignal;
  /** For tests. */
  ask?: (config: Config) => Promise<Expanded[]>;
}

export class Tables {
  readonly #parts: TablesParts;
  /** By the name of the entry. */
  #known = new Map<string, readonly ArchiveConfig[]>();
  #told = new Map<string, string>();
  #isAnswered = true;

  constructor(parts: TablesParts) {
    this.#parts = parts;
  }

  /** Whether all sources have answered when they were asked last. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** The config with the archives that its entries stand for now. Never throws. */
  async expand(config: Config): Promise<Config> {
    const archives = Object.values(config.archives).filter(({ entry }) => entry === undefined);
    const plain = withArchives({ ...config, archives: {} }, archives);
    if (Object.keys(config.patterns).length === 0) return plain;
    const expanded = await (this.#parts.ask ?? expandEntries)(plain);
    this.#isAnswered = expanded.every(({ isAnswered }) => isAnswered);
    const known = new Map<string, readonly ArchiveConfig[]>();
    for (const one of expanded) known.set(one.entry.name, await this.#archivesOf(plain, one));
    this.#tellChanges(known);
    this.#known = known;
    return withArchives(plain, [...known.values()].flat());
  }

  /** A source that finds nothing any more may be another one: its archives stay, and fail aloud. */
  async #archivesOf(
    plain: Config,
    { entry, archives, isAnswered, failures }: Expanded,
  ): Promise<readonly ArchiveConfig[]> {
    if (archives.length > 0) {
      this.#tellFailures(entry, failures, 'tables are left out, as they can be no archives');
      return archives;
    }
    const before = this.#known.get(entry.name)?.map(({ table = '' }) => archiveOfTable(entry, parseTableName(table)));
    const kept = before ?? (isAnswered ? [] : await this.#lookAtFolders(plain, entry));
    const what = isAnswered
      ? 'an entry finds no table; its archives stay as they are'
      : 'the source does not say which tables there are; archives that are known stay as they are';
    this.#tellFailures(entry, failures, what);
    return kept.filter(({ name }) => archiveNamed(plain, name) === undefined);
  }

  async #lookAtFolders(plain: Config, entry: ArchiveConfig): Promise<ArchiveConfig[]> {
    try {
      return await expandByFolders(plain, entry, this.#parts.signal);
    } catch {
      return [];
    }
  }

  /** Once, until something else is wrong. */
  #tellFailures({ name }: ArchiveConfig, failures: Expanded['failures'], what: string): void {
    const text = JSON.stringify(failures.map(({ message }) => message));
    if (text !== this.#told.get(name))
      for (const failure of failures) this.#parts.log.error({ entry: name, failure }, what);
    this.#told.set(name, text);
  }

  #tellChanges(known: ReadonlyMap<string, readonly ArchiveConfig[]>): void {
    const { log } = this.#parts;
    for (const [entry, archives] of known) {
      const before = this.#known.get(entry) ?? [];
      const found = namesBeside(archives, before);
      const gone = namesBeside(before, archives);
      if (found.length > 0) log.info({ entry, archives: found }, 'tables were found: each is an archive from now on');
      if (gone.length > 0)
        log.warn(
          { entry, archives: gone },
          'tables are gone: their archives are taken out, and what they have in the destination stays',
        );
    }
  }
}

/** Names of archives that the others do not have. */
export function namesBeside(archives: readonly ArchiveConfig[], others: readonly ArchiveConfig[]): string[] {
  const names = new Set(others.map(({ name }) => name));
  return archives.map(({ name }) => name).filter((name) => !names.has(name));
}
