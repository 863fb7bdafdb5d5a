/** Checks what a config names by looking at it: sources, destinations, and the table or query of each archive. */
import { toFailure } from '../base/errors.ts';
import { FAILURES } from '../base/failures.ts';
import { formatBytes, formatCount, formatDuration } from '../base/units.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, DestinationConfig, SourceConfig } from '../config/schema.ts';
import { isSuperuser, mayWrite } from '../postgres/role.ts';
import type { Client } from '../postgres/connect.ts';
import { inspectServer } from '../postgres/server.ts';
import { isPooled, POOLER_WARNING } from '../postgres/settings.ts';
import { whileReading } from '../postgres/snapshot.ts';
import { inspectStandby, type StandbyFacts } from '../postgres/standby.ts';
import { openStore } from '../store/open.ts';
import { lateFailure } from '../store/probe.ts';
import {
  ERASES_MANIFESTS,
  NO_LOCK,
  NO_VERSIONS,
  type KeptConditions,
  type ProbeResult,
  type Store,
} from '../store/store.ts';
import { formatRunId } from '../ledger/run-id.ts';
import { tryHeads } from './check-heads.ts';
import { checkQueue } from './check-queue.ts';
import { requireKeysFit, warnOfLayout } from './layout.ts';
import { lookWithin, LOOK_LIMIT_MS } from './look-within.ts';
import type { OnlineFinding } from './online-finding.ts';
import { warnOfObjectSize } from './object-size-warning.ts';
import { planRun } from './plan.ts';
import { nameSubject, slotOf } from './subject.ts';
import { warnOfSubject } from './subject-warnings.ts';

export type { OnlineFinding };

/** A clock that is further off than this makes run ids and `:slot` misleading, and S3 refuses requests at 15 minutes. */
const MAX_CLOCK_SKEW_MS = 30_000;
const OLDEST_SERVER = 130000;

/** Gets each finding as soon as it is found. */
export type TellFinding = (finding: OnlineFinding) => void;

/**
 * Connects to everything that the config's archives use, each look in no more than `limitMs`. Findings in the order of the
 * config: told at once, and returned in the end. Never throws.
 */
export async function checkOnline(
  config: Config,
  tell: TellFinding = () => undefined,
  limitMs: number = LOOK_LIMIT_MS,
): Promise<OnlineFinding[]> {
  const archives = Object.values(config.archives);
  const findings: OnlineFinding[] = [];
  const add = (found: readonly OnlineFinding[]): void => {
    for (const finding of found) {
      findings.push(finding);
      tell(finding);
    }
  };
  for (const source of new Set(archives.map((archive) => sourceOf(config, archive)))) {
    const own = archives.filter((archive) => sourceOf(config, archive) === source);
    await checkSource(config, source, own, add, limitMs);
  }
  for (const destination of new Set(archives.map((archive) => destinationOf(config, archive))))
    await checkDestination(config, destination, add, limitMs);
  const { hosts } = config;
  const look: Parameters<typeof checkQueue>[2] = (url, work) => lookWithin(limitMs, { url }, work);
  if (hosts !== undefined) add(await collect('hosts', () => checkQueue(config, hosts, look)));
  return findings;
}

type Add = (found: readonly OnlineFinding[]) => void;

async function checkDestination(
  config: Config,
  destination: DestinationConfig,
  add: Add,
  limitMs: number,
): Promise<void> {
  const subject = `destinations.${destination.name}`;
  // What was given up ends with it.
  const over = new AbortController();
  add(
    await collect(subject, async () => {
      const store = openStore(destination, over.signal);
      try {
        const { facts = [], keeps } = await store.probe((found) => {
          add(describeProbe(store, subject, found));
        }, limitMs);
        // Another server would take what is to be refused for a head.
        if (keeps.put) add(await checkHeads(config, destination, store, limitMs));
        return [
          ...warnOfOverwrites(config, destination, facts),
          ...warnOfErasure(destination, facts),
          ...requireLock(destination, facts),
        ];
      } finally {
        over.abort(new Error('the check is over'));
        store.close();
      }
    }),
  );
}

