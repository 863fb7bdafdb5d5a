/** What a purge of an archive would be, before there is a run to purge: for `plan`, and for `check --online`. Changes nothing. */
import { toFailure } from '../base/errors.ts';
import { countOf, formatBytes, formatDuration } from '../base/units.ts';
import { sourceNamed, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, SourceConfig } from '../config/schema.ts';
import { withConnection, type Client } from '../postgres/connect.ts';
import { postgresFailure } from '../postgres/errors.ts';
import { describeRelation } from '../postgres/relation.ts';
import { identifySource } from '../postgres/snapshot.ts';
import type { OnlineFinding, TellFinding } from '../run/check-online.ts';
import { lookWithin, LOOK_LIMIT_MS } from '../run/look-within.ts';
import { look, type PurgeFacts } from './look.ts';
import { lookAtPartition } from './partition/look.ts';
import { findPartitionProblems } from './partition/problems.ts';
import { findProblems, type PurgedRun } from './preflight.ts';
import type { Problem, PurgeOption } from './request.ts';
import { measureTable, type TableSize } from './table-size.ts';

export interface PurgeOutlook {
  /** The name of the source that rows would be deleted by. */
  source: string;
  /** All that stands against it. */
  problems: Problem[];
  /** What deleting sets off besides, and is accepted; and which rows stay. */
  effects: string[];
  /** Of the whole table; estimates. */
  rows: number;
  walBytes: number;
  /** At the pace of the archive, and at no more than the server does. */
  seconds: number;
}

type PurgedArchive = ArchiveConfig & { purge: PurgeOption; table: string };

/** Undefined for an archive that is never purged. Throws FailureError. */
export async function lookAhead(
  config: Config,
  archive: ArchiveConfig,
  ask: Ask = asking,
): Promise<PurgeOutlook | undefined> {
  if (!isPurged(archive)) return undefined;
  const { name, purge, table } = archive;
  const reader = sourceOf(config, archive);
  const source = purge.source === undefined ? reader : sourceNamed(config, purge.source);
  if (source === undefined) throw new Error(`archive ${name} names no source of this config to purge by`);
  const run = await ask(name, reader, (client) => runOfNow(client, table));
  return ask(name, source, async (client) => {
    if (purge.then !== undefined) return lookAheadOfPartitions(client, archive, source, run);
    const facts = await look(client, table);
    const size = await measureTable(client, facts.relation.oid);
    const problems = findProblems(facts, { manifest: run, option: purge, isNamed: true });
    const estimate = {
      rows: Math.round(size.rows),
      walBytes: estimateWal(size),
      seconds: estimateSeconds(archive, size),
    };
    return { source: source.name, problems, effects: describeEffects(facts), ...estimate };
  });
}

/** What stands against a single partition, and who is in its way, is looked at when its turn comes. */
async function lookAheadOfPartitions(
  client: Client,
  archive: PurgedArchive,
  source: SourceConfig & { name: string },
  run: PurgedRun,
): Promise<PurgeOutlook> {
  const facts = await lookAtPartition(client, archive.table, {}, undefined);
  const size = await measureTable(client, facts.relation.oid);
  const then = archive.purge.then === 'drop' ? 'dropped' : 'detached';
  const beside = facts.hasDefault ? ', in one transaction, as there is a default partition' : '';
  return {
    source: source.name,
    problems: findPartitionProblems(facts, { manifest: run, option: archive.purge, isNamed: true }),
    effects: [`each partition is ${then} whole${beside}; no deletes are sent to anybody`],
    rows: Math.round(size.rows),
    walBytes: 0,
    seconds: estimateSeconds(archive, size),
  };
}

function isPurged(archive: ArchiveConfig): archive is PurgedArchive {
  return archive.purge !== undefined && archive.table !== undefined;
}

type Ask = typeof asking;

/** For whom sits and waits. */
const askingWithin: Ask = (_archive, source, work) => lookWithin(LOOK_LIMIT_MS, source, work);

