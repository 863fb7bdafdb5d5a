/** What a bucket says of itself, as far as we may ask: versions, Object Lock, and the rule for unfinished uploads. */
import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  type LifecycleRule,
} from '@aws-sdk/client-s3';
import { within } from '../../base/signals.ts';
import { countOf, formatDuration } from '../../base/units.ts';
import { visible } from '../../base/visible.ts';
import { ERASES_MANIFESTS, NO_LOCK, NO_VERSIONS } from '../store.ts';
import { S3_REQUESTS, type S3Request } from './actions.ts';
import type { S3Target } from './client.ts';
import { hasName, hasStatus } from './errors.ts';
import { targetUnder } from './under.ts';

/** Each asks one thing, in no more than that time. None throws: what cannot be known is no reason not to use a bucket. */
export function bucketFacts(target: S3Target): ((limitMs: number) => Promise<string>)[] {
  const { signal } = target;
  return QUESTIONS.map(
    (question) => (limitMs) =>
      ask(question, signal, () =>
        within(
          limitMs,
          () => new Late(limitMs),
          (late) => question.look(targetUnder(target, late)),
        ),
      ),
  );
}

interface Question {
  request: S3Request;
  what: string;
  look: (target: S3Target) => Promise<string>;
  /** The error by which S3 says that nothing of the kind was ever set; the answer to that. */
  unset?: { name: string; means: string };
}

const NO_RULE = 'no rule aborts unfinished uploads: docs/install.md has one';

const QUESTIONS: readonly Question[] = [
  { request: 'GetBucketVersioning', what: 'whether it keeps versions', look: versions },
  {
    request: 'GetObjectLockConfiguration',
    what: 'whether it has Object Lock',
    look: lock,
    unset: { name: 'ObjectLockConfigurationNotFoundError', means: NO_LOCK },
  },
  {
    request: 'GetBucketLifecycleConfiguration',
    what: 'whether a rule aborts unfinished uploads',
    look: rule,
    unset: { name: 'NoSuchLifecycleConfiguration', means: NO_RULE },
  },
];

async function versions({ client, bucket: Bucket }: S3Target): Promise<string> {
  const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket }));
  if (Status !== 'Enabled') return NO_VERSIONS;
  return 'it keeps versions: docs/s3.md has the rules that remove those of journals';
}

async function lock({ client, bucket: Bucket }: S3Target): Promise<string> {
  const { ObjectLockConfiguration } = await client.send(new GetObjectLockConfigurationCommand({ Bucket }));
  if (ObjectLockConfiguration?.ObjectLockEnabled !== 'Enabled') return NO_LOCK;
  const { Mode, Days = 0, Years = 0 } = ObjectLockConfiguration.Rule?.DefaultRetention ?? {};
  if (Mode === undefined) return 'it has Object Lock, and holds nothing by default: leave checksums at when-supported';
  const time = Years > 0 ? countOf(Years, 'year') : countOf(Days, 'day');
  return `it has Object Lock, and holds each object for ${time} by default (${Mode}): of each run's journal, and of this check, versions stay so long behind delete markers; leave checksums at when-supported`;
}

async function rule({ client, bucket: Bucket, prefix }: S3Target): Promise<string> {
  const { Rules = [] } = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }));
  const enabled = Rules.filter(({ Status }) => Status === 'Enabled');
  const aborts = enabled.some((one) => one.AbortIncompleteMultipartUpload !== undefined);
  const erasing = enabled.find((one) => erasesManifests(one, prefix));
  const fact = aborts ? 'a rule aborts unfinished uploads' : NO_RULE;
  return erasing === undefined ? fact : `${fact}; ${ERASES_MANIFESTS}"${visible(erasing.ID ?? '')}"`;
}

/** What of a rule tells what it erases; older ones have their prefix beside the filter. */
type Erasing = Pick<LifecycleRule, 'Expiration' | 'Filter'> & { Prefix?: string | undefined };

/** Only data objects have tags. A rule for a part of what lies below the prefix may be about manifests as well. */
function erasesManifests({ Expiration, Filter, Prefix }: Erasing, ours: string): boolean {
  if (Expiration?.Days === undefined && Expiration?.Date === undefined) return false;
  if (Filter?.Tag !== undefined || (Filter?.And?.Tags?.length ?? 0) > 0) return false;
  const theirs = Filter?.Prefix ?? Filter?.And?.Prefix ?? Prefix ?? '';
  return theirs.startsWith(ours) || ours.startsWith(theirs);
}

class Late extends Error {
  constructor(limitMs: number) {
    super(`within ${formatDuration(limitMs)}`);
  }
}

async function ask(
  { request, what, unset }: Question,
  signal: AbortSignal,
  look: () => Promise<string>,
): Promise<string> {
  try {
    return await look();
  } catch (error) {
    signal.throwIfAborted();
    if (unset !== undefined && hasName(error, unset.name)) return unset.means;
    if (error instanceof Late) return `it does not say ${what} ${error.message}`;
    const why = hasStatus(error, 403) ? `; that takes ${S3_REQUESTS[request].action}` : '';
    return `it does not say ${what}${why}`;
  }
}
