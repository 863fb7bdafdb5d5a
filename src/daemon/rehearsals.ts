/**
 * Rehearsals of restores: one at each slot of `audits.rehearse`, over all archives. Keeps how those of each archive stand, which is
 * read from the destination when the daemon starts; there, every host finds it.
 */
import { fail, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { archiveNamed } from '../config/resolve.ts';
import type { Config } from '../config/schema.ts';
import {
  rehearsalPass,
  type BegunRehearsal,
  type PassParts,
  type RehearsalFindings,
} from '../audit/rehearsal/rehearsal-pass.ts';
import type { RehearsalOutcome } from '../audit/rehearsal/rehearse-run.ts';
import type { Pauses } from '../pace/pauses.ts';
import type { RehearsalResult } from '../ledger/rehearsals.ts';
import type { Generation } from './generations.ts';
import { showFailure, type ShownFailure } from './run-ending.ts';

/** A rehearsal in progress. */
export interface RehearsalEntry extends BegunRehearsal {
  startedAt: Date;
  rowsDone: number;
  pauses: Pauses;
}

/** How the rehearsals of an archive stand, as far as this daemon has looked. */
export interface RehearsalStanding {
  /** Undefined before the first look. */
  findings: RehearsalFindings | undefined;
  /** Why none could be made when it was the archive's turn; undefined when it could. */
  failure: (ShownFailure & { run: string }) | undefined;
  /** Why nothing could be found out at the last look, so that none is made of it; undefined when it could. */
  unknown: ShownFailure | undefined;
}

export interface RehearsalsParts {
  generation: () => Generation;
  log: Log;
  isPaused: (archive: string) => boolean;
  events: RehearsalEvents;
  /** For tests. */
  rehearsalPass?: typeof rehearsalPass;
}

/** What rehearsals report; nothing of this may throw. */
export interface RehearsalEvents {
  changed: () => void;
  /** How the rehearsals of the archive stand has been read for the first time, or cannot be. */
  read: (archive: string) => void;
  ended: (archive: string, status: RehearsalOutcome['status'], rows: number) => void;
  /** A run did not come back as it was archived; told anew where it is for another reason by now. */
  different: (archive: string, result: RehearsalResult, isNew: boolean) => void;
  /** A run came back that had not. */
  good: (archive: string, result: RehearsalResult) => void;
  /** None could be made; told anew where it is for another reason by now. */
  failed: (failure: Failure, archive: string, run: string, isNew: boolean) => void;
  /** One could be made again. */
  recovered: (archive: string, run: string) => void;
}

/** How long one that is stopped may take to drop its table. */
const STOP_LIMIT_MS = 5000;

export class Rehearsals {
  readonly #parts: RehearsalsParts;
  readonly #pass: typeof rehearsalPass;
  readonly #kept = new Map<string, RehearsalStanding>();
  #current: RehearsalEntry | undefined;
  /** Ends all of it. */
  readonly #end = new AbortController();
  /** Ends the pass in progress. */
  #stop: AbortController | undefined;
  #working: Promise<void> = Promise.resolve();
  /** What was told of last, as long as none could be made. */
  #toldFailure: string | undefined;

  constructor(parts: RehearsalsParts) {
    this.#parts = parts;
    this.#pass = parts.rehearsalPass ?? rehearsalPass;
  }

  /** Undefined for an archive that is not rehearsed. */
  of(name: string): RehearsalStanding | undefined {
    const { config } = this.#parts.generation();
    if (config.audits?.rehearse === undefined || archiveNamed(config, name) === undefined) return undefined;
    return this.#of(name);
  }

  /** The rehearsal in progress, of this archive. */
  currentOf(name: string): RehearsalEntry | undefined {
    return this.#current?.archive === name ? this.#current : undefined;
  }

  /** What keeps purges from the archive: some of it does not come back. */
  holdsPurge(name: string): Failure | undefined {
    const standing = this.of(name);
    const [different] = differentOf(standing);
    if (different !== undefined) return describeResult(name, different);
    return standing !== undefined && isUnread(standing) && this.#stop !== undefined ? unread(name) : undefined;
  }

  /** The daemon has started, or has another config: what is known is read, and what a kill has left is dropped. */
  look(): void {
    this.#begin(undefined);
  }

  /** A slot has come. One that comes while a rehearsal goes on is left out. */
  come(slot: Date): void {
    if (this.#stop !== undefined) {
      this.#parts.log.warn('a rehearsal is still at work: this slot of audits.rehearse is left out');
      return;
    }
    this.#begin(slot);
  }

  /** Stops the rehearsal of this archive, if one is in progress; resolves to its run, once its table is dropped. */
  async cancel(name: string): Promise<string | undefined> {
    const run = this.currentOf(name)?.run;
    if (run === undefined) return undefined;
    this.#stop?.abort(fail('cancelled', { stage: 'restore', message: 'the rehearsal was cancelled' }));
    await this.#working;
    return run;
  }

  /** One that the new config would not make is stopped; what it makes of the others is looked at anew. */
  reloaded(before: Config): void {
    const { config } = this.#parts.generation();
    const current = this.#current;
    if (current !== undefined && this.of(current.archive) === undefined) void this.cancel(current.archive);
    for (const name of this.#kept.keys()) if (archiveNamed(config, name) === undefined) this.#kept.delete(name);
    const meaning = ({ audits, archives }: Config): string => JSON.stringify([audits?.rehearse, Object.keys(archives)]);
    if (meaning(before) !== meaning(config)) void this.#working.then(() => this.look());
  }

  /** Resolves once no rehearsal is in progress. */
  settled(): Promise<void> {
    return this.#working;
  }

  /** Nothing is rehearsed any more; the scratch table of the one in progress is dropped. */
  async close(): Promise<void> {
    this.#end.abort(fail('stopped', { stage: 'restore', message: 'the daemon stops' }));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_LIMIT_MS);
    });
    await Promise.race([this.#working, late]);
    clearTimeout(timer);
  }

  #begin(slot: Date | undefined): void {
    const audit = this.#parts.generation().config.audits?.rehearse;
    if (audit === undefined || this.#end.signal.aborted || this.#stop !== undefined) return;
    const stop = new AbortController();
    this.#stop = stop;
    this.#working = this.#rehearse(audit, slot, stop.signal).finally(() => {
      this.#stop = undefined;
      this.#current = undefined;
      this.#parts.events.changed();
    });
  }

  async #rehearse(audit: PassParts['audit'], slot: Date | undefined, stop: AbortSignal): Promise<void> {
    const { generation, log, isPaused, events } = this.#parts;
    if (slot !== undefined) log.info('a slot of audits.rehearse has come');
    const now = generation();
    const mayRehearse = (archive: string): boolean =>
      !isPaused(archive) && archiveNamed(generation().config, archive) !== undefined;
    await this.#pass({
      ...{ generation: now, audit, log, slot, signal: AbortSignal.any([this.#end.signal, stop]) },
      mayRehearse,
      hooks: {
        found: (archive, { runs, results }) => {
          this.#read(archive, (standing) =>
            Object.assign(standing, { findings: { runs, results }, unknown: undefined }),
          );
        },
        unknown: (archive, failure) => {
          log.error({ archive, failure }, 'it cannot be found out which runs are to be rehearsed');
          this.#read(archive, (standing) => (standing.unknown = showFailure(failure)));
        },
        begin: (begun, { pauses }) => {
          log.info({ ...begun }, 'the restore of a run is rehearsed');
          this.#current = { ...begun, startedAt: new Date(), rowsDone: 0, pauses };
          events.changed();
          // It was chosen some requests ago; nobody could cancel it until now.
          if (!mayRehearse(begun.archive)) void this.cancel(begun.archive);
        },
        progress: (rows) => {
          if (this.#current !== undefined) this.#current.rowsDone = rows;
        },
        end: (archive, run, outcome) => this.#ended(archive, run, outcome),
      },
    }).catch((error: unknown) => {
      log.error({ error: String(error) }, 'a rehearsal has ended in a way that nobody foresaw');
    });
  }

  #read(archive: string, note: (standing: RehearsalStanding) => void): void {
    const standing = this.#of(archive);
    const wasUnread = isUnread(standing);
    note(standing);
    if (wasUnread) this.#parts.events.read(archive);
    this.#parts.events.changed();
  }

  #ended(archive: string, run: string, outcome: RehearsalOutcome): void {
    const { log, events } = this.#parts;
    this.#current = undefined;
    switch (outcome.status) {
      case 'equal':
      case 'different':
        this.#has(archive, outcome.result);
        break;
      case 'refused':
      case 'failed':
        this.#failed(archive, run, outcome);
        break;
      case 'passed':
        log.info({ archive, run, failure: outcome.failure }, 'a run has nothing to be rehearsed with: another one is');
        break;
      case 'stopped':
        log.info({ archive, run }, 'a rehearsal was stopped');
        break;
    }
    events.ended(archive, outcome.status, 'result' in outcome ? outcome.result.rows : 0);
    events.changed();
  }

  #has(archive: string, result: RehearsalResult): void {
    const { log, events } = this.#parts;
    const kept = this.#of(archive);
    const { runs = [], results = [] } = kept.findings ?? {};
    const before = results.find((one) => one.run === result.run);
    kept.findings = { runs, results: [...results.filter((one) => one !== before), result] };
    for (const standing of this.#kept.values()) standing.failure = undefined;
    if (this.#toldFailure !== undefined) events.recovered(archive, result.run);
    this.#toldFailure = undefined;
    if (result.status === 'equal') {
      log.info({ archive, ...result }, 'rehearsed: the run has come back as it was archived');
      if (before?.status === 'different') events.good(archive, result);
      return;
    }
    log.error({ ...result, failure: describeResult(archive, result) }, 'rehearsed: the run does not come back');
    events.different(archive, result, before?.message !== result.message);
  }

  #failed(archive: string, run: string, { status, failure }: { status: string; failure: Failure }): void {
    const { log, events } = this.#parts;
    for (const standing of this.#kept.values()) standing.failure = undefined;
    this.#of(archive).failure = { ...showFailure(failure), run };
    log.error({ archive, run, status, failure }, 'no restore could be rehearsed; the next slot tries it again');
    const isNew = this.#toldFailure !== failure.code;
    this.#toldFailure = failure.code;
    events.failed(failure, archive, run, isNew);
  }

  #of(name: string): RehearsalStanding {
    const known = this.#kept.get(name);
    if (known !== undefined) return known;
    const kept: RehearsalStanding = { findings: undefined, failure: undefined, unknown: undefined };
    this.#kept.set(name, kept);
    return kept;
  }
}

function isUnread({ findings, unknown }: RehearsalStanding): boolean {
  return findings === undefined && unknown === undefined;
}

function unread(archive: string): Failure {
  const message = 'it has not been read yet which restores came back';
  return fail('rehearsals-unread', { stage: 'purge', archive, message }).failure;
}

/** Runs that are there and did not come back, the one that was found first in front. */
export function differentOf(standing: RehearsalStanding | undefined): RehearsalResult[] {
  const { runs = [], results = [] } = standing?.findings ?? {};
  const there = new Set(runs.map(({ run }) => run));
  return results.filter(({ run, status }) => status === 'different' && there.has(run));
}

export function describeResult(archive: string, { run, code, message }: RehearsalResult): Failure {
  const text = `run ${run} does not come back as it was archived: ${message ?? ''}${code === undefined || code === 'rehearsal-different' ? '' : ` (${code})`}`;
  return fail('rehearsal-different', { stage: 'restore', archive, run, message: text }).failure;
}
