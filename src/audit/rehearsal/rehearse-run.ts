/** The rehearsal of one run: note the table, restore into it, have the server say what it holds, compare, drop it, note the result. */
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import { fail, toFailure, type Failure } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { TOOL } from '../../base/tool.ts';
import { formatBytes, formatCount } from '../../base/units.ts';
import type { ArchiveConfig, Config, RehearseAudit, SourceConfig } from '../../config/schema.ts';
import { problemOfManifest } from '../../ledger/manifest-problem.ts';
import type { ManifestColumn } from '../../ledger/manifest.ts';
import {
  changeRehearsals,
  MOST_SUBSTITUTES,
  withAttempt,
  withoutAttempt,
  withResult,
  type RehearsalAttempt,
  type RehearsalResult,
} from '../../ledger/rehearsals.ts';
import { RunFolder } from '../../ledger/run-folder.ts';
import type { StoredManifest } from '../../ledger/stored-manifest.ts';
import { terminateBackend } from '../../postgres/cancel.ts';
import { backendPid, endConnection, connectPostgres, socketOf, type Client } from '../../postgres/connect.ts';
import { quoteTableName } from '../../postgres/identifiers.ts';
import { digestRows, type RowDigest } from '../../postgres/row-digest.ts';
import type { SourceIdentity } from '../../postgres/snapshot.ts';
import { restoreArchive } from '../../restore/restore-archive.ts';
import type { RestoreRequest, RestoreResult } from '../../restore/request.ts';
import type { ScratchRequest, Substitute } from '../../restore/scratch.ts';
import type { Surroundings } from '../../restore/target.ts';
import { hasExpired } from '../../verify/gone.ts';
import type { Store } from '../../store/store.ts';
import type { Pace } from '../../pace/pace.ts';
import type { Place } from '../../work/place.ts';
import type { ProgressSnapshot } from '../../work/progress.ts';
import { chooseObjects, type ChosenObjects, type Random } from './choose.ts';
import { findFreeBytes } from './free-space.ts';
import { commentOf, dropScratchTable, scratchName, type ScratchTable } from './scratch-table.ts';
import { refuseSpace } from './target.ts';

/**
 * How it ended. `refused` and `failed` tell of the target or of the way to either, and nothing of the run; `passed` that the run
 * has nothing to be rehearsed with: its data has expired, or cannot be read at once.
 */
export type RehearsalOutcome =
  | { status: 'equal' | 'different'; result: RehearsalResult }
  | { status: 'refused' | 'failed' | 'passed'; failure: Failure }
  | { status: 'stopped' };

/** Where a rehearsal is; each is told when it has been done. For tests, which stop one there. */
export type RehearsalStep = 'noted' | 'made' | 'filling' | 'restored' | 'compared' | 'dropped';

export interface RehearseParts {
  config: Config;
  generation: number;
  place: Place;
  archive: ArchiveConfig;
  audit: RehearseAudit;
  source: SourceConfig;
  store: Store;
  /** Of the destination, for what must be written when the other one is stopped. */
  lastWords: Store;
  client: Client;
  identity: SourceIdentity;
  /** Of the target. */
  server: Pick<Surroundings, 'version' | 'encoding'>;
  log: Log;
  signal: AbortSignal;
  /** That of the archive: nothing begins that it holds up, and objects are read no faster. */
  pace: Pace;
  random: Random;
  findFreeBytes?: typeof findFreeBytes;
  onBegin: (chosen: ChosenObjects, manifest: StoredManifest) => void;
  onProgress: (progress: ProgressSnapshot) => void;
  onStep?: (step: RehearsalStep) => Promise<void> | void;
}

/** Never throws, but what `onStep` throws. */
export async function rehearseRun(parts: RehearseParts, run: string): Promise<RehearsalOutcome> {
  const started = performance.now();
  const { archive, audit, store, client, signal } = parts;
  const folder = new RunFolder(store, archive.name, run);
  const none = { objects: 0, objectsOfRun: 0, rows: 0, jsonBytes: 0, substitutes: [] };
  try {
    const manifest = await folder.manifest();
    if (manifest === undefined)
      return await conclude(parts, run, started, { ...none, problem: damaged('its manifest is not there any more') });
    if (await hasExpired(archive, folder, manifest)) return passed('its data objects have expired');
    const chosen = await choose(manifest, audit, parts.random);
    if (chosen === undefined) return refused(tooLarge(audit));
    const free = await (parts.findFreeBytes ?? findFreeBytes)(client);
    const space = refuseSpace(chosen.jsonBytes, free);
    if (space !== undefined) return refused(space);
    parts.onBegin(chosen, manifest);
    return await rehearse(parts, manifest, chosen, started);
  } catch (error) {
    if (signal.aborted) return { status: 'stopped' };
    const problem = problemOfManifest(error);
    if (problem !== undefined) return conclude(parts, run, started, { ...none, problem });
    return { status: 'failed', failure: toFailure(error, 'restore') };
  }
}

