/** The story of a purge: look before anything, prove all, note that it begins, then object by object, batch by batch. */
import { FailureError, toFailure } from '../base/errors.ts';
import { formatCount } from '../base/units.ts';
import { readableWindowBytes } from '../config/memory-sum.ts';
import { destinationOf } from '../config/resolve.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import { problemOfManifest } from '../ledger/manifest-problem.ts';
import { describeMissingRun } from '../ledger/missing-run.ts';
import type { Totals } from '../ledger/purge.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import { findLatestCommitted } from '../ledger/runs.ts';
import { openPace } from '../pace/open.ts';
import type { Pace } from '../pace/pace.ts';
import { connectPostgres, endConnection, type Client } from '../postgres/connect.ts';
import { quoteTableName } from '../postgres/identifiers.ts';
import { lockTargetOf } from '../run/run.ts';
import { withLock } from '../run/lock.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { hasExpired } from '../verify/gone.ts';
import { Batches } from './batches.ts';
import { expiredFailure } from './due.ts';
import { Different, Refused, Stopped, stoppedBySignal } from './endings.ts';
import { look, type PurgeFacts } from './look.ts';
import { purgePartition } from './partition/purge-partition.ts';
import { findProblems } from './preflight.ts';
import { damaged, readStretch, StretchRoom, type Stretch } from './proof.ts';
import { proveRun } from './prove-run.ts';
import { PurgeNotes } from './record.ts';
import { findReader } from './readers.ts';
import type { Problem, PurgeContext, PurgeRequest, PurgeResult, PurgeStatus } from './request.ts';
import { anewOf, problemsOfState, type RunState } from './run-state.ts';
import { measureTable } from './table-size.ts';
import { linesOf, mayGoLater, noLines, plus } from './tally.ts';
import { prepare, type PreparedPurge } from './target.ts';
import { LongPause, shortTurn, turnBefore } from './turn.ts';

/** After so many purges, lines that are still locked or referenced are left to a later run. */
const MOST_ROUNDS = 3;
/** So long the facts of the preflight are believed while rows go. */
const LOOK_INTERVAL_MS = 30_000;
/** How often one purge goes through what refers to itself, leaves first. */
const MOST_PASSES = 1000;
/** How often it is asked whether a run of the table is in progress. */
const READERS_INTERVAL_MS = 1000;

type Tally = Omit<PurgeResult, 'archive' | 'status' | 'seconds' | 'error'>;

/** Never throws: how it ended is in the result, and has been logged. */
export async function purgeRun(context: PurgeContext, request: PurgeRequest): Promise<PurgeResult> {
  const started = performance.now();
  const log = context.log.child({ archive: request.archive.name });
  const tally: Tally = {
    run: request.run ?? '',
    lines: 0,
    totals: noLines(),
    totalsBefore: noLines(),
    wentOn: false,
    mayGoOn: false,
    problems: [],
    differences: [],
    warnings: [],
  };
  const ending = await atPace({ ...context, log }, request, tally);
  const seconds = Math.round(performance.now() - started) / 1000;
  const result: PurgeResult = { archive: request.archive.name, ...ending, ...tally, seconds };
  const isFault = result.status === 'refused' || result.status === 'different' || result.status === 'failed';
  // The archive is in each line of this log.
  const { archive: _named, ...facts } = result;
  log[isFault ? 'error' : 'info'](facts, `purge ${result.status}`);
  return result;
}

type Ending = Pick<PurgeResult, 'status' | 'error'>;

