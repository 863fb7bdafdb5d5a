/** Conditions of a write, If-None-Match and If-Match, and the ETags that they go by. */
import { HeadObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import type { Replaces } from '../store.ts';
import type { S3Target } from './client.ts';
import { hasName, hasStatus } from './errors.ts';

export type Condition = Pick<PutObjectCommandInput, 'IfNoneMatch' | 'IfMatch'>;

/** An ETag as it is kept and compared: without the quotes that servers put around it, or leave away. */
export function bareETag(etag: string | undefined): string {
  return (etag ?? '').replaceAll('"', '');
}

/** Whether the server said that what is there is not what the write was to replace. */
export function isRefusal(error: unknown): boolean {
  return hasStatus(error, 412) || hasName(error, 'PreconditionFailed', 'NoSuchKey');
}

/**
 * Sends a write under its condition. Some servers compare an ETag as it is sent, and some want its quotes: where one refuses
 * an ETag that is there all the same, the other form is tried, and kept to from then on. `key` is the full one.
 */
export async function sendUnder<T>(
  target: S3Target,
  key: string,
  replaces: Replaces,
  send: (condition: Condition) => Promise<T>,
): Promise<T> {
  try {
    return await send(conditionOf(target, replaces));
  } catch (error) {
    if (replaces === 'nothing' || !isRefusal(error)) throw error;
    if ((await findETag(target, key).catch(() => undefined)) !== replaces) throw error;
    target.learned.quotesETags = !target.learned.quotesETags;
    return send(conditionOf(target, replaces));
  }
}

/** Undefined when there is no such object. Throws the SDK's error. */
export async function findETag({ client, bucket }: S3Target, key: string): Promise<string | undefined> {
  try {
    const { ETag } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    return bareETag(ETag);
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

function conditionOf({ learned }: S3Target, replaces: Replaces): Condition {
  if (replaces === 'nothing') return { IfNoneMatch: '*' };
  return { IfMatch: learned.quotesETags ? `"${replaces}"` : replaces };
}
