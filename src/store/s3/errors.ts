/** Classifies what the SDK, the server and the network throw: what it is, whether a retry may help, what to do. */
import { errorText, FailureError, type Stage } from '../../base/errors.ts';
import type { FailureCode } from '../../base/failures.ts';
import { scrub } from '../../base/secrets.ts';
import type { S3Target } from './client.ts';

/** The request that failed. */
export interface S3Operation {
  /** As S3 calls it, such as `PutObject`. */
  name: string;
  /** The full key, with the destination's prefix. */
  key?: string;
  stage?: Stage;
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

interface Place {
  bucket: string;
  host: string;
  permission: string;
  partSize: number;
}

interface Rule {
  code: FailureCode;
  transient: boolean;
  matches: (facts: Facts) => boolean;
  hint: (place: Place) => string;
}

const PERMISSIONS: Record<string, string> = {
  PutObject: 's3:PutObject',
  CreateMultipartUpload: 's3:PutObject',
  UploadPart: 's3:PutObject',
  CompleteMultipartUpload: 's3:PutObject',
  AbortMultipartUpload: 's3:AbortMultipartUpload',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
  ListObjectsV2: 's3:ListBucket',
  GetObject: 's3:GetObject',
  HeadObject: 's3:GetObject and s3:ListBucket (without the second, an absent object answers 403)',
  DeleteObject: 's3:DeleteObject',
  DeleteObjects: 's3:DeleteObject',
};

/** The first rule that matches decides, so what is more specific stands further up. */
const RULES: readonly Rule[] = [
  {
    code: 'aborted',
    transient: true,
    matches: named('AbortError'),
    hint: () => 'The work was stopped on purpose; nothing to do.',
  },
  {
    code: 'credentials-missing',
    // The instance's metadata service and the token service have bad moments too.
    transient: true,
    matches: named('CredentialsProviderError', 'TokenProviderError'),
    hint: () =>
      'Set accessKeyId and secretAccessKey of the destination, or give the process AWS credentials: environment, profile, or an instance role.',
  },
  {
    code: 'credentials-expired',
    transient: true,
    matches: named('ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired'),
    hint: () => 'Renew the temporary credentials; a role or a profile that refreshes itself avoids this.',
  },
  {
    code: 'credentials-rejected',
    transient: false,
    matches: named('InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'InvalidSecurity', 'NotSignedUp'),
    hint: ({ host }) => `Check accessKeyId and secretAccessKey (no stray spaces), and that they belong to ${host}.`,
  },
  {
    code: 'clock-skew',
    transient: false,
    matches: named('RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture'),
    hint: () => "Set this machine's clock (timedatectl, chrony): it differs too much from the server's.",
  },
  {
    code: 'region-missing',
    transient: false,
    matches: ({ text }) => /region is missing/i.test(text),
    hint: () => 'Set region of the destination.',
  },
  {
    code: 'region-wrong',
    transient: false,
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
    code: 'bucket-missing',
    transient: false,
    matches: named('NoSuchBucket'),
    hint: ({ bucket, host }) => `Create the bucket ${bucket} at ${host}, or correct url of the destination.`,
  },
  {
    code: 'kms-denied',
    transient: false,
    matches: ({ name, status, text }) =>
      (name.startsWith('KMS.') && !/throttl/i.test(name)) || (status === 403 && /\bkms\b/i.test(text)),
    hint: () =>
      'Check kmsKeyId: the key must exist, be enabled, be in the same region, and allow kms:GenerateDataKey and kms:Decrypt.',
  },
  {
    code: 'access-denied',
    transient: false,
    matches: (facts) => named('AccessDenied', 'Forbidden', 'AllAccessDisabled')(facts) || facts.status === 403,
    hint: ({ permission, bucket }) =>
      `Allow ${permission} on the bucket ${bucket} and this prefix for these credentials.`,
  },
  {
    code: 'server-error',
    transient: true,
    // Before the rule for 503, which is the status that the SDK gives to an error inside of a 200 answer.
    matches: named('InternalError'),
    hint: troubleAtServer,
  },
  {
    code: 'throttled',
    transient: true,
    matches: (facts) =>
      named('SlowDown', 'ServiceUnavailable', 'RequestLimitExceeded', 'BandwidthLimitExceeded')(facts) ||
      /throttl|toomanyrequests/i.test(facts.name) ||
      [429, 503].includes(facts.status),
    hint: () => 'The server asks for fewer requests. If it goes on: fewer segments in parallel, or a bigger partSize.',
  },
  {
    code: 'not-implemented',
    transient: false,
    matches: (facts) => named('NotImplemented', 'MethodNotAllowed')(facts) || [405, 501].includes(facts.status),
    hint: () =>
      'This server lacks a part of S3. Set checksums: when-required of the destination first; then leave out storageClass, tags and encryption.',
  },
  {
    code: 'upload-vanished',
    transient: true,
    matches: named('NoSuchUpload', 'InvalidPart', 'InvalidPartOrder'),
    hint: () =>
      'Someone aborted the upload: another host, or a lifecycle rule for incomplete uploads that is shorter than a run.',
  },
  {
    code: 'object-archived',
    transient: false,
    matches: named('InvalidObjectState', 'ObjectNotInActiveTierError'),
    hint: () => 'The object is in a cold storage class: restore it there first (aws s3api restore-object).',
  },
  {
    code: 'part-too-small',
    transient: false,
    matches: named('EntityTooSmall'),
    hint: () => 'Set partSize of the destination to at least 5MiB, or to what this server asks for.',
  },
  {
    code: 'object-too-large',
    transient: false,
    matches: (facts) =>
      named('EntityTooLarge', 'TooManyParts')(facts) || facts.status === 413 || /^Exceeded \d+ parts/.test(facts.text),
    hint: ({ partSize }) =>
      `An upload has at most 10,000 parts of partSize (now ${partSize} bytes): raise partSize or lower segments.targetSize. If a single request was refused (413), lower partSize.`,
  },
  {
    code: 'corrupted-in-transit',
    transient: true,
    matches: (facts) =>
      named('BadDigest', 'InvalidDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch')(facts) ||
      facts.text.startsWith('Checksum mismatch'),
    hint: () =>
      'The data arrived changed. If it repeats, look at the network and memory of this host, or set checksums: when-required.',
  },
  {
    code: 'conflict',
    transient: true,
    matches: (facts) => facts.status === 409,
    hint: () => 'Another request changed the same key at the same time.',
  },
  {
    code: 'precondition-failed',
    transient: false,
    matches: (facts) => named('PreconditionFailed')(facts) || facts.status === 412,
    hint: () => 'Another process has written it: look whether two of them write to the same place.',
  },
  {
    code: 'object-missing',
    transient: false,
    matches: (facts) => named('NoSuchKey', 'NotFound')(facts) || facts.status === 404,
    hint: () => 'The object was removed, or never written: look at the bucket, and at its lifecycle rules.',
  },
  // The SDK calls a reset connection a TimeoutError, so the network's own code is asked first.
  {
    code: 'connection-refused',
    transient: true,
    matches: onNetwork('ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN', 'EADDRNOTAVAIL'),
    hint: ({ host }) => `Check that ${host} is up, and that no firewall stands between.`,
  },
  {
    code: 'connection-lost',
    transient: true,
    matches: (facts) =>
      onNetwork('ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE')(facts) ||
      facts.text === 'socket hang up' ||
      facts.text === 'aborted',
    hint: ({ host }) => `The connection to ${host} broke. If it repeats, look at the network and proxies between.`,
  },
  {
    code: 'dns',
    transient: true,
    matches: onNetwork('ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'ESERVFAIL'),
    hint: ({ host }) =>
      `Check the name ${host}: endpoint, region and bucket of the destination, and DNS. For servers without bucket subdomains set forcePathStyle: true.`,
  },
  {
    code: 'tls',
    transient: false,
    matches: ({ network }) =>
      /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_|ERR_SSL_|EPROTO|HOSTNAME_MISMATCH)/.test(network),
    hint: ({ host }) =>
      `Check the certificate of ${host}; for a private authority, point NODE_EXTRA_CA_CERTS to its certificate. If the server speaks plain HTTP, write http:// in endpoint.`,
  },
  {
    code: 'timeout',
    transient: true,
    matches: (facts) =>
      named('TimeoutError', 'RequestTimeout', 'RequestTimeoutException')(facts) ||
      onNetwork('ETIMEDOUT', 'ESOCKETTIMEDOUT')(facts) ||
      facts.status === 408,
    hint: ({ host }) =>
      `${host} did not answer in time. If it repeats, look at its load and at the network; a smaller partSize helps on a slow link.`,
  },
  {
    code: 'server-error',
    transient: true,
    matches: (facts) => facts.status >= 500,
    hint: troubleAtServer,
  },
  {
    code: 'request-refused',
    transient: false,
    matches: (facts) => facts.status >= 400,
    hint: ({ host }) =>
      `${host} refused the request; its message says why. Compare it with the destination's settings.`,
  },
  {
    code: 'answer-unreadable',
    transient: true,
    matches: (facts) => facts.status > 0,
    hint: ({ host }) => `${host} answered with something that is not S3. Check endpoint, and proxies between.`,
  },
];

const UNKNOWN: Rule = {
  code: 's3-internal',
  transient: false,
  matches: () => true,
  hint: () => 'This is a defect in pgsluice or in the AWS SDK. Please report it, with the log lines around it.',
};

/**
 * The failure that `error` stands for. The SDK's own error object is left behind, as it carries the request with its
 * signature; its text goes along.
 */
export function toS3Failure(error: unknown, operation: S3Operation, target: S3Target): FailureError {
  if (error instanceof FailureError) return error;
  const facts = factsOf(error);
  const rule = RULES.find((candidate) => candidate.matches(facts)) ?? UNKNOWN;
  const where = operation.key === undefined ? '' : ` of ${operation.key}`;
  const text = scrub(facts.text);
  return new FailureError({
    code: rule.code,
    stage: operation.stage ?? 'upload',
    transient: rule.transient,
    message: `${operation.name}${where} in the bucket ${target.bucket} failed: ${text}`,
    hint: rule.hint(placeOf(operation, target)),
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
  return {
    name: fields.Code ?? fields.name ?? '',
    network: typeof fields.code === 'string' ? fields.code : '',
    status: fields.$metadata?.httpStatusCode ?? fields.$response?.statusCode ?? 0,
    // The SDK adds advice for its own users on further lines.
    text: errorText(error).split('\n', 1)[0] ?? '',
  };
}

function placeOf(operation: S3Operation, target: S3Target): Place {
  const { endpoint, region, partSize } = target.destination;
  return {
    bucket: target.bucket,
    host: endpoint === undefined ? `AWS S3${region === undefined ? '' : ` in ${region}`}` : hostOf(endpoint),
    permission: PERMISSIONS[operation.name] ?? 'this request',
    partSize,
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

function troubleAtServer({ host }: Place): string {
  return `${host} failed on its side. If it repeats, look at its status or its logs.`;
}

function named(...names: string[]): (facts: Facts) => boolean {
  return ({ name }) => names.includes(name);
}

function onNetwork(...codes: string[]): (facts: Facts) => boolean {
  return ({ network }) => codes.includes(network);
}
