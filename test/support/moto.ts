/**
 * An S3 server with versions and Object Lock: moto's, where Python has it. What it lacks: an upload in parts is not held by what
 * CreateMultipartUpload says, nor by the bucket's default; a bucket without Object Lock refuses a hold of PutObject alone; the answer
 * to GetObjectRetention is no XML; a hold that ends in the past is taken; and Complete passes over If-Match.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { after } from 'node:test';
import {
  CreateBucketCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
  type ObjectLockRetentionMode,
} from '@aws-sdk/client-s3';
import { isMissing, skipWithout } from './needs.ts';

/** Why it cannot be started here; false when it can. */
export function motoProblem(): string | false {
  return skipWithout('moto_server', isMissing('moto_server') && "moto_server is not there: pip install 'moto[server]'");
}

const MOST_SAID_CHARS = 2000;
const cleanUps: (() => Promise<void>)[] = [];

after(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
});

export interface Moto {
  endpoint: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  client: S3Client;
  /** With Object Lock, and its default where one is given in days. */
  createLockedBucket(name: string, byDefault?: { Mode: ObjectLockRetentionMode; Days: number }): Promise<void>;
}

/** Starts it for this test file; it is ended at the end of the file. Call it in a `before`. */
export async function startMoto(): Promise<Moto> {
  const child = spawn('moto_server', ['-H', '127.0.0.1', '-p', '0'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  ended.catch(() => undefined);
  cleanUps.push(async () => {
    if (child.exitCode === null && child.kill()) await ended;
  });
  const endpoint = await addressOf(child.stderr);
  const [region, accessKeyId, secretAccessKey] = ['us-east-1', 'moto-access-key', 'moto-secret-key'];
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  cleanUps.push(() => {
    client.destroy();
    return Promise.resolve();
  });
  return {
    ...{ endpoint, region, accessKeyId, secretAccessKey, client },
    async createLockedBucket(Bucket, DefaultRetention) {
      await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
      if (DefaultRetention === undefined) return;
      const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention } } as const;
      await client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
    },
  };
}

/** What it says is read to its end: it would else end with its pipe. */
async function addressOf(said: Readable): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  said.setEncoding('utf8');
  said.on('data', (piece: string) => {
    text += piece.slice(0, MOST_SAID_CHARS);
    const [, address] = /(http:\/\/127\.0\.0\.1:\d+)\s/.exec(text) ?? [];
    if (address !== undefined) resolve(address);
    text = text.slice(-MOST_SAID_CHARS);
  });
  said.on('end', () => {
    reject(new Error(`moto_server did not start: ${text}`));
  });
  return promise;
}
