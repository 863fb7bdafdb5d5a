/** The S3 endpoint of the demo, for tests, with a destination that points to it. */
import type { DestinationConfig } from '../../src/config/schema.ts';
import { type LocalS3, startS3 } from '../../src/demo/s3-server.ts';

export { type LocalS3, startS3 };

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
