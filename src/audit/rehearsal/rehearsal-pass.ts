/** A slot of rehearsals: finds the runs of all archives, tidies up behind rehearsals that were killed, and rehearses one run. */
import { FailureError, toFailure, type Failure } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { NEVER } from '../../base/signals.ts';
import { TOOL } from '../../base/tool.ts';
import { countOf } from '../../base/units.ts';
import { archiveNamed, destinationOf } from '../../config/resolve.ts';
import type { ArchiveConfig, Config, RehearseAudit } from '../../config/schema.ts';
import {
  changeRehearsals,
  readRehearsals,
  withoutAttempt,
  type RehearsalAttempt,
  type RehearsalResult,
} from '../../ledger/rehearsals.ts';
import { quoteIdentifier } from '../../postgres/identifiers.ts';
import { openStore } from '../../store/open.ts';
import type { Store } from '../../store/store.ts';
import type { Pace } from '../../pace/pace.ts';
import type { Place } from '../../work/place.ts';
import { committedRuns, type CommittedRun } from '../../windows/committed.ts';
import { openKnownRuns } from '../../windows/known-runs.ts';
import { auditPace } from '../audit-pace.ts';
import { chooseRun, type Random, type Rehearsable } from './choose.ts';
import { foreign, refused, rehearseRun, type RehearsalOutcome, type RehearseParts } from './rehearse-run.ts';
import { dropScratchTable, type ScratchTable } from './scratch-table.ts';
import { lockSchema, openRehearsal, type RehearsalSession } from './session.ts';
import { lookAtTarget, refuseTarget, rehearsalSource, type TargetFacts } from './target.ts';

export interface PassParts extends Pick<RehearseParts, 'findFreeBytes' | 'onStep'> {
  /** What the pass goes by to its end. */
  generation: { number: number; config: Config; place: Place };
  audit: RehearseAudit;
  log: Log;
  signal: AbortSignal;
  /** Whether runs of the archive may be rehearsed now. */
  mayRehearse: (archive: string) => boolean;
  /** The slot that has come: where another host has rehearsed for it, that is enough. Absent where only what was left is tidied up. */
  slot: Date | undefined;
  hooks: PassHooks;
  random?: Random;
}

/** What is known of an archive's rehearsals. */
export interface RehearsalFindings {
  /** Runs with rows, whose data need not have expired. */
  runs: readonly CommittedRun[];
  results: readonly RehearsalResult[];
}

export interface BegunRehearsal {
  archive: string;
  run: string;
  rows: number;
  objects: number;
  objectsOfRun: number;
  jsonBytes: number;
}

/** What a pass reports; nothing of this may throw. */
export interface PassHooks {
  found: (archive: string, findings: RehearsalFindings) => void;
  /** What could not be found out of an archive. */
  unknown: (archive: string, failure: Failure) => void;
  begin: (begun: BegunRehearsal, pace: Pace) => void;
  progress: (rows: number) => void;
  end: (archive: string, run: string, outcome: RehearsalOutcome) => void;
}

/** What is open of an archive while a pass goes on. */
interface Open {
  archive: ArchiveConfig;
  store: Store;
  lastWords: Store;
  runs: readonly CommittedRun[];
  results: readonly RehearsalResult[];
  attempts: readonly RehearsalAttempt[];
}

/** Runs that have nothing to be rehearsed with are passed over; so many of them a slot. */
const MOST_PASSED = 100;

/** Never throws, but what `onStep` throws. */
export async function rehearsalPass(parts: PassParts): Promise<void> {
  const { generation, signal, slot } = parts;
  const opened: Open[] = [];
  try {
    for (const archive of Object.values(generation.config.archives)) {
      if (signal.aborted) return;
      await openArchive(parts, archive, opened);
    }
    const first = slot === undefined ? undefined : chooseNext(parts, opened);
    const isLeft = opened.some(({ attempts }) => attempts.length > 0);
    if (first !== undefined || isLeft) await inSession(parts, opened, first);
  } finally {
    for (const { store, lastWords } of opened) {
      store.close();
      lastWords.close();
    }
  }
}

