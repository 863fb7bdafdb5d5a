/** Object Lock: what holds an object from the moment it is written, and until when one is held. */
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  PutObjectRetentionCommand,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { formatDays } from '../../base/units.ts';
import type { Hold } from '../store.ts';
import type { S3Target } from './client.ts';
import { readFailure } from './denied.ts';
import { hasStatus, toS3Failure } from './errors.ts';
import { encryptionParams } from './params.ts';

type HoldParams = Pick<PutObjectCommandInput, 'ObjectLockMode' | 'ObjectLockRetainUntilDate'>;

/** What a request says that writes an object which is to be held; nothing where the destination has no Object Lock. */
export function holdParams({ destination: { objectLock } }: S3Target, isHeld: boolean | undefined): HoldParams {
  if (objectLock === undefined || isHeld !== true) return {};
  // Some servers keep whole seconds.
  const untilMs = Math.ceil((Date.now() + objectLock.retainMs) / 1000) * 1000;
  return { ObjectLockMode: objectLock.mode, ObjectLockRetainUntilDate: new Date(untilMs) };
}

/**
 * Some servers pass over what CreateMultipartUpload says of a hold: the object, which was just looked at, gets it then. One of whom
 * we may not see how it is held gets the same hold once more. Where that is refused, `verify` says what is not held. Throws FailureError.
 */
export async function holdIfNot(
  target: S3Target,
  key: string,
  { ObjectLockMode, VersionId }: HeadObjectCommandOutput,
): Promise<void> {
  const { ObjectLockMode: Mode, ObjectLockRetainUntilDate: RetainUntilDate } = holdParams(target, true);
  // A bucket with Object Lock keeps versions; another server might take the request for one that replaces the object.
  if (Mode === undefined || ObjectLockMode !== undefined || VersionId === undefined) return;
  const Retention = { Mode, RetainUntilDate };
  try {
    await target.client.send(new PutObjectRetentionCommand({ Bucket: target.bucket, Key: key, VersionId, Retention }));
  } catch (error) {
    const failure = toS3Failure(error, { name: 'PutObjectRetention', key }, target);
    if (failure.failure.transient) throw failure;
  }
}

/** How the object of this full key is held now. Throws FailureError. */
export async function readHold(target: S3Target, key: string): Promise<Hold | 'none' | 'unknown'> {
  try {
    const head = await target.client.send(new HeadObjectCommand({ Bucket: target.bucket, Key: key }));
    const hold = holdOf(head.ObjectLockMode, head.ObjectLockRetainUntilDate);
    if (hold !== 'none') return hold;
  } catch (error) {
    if (hasStatus(error, 404)) return 'none';
    throw await readFailure(error, { name: 'HeadObject', key }, target);
  }
  if (target.destination.objectLock === undefined) return 'none';
  // Without a right of its own, the answer to HEAD is silent on holds: where there should be one, it is told from none.
  if (target.learned.seesHolds === undefined) return askForHold(target, key);
  return target.learned.seesHolds ? 'none' : 'unknown';
}

async function askForHold(target: S3Target, key: string): Promise<Hold | 'none' | 'unknown'> {
  const { client, bucket: Bucket, learned } = target;
  try {
    const { Retention = {} } = await client.send(new GetObjectRetentionCommand({ Bucket, Key: key }));
    learned.seesHolds = true;
    return holdOf(Retention.Mode, Retention.RetainUntilDate);
  } catch (error) {
    learned.seesHolds = !hasStatus(error, 403);
    if (!learned.seesHolds) return 'unknown';
    const { failure } = toS3Failure(error, { name: 'GetObjectRetention', key }, target);
    // Servers without it, and those whose answer nobody can read, have said all they can by HEAD.
    if (!failure.transient || failure.code === 'answer-unreadable') return 'none';
    learned.seesHolds = undefined;
    throw toS3Failure(error, { name: 'GetObjectRetention', key }, target);
  }
}

function holdOf(mode: string | undefined, until: Date | undefined): Hold | 'none' {
  if ((mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') || until === undefined) return 'none';
  return until.getTime() > Date.now() ? { mode, until } : 'none';
}

/**
 * Tries whether the bucket takes objects that are held, by an upload that is begun so and aborted: nothing stays that would be held.
 * Undefined where the destination holds none. Throws FailureError.
 */
export async function probeHold(target: S3Target, key: string): Promise<string | undefined> {
  const { bucket: Bucket, client, destination } = target;
  if (destination.objectLock === undefined) return undefined;
  const { mode, retainMs } = destination.objectLock;
  const begin = new CreateMultipartUploadCommand({
    ...{ Bucket, Key: key },
    ...encryptionParams(target),
    ...holdParams(target, true),
  });
  try {
    const { UploadId } = await client.send(begin);
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId })).catch(() => undefined);
  } catch (error) {
    throw toS3Failure(error, { name: 'CreateMultipartUpload', key, isHeld: true }, target);
  }
  return `data objects and manifests are held for ${formatDays(retainMs)} each (${mode})`;
}
