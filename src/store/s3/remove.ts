/** Removes objects from S3, many in one request where the server lets us. Keys are the full ones. */
import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3';
import type { S3Target } from './client.ts';
import { hasName, hasStatus, isNotImplemented, toS3Failure } from './errors.ts';

/** What DeleteObjects takes at once. */
const BATCH = 1000;
/** Single requests at once. */
const REMOVED_AT_ONCE = 8;

/** Those that are absent already are no error. Throws FailureError. */
export async function removeFromS3(target: S3Target, keys: readonly string[]): Promise<void> {
  for (let at = 0; at < keys.length; at += BATCH) {
    const batch = keys.slice(at, at + BATCH);
    await removeOneByOne(target, target.learned.removesMany ? await removeMany(target, batch) : batch);
  }
}

/** Resolves to the keys that are still to be removed, one by one, as this request was refused for them. */
async function removeMany(target: S3Target, keys: readonly string[]): Promise<readonly string[]> {
  const Objects = keys.map((Key) => ({ Key }));
  const command = new DeleteObjectsCommand({ Bucket: target.bucket, Delete: { Objects, Quiet: true } });
  try {
    const { Errors = [] } = await target.client.send(command);
    return Errors.filter(({ Code }) => Code !== 'NoSuchKey').map(({ Key = '' }) => Key);
  } catch (error) {
    if (!mayRemoveSingly(error)) throw toS3Failure(error, { name: 'DeleteObjects' }, target);
    target.learned.removesMany = false;
    return keys;
  }
}

async function removeOneByOne(target: S3Target, keys: readonly string[]): Promise<void> {
  const waiting = keys.values();
  const remove = async (): Promise<void> => {
    for (const key of waiting) await removeOne(target, key);
  };
  await Promise.all(Array.from({ length: Math.min(REMOVED_AT_ONCE, keys.length) }, remove));
}

async function removeOne(target: S3Target, Key: string): Promise<void> {
  try {
    await target.client.send(new DeleteObjectCommand({ Bucket: target.bucket, Key }));
  } catch (error) {
    if (!hasName(error, 'NoSuchKey', 'NotFound')) throw toS3Failure(error, { name: 'DeleteObject', key: Key }, target);
  }
}

/**
 * Some servers know only DeleteObject; older ones ask for a Content-MD5, which the SDK no longer sends; and some (Ceph under
 * a policy) refuse the request for many where the one for a single object is allowed.
 */
function mayRemoveSingly(error: unknown): boolean {
  return (
    isNotImplemented(error) ||
    hasStatus(error, 403) ||
    hasName(error, 'MissingContentMD5', 'InvalidRequest', 'MalformedXML')
  );
}