async function openArchive({ generation, signal, hooks }: PassParts, archive: ArchiveConfig, opened: Open[]) {
  const { config } = generation;
  try {
    const store = openStore(destinationOf(config, archive), signal);
    const open: Open = { archive, store, lastWords: store.under(NEVER), runs: [], results: [], attempts: [] };
    opened.push(open);
    await look(open, config);
    hooks.found(archive.name, open);
  } catch (error) {
    if (!signal.aborted) hooks.unknown(archive.name, toFailure(error, 'verify'));
  }
}

async function look(open: Open, config: Config): Promise<void> {
  const { archive, store } = open;
  const { committed } = await committedRuns(store, archive.name, openKnownRuns(config, archive));
  Object.assign(open, await readRehearsals(store, archive.name), { runs: committed.filter(({ rows }) => rows > 0) });
}

type Next = NonNullable<ReturnType<typeof chooseNext>>;

function chooseNext({ generation, mayRehearse, random = Math.random }: PassParts, opened: readonly Open[]) {
  const archives = opened
    .filter(({ archive }) => mayRehearse(archive.name) && archiveNamed(generation.config, archive.name) !== undefined)
    .map(({ archive, runs, results }): Rehearsable => ({
      ...{ archive: archive.name, runs, results: new Map(results.map((result) => [result.run, result])) },
    }));
  const chosen = chooseRun(archives, random);
  const open = opened.find(({ archive }) => archive.name === chosen?.archive);
  return chosen && open && { open, run: chosen.run.run };
}

async function inSession(parts: PassParts, opened: readonly Open[], first: Next | undefined): Promise<void> {
  const { generation, audit, log, signal, hooks } = parts;
  const source = rehearsalSource(generation.config, audit);
  // Of what stands against all, the archive that comes first is told.
  const subject =
    first ?? opened.map((open) => ({ open, run: open.attempts[0]?.run ?? '' })).find(({ run }) => run !== '');
  const tell = (outcome: RehearsalOutcome): void => {
    if (subject !== undefined) hooks.end(subject.open.archive.name, subject.run, outcome);
  };
  let session: RehearsalSession | undefined;
  try {
    session = await openRehearsal(source, audit.schema, signal);
    const facts = await lookAtTarget(session.client, generation.config, audit, signal);
    const left = await tidyUp(parts, session, facts, opened);
    if (first === undefined) {
      if (left !== undefined) tell({ status: 'refused', failure: left });
      return;
    }
    if (left !== undefined) tell({ status: 'refused', failure: left });
    else await rehearseOne(parts, session, facts, opened, first);
  } catch (error) {
    if (signal.aborted) return;
    const failure = toFailure(error, 'restore');
    if (failure.code === 'locked') log.info({ failure }, 'another host rehearses: this slot of audits.rehearse is its');
    else if (failure.code === 'behind-pooler') tell({ status: 'refused', failure });
    else if (error instanceof FailureError) tell({ status: 'failed', failure });
    else throw error;
  } finally {
    await session?.close();
  }
}