/** As often as the pace has it pause for long: the lock is held by nobody then, and all is looked at and proved anew. */
async function atPace(context: PurgeContext, request: PurgeRequest, tally: Tally): Promise<Ending> {
  if (!request.execute) return (await endPurge(context, request, tally, undefined)) ?? STOPPED;
  const { aside = <T>(work: () => Promise<T>): Promise<T> => work(), signal } = context;
  const { maxDurationMs = Number.POSITIVE_INFINITY } = request.archive.purge;
  const endsAtMs = context.endsAtMs ?? performance.now() + maxDurationMs;
  const pace = openPace(request.archive, request.source, context.log);
  context.onPauses?.(pace.pauses);
  try {
    await aside(() => turnBefore(pace, signal, endsAtMs));
    let ending = await endPurge({ ...context, endsAtMs }, request, tally, pace);
    const { wentOn, totalsBefore } = tally;
    const { confirm: _asked, ...goingOn } = request;
    while (ending === undefined) {
      await aside(() => turnBefore(pace, signal, endsAtMs));
      ending = await endPurge({ ...context, endsAtMs }, goingOn, tally, pace);
      Object.assign(tally, { wentOn, totalsBefore });
    }
    return ending;
  } catch (error) {
    tally.stoppedBy = error instanceof Stopped ? error.by : 'asked';
    return error instanceof Stopped || signal.aborted
      ? STOPPED
      : { status: 'failed', error: toFailure(error, 'purge') };
  } finally {
    await pace.close();
  }
}

const STOPPED: Ending = { status: 'stopped' };

/** Undefined when the pace had it pause for long. */
async function endPurge(
  context: PurgeContext,
  request: PurgeRequest,
  tally: Tally,
  pace: Pace | undefined,
): Promise<Ending | undefined> {
  const store = openStore(destinationOf(context.config, request.archive), new AbortController().signal);
  try {
    const folder = await findFolder(store, request);
    tally.run = folder.run;
    if (!request.execute) return { status: await purge(context, request, folder, tally, pace) };
    // No run of the archive is in progress meanwhile, and no other purge, from whatever host: with the lock, it ends.
    const work = (lost: AbortSignal): Promise<PurgeStatus> => {
      const signal = AbortSignal.any([context.signal, lost]);
      return purge({ ...context, signal }, request, folder, tally, pace);
    };
    return { status: await withLock(lockTargetOf(context.config, request.archive, store), work) };
  } catch (error) {
    if (error instanceof LongPause) return undefined;
    if (error instanceof Refused) {
      tally.problems.push(...error.problems);
      return { status: 'refused' };
    }
    if (error instanceof Different) {
      tally.differences.push(...error.differences);
      return { status: 'different' };
    }
    if (error instanceof Stopped || context.signal.aborted) {
      tally.stoppedBy = error instanceof Stopped ? error.by : 'asked';
      return { status: 'stopped' };
    }
    const failure = toFailure(error, 'purge');
    const isDifferent = failure.code === 'purge-archive-damaged';
    if (isDifferent) tally.differences.push(failure.message);
    return { status: isDifferent ? 'different' : 'failed', error: failure };
  } finally {
    store.close();
  }
}

async function findFolder(store: Store, { archive, run }: PurgeRequest): Promise<RunFolder> {
  const folder =
    run === undefined ? await findLatestCommitted(store, archive.name) : new RunFolder(store, archive.name, run);
  if (folder !== undefined) return folder;
  throw new Refused([noRun(`archive ${archive.name} has no committed run in ${store.url}`)]);
}

function noRun(message: string): Problem {
  return { code: 'purge-incomplete-archive', message, hint: 'Archive it first: pgsluice run.' };
}

