/** What `check --online` says of the database that restores are rehearsed in: whether one can be made there. */
import { FailureError, toFailure } from '../../base/errors.ts';
import type { Config, RehearseAudit } from '../../config/schema.ts';
import { withConnection, type Client } from '../../postgres/connect.ts';
import { isPooled } from '../../postgres/settings.ts';
import type { OnlineFinding, TellFinding } from '../../run/check-online.ts';
import { describeSurroundings } from '../../restore/target.ts';
import { lookWithin, LOOK_LIMIT_MS } from '../../run/look-within.ts';
import { findFreeBytes } from './free-space.ts';
import { throughPooler } from './session.ts';
import {
  describeLacking,
  lookAtTarget,
  refuseSpace,
  refuseTarget,
  rehearsalSource,
  sourcesOf,
  type ServerKind,
} from './target.ts';

const subject = 'audits.rehearse';

export interface CheckParts {
  findFreeBytes: typeof findFreeBytes;
  limitMs: number;
}

/** Told at once, and returned in the end. Never throws, and makes nothing there. */
export async function checkRehearsals(
  config: Config,
  tell: TellFinding,
  parts: CheckParts = { findFreeBytes, limitMs: LOOK_LIMIT_MS },
): Promise<OnlineFinding[]> {
  const audit = config.audits?.rehearse;
  if (audit === undefined) return [];
  const findings = await look(config, audit, parts);
  for (const finding of findings) tell(finding);
  return findings;
}

async function look(config: Config, audit: RehearseAudit, { findFreeBytes, limitMs }: CheckParts) {
  try {
    return await lookWithin(limitMs, rehearsalSource(config, audit), (client, signal) =>
      judge(client, config, audit, findFreeBytes, signal),
    );
  } catch (error) {
    const { message, hint } = toFailure(error, 'restore');
    return [{ level: 'error', subject, message: `source ${audit.source}: ${message}`, hint } as const];
  }
}

async function judge(
  client: Client,
  config: Config,
  audit: RehearseAudit,
  findFree: CheckParts['findFreeBytes'],
  signal: AbortSignal,
): Promise<OnlineFinding[]> {
  if (isPooled(client)) throw throughPooler();
  const facts = await lookAtTarget(client, config, audit, signal);
  const problems = refuseTarget(facts, audit.schema);
  if (problems.length > 0)
    return problems.map((message) => ({ level: 'error', subject, message: why(audit, message) }));
  const { identity, place } = facts;
  const schema = `schema ${audit.schema} of database ${identity.database}`;
  const message = `restores are rehearsed in ${schema}${place.schemaExists ? '' : ', which the first one makes'}`;
  const space = refuseSpace(audit.atMostBytes, await findFree(client));
  const warnings = [...(space === undefined ? [] : [space]), ...(await findLacking(config, place, signal))];
  return [
    { level: 'ok', subject, message },
    ...warnings.map((text) => ({ level: 'warning', subject, message: why(audit, text) }) as const),
  ];
}

/** A source that does not answer is told of by those who look at the archives. */
async function findLacking(config: Config, here: ServerKind, signal: AbortSignal): Promise<string[]> {
  const lacking: string[] = [];
  for (const { name, url } of sourcesOf(config)) {
    const there = await withConnection({ url, applicationName: 'pgsluice check' }, describeServer, signal).catch(
      (error: unknown) => {
        signal.throwIfAborted();
        if (error instanceof FailureError) return undefined;
        throw error;
      },
    );
    const text = there && describeLacking(here, name, there);
    if (text !== undefined) lacking.push(text);
  }
  return lacking;
}

async function describeServer(client: Client): Promise<ServerKind> {
  const { version, encoding } = await describeSurroundings(client, 'public');
  return { version, encoding };
}

function why({ source }: RehearseAudit, reason: string): string {
  return `the database of source ${source}: ${reason}`;
}
