/** Builds the S3 client, with a limit on everything that could wait for ever. */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { mostPartsOnTheWay } from '../../base/memory-budget.ts';
import { registerSecret } from '../../base/secrets.ts';
import type { Location } from '../../config/location.ts';
import type { DestinationConfig } from '../../config/schema.ts';
import type { PartMemory } from './parts.ts';
import { readIntoOneBuffer } from './read-buffer.ts';
import type { OnTrouble } from '../trouble.ts';
import { BodyWatchingHandler } from './watched-bodies.ts';

/** The bucket, and the prefix of all keys: empty, or ending in `/`. */
export type S3Location = Extract<Location, { kind: 's3' }>;

/** How long a request may take. The SDK itself has no limit on any of these. */
export interface S3Timeouts {
  connectMs: number;
  /** Silence on the socket while a request is under way. */
  idleMs: number;
  /** From the start of a request to the head of its answer, its body included. */
  requestMs: number;
  /** The same for AbortMultipartUpload, which the end of a failed upload waits for. */
  abortMs: number;
}

/** What every S3 operation needs: the client, and where the destination is. */
export interface S3Target {
  client: S3Client;
  bucket: string;
  /** Empty, or ends in `/`. */
  prefix: string;
  destination: DestinationConfig;
  timeouts: S3Timeouts;
  /** Ends every request, and the pauses between them. */
  signal: AbortSignal;
  /** What was found out about the server on the way; one for all of a thread that use the destination. */
  learned: Learned;
  /** Told of requests that take long, or are sent again. */
  onTrouble: OnTrouble;
  /** For one upload after the other; several at once have some of their own as well. */
  partMemory: PartMemory;
}

/** What a server turns out to be like. */
export interface Learned {
  /** It wants ETags in quotes; found out when it refuses one that is there. */
  quotesETags: boolean;
  /** It lets us remove many objects in one request, as far as is known. */
  removesMany: boolean;
  /** Whether it lets us see how objects are held; undefined until one was asked for that it said nothing of. */
  seesHolds: boolean | undefined;
  /** Parts on their way at once. */
  window: number;
}

/** A slower link than this cannot keep up with an archive; a part that takes longer counts as stuck. */
const SLOWEST_BYTES_PER_SECOND = 128 * 1024;

/** Besides the parts in flight: a small object, one object that is read, and those of a restore or a verification. */
const OTHER_SOCKETS = 14;

export function timeoutsOf({ partBytes }: DestinationConfig): S3Timeouts {
  const sendMs = Math.ceil(partBytes / SLOWEST_BYTES_PER_SECOND) * 1000;
  return { connectMs: 10_000, idleMs: 60_000, requestMs: 60_000 + sendMs, abortMs: 10_000 };
}

/** How long a request may take whose body has so many bytes. */
export function requestTimeoutOf({ requestMs }: S3Timeouts, bytes: number): number {
  return requestMs + Math.ceil(bytes / SLOWEST_BYTES_PER_SECOND) * 1000;
}

export function createClient(destination: DestinationConfig, timeouts: S3Timeouts): S3Client {
  const agent = {
    keepAlive: true,
    maxSockets: mostPartsOnTheWay(destination.partsInFlight) + OTHER_SOCKETS,
    ...readIntoOneBuffer(),
  };
  const checksums = destination.checksums === 'when-required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
  return new S3Client({
    ...addressOf(destination),
    ...credentialsOf(destination),
    // Each request is sent again by send.ts, which is the one to know how often.
    maxAttempts: 1,
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
    // With it, the SDK opens a new connection for every part above 2 MiB.
    expectContinueHeader: false,
    requestHandler: new BodyWatchingHandler({
      httpAgent: agent,
      httpsAgent: agent,
      connectionTimeout: timeouts.connectMs,
      socketTimeout: timeouts.idleMs,
      requestTimeout: timeouts.requestMs,
      // Without it, the request timeout only prints a warning.
      throwOnRequestTimeout: true,
    }),
  });
}

function addressOf({ endpoint, region, forcePathStyle }: DestinationConfig): S3ClientConfig {
  // Servers other than AWS rarely care about the region, but a signature needs one.
  if (endpoint !== undefined) return { endpoint, region: region ?? 'us-east-1', forcePathStyle };
  return { followRegionRedirects: true, forcePathStyle, ...(region === undefined ? {} : { region }) };
}

/** Without keys in the config, the SDK's default chain looks in the environment, the profile and the instance's role. */
function credentialsOf({ accessKeyId, secretAccessKey }: DestinationConfig): S3ClientConfig {
  if (accessKeyId === undefined || secretAccessKey === undefined) return {};
  registerSecret(secretAccessKey);
  return { credentials: { accessKeyId, secretAccessKey } };
}
