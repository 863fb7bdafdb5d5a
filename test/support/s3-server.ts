/** The S3 endpoint of the demo, for tests, with a destination that points to it. */
import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import type { DestinationConfig } from '../../src/config/schema.ts';
import { type LocalS3, startS3 as startOwn } from '../../src/demo/s3-server.ts';

export type { LocalS3 };

/** Starts an endpoint, in the process that has those of all files (s3-host.ts); a file that is run by hand has it in its own. */
export async function startS3(): Promise<LocalS3> {
  const host = process.env['PGSLUICE_TEST_S3'];
  if (host === undefined) return startOwn();
  const s3 = JSON.parse(await send('POST', host)) as Omit<LocalS3, 'createBucket' | 'stop'>;
  return {
    ...s3,
    async createBucket(name) {
      await send('PUT', `${s3.endpoint}/${name}`);
    },
    async stop() {
      await send('DELETE', `${host}/${s3.port}`);
    },
  };
}

async function send(method: string, url: string): Promise<string> {
  const [answer] = (await once(http.request(url, { method, agent: false }).end(), 'response')) as [
    http.IncomingMessage,
  ];
  const body = await text(answer);
  if (answer.statusCode !== 200) throw new Error(`${method} ${url}: ${answer.statusCode} ${body}`);
  return body;
}

/** A destination in `bucket` of the endpoint, or of a proxy in front of it. */
export function destinationOf(
  s3: Pick<LocalS3, 'endpoint' | 'region' | 'accessKeyId' | 'secretAccessKey'>,
  bucket: string,
  overrides: Partial<DestinationConfig> & { prefix?: string } = {},
): DestinationConfig {
  const { prefix = 'pg/', ...rest } = overrides;
  return {
    name: 'default',
    url: `s3://${bucket}/${prefix.replace(/\/$/, '')}`,
    location: { kind: 's3', bucket, prefix },
    region: s3.region,
    endpoint: s3.endpoint,
    forcePathStyle: true,
    accessKeyId: s3.accessKeyId,
    secretAccessKey: s3.secretAccessKey,
    partBytes: 5 * 1024 ** 2,
    partsInFlight: 'auto',
    checksums: 'when-supported',
    ...rest,
  };
}
