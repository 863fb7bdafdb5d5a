/** Classifies what the SDK, the server and the network throw: what it is, whether a retry may help, what to do. */
import { errorText, fail, FailureError, type FailureKind, type Stage } from '../../base/errors.ts';
import { isNetworkCode, isTlsCode, kindOfNetworkCode } from '../../base/network.ts';
import { scrub } from '../../base/secrets.ts';
import { S3_REQUESTS, type S3Request, type S3Right } from './actions.ts';
import type { S3Target } from './client.ts';

/** The request that failed. */
export interface S3Operation {
  name: S3Request;
  /** The full key, with the destination's prefix. */
  key?: string;
  stage?: Stage;
  /** The request whose right is missing, where it is known to be another one. */
  missing?: S3Request;
  /** Whether it was to write an object that is held, where the destination has an Object Lock. */
  isHeld?: boolean;
}

/** What can be known of an error, whichever layer threw it. */
interface Facts {
  /** S3's error code, or the class of a client-side error. */
  name: string;
  /** The code of a network error, such as ECONNREFUSED; otherwise empty. */
  network: string;
  /** The HTTP status, or 0 when no answer came. */
  status: number;
  text: string;
}

/** What a hint can name. */
interface HintFacts {
  bucket: string;
  host: string;
  right: S3Right;
  partBytes: number;
  /** Whether the request was to hold an object. */
  holds: boolean;
}

interface Rule {
  kind: FailureKind;
  matches: (facts: Facts) => boolean;
  /** Where more can be said than the declared hint. */
  hint?: (facts: HintFacts) => string;
}

