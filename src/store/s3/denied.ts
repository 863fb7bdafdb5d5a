/** Finds out which right is missing where S3's answer does not tell. */
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { FailureError } from '../../base/errors.ts';
import type { S3Target } from './client.ts';
import { hasStatus, toS3Failure, type S3Operation } from './errors.ts';

/**
 * The failure of a request that reads one object. S3 answers 403 for an object that is absent to who may not list the
 * bucket; so that right is tried before the other one is named.
 */
export async function readFailure(error: unknown, operation: S3Operation, target: S3Target): Promise<FailureError> {
  if (!hasStatus(error, 403)) return toS3Failure(error, operation, target);
  const { bucket: Bucket, client } = target;
  try {
    await client.send(new ListObjectsV2Command({ Bucket, Prefix: operation.key, MaxKeys: 1 }));
  } catch (denied) {
    if (hasStatus(denied, 403)) return toS3Failure(error, { ...operation, missing: 'ListObjectsV2' }, target);
  }
  return toS3Failure(error, operation, target);
}