async function purge(
  context: PurgeContext,
  request: PurgeRequest,
  folder: RunFolder,
  tally: Tally,
  pace: Pace | undefined,
): Promise<PurgeStatus> {
  const manifest = await readManifest(folder);
  const found = await folder.purge();
  const anew = await anewOf(request, folder, found);
  tally.lines = manifest.rows;
  tally.wentOn = found !== undefined && anew === undefined;
  tally.totalsBefore = tally.wentOn ? (found?.record.totals ?? noLines()) : noLines();
  const target = { url: request.source.url, applicationName: `pgsluice purge ${request.archive.name}/${folder.run}` };
  const client = await connectPostgres(target, 'purge', context.signal);
  try {
    const state = { folder, found, anew };
    const { then, maxDurationMs = Number.POSITIVE_INFINITY } = request.archive.purge;
    const endsAtMs = context.endsAtMs ?? performance.now() + maxDurationMs;
    // A partition that was begun may be half detached: its purge ends that.
    const isBegun = then !== undefined && found !== undefined;
    if (!isBegun && (await hasExpired(request.archive, folder, manifest)))
      throw new Refused([expiredFailure(folder.run)]);
    if (then !== undefined && manifest.partition !== undefined)
      return await purgePartition({
        ...{ context, request, then, folder, manifest, client, target, state, tally, pace, endsAtMs },
      });
    const before = await lookAgain(client, request, manifest, state);
    await proveRun(context, request, folder, manifest);
    const isWanted =
      !request.execute ||
      (await request.confirm?.({ run: folder.run, table: manifest.table ?? '', lines: manifest.rows })) !== false;
    if (!isWanted) throw new Stopped('asked');
    // The proof, or the answer, may have taken hours: only what is found now is gone by.
    const facts = request.execute ? await lookAgain(client, request, manifest, state) : before;
    const prepared = await prepare(client, facts, manifest);
    const { database, systemIdentifier } = facts.identity;
    const notes = new PurgeNotes(
      folder,
      { database, systemIdentifier: systemIdentifier ?? '' },
      request.execute ? found : undefined,
      undefined,
      anew,
    );
    const work = new Work({ context, request, folder, manifest, client, prepared, notes, tally, state, pace });
    try {
      return await work.goThrough();
    } finally {
      const deleted = tally.totals.deleted - tally.totalsBefore.deleted;
      if (request.execute && deleted > 0) await adviseVacuum(client, facts, deleted, tally);
    }
  } finally {
    await endConnection(client);
  }
}

/** What the server counts of the last second may not be in yet. */
async function adviseVacuum(client: Client, { relation }: PurgeFacts, deleted: number, tally: Tally): Promise<void> {
  const size = await measureTable(client, relation.oid).catch(() => undefined);
  const statement = `VACUUM (ANALYZE) ${quoteTableName({ schema: relation.schema, table: relation.name })}`;
  tally.vacuum = { deadRows: Math.max(deleted, size?.deadRows ?? 0), statement };
}

/** One that cannot be believed is a difference. */
async function readManifest(folder: RunFolder): Promise<StoredManifest> {
  try {
    const manifest = await folder.manifest();
    if (manifest !== undefined) return manifest;
  } catch (error) {
    const problem = problemOfManifest(error);
    if (problem !== undefined) throw new Different([problem.message]);
    throw error;
  }
  throw new Refused([noRun((await describeMissingRun(folder)).message)]);
}

/** Throws Refused with all that stands against it. */
async function lookAgain(
  client: Client,
  { archive, byAge }: PurgeRequest,
  manifest: ManifestHead,
  state: RunState,
): Promise<PurgeFacts> {
  if (archive.table === undefined) throw new Refused([noRun(`${archive.name} archives a query`)]);
  const facts = await look(client, archive.table);
  const problems = findProblems(facts, { manifest, option: archive.purge, isNamed: !byAge });
  problems.push(...(await problemsOfState(archive.name, manifest, state)));
  if (problems.length > 0) throw new Refused(problems);
  return facts;
}

interface Parts {
  context: PurgeContext;
  request: PurgeRequest;
  folder: RunFolder;
  manifest: StoredManifest;
  client: Client;
  prepared: PreparedPurge;
  notes: PurgeNotes;
  tally: Tally;
  state: RunState;
  /** Undefined for a dry run. */
  pace: Pace | undefined;
}

/** What is proved is gone through: object by object, so that little is held, and a killed purge knows where it was. */
class Work {
  readonly #parts: Parts;
  readonly #batches: Batches;
  readonly #until: number;
  readonly #room = new StretchRoom();
  /** From this object on, nobody has gone through any before. */
  readonly #fresh: number;
  #linesDone = 0;
  #lookedAt = performance.now();
  #readersAskedAt = Number.NEGATIVE_INFINITY;
  /** The object that is being gone through, and what became of its lines. */
  #at = 0;
  #present = noLines();