async function rehearseOne(
  parts: PassParts,
  session: RehearsalSession,
  facts: TargetFacts,
  opened: readonly Open[],
  first: Next,
): Promise<void> {
  const { generation, audit, log, slot, hooks } = parts;
  const { config } = generation;
  // Another host may have been quicker, and is done by now.
  for (const open of opened) {
    // Of one that cannot be read it has been told, and the others go on.
    const { results } = await readRehearsals(open.store, open.archive.name).catch(() => ({ results: [] }));
    const done = results.find(({ at }) => slot !== undefined && Date.parse(at) >= slot.getTime());
    if (done === undefined) continue;
    log.info(
      { archive: open.archive.name, run: done.run, host: done.host },
      'this slot of audits.rehearse was another host’s',
    );
    return;
  }
  const problems = refuseTarget(facts, audit.schema);
  if (problems.length > 0) {
    hooks.end(first.open.archive.name, first.run, refused(describe(audit, problems)));
    return;
  }
  if (!facts.place.schemaExists)
    await session.client.query(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(audit.schema)}`);
  let next: Next | undefined = first;
  for (let passed = 0; next !== undefined && passed < MOST_PASSED; passed += 1) {
    const { open, run }: Next = next;
    const { name } = open.archive;
    const ownLog = log.child({ archive: name, run });
    const pace = auditPace(open.archive, ownLog);
    const outcome = await rehearseRun(
      {
        ...{ config, generation: generation.number, place: generation.place, archive: open.archive, audit },
        ...{ source: rehearsalSource(config, audit), store: open.store, lastWords: open.lastWords },
        ...{
          client: session.client,
          identity: facts.identity,
          server: facts.place,
          log: ownLog,
        },
        ...{
          signal: AbortSignal.any([parts.signal, session.lost]),
          ...{ pace, random: parts.random ?? Math.random },
        },
        ...(parts.findFreeBytes && { findFreeBytes: parts.findFreeBytes }),
        ...(parts.onStep && { onStep: parts.onStep }),
        onBegin: ({ rows, objects, jsonBytes }, manifest) => {
          hooks.begin({ archive: name, run, rows, objects, objectsOfRun: manifest.objects.length, jsonBytes }, pace);
        },
        onProgress: ({ rows }) => {
          hooks.progress(rows);
        },
      },
      run,
    );
    hooks.end(name, run, outcome.status === 'stopped' && session.lost.aborted ? lost(session) : outcome);
    if (outcome.status !== 'passed') return;
    open.runs = open.runs.filter((one) => one.run !== run);
    next = chooseNext(parts, opened);
  }
}

function lost({ lost }: RehearsalSession): RehearsalOutcome {
  return { status: 'failed', failure: toFailure(lost.reason, 'restore') };
}

function describe({ source, schema }: RehearseAudit, [first = '', ...more]: readonly string[]): string {
  const rest = more.length === 0 ? '' : ` (and ${countOf(more.length, 'further reason')})`;
  return `no restore is rehearsed in schema ${schema} of source ${source}: ${first}${rest}`;
}

/** Drops the tables that rehearsals which were killed have noted, as far as they are in this database. Resolves to what keeps one from going. */
async function tidyUp(
  { log }: PassParts,
  { client }: RehearsalSession,
  { identity }: TargetFacts,
  opened: readonly Open[],
): Promise<Failure | undefined> {
  let left: Failure | undefined;
  for (const { archive, store } of opened) {
    const { name } = archive;
    const { attempts } = await readRehearsals(store, name).catch(() => ({ attempts: [] }));
    for (const attempt of attempts) {
      const table: ScratchTable = { ...attempt, archive: name };
      const isHere = attempt.database === identity.database && attempt.systemIdentifier === identity.systemIdentifier;
      if (!isHere) {
        log.warn(
          { archive: name, ...attempt },
          'a rehearsal in another database was killed: its scratch table is left there',
        );
        continue;
      }
      try {
        // Hosts may have configs with different schemas: then the lock of ours does not tell that this table is in no use.
        if (!(await lockSchema(client, attempt.schema))) continue;
        const how = await dropScratchTable(client, table);
        await changeRehearsals(store, name, TOOL, (before) => withoutAttempt(before, attempt.nonce));
        const killed = { archive: name, run: attempt.run, host: attempt.host };
        if (how === 'foreign')
          log.warn({ ...killed, failure: foreign(table) }, 'a table of a rehearsal is not ours any more');
        else log.info({ ...killed, how }, 'tidied up behind a rehearsal that was killed');
      } catch (error) {
        left ??= { ...toFailure(error, 'restore'), archive: name, run: attempt.run };
      }
    }
  }
  return left;
}