function choose(
  manifest: StoredManifest,
  { atMostBytes }: RehearseAudit,
  random: Random,
): Promise<ChosenObjects | undefined> {
  const { objects, rows, jsonBytes } = manifest;
  if (jsonBytes > atMostBytes) return chooseObjects(objects, atMostBytes, random);
  return Promise.resolve({ isOutside: () => false, objects: objects.length, rows, jsonBytes });
}

/** What is known of a rehearsal in the end; without a problem, all has come back. */
interface Findings {
  objects: number;
  objectsOfRun: number;
  rows: number;
  jsonBytes: number;
  substitutes: readonly Substitute[];
  problem?: Failure | undefined;
}

async function rehearse(
  parts: RehearseParts,
  manifest: StoredManifest,
  chosen: ChosenObjects,
  started: number,
): Promise<RehearsalOutcome> {
  const { archive, audit, identity, store, pace, signal } = parts;
  const { run } = manifest;
  // There is no table yet that would wait with it.
  await pace.turn(signal);
  const attempt: RehearsalAttempt = {
    ...{ run, nonce: randomBytes(16).toString('hex'), schema: audit.schema },
    ...{ database: identity.database, systemIdentifier: identity.systemIdentifier },
    ...{ startedAt: new Date().toISOString(), host: os.hostname() },
  };
  const table: ScratchTable = { ...attempt, archive: archive.name };
  await changeRehearsals(store, archive.name, TOOL, (before) => withAttempt(before, attempt));
  await parts.onStep?.('noted');
  const ending = await fillAndCompare(parts, manifest, chosen, table);
  const left = await dropAndForget(parts, table);
  await parts.onStep?.('dropped');
  if (left !== undefined) parts.log.error({ failure: left }, 'the scratch table of a rehearsal is left');
  if ('status' in ending) return ending;
  const { objects, rows, jsonBytes } = chosen;
  const figures = { objects, objectsOfRun: manifest.objects.length, rows, jsonBytes };
  return conclude(parts, run, started, { ...figures, ...ending });
}

type Ending = Pick<Findings, 'substitutes' | 'problem'> | Exclude<RehearsalOutcome, { result: RehearsalResult }>;

async function fillAndCompare(
  parts: RehearseParts,
  manifest: StoredManifest,
  chosen: ChosenObjects,
  table: ScratchTable,
): Promise<Ending> {
  const { signal } = parts;
  const lines: RowDigest = { rows: 0, sum: 0n };
  let columns: readonly ManifestColumn[] = [];
  let substitutes: readonly Substitute[] = [];
  const result = await restoreArchive(
    parts,
    requestOf(parts, table, {
      comment: commentOf(table),
      isOutside: chosen.isOutside,
      onColumns: (found) => {
        ({ columns, substitutes } = found);
      },
      onMade: () => parts.onStep?.('made'),
      onLines: ({ rows, sum }) => {
        lines.rows += rows;
        lines.sum = BigInt.asUintN(64, lines.sum + sum);
        return parts.onStep?.('filling');
      },
    }),
  );
  await parts.onStep?.('restored');
  if (signal.aborted) return { status: 'stopped' };
  const problem = problemOfRestore(result);
  if (problem !== undefined) {
    const lacking = problem.code === 'bad-value' ? whyLacking(parts, manifest) : undefined;
    if (lacking !== undefined)
      return outside({ ...problem, message: `${problem.message}; ${lacking}`, hint: LACKING_HINT });
    return isOfTheRun(problem) ? { substitutes, problem } : outside(problem);
  }
  try {
    const server = await digestTable(parts, table, columns);
    await parts.onStep?.('compared');
    return { substitutes, problem: compare(chosen.rows, lines, server) };
  } catch (error) {
    return isStopped(signal) ? { status: 'stopped' } : outside(toFailure(error, 'verify'));
  }
}

/** It may be by now, whatever it was before. */
function isStopped({ aborted }: AbortSignal): boolean {
  return aborted;
}

function requestOf({ archive, source }: RehearseParts, table: ScratchTable, scratch: ScratchRequest): RestoreRequest {
  return {
    ...{ archive, source, run: table.run, into: { schema: table.schema, table: scratchName(table) } },
    ...{ create: true, onConflict: 'fail', selfReferences: 'refuse', keys: {}, scratch },
  };
}

function problemOfRestore({ status, problems, error }: RestoreResult): Failure | undefined {
  if (status === 'restored') return undefined;
  if (error !== undefined) return error;
  const [first = '', ...more] = problems;
  return damaged(more.length === 0 ? first : `${first} (and ${formatCount(more.length)} more)`);
}

/** Failures that say something of what was archived, wherever it is restored. */
const OF_THE_RUN: ReadonlySet<string> = new Set([
  'rehearsal-different',
  'object-damaged',
  'object-missing',
  'bad-line',
  'bad-value',
  'line-too-long',
  'row-exists',
  'constraint-violated',
  'rows-dropped',
  'bad-manifest',
  'misplaced',
  'untrusted',
]);

function isOfTheRun({ code }: Failure): boolean {
  return OF_THE_RUN.has(code);
}

