/**
 * Proves that no manifest of an archive was taken away, replaced or put in since it was committed: by one listing and the
 * manifests, held against the chain that they and the head make. No data is read.
 */
import { createHash } from 'node:crypto';
import { toFailure } from '../base/errors.ts';
import { linkKey, readHead, type ChainLink, type Head, type PassedOver } from '../ledger/chain.ts';
import { problemOfManifest } from '../ledger/manifest-problem.ts';
import { archivePrefix, headKey, manifestKey } from '../ledger/names.ts';
import { readManifest } from '../ledger/own-manifest.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { compareRunIds } from '../ledger/run-id.ts';
import { runIdOfFolder } from '../ledger/runs.ts';
import type { Store } from '../store/store.ts';

/** `run` is the one that it tells of; empty where it tells of the head. */
export interface ChainProblem {
  kind: 'removed' | 'replaced' | 'inserted' | 'forked' | 'unreadable' | 'head';
  run: string;
  message: string;
}

/** What `verify --chain --json` prints, beside the name of the archive. */
export interface ChainReport {
  ok: boolean;
  /** The latest manifest of the chain: its digest stands for all before it. Null where there is no chain, or no head that can be believed. */
  head: ChainLink | null;
  /** Manifests in the chain. */
  runs: number;
  /** Committed before there was a chain, by versions that knew none: nothing tells whether they are all there. */
  beforeChain: string[];
  /** What is to be known, and is no difference. */
  notes: string[];
  problems: ChainProblem[];
}

/** Manifests that are asked for at once. */
const READ_AT_ONCE = 16;
/** Problems that are named; whoever has more has no archive any more. */
const MOST_PROBLEMS = 1000;

/** What a manifest is, and what it says of the chain. */
interface Read {
  run: string;
  sha256: string;
  /** Undefined where it says nothing. */
  previous: ChainLink | null | undefined;
  passedOver: readonly PassedOver[];
  finishedAt: string;
  problem?: string;
}

/** `noted` is the digest of a head that was noted elsewhere: it must be in the chain. Throws FailureError where the destination cannot be read. */
export async function verifyChain(store: Store, archive: string, noted?: string): Promise<ChainReport> {
  const manifests = new Map<string, Read>();
  const runs: string[] = [];
  for await (const folder of store.listFolders(archivePrefix(archive))) {
    const run = runIdOfFolder(folder);
    if (run !== undefined) runs.push(run);
  }
  const waiting = runs.values();
  const read = async (): Promise<void> => {
    for (const run of waiting) {
      const manifest = await readLink(store, archive, run);
      if (manifest !== undefined) manifests.set(run, manifest);
    }
  };
  await Promise.all(Array.from({ length: READ_AT_ONCE }, read));
  // Each manifest was written after the head that names it: so a head that is read now names all that were seen.
  return new Chain(store, archive, manifests).judge(noted);
}

/** Undefined for a run that is not committed. */
async function readLink(store: Store, archive: string, run: string): Promise<Read | undefined> {
  const digest = createHash('sha256');
  const said = { previous: undefined, passedOver: [], finishedAt: '' };
  try {
    const manifest = await readManifest({ store, archive, run }, manifestKey(archive, run), (piece) => {
      digest.update(piece);
    });
    if (manifest === undefined) return undefined;
    const { previous, passedOver = [], finishedAt } = manifest;
    return { run, sha256: digest.digest('hex'), previous, passedOver, finishedAt };
  } catch (error) {
    const problem = problemOfManifest(error);
    if (problem === undefined) throw error;
    return { run, sha256: digest.digest('hex'), ...said, problem: problem.message };
  }
}

class Chain {
  readonly #store: Store;
  readonly #archive: string;
  readonly #manifests: Map<string, Read>;
  readonly #problems: ChainProblem[] = [];
  readonly #notes: string[] = [];
  /** Who was passed over, by run and digest. */
  readonly #passedOver = new Map<string, PassedOver>();
  /** In their order, the latest first. */
  readonly #walked = new Map<string, Read>();
  /** Runs that something was said of already. */
  readonly #told = new Set<string>();

  constructor(store: Store, archive: string, manifests: Map<string, Read>) {
    this.#store = store;
    this.#archive = archive;
    this.#manifests = manifests;
  }

