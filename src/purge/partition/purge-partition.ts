/**
 * The story of the purge of a run by its partition: prove, compare, note what is intended, take it out, and compare again under
 * the lock that drops it. At each start the catalogue says how far the one before has come.
 */
import { FailureError, toFailure } from '../../base/errors.ts';
import { formatCount } from '../../base/units.ts';
import type { PurgedPartition, Totals } from '../../ledger/purge.ts';
import type { StoredManifest } from '../../ledger/stored-manifest.ts';
import type { RunFolder } from '../../ledger/run-folder.ts';
import type { Pace } from '../../pace/pace.ts';
import { terminateBackend } from '../../postgres/cancel.ts';
import { backendPid, type Client, type ConnectionTarget } from '../../postgres/connect.ts';
import { quoteTableName } from '../../postgres/identifiers.ts';
import { describeRelation } from '../../postgres/relation.ts';
import { whileReading } from '../../postgres/snapshot.ts';
import { Different, Refused, Stopped, stoppedBySignal } from '../endings.ts';
import { problem, serverProblems, sourceProblems } from '../preflight.ts';
import { proveRun } from '../prove-run.ts';
import { findReader } from '../readers.ts';
import { PurgeNotes } from '../record.ts';
import type {
  PartitionPatience,
  PartitionStep,
  PurgeContext,
  PurgeRequest,
  PurgeResult,
  PurgeStatus,
} from '../request.ts';
import { problemsOfState, type RunState } from '../run-state.ts';
import { noLines } from '../tally.ts';
import { shortTurn } from '../turn.ts';
import { endFormerBackend, nameBackend } from './backend.ts';
import { describeDifference, digestPartition, type LineSums } from './digest.ts';
import type { PartitionState } from './find.ts';
import { columnsOf, lookAtPartition, type PartitionDetails, type PartitionFacts } from './look.ts';
import { findPartitionProblems } from './problems.ts';
import {
  attachAgain,
  detachConcurrently,
  finalize,
  OtherRows,
  removeAtOnce,
  settle,
  stateOf,
  type Removal,
} from './remove.ts';
import { sumLines } from './sum-lines.ts';

const PATIENCE: PartitionPatience = { detachMs: 5000, shortMs: 500, tries: 9 };
/** The first version that detaches while others go on. */
const DETACHES_CONCURRENTLY = 140_000;

export interface PartitionPurgeParts {
  context: PurgeContext;
  request: PurgeRequest;
  then: 'drop' | 'detach';
  folder: RunFolder;
  manifest: StoredManifest;
  client: Client;
  target: ConnectionTarget;
  state: RunState;
  tally: Pick<PurgeResult, 'totals' | 'partition'>;
  /** Undefined for a dry run. */
  pace: Pace | undefined;
  endsAtMs: number;
}

/** Throws Refused, Different and Stopped. */
export async function purgePartition(parts: PartitionPurgeParts): Promise<PurgeStatus> {
  return new PartitionPurge(parts).purge();
}

class PartitionPurge {
  readonly #parts: PartitionPurgeParts;
  /** What a purge before this one has begun with. */
  readonly #begun: PurgedPartition | undefined;
  #sums: LineSums = { rows: 0, first: 0n, second: 0n };
  #step: PartitionStep = 'comparing';
  /** Whether it is noted that the partition is to go, by this purge or by one before. */
  #hasIntent: boolean;
  #kept: PurgeNotes | undefined;

  constructor(parts: PartitionPurgeParts) {
    this.#parts = parts;
    const { found, anew } = parts.state;
    const record = anew === undefined ? found?.record : undefined;
    this.#begun = record?.partition;
    this.#hasIntent = record?.partition !== undefined;
  }