async function asking<T>(archive: string, { url }: SourceConfig, work: (client: Client) => Promise<T>): Promise<T> {
  return withConnection({ url, applicationName: `pgsluice plan ${archive}` }, async (client) => {
    try {
      return await work(client);
    } catch (error) {
      throw postgresFailure(error, 'plan', 'looking at what a purge would meet');
    }
  });
}

/** What the manifest of a run would say that is made now. */
async function runOfNow(client: Client, table: string): Promise<PurgedRun> {
  const relation = await describeRelation(client, table);
  return {
    run: '',
    finishedAt: new Date().toISOString(),
    source: await identifySource(client),
    table: `${relation.schema}.${relation.name}`,
    columns: relation.columns,
  };
}

/** The record of a deleted row, and that of its lock. */
const WAL_BYTES_A_ROW = 140;
/** To print and digest rows and to delete them took 30 MB/s of an idle server with two cores (`npm run bench -- --purge`). */
const BYTES_A_SECOND = 30e6;

function estimateWal({ rows, bytes, writesFullPages }: TableSize): number {
  return Math.round((writesFullPages ? bytes : 0) + rows * WAL_BYTES_A_ROW);
}

/** The table is about as large as its JSON Lines. */
function estimateSeconds({ pace }: ArchiveConfig, { bytes }: TableSize): number {
  const { bytesPerSecond = Number.POSITIVE_INFINITY, share = 1 } = pace ?? {};
  return Math.round(Math.max(bytes / bytesPerSecond, bytes / BYTES_A_SECOND / share));
}

function describeEffects({ triggers, publications, slots, subscriptions, references }: PurgeFacts): string[] {
  return [
    ...triggers.map(({ name, table }) => `trigger ${name} of ${table} fires on each delete`),
    ...publications.map((name) => `publication ${name} sends out each delete`),
    ...slots.map(({ name, plugin }) => `logical slot ${name} (${plugin}) decodes each delete`),
    ...subscriptions.map((name) => `subscription ${name} fills the table`),
    ...references.map(({ name, table }) => `rows that ${table} refers to (${name}) stay`),
  ];
}

/** Lines for people. */
export function describeOutlook({ pace, purge }: ArchiveConfig, outlook: PurgeOutlook): string[] {
  const { source, problems, effects, rows, walBytes, seconds } = outlook;
  const within = pace?.between === undefined ? '' : `, within ${pace.between}`;
  const most =
    purge?.maxDurationMs === undefined ? '' : `, no more than ${formatDuration(purge.maxDurationMs)} at a time`;
  const after = purge === undefined ? '' : `, ${formatDuration(purge.afterMs)} after the commit of a run`;
  return [
    `by source ${source}${after}: all of the table, about ${countOf(rows, 'row')}, would write some ${formatBytes(walBytes)} of WAL and take ${formatDuration(Math.max(1, seconds) * 1000)} or more${within}${most}`,
    ...effects,
    ...problems.map(describeProblem),
  ];
}

function describeProblem({ code, message, hint }: Problem): string {
  return `refused as it is, ${code}: ${message} (${hint})`;
}

/** In the order of the config: told at once, and returned in the end. Never throws. */
export async function checkPurges(config: Config, tell: TellFinding): Promise<OnlineFinding[]> {
  const findings: OnlineFinding[] = [];
  for (const archive of Object.values(config.archives)) {
    const found = await checkPurge(config, archive);
    for (const finding of found) tell(finding);
    findings.push(...found);
  }
  return findings;
}

async function checkPurge(config: Config, archive: ArchiveConfig): Promise<OnlineFinding[]> {
  const subject = `archives.${archive.name}.purge`;
  try {
    const outlook = await lookAhead(config, archive, askingWithin);
    if (outlook === undefined) return [];
    const said = describeOutlook(archive, { ...outlook, problems: [] });
    return [
      ...said.map((message) => ({ level: 'ok', subject, message }) as const),
      ...outlook.problems.map(
        ({ code, message, hint }) => ({ level: 'error', subject, message: `${code}: ${message}`, hint }) as const,
      ),
    ];
  } catch (error) {
    const { message, hint } = toFailure(error, 'plan');
    return [{ level: 'error', subject, message, hint }];
  }
}