  async judge(noted: string | undefined): Promise<ChainReport> {
    const head = await this.#readHead();
    for (const { run, problem } of this.#manifests.values())
      if (problem !== undefined) this.#add('unreadable', run, problem);
    // Without a head that can be believed, what the manifests say of each other is looked at all the same.
    const top = head === undefined ? this.#tops()[0] : await this.#topOf(head);
    await this.#walk(top ?? null);
    this.#findForks();
    this.#findStrays();
    await this.#judgePassedOver();
    const latest = this.#walked.values().next().value;
    // By manifests alone nobody knows whether the latest one is there.
    const result = latest === undefined || head === undefined ? null : { run: latest.run, sha256: latest.sha256 };
    const beforeChain = this.#beforeChain().sort(compareRunIds);
    if (noted !== undefined) this.#requireNoted(noted, head);
    return {
      ok: this.#problems.length === 0,
      head: result,
      runs: this.#walked.size,
      beforeChain,
      notes: this.#notes,
      problems: this.#problems,
    };
  }

  async #readHead(): Promise<Head | undefined> {
    try {
      const found = await readHead(this.#store, this.#archive);
      if (found === undefined && [...this.#manifests.values()].some(isChained))
        this.#add(
          'head',
          '',
          `${this.#store.url}${headKey(this.#archive)} is not there, though manifests say that there is a chain`,
        );
      return found?.head;
    } catch (error) {
      const failure = toFailure(error, 'verify');
      if (!HEAD_CODES.has(failure.code)) throw error;
      this.#add('head', '', failure.message);
      return undefined;
    }
  }

  /** The manifest that the chain begins with: what the head names, or what was before it where that is not written yet. */
  async #topOf(head: Head): Promise<ChainLink | null> {
    const { run, sha256, before, passedOver = [] } = head;
    if ((await this.#find(run)) !== undefined) return { run, sha256 };
    const plan = await new RunFolder(this.#store, this.#archive, run).owner().catch(undefinedWhenUnreadable);
    // It may have been committed just now, and its journal removed.
    if ((await this.#find(run)) !== undefined) return { run, sha256 };
    this.#skip(passedOver);
    if (plan?.committing?.sha256 === sha256)
      this.#notes.push(`run ${run} was about to be committed, and is not: whoever goes on with it commits it`);
    else
      this.#add(
        'removed',
        run,
        `the manifest of run ${run} is not there, which the head of the chain names (SHA-256 ${sha256})`,
      );
    return before;
  }

  /** Back from here. Where a manifest is missing, it goes on with the latest one that no other names. */
  async #walk(top: ChainLink | null): Promise<void> {
    let [next, from]: [ChainLink | null, string] = [top, 'the head of the chain'];
    while (next !== null) {
      const read: Read | undefined = await this.#find(next.run);
      if (read === undefined) {
        const message = `the manifest of run ${next.run} is not there, which ${from} names (SHA-256 ${next.sha256})`;
        this.#add('removed', next.run, message);
        next = this.#tops()[0] ?? null;
        continue;
      }
      const { run, sha256, previous, passedOver } = read;
      if (this.#walked.has(run)) {
        this.#add('forked', run, `the chain leads from ${from} back to run ${run}, where it was before`);
        return;
      }
      if (sha256 !== next.sha256)
        this.#add(
          'replaced',
          run,
          `the manifest of run ${run} is not the one that was committed: ${from} names SHA-256 ${next.sha256}, it has ${sha256}`,
        );
      this.#walked.set(run, read);
      this.#skip(passedOver);
      from = `run ${run}`;
      if (previous === undefined && sha256 === next.sha256)
        this.#add('replaced', run, `the manifest of run ${run} is in the chain, and does not name the one before it`);
      next = previous === undefined ? (this.#tops()[0] ?? null) : previous;
    }
  }

  #skip(passedOver: readonly PassedOver[]): void {
    for (const one of passedOver) this.#passedOver.set(linkKey(one), one);
  }

  /** A run that was committed since the listing is there now. */
  async #find(run: string): Promise<Read | undefined> {
    const known = this.#manifests.get(run) ?? (await readLink(this.#store, this.#archive, run));
    if (known !== undefined) this.#manifests.set(run, known);
    return known;
  }

  /** Those of the chain that were not walked, and that no other one of these names; the latest first. */
  #tops(): Read[] {
    const left = this.#unwalked();
    const named = new Set(left.flatMap(({ previous }) => previous?.run ?? []));
    return left.filter(({ run }) => !named.has(run)).sort((a, b) => b.finishedAt.localeCompare(a.finishedAt));
  }

  /** What says that it is in the chain, was not walked, and is no late one that a later run has passed over. */
  #unwalked(): Read[] {
    return [...this.#manifests.values()].filter(
      (read) => isChained(read) && !this.#walked.has(read.run) && !this.#passedOver.has(linkKey(read)),
    );
  }