  async purge(): Promise<PurgeStatus> {
    const { request, client } = this.#parts;
    if (request.execute && this.#begun !== undefined) await endFormerBackend(client, this.#begun.backend);
    let facts = await this.#look();
    if (request.execute && facts.partition?.state === 'pending') {
      // What is noted may be of another database, where that OID is of another partition.
      const elsewhere = [...serverProblems(facts), ...sourceProblems(facts, this.#parts.manifest)];
      if (elsewhere.length > 0) throw new Refused(elsewhere);
      // Before all else: nobody sees its rows.
      await finalize(this.#removal(facts, facts.partition));
      facts = await this.#look();
    }
    try {
      return await this.#proveAndRemove(facts);
    } catch (error) {
      if (!request.execute || !this.#hasIntent || facts.partition === undefined) throw error;
      throw await this.#leave(this.#removal(facts, facts.partition), error);
    }
  }

  async #proveAndRemove(before: PartitionFacts): Promise<PurgeStatus> {
    const { request, context, folder, manifest } = this.#parts;
    await this.#yieldToRuns(before);
    await this.#requireNothingAgainst(before);
    if (before.partition === undefined) return this.#gone(before);
    this.#show(before.partition, before.partition.state);
    await proveRun(context, request, folder, manifest);
    this.#sums = await sumLines(context, request, folder, manifest);
    // What is detached is compared under its lock.
    if (!request.execute || before.partition.state === 'attached') await this.#compareBefore(before, before.partition);
    if (!request.execute) return this.#counted();
    if (!(await this.#isWanted(before.partition))) throw new Stopped('asked');
    await this.#mayGoOn(before);
    // The proof, or the answer, may have taken hours: only what is found now is gone by.
    const facts = await this.#look();
    await this.#requireNothingAgainst(facts);
    if (facts.partition === undefined) return this.#gone(facts);
    return this.#remove(facts, facts.partition);
  }

  async #look(): Promise<PartitionFacts> {
    const { client, request, manifest } = this.#parts;
    if (request.archive.table === undefined)
      throw new Refused([problem('purge-incomplete-archive', 'it is of a query')]);
    return lookAtPartition(client, request.archive.table, manifest, this.#begun?.oid);
  }

  /** Throws Refused with all that stands against it. */
  async #requireNothingAgainst(facts: PartitionFacts): Promise<void> {
    const { request, manifest, state } = this.#parts;
    const option = request.archive.purge;
    const problems = [
      ...findPartitionProblems(facts, { manifest, option, isNamed: !request.byAge }),
      ...(await problemsOfState(request.archive.name, manifest, state)),
    ];
    if (problems.length > 0) throw new Refused(problems);
  }

  /** While it is attached, and everybody goes on: what differs already is left as it is. */
  async #compareBefore(facts: PartitionFacts, partition: PartitionDetails): Promise<void> {
    const { client, request } = this.#parts;
    this.#onStep('comparing');
    try {
      await whileReading(client, () => this.#requireSame(facts, partition));
    } catch (error) {
      if (!(error instanceof OtherRows)) throw error;
      if (request.execute) await this.#noteLeft(facts, partition, error);
      throw refusedFor(error, partition, 'it is as it was');
    }
  }

  async #isWanted({ schema, name }: PartitionDetails): Promise<boolean> {
    const { request, folder, manifest, then } = this.#parts;
    const question = { run: folder.run, table: manifest.table ?? '', lines: manifest.rows };
    return (await request.confirm?.({ ...question, partition: { name: `${schema}.${name}`, then } })) !== false;
  }

  async #remove(facts: PartitionFacts, partition: PartitionDetails): Promise<PurgeStatus> {
    const { then } = this.#parts;
    const notes = await this.#noteIntent(facts, partition);
    const removal = this.#removal(facts, partition);
    try {
      if (partition.state === 'attached' && (facts.hasDefault || facts.version < DETACHES_CONCURRENTLY))
        await removeAtOnce(removal);
      else {
        const isDetached = partition.state !== 'attached' || (await detachConcurrently(removal));
        if (isDetached) await settle(removal);
        else await removeAtOnce(removal);
      }
    } catch (error) {
      if (!(error instanceof OtherRows)) throw error;
      if ((await stateOf(removal)) === 'detached') await attachAgain(removal);
      await this.#noteLeft(facts, partition, error);
      throw refusedFor(error, partition, 'it is attached, with all of its rows');
    }
    const state = then === 'drop' ? 'dropped' : 'detached';
    await this.#done(notes, { ...partition, outcome: state }, { ...noLines(), deleted: this.#sums.rows });
    this.#show(partition, state);
    return 'purged';
  }

  /** From then on, what the catalogue shows of the partition may be our doing. */
  async #noteIntent(facts: PartitionFacts, partition: PartitionDetails): Promise<PurgeNotes> {
    const { client } = this.#parts;
    const notes = this.#notes(facts);
    notes.partition = {
      ...this.#described(partition, 'intended'),
      checks: this.#begun?.checks ?? [...partition.checks],
      backend: await nameBackend(client),
    };
    await notes.write();
    this.#hasIntent = true;
    return notes;
  }

  /** It holds other rows than the run, and stays: what is in it now is archived anew, as a further run of its window. */
  async #noteLeft(facts: PartitionFacts, partition: PartitionDetails, why: OtherRows): Promise<void> {
    const { manifest } = this.#parts;
    const notes = this.#notes(facts);
    const outcome = why instanceof InexactRows ? 'inexact' : 'changed';
    await this.#done(notes, { ...partition, outcome: 'attached' }, { ...noLines(), [outcome]: manifest.rows }, false);
  }

  /** Somebody has dropped it, or a purge before this one that was killed: which of them, nobody can know. */
  async #gone(facts: PartitionFacts): Promise<PurgeStatus> {
    const { request, manifest, tally } = this.#parts;
    const totals = { ...noLines(), absent: manifest.rows };
    const { name = '', oid = 0 } = this.#begun ?? manifest.partition ?? {};
    tally.partition = { name, state: 'gone' };
    tally.totals = totals;
    if (!request.execute) return 'counted';
    const [schema = '', ...rest] = name.split('.');
    await this.#done(
      this.#notes(facts),
      { schema, name: rest.join('.'), oid: Math.max(oid, 1), outcome: 'gone' },
      totals,
    );
    return 'purged';
  }

  #counted(): PurgeStatus {
    const { tally, manifest } = this.#parts;
    tally.totals = { ...noLines(), deleted: manifest.rows };
    return 'counted';
  }

  async #done(
    notes: PurgeNotes,
    partition: Pick<PartitionDetails, 'schema' | 'name' | 'oid'> & { outcome: PurgedPartition['state'] },
    totals: Totals,
    isTold = true,
  ): Promise<void> {
    const { tally, manifest, client } = this.#parts;
    notes.partition = {
      ...this.#described(partition, partition.outcome),
      checks: [],
      backend: notes.partition?.backend ?? (await nameBackend(client)),
    };
    notes.totals = totals;
    notes.next = manifest.objects.length;
    notes.rounds = 1;
    await notes.write('done');
    if (isTold) tally.totals = totals;
  }

  #described(
    { schema, name, oid }: Pick<PartitionDetails, 'schema' | 'name' | 'oid'>,
    state: PurgedPartition['state'],
  ): Pick<PurgedPartition, 'name' | 'oid' | 'then' | 'state'> {
    return { name: `${schema}.${name}`, oid, then: this.#parts.then, state };
  }

  /** A refusal leaves no partition detached: nobody would see its rows. Resolves to what is to be thrown. */
  async #leave(removal: Removal, error: unknown): Promise<unknown> {
    const { name } = removal.partition;
    try {
      let state = await stateOf(removal);
      if (state === 'detached' && isFinal(error)) {
        await attachAgain(removal);
        state = 'attached';
      }
      this.#show(removal.partition, state);
      return error;
    } catch (trouble) {
      const { code, message, hint } = toFailure(trouble, 'purge');
      const left = `${name} could not be made a partition again: ${message}`;
      if (error instanceof Refused) return new Refused([...error.problems, { code, message: left, hint }]);
      return error instanceof Different ? new Different([...error.differences, left]) : error;
    }
  }

  #notes({ identity }: PartitionFacts): PurgeNotes {
    const { folder, state } = this.#parts;
    const source = { database: identity.database, systemIdentifier: identity.systemIdentifier ?? '' };
    this.#kept ??= new PurgeNotes(folder, source, state.found, undefined, state.anew);
    return this.#kept;
  }

  #removal(facts: PartitionFacts, partition: PartitionDetails): Removal {
    const { client, context, manifest, then } = this.#parts;
    const { schema, name, oid } = facts.relation;
    const { window } = manifest;
    if (window === undefined) throw new Refused([problem('purge-incomplete-archive', 'the run is of no window')]);
    return {
      client,
      table: { schema, name, oid },
      partition,
      bound: manifest.partition?.bound ?? '',
      window,
      then,
      checks: this.#begun?.checks ?? partition.checks,
      patience: context.patience ?? PATIENCE,
      requireSame: async () => {
        await this.#requireColumns(partition);
        await this.#requireSame(facts, partition);
      },
      onStep: (step) => {
        this.#onStep(step);
      },
      checkpoint: () => {
        if (context.signal.aborted) throw stoppedBySignal(context.signal);
      },
    };
  }

  /** One that was added since would go with values that no line tells of. To be asked under the lock. Throws Refused. */
  async #requireColumns({ schema, name, columns }: PartitionDetails): Promise<void> {
    const table = quoteTableName({ schema, table: name });
    const now = columnsOf(await describeRelation(this.#parts.client, table));
    if (now.join() !== columns.join())
      throw new Refused([
        problem('purge-columns-changed', `the columns of ${table} have changed since it was looked at`),
      ]);
  }

  /** Throws OtherRows. What takes long on the server ends there when the purge is broken off. */
  async #requireSame({ relation }: PartitionFacts, { schema, name }: PartitionDetails): Promise<void> {
    const { client, context, target, manifest } = this.#parts;
    const { signal } = context;
    const pid = backendPid(client);
    const end = (): void => void terminateBackend(target, pid);
    signal.addEventListener('abort', end, { once: true });
    try {
      const found = await digestPartition(client, { schema, table: name, columns: relation.columns, manifest });
      const difference = describeDifference(found, this.#sums);
      if (difference !== '') throw new OtherRows(difference);
      if (found.inexact > 0)
        throw new InexactRows(`${formatCount(found.inexact)} of its rows hold what a line does not tell`);
    } catch (error) {
      if (signal.aborted) throw stoppedBySignal(signal);
      throw error;
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  #onStep(step: PartitionStep): void {
    const { context, manifest } = this.#parts;
    if (step !== this.#step) context.log.debug({ step }, 'the purge of a partition goes on');
    this.#step = step;
    context.onProgress?.({ step, lines: manifest.rows, linesDone: 0, totals: noLines() });
  }

  #show({ schema, name }: Removal['partition'], state: PartitionState | 'dropped'): void {
    this.#parts.tally.partition = { name: `${schema}.${name}`, state: state === 'pending' ? 'half detached' : state };
  }

  /** Before anything is changed. Throws Stopped or LongPause when that is not to be now. */
  async #mayGoOn(facts: PartitionFacts): Promise<void> {
    const { context, pace, endsAtMs } = this.#parts;
    if (pace !== undefined) await shortTurn(pace, context.signal, endsAtMs);
    if (context.signal.aborted) throw stoppedBySignal(context.signal);
    if (performance.now() >= endsAtMs) throw new Stopped('maxDuration');
    await this.#yieldToRuns(facts);
  }

  /** A run is no blocker for long: it goes first. Throws Stopped. */
  async #yieldToRuns({ relation }: PartitionFacts): Promise<void> {
    const { context, client } = this.#parts;
    if (context.yieldsToRuns !== true) return;
    if ((await findReader(client, relation.oid)) !== undefined) throw new Stopped('run-in-progress');
  }
}

/** Whether the next purge would end in the same way. */
function isFinal(error: unknown): boolean {
  const isDamaged = error instanceof FailureError && error.failure.code === 'purge-archive-damaged';
  return isDamaged || error instanceof Refused || error instanceof Different;
}

/** Rows that are those of the run, as far as lines tell. */
class InexactRows extends OtherRows {}

function refusedFor(why: OtherRows, { schema, name }: PartitionDetails, stands: string): Refused {
  const code = why instanceof InexactRows ? 'partition-inexact' : 'partition-changed';
  return new Refused([problem(code, `${schema}.${name} cannot go: ${why.message}; ${stands}`)]);
}