/** What one step of the probe found out. */
function describeProbe(store: Store, subject: string, found: Partial<ProbeResult>): OnlineFinding[] {
  const { keeps, left, listsUploads, facts = [] } = found;
  const findings: OnlineFinding[] = facts.map((message) => ({ level: 'ok', subject, message }));
  if ('clockSkewMs' in found) {
    // The store says how far this machine is ahead.
    const skewMs = found.clockSkewMs === undefined ? undefined : -found.clockSkewMs;
    findings.push(...describeClock(subject, skewMs, `${store.url} can be written, read and listed`));
  }
  if (keeps !== undefined) findings.push(...describeConditions(store, subject, keeps));
  if (listsUploads !== undefined) findings.push(...describeUploads(store, subject, listsUploads));
  if (left !== undefined) findings.push(describeLeft(store, subject, left));
  return findings;
}

async function checkHeads(
  config: Config,
  destination: DestinationConfig,
  store: Store,
  limitMs: number,
): Promise<OnlineFinding[]> {
  const archives = Object.values(config.archives).filter((archive) => destinationOf(config, archive) === destination);
  const names = archives.map(({ name }) => name);
  const problems = await tryHeads(store, names, limitMs, (key) =>
    lateFailure(`${store.url}${key}: to try it`, limitMs),
  );
  if (problems.length === 0)
    return [
      { level: 'ok', subject: `destinations.${destination.name}`, message: 'the heads of its chains can be replaced' },
    ];
  return problems.map(({ archive, message, hint }) => ({
    ...{ level: 'error' as const, subject: `archives.${archive}`, hint },
    message: `no run can be committed, as the head of its chain is in the way: ${message}`,
  }));
}

/** Where the archive is all that there is of a row, who may write to the bucket may destroy it for good. */
function warnOfOverwrites(config: Config, destination: DestinationConfig, facts: readonly string[]): OnlineFinding[] {
  const purged = Object.values(config.archives)
    .filter((archive) => archive.purge !== undefined && destinationOf(config, archive) === destination)
    .map(({ name }) => name);
  if (purged.length === 0 || !facts.includes(NO_VERSIONS) || !facts.includes(NO_LOCK)) return [];
  const message = `rows of ${purged.join(', ')} are purged, and the bucket has neither versions nor Object Lock: one overwrite of an object is final from then on`;
  return [{ level: 'warning', subject: `destinations.${destination.name}`, message, hint: OVERWRITE_HINT }];
}

/** Manifests are what remembers that a window was archived, and that rows were purged. */
function warnOfErasure({ name }: DestinationConfig, facts: readonly string[]): OnlineFinding[] {
  const fact = facts.find((one) => one.includes(ERASES_MANIFESTS));
  if (fact === undefined) return [];
  const rule = fact.slice(fact.indexOf(ERASES_MANIFESTS) + ERASES_MANIFESTS.length);
  const message = `the lifecycle rule ${rule} erases manifests along with the data: what was archived then counts as missing, or is archived again`;
  return [{ level: 'warning', subject: `destinations.${name}`, message, hint: ERASURE_HINT }];
}

const ERASURE_HINT =
  'Limit the rule to data objects: give the destination `tags`, which manifests do not get, and filter the rule by one of them.';

/** Some servers take what they are told of holds, and hold nothing. */
function requireLock({ name, objectLock }: DestinationConfig, facts: readonly string[]): OnlineFinding[] {
  if (objectLock === undefined || !facts.includes(NO_LOCK)) return [];
  const { meaning: message, hint } = FAILURES['object-lock-missing'];
  return [{ level: 'error', subject: `destinations.${name}`, message, hint }];
}

const OVERWRITE_HINT = 'Turn versioning on, with a rule that removes the versions of journals; see docs/s3.md.';

function describeLeft(
  { url }: Store,
  subject: string,
  { failure, key }: NonNullable<ProbeResult['left']>,
): OnlineFinding {
  const message = `${url}${key} was written to try the destination, and could not be removed: ${failure.message}`;
  return { level: 'warning', subject, message, hint: `${failure.hint} Then remove it by hand.` };
}