  /** Two that say they came after the same one. */
  #findForks(): void {
    const members = [...this.#walked.values(), ...this.#unwalked()];
    const successors = Map.groupBy(members.filter(isChained), ({ previous }) => (previous ? linkKey(previous) : ''));
    for (const [before, several] of successors) {
      if (several.length < 2) continue;
      const runs = several.map(({ run }) => run).sort(compareRunIds);
      const [previous = ''] = before.split(' ');
      const after = before === '' ? 'they are the first of the chain' : `they came right after run ${previous}`;
      const strays = runs.filter((run) => !this.#walked.has(run));
      this.#add('forked', strays[0] ?? runs[0] ?? '', `runs ${runs.join(', ')} each say that ${after}`);
      for (const run of strays) this.#told.add(run);
    }
  }

  #findStrays(): void {
    for (const { run } of this.#unwalked())
      if (!this.#told.has(run)) this.#add('inserted', run, `run ${run} has a manifest that the chain does not lead to`);
    const begin = this.#beginOfChain();
    for (const { run, finishedAt, problem } of this.#unchained())
      if (problem === undefined && begin !== undefined && finishedAt > begin)
        this.#add(
          'inserted',
          run,
          `run ${run} has a manifest outside of the chain, and says that it was committed at ${finishedAt}, after the chain was begun at ${begin}: it was put in, or a version that knows no chain wrote it`,
        );
  }

  #unchained(): Read[] {
    return [...this.#manifests.values()].filter(
      ({ run, previous }) => previous === undefined && !this.#walked.has(run),
    );
  }

  #beginOfChain(): string | undefined {
    const times = [...this.#manifests.values()].filter(isChained).map(({ finishedAt }) => finishedAt);
    return times.length === 0 ? undefined : times.reduce((least, time) => (time < least ? time : least));
  }

  #beforeChain(): string[] {
    const begin = this.#beginOfChain();
    return this.#unchained()
      .filter(({ problem, finishedAt }) => problem === undefined && (begin === undefined || finishedAt <= begin))
      .map(({ run }) => run);
  }

  /** A run that was passed over may have been committed later, or never; but what was there may not be gone. */
  async #judgePassedOver(): Promise<void> {
    for (const { run, sha256, planned } of this.#passedOver.values()) {
      const isOpen = planned && (await new RunFolder(this.#store, this.#archive, run).isPlanned());
      const found = await this.#find(run);
      if (found?.sha256 === sha256) {
        if (!this.#walked.has(run))
          this.#notes.push(`run ${run} was committed late: the chain has passed it over, and names it`);
        continue;
      }
      const what = `the manifest of run ${run} with SHA-256 ${sha256}`;
      if (!planned)
        this.#add(
          'removed',
          run,
          `${what} was the latest one, and was not there any more when the next run was committed`,
        );
      else if (found === undefined && !isOpen)
        this.#add(
          'removed',
          run,
          `${what} was about to be written, and neither it nor a plan of the run is there any more`,
        );
    }
  }

  #requireNoted(noted: string, head: Head | undefined): void {
    const isNamed = head?.sha256 === noted || [...this.#walked.values()].some(({ sha256 }) => sha256 === noted);
    // Whoever commits late, behind a run that has passed it over, says all the same that its manifest is the head.
    const isLate = [...this.#passedOver.values()].some(
      ({ run, sha256 }) => sha256 === noted && this.#manifests.get(run)?.sha256 === noted,
    );
    if (!isNamed && !isLate)
      this.#add(
        'head',
        '',
        `the chain does not lead to a manifest with the SHA-256 ${noted}, which was noted as its head`,
      );
  }

  #add(kind: ChainProblem['kind'], run: string, message: string): void {
    this.#told.add(run);
    if (this.#problems.length < MOST_PROBLEMS) this.#problems.push({ kind, run, message });
  }
}

function isChained({ previous }: Read): boolean {
  return previous !== undefined;
}

/** Failures that tell of the head, and not of the way to it. */
const HEAD_CODES: ReadonlySet<string> = new Set(['bad-head', 'newer-journal', 'untrusted', 'object-too-large']);

function undefinedWhenUnreadable(error: unknown): undefined {
  const { code } = toFailure(error, 'verify');
  if (code === 'bad-journal' || code === 'newer-journal' || code === 'untrusted' || code === 'object-too-large')
    return undefined;
  throw error;
}
