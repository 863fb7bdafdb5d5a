/** Finds out whether a server keeps the conditions of writes: some ignore those of multipart uploads, and some all of them. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { KeptConditions } from '../store.ts';
import type { S3Target } from './client.ts';
import { hasStatus, isNotImplemented, toS3Failure, type S3Operation } from './errors.ts';
import { encryptionParams } from './params.ts';

/** An ETag that no object of ours has. */
const WRONG_ETAG = '"00000000000000000000000000000000"';

/** `key` is there. Each try is one that the server must refuse, as it is not free, or not of that ETag. Throws FailureError. */
export async function probeConditions(target: S3Target, key: string, Body: Buffer): Promise<KeptConditions> {
  const { bucket: Bucket, client } = target;
  const put = (condition: { IfNoneMatch?: string; IfMatch?: string }): Promise<boolean> =>
    isRefused(target, { name: 'PutObject', key }, () =>
      client.send(new PutObjectCommand({ Bucket, Key: key, Body, ...condition, ...encryptionParams(target) })),
    );
  const keepsPut = (await put({ IfNoneMatch: '*' })) && (await put({ IfMatch: WRONG_ETAG }));
  return { put: keepsPut, complete: await refusesComplete(target, key, Body) };
}

async function refusesComplete(target: S3Target, key: string, Body: Buffer): Promise<boolean> {
  const { bucket: Bucket, client } = target;
  const start = new CreateMultipartUploadCommand({ Bucket, Key: key, ...encryptionParams(target) });
  const { UploadId } = await orFailure(target, { name: 'CreateMultipartUpload', key }, () => client.send(start));
  const upload = { Bucket, Key: key, UploadId };
  try {
    const part = new UploadPartCommand({ ...upload, PartNumber: 1, Body });
    const { ETag } = await orFailure(target, { name: 'UploadPart', key }, () => client.send(part));
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    return await isRefused(target, { name: 'CompleteMultipartUpload', key }, () =>
      client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload, IfNoneMatch: '*' })),
    );
  } finally {
    // After a Complete there is nothing left to abort; and what led here is the one to report.
    await client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined);
  }
}

async function isRefused(target: S3Target, operation: S3Operation, send: () => Promise<unknown>): Promise<boolean> {
  try {
    await send();
    return false;
  } catch (error) {
    if (hasStatus(error, 412)) return true;
    if (isNotImplemented(error)) return false;
    throw toS3Failure(error, operation, target);
  }
}

async function orFailure<T>(target: S3Target, operation: S3Operation, send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    throw toS3Failure(error, operation, target);
  }
}
