/** What `check --online` says of the database that restores are rehearsed in: whether one can be made there. */
import { toFailure } from '../../base/errors.ts';
import type { Config, RehearseAudit } from '../../config/schema.ts';
import type { Client } from '../../postgres/connect.ts';
import { isPooled } from '../../postgres/settings.ts';
import type { OnlineFinding, TellFinding } from '../../run/check-online.ts';
import { lookWithin, LOOK_LIMIT_MS } from '../../run/look-within.ts';
import { findFreeBytes } from './free-space.ts';
import { throughPooler } from './session.ts';
import { lookAtTarget, refuseSpace, refuseTarget, rehearsalSource } from './target.ts';

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
  return [
    { level: 'ok', subject, message },
    ...(space === undefined ? [] : [{ level: 'warning', subject, message: why(audit, space) } as const]),
  ];
}

function why({ source }: RehearseAudit, reason: string): string {
  return `the database of source ${source}: ${reason}`;
}
