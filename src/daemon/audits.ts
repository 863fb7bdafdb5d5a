/**
 * Standing verification: a pass at each slot of `audits.verify`, in the lane of no run. Keeps how the proofs of each archive stand, and
 * what was found to differ, until it is proved good again.
 */
import { fail, type Failure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { archiveNamed, destinationOf } from '../config/resolve.ts';
import type { Config, VerifyAudit } from '../config/schema.ts';
import { NEVER_AGAIN_MS, type AuditedRun, type AuditFindings } from '../audit/due.ts';
import type { Difference, ProofOutcome } from '../audit/prove-run.ts';
import { lookPass, verifyPass, type AuditMemory, type DueProof, type PassParts } from '../audit/verify-pass.ts';
import { fullKey, manifestKey } from '../ledger/names.ts';
import type { Pauses } from '../pace/pauses.ts';
import type { VerifyProgress } from '../verify/run.ts';
import { describeDifferent, type DifferentRun } from './different-run.ts';
import type { History } from './history/history.ts';
import { showFailure, type ShownFailure } from './run-ending.ts';

/** A proof in progress. */
export interface ProofEntry {
  archive: string;
  run: string;
  startedAt: Date;
  progress: Pick<VerifyProgress, 'bytes' | 'bytesDone'>;
  pauses: Pauses;
}

/** How the proofs of an archive stand, as far as this daemon has looked. */
export interface ProofStanding {
  /** Runs that can be proved; undefined before the first look. */
  runs: readonly AuditedRun[] | undefined;
  last: { run: string; at: string } | undefined;
  /** Oldest run first. */
  different: readonly DifferentRun[];
  /** Runs whose objects cannot be read at once. */
  unreadable: ReadonlySet<string>;
  /** Why runs could not be looked for or read; undefined when they could. */
  failure: ShownFailure | undefined;
}

export interface AuditsParts {
  config: () => Config;
  log: Log;
  history: Pick<History, 'differences' | 'setDifference' | 'clearDifference'>;
  events: AuditEvents;
  /** For tests. */
  verifyPass?: typeof verifyPass;
}

/** What audits report; nothing of this may throw. */
export interface AuditEvents {
  changed: () => void;
  /** A proof has ended; `bytes` were read. */
  proved: (archive: string, status: ProofOutcome['status'], bytes: number) => void;
  /** A run was found to differ; told anew where it differs in another way by now. */
  different: (run: DifferentRun, isNew: boolean) => void;
  /** A run that differed was proved good. */
  good: (run: DifferentRun) => void;
}

interface Kept extends ProofStanding {
  runs: AuditedRun[] | undefined;
  unreadable: Set<string>;
}

export class Audits {
  readonly #parts: AuditsParts;
  readonly #verifyPass: typeof verifyPass;
  readonly #memory: AuditMemory = new Map();
  readonly #kept = new Map<string, Kept>();
  #different: DifferentRun[];
  #current: ProofEntry | undefined;
  #pass: AbortController | undefined;
  /** Ends the look in progress; a pass finds the same. */
  #look: AbortController | undefined;
  #isClosed = false;

  constructor(parts: AuditsParts) {
    this.#parts = parts;
    this.#verifyPass = parts.verifyPass ?? verifyPass;
    this.#different = parts.history.differences();
  }

  /** Undefined for an archive that the daemon does not verify, and of which nothing was found to differ. */
  of(name: string): ProofStanding | undefined {
    const config = this.#parts.config();
    const different = this.#differentOf(name);
    if (archiveNamed(config, name) === undefined) return undefined;
    if (config.audits?.verify === undefined && different.length === 0) return undefined;
    return { ...this.#of(name), different };
  }

  /** The proof in progress, of this archive. */
  currentOf(name: string): ProofEntry | undefined {
    return this.#current?.archive === name ? this.#current : undefined;
  }

  /** What keeps purges from the archive: some of it is not what it should be. */
  holdsPurge(name: string): Failure | undefined {
    const [first] = this.#differentOf(name);
    return first && describeDifferent(first);
  }

  /** The daemon has started, or has another config: how the proofs stand is read, and nothing is proved. Resolves when that is done. */
  async look(): Promise<void> {
    const audit = this.#parts.config().audits?.verify;
    if (audit === undefined || this.#isClosed || this.#pass !== undefined) return;
    this.#look?.abort();
    const look = new AbortController();
    this.#look = look;
    await lookPass(
      this.#passParts(look.signal, 'how the proofs of its runs stand cannot be read; the next slot tries it again'),
      audit,
    );
    if (this.#look === look) this.#look = undefined;
  }

  /** What another config makes of the archives, or of their destinations, is looked at anew. */
  reloaded(before: Config): void {
    const meaning = ({ audits, archives, destinations }: Config): string =>
      JSON.stringify([
        audits?.verify?.everyMs,
        Object.values(archives).map(({ name, destination }) => [name, destination]),
        Object.values(destinations).map(({ name, url, endpoint }) => [name, url, endpoint]),
      ]);
    if (meaning(before) !== meaning(this.#parts.config())) void this.look();
  }

  /** A slot has come. One that comes while a pass goes on is left out: it would find the same. */
  come(): void {
    const { config, log } = this.#parts;
    const audit = config().audits?.verify;
    if (audit === undefined || this.#isClosed) return;
    if (this.#pass !== undefined) {
      log.warn('standing verification is still at work: this slot of audits.verify is left out');
      return;
    }
    this.#look?.abort();
    const pass = new AbortController();
    this.#pass = pass;
    void this.#verify(audit, pass.signal).finally(() => {
      this.#pass = undefined;
      this.#current = undefined;
      this.#parts.events.changed();
    });
  }

  /** Nothing is read any more; what was not proved is proved at a later slot. */
  close(): void {
    this.#isClosed = true;
    this.#look?.abort();
    this.#pass?.abort(fail('stopped', { stage: 'verify', message: 'the daemon stops' }));
  }

  async #verify(audit: VerifyAudit, signal: AbortSignal): Promise<void> {
    const { log } = this.#parts;
    const started = performance.now();
    log.info('standing verification begins');
    for (const kept of this.#kept.values()) kept.failure = undefined;
    const bytes = await this.#verifyPass(
      this.#passParts(signal, 'runs could not be verified; the next slot tries it again'),
      audit,
    );
    const seconds = Math.round(performance.now() - started) / 1000;
    log.info({ bytes, seconds, different: this.#different.length }, 'standing verification has ended');
  }

  #passParts(signal: AbortSignal, whenFailed: string): PassParts {
    const { config, log, events } = this.#parts;
    return {
      ...{ config, log, signal, memory: this.#memory },
      foundDifferentMs: (archive, run) => {
        const known = this.#differentOf(archive).find((one) => one.run === run);
        return known && Date.parse(known.seenAt);
      },
      hooks: {
        found: (archive, findings) => this.#found(archive, findings),
        failed: (archive, failure) => {
          log.error({ archive, failure }, whenFailed);
          this.#of(archive).failure = showFailure(failure);
          events.changed();
        },
        begin: ({ archive, run, bytes: all }, { pauses }) => {
          this.#current = { archive, run, startedAt: new Date(), progress: { bytes: all, bytesDone: 0 }, pauses };
          events.changed();
        },
        progress: (progress) => {
          if (this.#current !== undefined) this.#current.progress = progress;
        },
        end: (due, outcome) => this.#ended(due, outcome),
      },
    };
  }

  #found(archive: string, { runs, damaged }: AuditFindings): void {
    const kept = this.#of(archive);
    kept.runs = runs;
    for (const run of kept.unreadable) if (!runs.some((one) => one.run === run)) kept.unreadable.delete(run);
    const config = this.#parts.config();
    const archiveConfig = archiveNamed(config, archive);
    if (archiveConfig === undefined) return;
    const destination = destinationOf(config, archiveConfig);
    const there = new Set([...runs, ...damaged].map(({ run }) => run));
    for (const { run } of this.#differentOf(archive))
      if (!there.has(run)) {
        this.#parts.log.warn({ archive, run }, 'a run that differed from its manifest is not there any more');
        this.#forget(archive, run);
      }
    for (const { run, failure } of damaged) {
      const key = fullKey(destination, manifestKey(archive, run));
      this.#isDifferent(archive, run, [{ key, message: failure.message }], 0);
    }
    this.#parts.events.changed();
  }

  #ended({ archive, run, bytes }: DueProof, outcome: ProofOutcome): void {
    const { log, events } = this.#parts;
    const kept = this.#of(archive);
    this.#current = undefined;
    kept.unreadable.delete(run);
    const { status } = outcome;
    if (status === 'proved') {
      kept.last = { run, at: outcome.at };
      this.#note(kept, run, Date.parse(outcome.at));
      log.info({ archive, run, bytes }, 'run verified: it is what its manifest says');
      this.#isGood(archive, run);
    } else if (status === 'expired') {
      this.#note(kept, run, NEVER_AGAIN_MS);
      this.#isGood(archive, run);
    } else if (status === 'unreadable') {
      kept.unreadable.add(run);
      log.warn({ archive, run, failure: outcome.failure }, 'run not verified: it cannot be read at once');
    } else this.#isDifferent(archive, run, outcome.differences, outcome.more);
    events.proved(archive, status, status === 'proved' || status === 'different' ? bytes : 0);
    events.changed();
  }

  #note({ runs }: Kept, run: string, provedMs: number): void {
    const found = runs?.find((one) => one.run === run);
    if (found !== undefined) found.provedMs = provedMs;
  }

  #isDifferent(archive: string, run: string, differences: Difference[], more: number): void {
    const { history, log, events } = this.#parts;
    const known = this.#differentOf(archive).find((one) => one.run === run);
    const seenAt = new Date().toISOString();
    const destination = this.#placeOf(archive);
    const different = { archive, run, foundAt: known?.foundAt ?? seenAt, seenAt, destination, differences, more };
    this.#different = [...this.#different.filter((one) => one !== known), different];
    history.setDifference(different);
    log.error({ failure: describeDifferent(different), differences, more }, 'run differs from its manifest');
    events.different(different, JSON.stringify(known?.differences) !== JSON.stringify(differences));
  }

  #isGood(archive: string, run: string): void {
    const known = this.#forget(archive, run);
    if (known !== undefined) this.#parts.events.good(known);
  }

  /** Returns what was known of it to differ. */
  #forget(archive: string, run: string): DifferentRun | undefined {
    const known = this.#differentOf(archive).find((one) => one.run === run);
    if (known === undefined) return undefined;
    this.#different = this.#different.filter((one) => one !== known);
    this.#parts.history.clearDifference(archive, run);
    return known;
  }

  #differentOf(name: string): DifferentRun[] {
    const place = this.#placeOf(name);
    return this.#different.filter(({ archive, destination }) => archive === name && destination === place);
  }

  #placeOf(name: string): string {
    const config = this.#parts.config();
    const archive = archiveNamed(config, name);
    return archive === undefined ? '' : destinationOf(config, archive).url;
  }

  #of(name: string): Kept {
    const known = this.#kept.get(name);
    if (known !== undefined) return known;
    const kept: Kept = { runs: undefined, last: undefined, different: [], unreadable: new Set(), failure: undefined };
    this.#kept.set(name, kept);
    return kept;
  }
}
