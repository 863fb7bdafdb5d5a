/** What goes along with every object that is written to S3, whichever request writes it. */
import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import type { S3Target } from './client.ts';

/** Metadata of the object by which a write knows its own object again when the server's answer was lost. */
export const TOKEN_METADATA = 'pgsluice-upload';

/** Encryption at rest; the same for data and for journals. */
export function encryptionParams({
  destination,
}: S3Target): Pick<PutObjectCommandInput, 'ServerSideEncryption' | 'SSEKMSKeyId'> {
  const { serverSideEncryption, kmsKeyId } = destination;
  return {
    ...(serverSideEncryption === undefined ? {} : { ServerSideEncryption: serverSideEncryption }),
    ...(kmsKeyId === undefined ? {} : { SSEKMSKeyId: kmsKeyId }),
  };
}