/** The first rule that matches decides, so what is more specific stands further up. */
const RULES: readonly Rule[] = [
  {
    kind: { code: 'aborted', transient: true },
    matches: named('AbortError'),
    hint: () => 'The work was stopped on purpose; nothing to do.',
  },
  { kind: { code: 'credentials-missing' }, matches: named('CredentialsProviderError', 'TokenProviderError') },
  {
    kind: { code: 'credentials-expired' },
    matches: named('ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired'),
  },
  {
    kind: { code: 'credentials-rejected' },
    matches: named('InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'InvalidSecurity', 'NotSignedUp'),
    hint: ({ host }) => `Check accessKeyId and secretAccessKey (no stray spaces), and that they belong to ${host}.`,
  },
  { kind: { code: 'clock-skew' }, matches: named('RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture') },
  { kind: { code: 'region-missing' }, matches: ({ text }) => /region is missing/i.test(text) },
  {
    kind: { code: 'region-wrong' },
    matches: (facts) =>
      named(
        'PermanentRedirect',
        'TemporaryRedirect',
        'AuthorizationHeaderMalformed',
        'IllegalLocationConstraintException',
      )(facts) || [301, 307, 308].includes(facts.status),
    hint: ({ bucket }) => `Set region (and endpoint) of the destination to where the bucket ${bucket} lives.`,
  },
  {
    kind: { code: 'bucket-missing' },
    matches: named('NoSuchBucket'),
    hint: ({ bucket, host }) => `Create the bucket ${bucket} at ${host}, or correct url of the destination.`,
  },
  {
    kind: { code: 'kms-denied' },
    matches: ({ name, status, text }) =>
      (name.startsWith('KMS.') && !/throttl/i.test(name)) || (status === 403 && /\bkms\b/i.test(text)),
  },
  // Before the rules for 403 and 503, which they come with.
  {
    kind: { code: 'destination-full' },
    matches: (facts) =>
      named(
        'QuotaExceeded',
        'StorageFull',
        'InsufficientStorage',
        'XMinioStorageFull',
        'XMinioAdminBucketQuotaExceeded',
      )(facts) || facts.status === 507,
    hint: ({ bucket, host }) =>
      `The bucket ${bucket}, or the disks of ${host}, are full: raise the quota or free space. An unfinished run goes on from its finished segments, by its --run-id.`,
  },
  { kind: { code: 'object-archived' }, matches: named('InvalidObjectState', 'ObjectNotInActiveTierError') },
  {
    kind: { code: 'access-denied' },
    matches: (facts) => named('AccessDenied', 'Forbidden', 'AllAccessDisabled')(facts) || facts.status === 403,
    hint: ({ right, bucket, holds }) =>
      `Allow ${right.action}${holds ? `, and s3:PutObjectRetention for objectLock of the destination,` : ''} on ${right.on === 'bucket' ? `the bucket ${bucket}` : `the objects of this prefix in the bucket ${bucket}`} for these credentials; docs/s3.md has the whole policy.`,
  },
  {
    // Before the rule for 503, which is the status that the SDK gives to an error inside of a 200 answer.
    kind: { code: 'server-error' },
    matches: named('InternalError'),
    hint: troubleAtServer,
  },
  {
    kind: { code: 'throttled' },
    matches: (facts) =>
      named('SlowDown', 'ServiceUnavailable', 'RequestLimitExceeded', 'BandwidthLimitExceeded')(facts) ||
      /throttl|toomanyrequests/i.test(facts.name) ||
      [429, 503].includes(facts.status),
  },
  {
    kind: { code: 'not-implemented' },
    matches: (facts) => named('NotImplemented', 'MethodNotAllowed')(facts) || [405, 501].includes(facts.status),
  },
  { kind: { code: 'upload-vanished' }, matches: named('NoSuchUpload', 'InvalidPart', 'InvalidPartOrder') },
  { kind: { code: 'part-too-small' }, matches: named('EntityTooSmall') },
  {
    kind: { code: 'object-too-large' },
    matches: (facts) =>
      named('EntityTooLarge', 'TooManyParts')(facts) || facts.status === 413 || /^Exceeded \d+ parts/.test(facts.text),
    hint: ({ partBytes }) =>
      `An upload has at most 10,000 parts of partSize (now ${partBytes} bytes): raise partSize or lower segments.targetSize. If a single request was refused (413), lower partSize.`,
  },
  {
    kind: { code: 'corrupted-in-transit' },
    matches: (facts) =>
      named('BadDigest', 'InvalidDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch')(facts) ||
      facts.text.startsWith('Checksum mismatch'),
  },
  { kind: { code: 'conflict' }, matches: (facts) => facts.status === 409 },
  {
    kind: { code: 'precondition-failed' },
    matches: (facts) => named('PreconditionFailed')(facts) || facts.status === 412,
  },
  {
    kind: { code: 'object-missing' },
    matches: (facts) => named('NoSuchKey', 'NotFound')(facts) || facts.status === 404,
  },
  // The SDK calls a reset connection a TimeoutError, so the network's own code is asked first.
  {
    kind: { code: 'connection-refused' },
    matches: ({ network }) => kindOfNetworkCode(network) === 'connection-refused',
    hint: ({ host }) => `Check that ${host} is up, and that no firewall stands between.`,
  },
  {
    kind: { code: 'connection-lost' },
    matches: (facts) =>
      onNetwork(
        'ECONNRESET',
        'EPIPE',
        'ECONNABORTED',
        'ENETRESET',
        'ENOTCONN',
        'ERR_SOCKET_CLOSED',
        'ERR_STREAM_DESTROYED',
        'ERR_STREAM_PREMATURE_CLOSE',
        'ERR_STREAM_WRITE_AFTER_END',
      )(facts) ||
      facts.text === 'socket hang up' ||
      facts.text === 'aborted',
    hint: ({ host }) => `The connection to ${host} broke. If it repeats, look at the network and proxies between.`,
  },
  {
    kind: { code: 'dns' },
    matches: ({ network }) => kindOfNetworkCode(network) === 'dns',
    hint: ({ host }) =>
      `Check the name ${host}: endpoint, region and bucket of the destination, and DNS. For servers without bucket subdomains set forcePathStyle: true.`,
  },
  {
    kind: { code: 'tls' },
    matches: ({ network }) => isTlsCode(network),
    hint: ({ host }) =>
      `Check the certificate of ${host}; for a private authority, point NODE_EXTRA_CA_CERTS to its certificate. If the server speaks plain HTTP, write http:// in endpoint.`,
  },
  {
    kind: { code: 'timeout' },
    matches: (facts) =>
      named('TimeoutError', 'RequestTimeout', 'RequestTimeoutException')(facts) ||
      onNetwork('ETIMEDOUT', 'ESOCKETTIMEDOUT', 'ERR_TLS_HANDSHAKE_TIMEOUT')(facts) ||
      facts.status === 408,
    hint: ({ host, right }) =>
      `${host} did not answer in time. If it repeats, look at its load and at the network; a smaller partSize helps on a slow link.${
        right.action === 's3:PutObject'
          ? ' A server that reads well but answers no write may be full: look at its disks.'
          : ''
      }`,
  },
  { kind: { code: 'too-many-open-files' }, matches: onNetwork('EMFILE', 'ENFILE') },
  {
    kind: { code: 'server-error' },
    matches: (facts) => facts.status >= 500,
    hint: troubleAtServer,
  },
  {
    // AWS, MinIO and Ceph each have words of their own, under the code InvalidRequest.
    kind: { code: 'object-lock-missing' },
    matches: (facts) =>
      facts.status === 400 && /missing object ?lock|object ?lock[^.]* not (?:configured|enabled)/i.test(facts.text),
    hint: ({ bucket }) =>
      `Turn Object Lock on for the bucket ${bucket}: when it is created, or later where it keeps versions (aws s3api put-object-lock-configuration --bucket ${bucket} --object-lock-configuration ObjectLockEnabled=Enabled); or take objectLock out of the destination.`,
  },
  {
    kind: { code: 'request-refused' },
    matches: (facts) => facts.status === 400 && /(?:content-md5|checksum).*required/i.test(facts.text),
    hint: ({ bucket }) =>
      `The bucket ${bucket} demands checksums, as one with Object Lock does: set checksums: when-supported of the destination.`,
  },
  {
    kind: { code: 'request-refused' },
    matches: (facts) => facts.status >= 400,
    hint: ({ host }) =>
      `${host} refused the request; its message says why. Compare it with the destination's settings.`,
  },
  {
    kind: { code: 'answer-unreadable', transient: true },
    matches: (facts) => facts.status > 0,
    hint: ({ host }) => `${host} answered with something that is not S3. Check endpoint, and proxies between.`,
  },
];

const UNKNOWN: Rule = { kind: { code: 's3-internal' }, matches: () => true };

/**
 * The failure that `error` stands for; throws the reason of the target's signal once that has aborted. The SDK's own error object is left behind, as it carries the request with its
 * signature; its text goes along.
 */
export function toS3Failure(error: unknown, operation: S3Operation, target: S3Target): FailureError {
  if (error instanceof FailureError) return error;
  target.signal.throwIfAborted();
  const facts = factsOf(error);
  const rule = RULES.find((candidate) => candidate.matches(facts)) ?? UNKNOWN;
  const where = operation.key === undefined ? '' : ` of ${operation.key}`;
  const text = scrub(facts.text);
  return fail(rule.kind, {
    stage: operation.stage ?? 'upload',
    message: `${operation.name}${where} in the bucket ${target.bucket} failed: ${text}`,
    hint: rule.hint?.(hintFacts(operation, target)),
    cause: describe(facts, text),
  });
}

/** Whether the server says that it does not know this kind of request. */
export function isNotImplemented(error: unknown): boolean {
  const facts = factsOf(error);
  return named('NotImplemented', 'MethodNotAllowed')(facts) || [405, 501].includes(facts.status);
}

/** Whether S3 answered with one of these error codes. */
export function hasName(error: unknown, ...names: string[]): boolean {
  return names.includes(factsOf(error).name);
}

/** Whether the answer had this HTTP status; an answer to HEAD tells no more than that. */
export function hasStatus(error: unknown, status: number): boolean {
  return factsOf(error).status === status;
}

function factsOf(error: unknown): Facts {
  const fields = (typeof error === 'object' && error !== null ? error : {}) as Partial<{
    name: string;
    Code: string;
    code: string;
    $metadata: { httpStatusCode?: number };
    $response: { statusCode?: number };
  }>;
  const network = typeof fields.code === 'string' ? fields.code : '';
  return {
    name: fields.Code ?? fields.name ?? '',
    network,
    // Where the answer broke off, what it began with counts for nothing.
    status: isBrokenOff(error, network) ? 0 : (fields.$metadata?.httpStatusCode ?? fields.$response?.statusCode ?? 0),
    text: textOf(error, fields.Code ?? fields.name),
  };
}

function isBrokenOff(error: unknown, network: string): boolean {
  return isNetworkCode(network) || errorText(error) === 'aborted';
}

/** Ceph gives no text with some errors, and answers to HEAD have none; the SDK then has words of its own. */
function textOf(error: unknown, name = ''): string {
  // The SDK adds advice for its own users on further lines.
  const text = errorText(error).split('\n', 1)[0] ?? '';
  if (!['', 'UnknownError', 'Unknown', 'null'].includes(text)) return text;
  const isName = !['', 'Error', 'Unknown', 'UnknownError'].includes(name) && !/^\d+$/.test(name);
  return isName ? `${name}, without a text` : 'the server refused it without a word';
}

function hintFacts(operation: S3Operation, target: S3Target): HintFacts {
  const { endpoint, region, partBytes, objectLock } = target.destination;
  return {
    bucket: target.bucket,
    host: endpoint === undefined ? `AWS S3${region === undefined ? '' : ` in ${region}`}` : hostOf(endpoint),
    right: S3_REQUESTS[operation.missing ?? operation.name],
    partBytes,
    holds: operation.isHeld === true && objectLock !== undefined,
  };
}

function hostOf(endpoint: string): string {
  return URL.canParse(endpoint) ? new URL(endpoint).host : 'the endpoint';
}

function describe({ name, network, status }: Facts, text: string): string {
  const labels = [name, network, status > 0 ? `HTTP ${status}` : ''].filter(
    (label) => label !== '' && label !== 'Error',
  );
  return labels.length === 0 ? text : `${[...new Set(labels)].join(', ')}: ${text}`;
}

function troubleAtServer({ host }: HintFacts): string {
  return `${host} failed on its side. If it repeats, look at its status or its logs.`;
}

function named(...names: string[]): (facts: Facts) => boolean {
  return ({ name }) => names.includes(name);
}

function onNetwork(...codes: string[]): (facts: Facts) => boolean {
  return ({ network }) => codes.includes(network);
}
