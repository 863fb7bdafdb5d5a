/** What a bucket says of itself, as far as we may ask: versions, Object Lock, and the rule for unfinished uploads. */
import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
} from '@aws-sdk/client-s3';
import { S3_REQUESTS, type S3Request } from './actions.ts';
import type { S3Target } from './client.ts';
import { hasStatus } from './errors.ts';

/** Never throws FailureError: what cannot be known is no reason not to use a bucket. */
export async function lookAtBucket(target: S3Target): Promise<string[]> {
  return [await versions(target), await lock(target), await rule(target)];
}

function versions({ client, bucket: Bucket, signal }: S3Target): Promise<string> {
  return ask('GetBucketVersioning', signal, 'whether it keeps versions', async () => {
    const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket }));
    if (Status !== 'Enabled') return 'it keeps no versions';
    return 'it keeps versions: docs/s3.md has the rules that remove those of journals';
  });
}

function lock({ client, bucket: Bucket, signal }: S3Target): Promise<string> {
  return ask('GetObjectLockConfiguration', signal, 'whether it has Object Lock', async () => {
    const { ObjectLockConfiguration } = await client.send(new GetObjectLockConfigurationCommand({ Bucket }));
    if (ObjectLockConfiguration?.ObjectLockEnabled !== 'Enabled') return 'it has no Object Lock';
    return 'it has Object Lock: leave checksums at when-supported';
  });
}

function rule({ client, bucket: Bucket, signal }: S3Target): Promise<string> {
  return ask('GetBucketLifecycleConfiguration', signal, 'whether a rule aborts unfinished uploads', async () => {
    const { Rules = [] } = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }));
    const aborts = Rules.some((one) => one.Status === 'Enabled' && one.AbortIncompleteMultipartUpload !== undefined);
    return aborts ? 'a rule aborts unfinished uploads' : 'no rule aborts unfinished uploads: docs/install.md has one';
  });
}

async function ask(
  request: S3Request,
  signal: AbortSignal,
  what: string,
  look: () => Promise<string>,
): Promise<string> {
  try {
    return await look();
  } catch (error) {
    signal.throwIfAborted();
    const why = hasStatus(error, 403) ? `; that takes ${S3_REQUESTS[request].action}` : '';
    return `it does not say ${what}${why}`;
  }
}
