/** Takes a new config: all of it takes effect, or nothing. Runs in progress end under the config they began with. */
import { errorText, UsageError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { describeChanges } from '../config/diff.ts';
import { archiveNamed } from '../config/resolve.ts';
import type { Config } from '../config/schema.ts';
import { tellTlsMeanings } from '../config/tls-meaning.ts';
import type { Audits } from './audits.ts';
import type { FormerArchives } from './former-archives.ts';
import type { Generations } from './generations.ts';
import type { Listeners } from './http/listeners.ts';
import type { LookAround } from './look-around.ts';
import type { Purges } from './purges.ts';
import type { Rehearsals } from './rehearsals.ts';
import type { RunBoard } from './run-board.ts';
import { scheduleOfAudits, type Schedule } from './slots/schedule.ts';
import type { Standings } from './slots/standings.ts';
import type { Tables } from './tables.ts';
import type { Notify } from './systemd/notify.ts';

export interface ReloadParts {
  /** Reads the config again. Throws UsageError with all problems. */
  readConfig: () => Config;
  generations: Generations;
  board: RunBoard;
  schedule: Schedule;
  auditSchedule: Schedule;
  /** Of entries with `tables`. */
  entrySchedule: Schedule;
  tables: Tables;
  rehearsals: Rehearsals;
  audits: Audits;
  former: FormerArchives;
  standings: Standings;
  purges: Purges;
  lookAround: LookAround;
  listeners: Listeners;
  notify: Notify;
  log: Log;
  isStopping: () => boolean;
  statusLine: () => string;
  changed: () => void;
}

/** Sources that did not say which tables there are, or said what is no good, are asked again after so long. */
const ASK_AGAIN_MS = 60_000;

export class Reload {
  readonly #parts: ReloadParts;
  #last: Promise<unknown> = Promise.resolve();
  /** One that waits for its turn. */
  #nextLook: Promise<void> | undefined;
  #askAgain: NodeJS.Timeout | undefined;

  constructor(parts: ReloadParts) {
    this.#parts = parts;
  }

  /** Reloads, after the reload that is under way if there is one. */
  async run(): Promise<void> {
    this.#last = this.#last.then(() => this.#reload());
    await this.#last;
  }

  /** Before anything is begun: puts in force which tables there are. A reload that is asked for meanwhile comes after it. Never rejects. */
  async begin(): Promise<void> {
    const begun = this.#begin();
    this.#last = begun;
    await begun;
  }

  /** Asks which tables there are, and puts it in force. Who asks while a look waits for its turn shares that one. Never rejects. */
  async lookForTables(): Promise<void> {
    if (this.#nextLook === undefined) {
      this.#nextLook = this.#last.then(() => {
        this.#nextLook = undefined;
        return this.#lookForTables();
      });
      this.#last = this.#nextLook;
    }
    await this.#nextLook;
  }

  close(): void {
    clearTimeout(this.#askAgain);
  }

  async #begin(): Promise<void> {
    const { generations, tables } = this.#parts;
    const { config } = generations.current;
    if (Object.keys(config.patterns).length > 0) generations.advance(await tables.expand(config), Promise.resolve());
    this.#planToAskAgain();
  }

  async #lookForTables(): Promise<void> {
    const { generations, tables, isStopping, log } = this.#parts;
    if (isStopping()) return;
    const before = generations.current.config;
    const config = await tables.expand(before);
    this.#planToAskAgain();
    if (isStopping() || namesWithEntries(before) === namesWithEntries(config)) return;
    try {
      await this.#putInForce(config);
    } catch (error) {
      log.error({ error: errorText(error) }, 'what was found of tables could not be put in force');
    }
  }

  #planToAskAgain(): void {
    const { tables, isStopping } = this.#parts;
    clearTimeout(this.#askAgain);
    if (tables.failing.length === 0 || isStopping()) return;
    this.#askAgain = setTimeout(() => void this.lookForTables(), ASK_AGAIN_MS);
  }

  async #reload(): Promise<void> {
    const { readConfig, generations, tables, notify, log, isStopping, statusLine, changed } = this.#parts;
    if (isStopping()) return;
    notify.reloading();
    try {
      const config = await tables.expand(readConfig());
      this.#planToAskAgain();
      const changes = describeChanges(generations.current.config, config);
      await this.#putInForce(config);
      log.info({ changes }, changes.length === 0 ? 'config reloaded, nothing has changed' : 'config reloaded');
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      generations.refuse(error.problems);
      log.error({ problems: error.problems }, 'the new config is bad; the old one stays in force');
      changed();
    } finally {
      notify.ready(statusLine());
    }
  }

  async #putInForce(config: Config): Promise<void> {
    const { generations, board, schedule, auditSchedule, standings, purges, rehearsals, lookAround } = this.#parts;
    const { entrySchedule, audits, former, listeners, log, changed } = this.#parts;
    const before = generations.current.config;
    generations.advance(
      config,
      Promise.all([board.settled(), rehearsals.settled()]).then(() => undefined),
    );
    log.level = config.log.level;
    tellTlsMeanings(log, Object.values(config.sources));
    const archives = Object.values(config.archives);
    for (const name of namesOfRescheduled(before, config)) board.dropSlots(name);
    standings.set(archives, new Date());
    schedule.set(archives);
    entrySchedule.set(Object.values(config.patterns));
    auditSchedule.set(scheduleOfAudits(config));
    purges.reloaded(before);
    rehearsals.reloaded(before);
    audits.reloaded(before);
    void former.look();
    void lookAround.lookAt(archives.filter(({ name }) => archiveNamed(before, name) === undefined));
    await listeners.apply();
    changed();
  }
}

/** A table may be found by another entry by now, under the same name. */
function namesWithEntries({ archives }: Config): string {
  return JSON.stringify(Object.values(archives).map(({ name, entry }) => [name, entry]));
}

/** Archives whose schedule is no longer in force. */
function namesOfRescheduled(before: Config, after: Config): string[] {
  return Object.values(before.archives)
    .filter(({ name, schedule, timezone }) => {
      const archive = archiveNamed(after, name);
      return archive?.schedule !== schedule || archive?.timezone !== timezone;
    })
    .map(({ name }) => name);
}