  constructor(parts: Parts) {
    const { client, context, notes, prepared, request } = parts;
    const { maxDurationMs = Number.POSITIVE_INFINITY } = request.archive.purge;
    this.#parts = parts;
    this.#fresh = notes.next + (notes.linesOfNext > 0 ? 1 : 0);
    this.#batches = new Batches(client, prepared, request.execute);
    this.#until = context.endsAtMs ?? performance.now() + maxDurationMs;
  }

  /** Throws Stopped when it was broken off. */
  async goThrough(): Promise<PurgeStatus> {
    const { context, notes, tally, request } = this.#parts;
    await this.#mayBegin();
    if (request.execute) await notes.write();
    try {
      return await this.#allObjects();
    } catch (error) {
      const isBrokenOff = error instanceof Stopped || error instanceof LongPause || context.signal.aborted;
      if (isBrokenOff && request.execute) {
        notes.addPart(this.#present);
        this.#present = noLines();
        await notes.write();
      }
      throw error;
    } finally {
      tally.totals = notes.totalsWith(this.#at, this.#present);
      tally.mayGoOn = mayGoLater(tally.totals) && notes.rounds < MOST_ROUNDS;
    }
  }

  async #allObjects(): Promise<PurgeStatus> {
    const { manifest, notes, request } = this.#parts;
    for (let object = notes.next; object < manifest.objects.length; object += 1) {
      notes.add(await this.#object(object, notes.linesOfNext));
      this.#present = noLines();
      if (request.execute) await notes.writeSometimes();
    }
    if (!request.execute) return 'counted';
    await this.#onceMore();
    notes.rounds += 1;
    const isDone = !mayGoLater(notes.totals) || notes.rounds >= MOST_ROUNDS;
    await notes.write(isDone ? 'done' : 'running');
    return 'purged';
  }

  /** What was locked may be free by now, and what was referred to may not be any more: as long as anything goes. */
  async #onceMore(): Promise<void> {
    const { notes } = this.#parts;
    const left = await this.#findComeBack();
    for (let pass = 0; pass < MOST_PASSES; pass += 1) {
      const before = notes.totals.deleted;
      for (const object of notes.stayed.worthAnotherLook) {
        if (left.has(object)) continue;
        let totals;
        try {
          totals = await this.#object(object);
        } finally {
          // It is in the totals as it was before.
          this.#present = noLines();
        }
        notes.addAgain(object, totals);
        await notes.writeSometimes();
      }
      if (notes.totals.deleted === before) return;
    }
  }

  /**
   * Objects that were gone through by a purge before, and of which more rows are there than could not go then: somebody has brought
   * some back since. Which ones, nobody can know, so that they stay, unless it is told to purge again.
   */
  async #findComeBack(): Promise<ReadonlySet<number>> {
    const { context, folder, manifest, client, prepared, notes, request, tally } = this.#parts;
    const left = new Set<number>();
    if (request.again === true) return left;
    const counting = new Batches(client, prepared, false);
    for (const at of notes.stayed.worthAnotherLook) {
      if (at >= this.#fresh) continue;
      const { locked, referenced, kept } = notes.stayed.get(at);
      const stayed = locked + referenced + kept;
      let there = 0;
      for await (const { stretch } of this.#stretches(at))
        for await (const { totals } of this.#goThrough(counting, stretch)) {
          there += totals.deleted + totals.referenced;
          await this.#mayGoOn();
        }
      if (there <= stayed) continue;
      left.add(at);
      const object = await manifest.objects.at(at);
      const key = object === undefined ? folder.prefix : folder.keyOf(object);
      const warning = `${key}: ${formatCount(there)} of its rows are there, ${formatCount(stayed)} could not go before: what came back stays`;
      tally.warnings.push(warning);
      context.log.warn({ hint: 'Archive these rows anew, or give pgsluice purge --again.' }, warning);
    }
    return left;
  }

  /** A foreign key that cascades, or a trigger, may have been made meanwhile. Throws FailureError for the first problem. */
  async #lookOnceMore(): Promise<void> {
    if (performance.now() - this.#lookedAt < LOOK_INTERVAL_MS) return;
    const { client, request, manifest, state, notes } = this.#parts;
    try {
      const { found, folder } = state;
      await lookAgain(client, request, manifest, { folder, found, anew: { restored: notes.restored } });
    } catch (error) {
      const problem = error instanceof Refused ? error.problems[0] : undefined;
      if (problem === undefined) throw error;
      throw new FailureError({ ...problem, stage: 'purge', transient: false });
    }
    this.#lookedAt = performance.now();
  }

  /** What became of each of its lines, from a line on. Throws Stopped when it is left in the middle. */
  async #object(at: number, from = 0): Promise<Totals> {
    this.#at = at;
    this.#present = noLines();
    for await (const { stretch, rows } of this.#stretches(at, from))
      for await (const batch of this.#goThrough(this.#batches, stretch)) {
        this.#account(batch.totals);
        if (from + linesOf(this.#present) < rows) await this.#mayGoOn();
      }
    return this.#present;
  }

  async *#goThrough(batches: Batches, stretch: Stretch): ReturnType<Batches['goThrough']> {
    for await (const batch of batches.goThrough(stretch)) {
      this.#parts.pace?.spent({ bytes: batch.bytes, workedMs: batch.ms });
      yield batch;
    }
  }

  /** The lines of an object of so many, from one on, a stretch at a time; each time what was given before is gone. */
  async *#stretches(at: number, first = 0): AsyncGenerator<{ stretch: Stretch; rows: number }, void, undefined> {
    await this.#lookOnceMore();
    const { context, folder, manifest, prepared } = this.#parts;
    const object = await manifest.objects.at(at);
    if (object === undefined) throw damaged(folder.prefix, `it has no object ${at}`);
    const toVerify = {
      store: folder.store,
      key: folder.keyOf(object),
      object,
      columns: manifest.columns,
      windowBytes: readableWindowBytes(context.config),
    };
    for (let from = first; from < object.rows;) {
      await this.#mayGoOn();
      const stretch = await readStretch(toVerify, prepared.key, from, context.signal, this.#room);
      if (stretch.sizes.length === 0) throw damaged(toVerify.key, 'it has fewer lines');
      yield { stretch, rows: object.rows };
      from += stretch.sizes.length;
    }
  }

  #account(totals: Totals): void {
    const { context, manifest, notes } = this.#parts;
    this.#present = plus(this.#present, totals);
    this.#linesDone += linesOf(totals);
    const totalsNow = notes.totalsWith(this.#at, this.#present);
    context.onProgress?.({ lines: manifest.rows, linesDone: this.#linesDone, totals: totalsNow });
  }

  /** Before each batch. Throws Stopped or LongPause when there is to be none now. */
  async #mayGoOn(): Promise<void> {
    const { context, pace } = this.#parts;
    await this.#mayBegin();
    if (pace === undefined) return;
    await shortTurn(pace, context.signal, this.#until);
    await this.#mayBegin();
  }

  async #mayBegin(): Promise<void> {
    const { signal, yieldsToRuns = false } = this.#parts.context;
    if (signal.aborted) throw stoppedBySignal(signal);
    if (performance.now() >= this.#until) throw new Stopped('maxDuration');
    if (!yieldsToRuns || performance.now() - this.#readersAskedAt < READERS_INTERVAL_MS) return;
    const { client, prepared } = this.#parts;
    if ((await findReader(client, prepared.oid)) !== undefined) throw new Stopped('run-in-progress');
    this.#readersAskedAt = performance.now();
  }
}