/** Nothing else says it: a run does what helps there in any case. */
function describeConditions({ url }: Store, subject: string, { put, complete }: KeptConditions): OnlineFinding[] {
  const ignored = [...(put ? [] : ['PutObject']), ...(complete ? [] : ['CompleteMultipartUpload'])];
  if (ignored.length === 0) return [{ level: 'ok', subject, message: 'it keeps the conditions of all writes' }];
  const message = `the server of ${url} ignores the conditions of ${ignored.join(' and ')}: a late request of a process that is dead, or was frozen, may replace an object of a later one`;
  return [{ level: 'warning', subject, message, hint: LATE_HINT }];
}

function describeUploads({ url }: Store, subject: string, listsUploads: boolean): OnlineFinding[] {
  if (listsUploads) return [{ level: 'ok', subject, message: 'its unfinished uploads can be found' }];
  const message = `the unfinished uploads of ${url} cannot be found`;
  return [{ level: 'warning', subject, message, hint: 'Let a lifecycle rule of the bucket abort them.' }];
}

const LATE_HINT =
  'What comes before the commit is found, and the run fails; after it, `pgsluice verify` finds it. See "Late writes" in docs/architecture.md.';

async function checkSource(
  config: Config,
  source: SourceConfig,
  archives: readonly ArchiveConfig[],
  add: Add,
  limitMs: number,
): Promise<void> {
  const subject = `sources.${source.name}`;
  let known: Omit<KnownSource, 'destination'> | undefined;
  const lookAtSource = async (client: Client): Promise<OnlineFinding[]> => {
    const findings = await checkServer(client, subject);
    const standby = await inspectStandby(client);
    if (standby !== undefined) findings.push(...describeStandby(subject, standby));
    const { role, isSuperuser: isSuper } = await isSuperuser(client);
    if (isSuper) findings.push({ ...NEEDLESS_RIGHTS, subject, message: `the role ${role} is a superuser` });
    known = { role: isSuper ? undefined : role, isStandby: standby !== undefined };
    return findings;
  };
  add(await collect(subject, () => lookWithin(limitMs, source, lookAtSource)));
  if (known === undefined) return;
  const ofSource: Omit<KnownSource, 'destination'> = known;
  for (const archive of archives) {
    const facts = { ...ofSource, destination: destinationOf(config, archive) };
    const lookAtArchive = (client: Client): Promise<OnlineFinding[]> => checkArchive(client, archive, facts);
    add(await collect(`archives.${archive.name}`, () => lookWithin(limitMs, source, lookAtArchive)));
  }
}

async function checkServer(client: Client, subject: string): Promise<OnlineFinding[]> {
  const server = await inspectServer(client);
  const findings = describeClock(
    subject,
    server.clockSkewMs,
    `Postgres ${server.version}, database ${server.database}`,
  );
  if (server.versionNumber < OLDEST_SERVER) {
    findings.push({
      level: 'error',
      subject,
      message: `Postgres ${server.version} is too old`,
      hint: 'Postgres 13 and later are supported.',
    });
  }
  if (isPooled(client)) {
    findings.push({
      level: 'warning',
      subject,
      message: POOLER_WARNING,
    });
  }
  return findings;
}

/** Recovery comes first: what is in its way for longer than the server's patience is ended, and the snapshot with it. */
function describeStandby(subject: string, { delayMs, patience, hasFeedback }: StandbyFacts): OnlineFinding[] {
  const delay = delayMs === undefined ? 'by how much is not known' : `about ${formatDuration(delayMs)}`;
  const ends =
    patience === undefined
      ? 'it ends no read for its recovery'
      : `it ends reads that hold its recovery up for ${patience}`;
  const message = `the server is a standby, behind its primary: ${delay}; ${ends}, hot_standby_feedback is ${hasFeedback ? 'on' : 'off'}`;
  if (hasFeedback || patience === undefined) return [{ level: 'ok', subject, message }];
  return [{ level: 'warning', subject, message, hint: FAILURES['serialization-failure'].hint }];
}

