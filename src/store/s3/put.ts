/** Writes an object to S3 whole, in one request, under a condition where there is one. Keys are the full ones. */
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PutObjectCommandInput, PutObjectCommandOutput } from '@aws-sdk/client-s3';
import { FailureError } from '../../base/errors.ts';
import { contentOf } from '../content.ts';
import type { Content, PutOptions, PutResult, Replaces } from '../store.ts';
import type { S3Target } from './client.ts';
import { bareETag, findETag, isRefusal, sendUnder } from './conditions.ts';
import { readFailure } from './denied.ts';
import { hasName, isNotImplemented, toS3Failure } from './errors.ts';
import { scanS3 } from './get.ts';
import { holdParams } from './object-lock.ts';
import { encryptionParams, TOKEN_METADATA } from './params.ts';
import { sendPut } from './send-content.ts';

/** How often a conditional put is sent when another one for the same key is under way. */
const CONFLICT_ATTEMPTS = 5;
const CONFLICT_PAUSE_MS = 200;

/** Throws FailureError. */
export async function putToS3(
  target: S3Target,
  key: string,
  body: Buffer | Content,
  { contentType, replaces, hasLooked = false, isHeld = false }: PutOptions,
): Promise<PutResult> {
  const input: PutObjectCommandInput = {
    Bucket: target.bucket,
    Key: key,
    ContentType: contentType,
    // Journals and manifests are tiny and read often: the archive's storage class would bill them at its minimum size.
    StorageClass: target.destination.storageClass === undefined ? undefined : 'STANDARD',
    ...encryptionParams(target),
    ...holdParams(target, isHeld),
  };
  if (replaces !== undefined) return putConditionally(target, input, { key, body, replaces, hasLooked, isHeld });
  try {
    return written(await sendPut(target, input, body));
  } catch (error) {
    throw toS3Failure(error, { name: 'PutObject', key, isHeld }, target);
  }
}

interface ConditionalPut {
  key: string;
  body: Buffer | Content;
  replaces: Replaces;
  hasLooked: boolean;
  isHeld: boolean;
}

/** Servers that ignore conditions are common, hence the look before; on the others it costs one small request. */
async function putConditionally(
  target: S3Target,
  input: PutObjectCommandInput,
  put: ConditionalPut,
): Promise<PutResult> {
  if (!put.hasLooked && !(await mayReplace(target, put))) return refusal(put);
  const token = randomUUID();
  try {
    return written(await sendConditionally(target, { ...input, Metadata: { [TOKEN_METADATA]: token } }, put));
  } catch (error) {
    const failure = toS3Failure(error, { name: 'PutObject', key: put.key, isHeld: put.isHeld }, target);
    const refused = isRefusal(error);
    if (!refused && !failure.failure.transient) throw failure;
    // The answer to a first try may have been lost, so that the second one found its own object.
    const own = await findOwn(target, put, token);
    if (own !== undefined) return { outcome: 'written', etag: own };
    if (refused) return refusal(put);
    throw failure;
  }
}

async function mayReplace(target: S3Target, { key, replaces }: ConditionalPut): Promise<boolean> {
  try {
    const etag = await findETag(target, key);
    return replaces === 'nothing' ? etag === undefined : etag === replaces;
  } catch (error) {
    throw await readFailure(error, { name: 'HeadObject', key }, target);
  }
}

async function sendConditionally(
  target: S3Target,
  input: PutObjectCommandInput,
  { key, body, replaces }: ConditionalPut,
): Promise<PutObjectCommandOutput> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await sendUnder(target, key, replaces, (condition) => sendPut(target, { ...input, ...condition }, body));
    } catch (error) {
      if (isNotImplemented(error)) break;
      if (!hasName(error, 'ConditionalRequestConflict') || attempt === CONFLICT_ATTEMPTS) throw error;
      await sleep(CONFLICT_PAUSE_MS * attempt, undefined, { signal: target.signal });
    }
  }
  // The server refuses the condition as such: the look before has to do.
  return sendPut(target, input, body);
}

/** The ETag of what is there, when this very put has written it. */
async function findOwn(target: S3Target, { key, body }: ConditionalPut, token: string): Promise<string | undefined> {
  const { bytes, sha256 } = Buffer.isBuffer(body) ? contentOf(body) : body;
  const there = createHash('sha256');
  const found = await scanS3(target, key, bytes, (piece) => there.update(piece)).catch(undefinedWhenTooLarge);
  if (found === undefined) return undefined;
  const isOwn = found.token === undefined ? there.digest('hex') === sha256 : found.token === token;
  return isOwn ? found.etag : undefined;
}

function undefinedWhenTooLarge(error: unknown): undefined {
  if (error instanceof FailureError && error.failure.code === 'object-too-large') return undefined;
  throw error;
}

function written({ ETag }: PutObjectCommandOutput): PutResult {
  return { outcome: 'written', etag: bareETag(ETag) };
}

function refusal({ replaces }: ConditionalPut): PutResult {
  return { outcome: replaces === 'nothing' ? 'exists' : 'changed' };
}
