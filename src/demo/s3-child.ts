/** Starts the embedded S3 endpoint as a process of its own, so that the figures of the demo are those of pgsluice alone. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { UsageError } from '../base/errors.ts';
import { ownModule } from '../base/own-files.ts';

/** Where the endpoint is, and how to end it. */
export interface S3Child {
  endpoint: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  stop: () => Promise<void>;
}

/** Starts it with an empty bucket on a free loopback port. It ends with this process, however that ends. */
export async function startS3Child(bucket: string): Promise<S3Child> {
  const child = spawn(process.execPath, [ownModule('demo/s3-server-process'), bucket], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const trouble: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => trouble.push(chunk));
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => undefined)]);
  if (first === undefined)
    throw new UsageError(`the embedded S3 endpoint did not start: ${Buffer.concat(trouble).toString().trim()}`);
  const { endpoint, region, accessKeyId, secretAccessKey } = JSON.parse(String(first[0])) as S3Child;
  return {
    endpoint,
    region,
    accessKeyId,
    secretAccessKey,
    stop: async () => {
      const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
      child.stdin.end();
      await exited;
    },
  };
}