const PAGES_ON_STANDBY = {
  level: 'warning',
  message: 'it is cut by pages, and planned anew whenever the standby ends its session: it may never end there',
  hint: 'Set segments.by: key, by which a run goes on from its receipts; or archive from the primary.',
} as const;

const NEEDLESS_RIGHTS = {
  level: 'warning',
  hint: 'Reading takes SELECT alone: use a role of its own, see docs/install.md.',
} as const;

/** What is known of the source; `role` is undefined where it is known to be able to write. */
interface KnownSource {
  role: string | undefined;
  isStandby: boolean;
  /** Of the archive. */
  destination: DestinationConfig;
}

async function checkArchive(
  client: Client,
  archive: ArchiveConfig,
  { role, isStandby, destination }: KnownSource,
): Promise<OnlineFinding[]> {
  const subject = `archives.${archive.name}`;
  const plan = await whileReading(client, async () =>
    planRun(client, archive, await slotOf(client, archive, new Date())),
  );
  const message = `${nameSubject(plan.subject)}, about ${formatCount(plan.estimate.rows)} rows, ${plan.subject.selection.columns.length} columns, ${plan.segments.length} segments by ${plan.cut.name}`;
  const findings: OnlineFinding[] = [{ level: 'ok', subject, message, segments: plan.segments.length }];
  findings.push(...plan.warnings.map((warning) => ({ level: 'warning' as const, subject, message: warning })));
  if (isStandby && plan.cut.name === 'pages') findings.push({ ...PAGES_ON_STANDBY, subject });
  findings.push(...warnOfSlowSegments(archive, subject));
  for (const warning of warnOfObjectSize(destination, plan))
    findings.push({ level: 'warning', subject, message: warning });
  const { relation, name } = plan.subject;
  requireKeysFit({ destination, archive, run: formatRunId(new Date()) }, plan.segments);
  const layout = await warnOfLayout(client, archive, plan.subject);
  for (const warning of [...warnOfSubject(plan.subject), ...layout])
    findings.push({ level: 'warning', subject, message: warning });
  if (role !== undefined && relation !== undefined && (await mayWrite(client, relation.oid)))
    findings.push({ ...NEEDLESS_RIGHTS, subject, message: `the role ${role} may change the rows of ${name}` });
  return findings;
}

/** A drain, and a snapshot that is to be let go, wait for the segments in progress. */
function warnOfSlowSegments({ pace, segments }: ArchiveConfig, subject: string): OnlineFinding[] {
  const seconds = segments.targetBytes / (pace?.bytesPerSecond ?? Number.POSITIVE_INFINITY);
  if (seconds <= LONGEST_SEGMENT_SECONDS) return [];
  const message = `a segment of ${formatBytes(segments.targetBytes)} takes ${formatDuration(seconds * 1000)} at ${formatBytes(pace?.bytesPerSecond ?? 0)} a second`;
  return [{ level: 'warning', subject, message, hint: SLOW_SEGMENT_HINT }];
}

const LONGEST_SEGMENT_SECONDS = 600;
const SLOW_SEGMENT_HINT =
  'Set segments.targetSize lower: the hours of pace.between, and a snapshot that is to be let go, wait for the segments in progress.';

function describeClock(subject: string, skewMs: number | undefined, message: string): OnlineFinding[] {
  if (skewMs === undefined || Math.abs(skewMs) <= MAX_CLOCK_SKEW_MS) return [{ level: 'ok', subject, message }];
  return [
    { level: 'ok', subject, message },
    {
      level: 'warning',
      subject,
      message: `its clock is ${formatDuration(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead of' : 'behind'} this machine's`,
      hint: 'Run an NTP client on both.',
    },
  ];
}

async function collect(subject: string, look: () => Promise<OnlineFinding[]>): Promise<OnlineFinding[]> {
  try {
    return await look();
  } catch (error) {
    const { code, message, hint } = toFailure(error, 'connect');
    // It is filled by others, and may be by the time of a run.
    return [{ level: code === 'not-populated' ? 'warning' : 'error', subject, message, hint }];
  }
}