const LACKING_HINT =
  'Rehearse in a database with the encoding UTF8, on a server that is no older than those that are archived.';

/** Why values that the archive rightly has may not be possible in the target. */
function whyLacking({ server }: RehearseParts, { source }: StoredManifest): string | undefined {
  const archived = Number.parseInt(source.serverVersion, 10);
  if (server.encoding !== 'UTF8') return `the encoding of this database is ${server.encoding}, which has no others`;
  if (!(archived > server.version)) return undefined;
  return `this server is Postgres ${server.version}, and the archive is of Postgres ${archived}, which has more values`;
}

function outside(failure: Failure): Ending {
  const isCold = failure.code === 'object-archived';
  return { status: isCold ? 'passed' : failure.code === 'target-disk-full' ? 'refused' : 'failed', failure };
}

/** On a connection of its own, which can be cut while the server reckons. */
async function digestTable(
  { source, signal }: RehearseParts,
  table: ScratchTable,
  columns: readonly ManifestColumn[],
): Promise<RowDigest> {
  const target = { url: source.url, applicationName: `pgsluice rehearsal ${table.archive}/${table.run}` };
  const client = await connectPostgres(target, 'verify', signal);
  const cut = (): void => void socketOf(client)?.destroy();
  signal.addEventListener('abort', cut, { once: true });
  try {
    const from = quoteTableName({ schema: table.schema, table: scratchName(table) });
    const bare = columns.map(({ name, type, typeOid, nullable, encoding }) => ({
      ...{ name, type, typeOid, nullable, encoding, baseTypeOid: typeOid, elementTypeOid: null, isEnum: false },
    }));
    return await digestRows(client, { kind: 'relation', from, where: undefined, columns: bare }, {});
  } catch (error) {
    // Else it would hold the table, which is to be dropped, until it notices.
    if (signal.aborted) await terminateBackend(target, backendPid(client));
    throw error;
  } finally {
    signal.removeEventListener('abort', cut);
    await endConnection(client);
  }
}

function compare(rows: number, lines: RowDigest, server: RowDigest): Failure | undefined {
  const isSame = lines.rows === rows && server.rows === rows && lines.sum === server.sum;
  if (isSame) return undefined;
  const describe = (digest: RowDigest): string =>
    `${formatCount(digest.rows)} rows with the digest ${digest.sum.toString(16)}`;
  return damaged(
    `the server says ${describe(server)} of what was restored, and the lines are ${describe(lines)}, of ${formatCount(rows)} in the manifest`,
  );
}

/** Whatever happens, and when it is stopped as well; undefined when it is gone and taken back. */
async function dropAndForget(
  { client, archive, lastWords }: RehearseParts,
  table: ScratchTable,
): Promise<Failure | undefined> {
  try {
    const how = await dropScratchTable(client, table);
    await changeRehearsals(lastWords, archive.name, TOOL, (before) => withoutAttempt(before, table.nonce));
    return how === 'foreign' ? foreign(table) : undefined;
  } catch (error) {
    return toFailure(error, 'restore');
  }
}

/** Its comment was changed, or another table was given its name: nobody but an operator may say what it is. */
export function foreign(table: ScratchTable): Failure {
  const name = quoteTableName({ schema: table.schema, table: scratchName(table) });
  const message = `${name} has not the comment that a rehearsal of ${table.archive} ${table.run} has given it, and is left`;
  const hint = 'Look whose table it is: rename it, or drop it by hand.';
  return fail('rehearsal-leftover', { stage: 'restore', message, hint }).failure;
}

async function conclude(
  { archive, lastWords }: RehearseParts,
  run: string,
  started: number,
  findings: Findings,
): Promise<RehearsalOutcome> {
  const { problem, substitutes, ...figures } = findings;
  const status = problem === undefined ? 'equal' : 'different';
  const result: RehearsalResult = {
    ...{ run, at: new Date().toISOString(), status, ...figures },
    ...(problem === undefined ? {} : { code: problem.code, message: problem.message }),
    substitutes: substitutes.slice(0, MOST_SUBSTITUTES),
    ...{ seconds: Math.round(performance.now() - started) / 1000, host: os.hostname() },
  };
  try {
    await changeRehearsals(lastWords, archive.name, TOOL, (before) => withResult(before, result));
    return { status, result };
  } catch (error) {
    return status === 'equal' ? { status: 'failed', failure: toFailure(error, 'verify') } : { status, result };
  }
}

function damaged(message: string): Failure {
  return fail('rehearsal-different', { stage: 'restore', message }).failure;
}

export function refused(message: string): RehearsalOutcome {
  return { status: 'refused', failure: fail('rehearsal-refused', { stage: 'restore', message }).failure };
}

function passed(message: string): RehearsalOutcome {
  return { status: 'passed', failure: fail('object-missing', { stage: 'restore', message }).failure };
}

function tooLarge({ atMostBytes }: RehearseAudit): string {
  return `each of its objects has more than ${formatBytes(atMostBytes)} of JSON Lines: raise audits.rehearse.atMost`;
}
