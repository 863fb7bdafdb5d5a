import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail, type Failure } from '../../../../src/base/errors.ts';
import type { FailureCode } from '../../../../src/base/failures.ts';
import { NEVER } from '../../../../src/base/signals.ts';
import { registerSecret } from '../../../../src/base/secrets.ts';
import type { S3Request } from '../../../../src/store/s3/actions.ts';
import type { S3Target } from '../../../../src/store/s3/client.ts';
import { hasName, hasStatus, isNotImplemented, toS3Failure } from '../../../../src/store/s3/errors.ts';

const DESTINATION: Pick<S3Target['destination'], 'endpoint' | 'partBytes'> = {
  endpoint: 'https://s3.example.com',
  partBytes: 8_388_608,
};
const TARGET = { bucket: 'acme', destination: DESTINATION, signal: NEVER } as S3Target;

/** What an error holds, whichever layer threw it. */
interface Given {
  name?: string;
  status?: number;
  network?: string;
  text?: string;
}

function errorOf({ name, status, network, text = 'no' }: Given): Error {
  return Object.assign(new Error(text), {
    ...(name === undefined ? {} : { name }),
    ...(network === undefined ? {} : { code: network }),
    ...(status === undefined ? {} : { $metadata: { httpStatusCode: status } }),
  });
}

function failureOf(given: Given, operation: S3Request = 'PutObject'): Failure {
  return toS3Failure(errorOf(given), { name: operation, key: 'pg/events/part-00000' }, TARGET).failure;
}

type Row = readonly [given: readonly string[], code: FailureCode, transient: boolean, hint?: RegExp];

const NAMES: readonly Row[] = [
  [['AbortError'], 'aborted', true],
  [['CredentialsProviderError', 'TokenProviderError'], 'credentials-missing', true],
  [['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired'], 'credentials-expired', true],
  [
    ['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'InvalidSecurity', 'NotSignedUp'],
    'credentials-rejected',
    false,
    /s3\.example\.com/,
  ],
  [['RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture'], 'clock-skew', false, /chrony/],
  [
    ['PermanentRedirect', 'TemporaryRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'],
    'region-wrong',
    false,
    /bucket acme/,
  ],
  [['NoSuchBucket'], 'bucket-missing', false, /bucket acme at s3\.example\.com/],
  [['KMS.DisabledException', 'KMS.NotFoundException', 'KMS.KMSInvalidStateException'], 'kms-denied', false],
  [
    ['AccessDenied', 'Forbidden', 'AllAccessDisabled'],
    'access-denied',
    false,
    /s3:PutObject on the objects of this prefix in the bucket acme/,
  ],
  [['QuotaExceeded', 'XMinioStorageFull'], 'destination-full', false, /quota.*--run-id/],
  [['InternalError'], 'server-error', true, /s3\.example\.com failed/],
  [
    [
      'SlowDown',
      'ServiceUnavailable',
      'RequestLimitExceeded',
      'BandwidthLimitExceeded',
      'ThrottlingException',
      'RequestThrottled',
      'TooManyRequests',
      'KMS.ThrottlingException',
    ],
    'throttled',
    true,
  ],
  [['NotImplemented', 'MethodNotAllowed'], 'not-implemented', false, /checksums/],
  [['NoSuchUpload', 'InvalidPart', 'InvalidPartOrder'], 'upload-vanished', true],
  [['InvalidObjectState', 'ObjectNotInActiveTierError'], 'object-archived', false],
  [['EntityTooSmall'], 'part-too-small', false, /5MiB/],
  [['EntityTooLarge', 'TooManyParts'], 'object-too-large', false, /now 8388608 bytes/],
  [
    ['BadDigest', 'InvalidDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch'],
    'corrupted-in-transit',
    true,
  ],
  [['PreconditionFailed'], 'precondition-failed', true],
  [['NoSuchKey', 'NotFound'], 'object-missing', false],
  [['TimeoutError', 'RequestTimeout', 'RequestTimeoutException'], 'timeout', true],
  [['SomethingElse', 'TypeError'], 's3-internal', false, /report/],
];

const STATUSES: readonly (readonly [statuses: readonly number[], code: FailureCode, transient: boolean])[] = [
  [[200, 204, 302], 'answer-unreadable', true],
  [[301, 307, 308], 'region-wrong', false],
  [[400, 402, 411, 422], 'request-refused', false],
  [[403], 'access-denied', false],
  [[404], 'object-missing', false],
  [[405, 501], 'not-implemented', false],
  [[408], 'timeout', true],
  [[409], 'conflict', true],
  [[412], 'precondition-failed', true],
  [[413], 'object-too-large', false],
  [[429, 503], 'throttled', true],
  [[500, 502, 504], 'server-error', true],
];

const NETWORK: readonly Row[] = [
  [
    ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN', 'EADDRNOTAVAIL'],
    'connection-refused',
    true,
    /s3\.example\.com is up/,
  ],
  [
    [
      'ECONNRESET',
      'EPIPE',
      'ECONNABORTED',
      'ENETRESET',
      'ENOTCONN',
      'ERR_SOCKET_CLOSED',
      'ERR_STREAM_DESTROYED',
      'ERR_STREAM_PREMATURE_CLOSE',
      'ERR_STREAM_WRITE_AFTER_END',
    ],
    'connection-lost',
    true,
    /s3\.example\.com broke/,
  ],
  [['ENOTFOUND', 'ESERVFAIL', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA'], 'dns', true, /forcePathStyle/],
  [
    [
      'CERT_HAS_EXPIRED',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'ERR_TLS_CERT_ALTNAME_INVALID',
      'ERR_SSL_WRONG_VERSION_NUMBER',
      'EPROTO',
      'HOSTNAME_MISMATCH',
    ],
    'tls',
    false,
    /NODE_EXTRA_CA_CERTS/,
  ],
  [['ETIMEDOUT', 'ESOCKETTIMEDOUT', 'ERR_TLS_HANDSHAKE_TIMEOUT'], 'timeout', true, /did not answer/],
  [['EMFILE', 'ENFILE'], 'too-many-open-files', true],
  [['ERR_INVALID_ARG_TYPE'], 's3-internal', false],
];

const TEXTS: readonly (readonly [text: string, code: FailureCode, transient: boolean])[] = [
  ['Region is missing', 'region-missing', false],
  ['Exceeded 10000 parts in multipart upload', 'object-too-large', false],
  ['Checksum mismatch: expected "a" but received "b"', 'corrupted-in-transit', true],
  ['socket hang up', 'connection-lost', true],
  ['aborted', 'connection-lost', true],
];

/** Where two rules match, and the order decides. */
const ORDER: readonly (readonly [what: string, given: Given, code: FailureCode, transient: boolean])[] = [
  ['expired credentials, which come as 400', { name: 'ExpiredToken', status: 400 }, 'credentials-expired', true],
  ['a wrong key, which comes as 403', { name: 'InvalidAccessKeyId', status: 403 }, 'credentials-rejected', false],
  ['a clock that is off, which comes as 403', { name: 'RequestTimeTooSkewed', status: 403 }, 'clock-skew', false],
  ['a wrong region, which comes as 400', { name: 'AuthorizationHeaderMalformed', status: 400 }, 'region-wrong', false],
  ['a bucket that is not there, which comes as 404', { name: 'NoSuchBucket', status: 404 }, 'bucket-missing', false],
  ['a 403 that speaks of KMS', { name: 'AccessDenied', status: 403, text: 'not on the KMS key' }, 'kms-denied', false],
  ['a key named like it, which is no word', { status: 403, text: 'denied on akms1' }, 'access-denied', false],
  ['an error inside of a 200 answer', { name: 'InternalError', status: 503 }, 'server-error', true],
  ['a missing feature, which comes as 501', { name: 'NotImplemented', status: 501 }, 'not-implemented', false],
  ['an upload that is gone, which comes as 404', { name: 'NoSuchUpload', status: 404 }, 'upload-vanished', true],
  ['a part that is gone, which comes as 400', { name: 'InvalidPart', status: 400 }, 'upload-vanished', true],
  ['a cold object, which comes as 403', { name: 'InvalidObjectState', status: 403 }, 'object-archived', false],
  ['a small part, which comes as 400', { name: 'EntityTooSmall', status: 400 }, 'part-too-small', false],
  ['a wrong digest, which comes as 400', { name: 'BadDigest', status: 400 }, 'corrupted-in-transit', true],
  ['a slow request, which comes as 400', { name: 'RequestTimeout', status: 400 }, 'timeout', true],
  ['a condition that failed by status', { name: 'Unknown', status: 412 }, 'precondition-failed', true],
  ['a reset, which the SDK calls a timeout', { name: 'TimeoutError', network: 'ECONNRESET' }, 'connection-lost', true],
  ['a refusal, called a timeout too', { name: 'TimeoutError', network: 'ECONNREFUSED' }, 'connection-refused', true],
  ['an abort that has a status', { name: 'AbortError', status: 500 }, 'aborted', true],
  ['a drop in the TLS handshake', { network: 'ECONNRESET', text: 'before secure TLS' }, 'connection-lost', true],
];

function check({ code, transient, hint }: Failure, expected: FailureCode, again: boolean, pattern?: RegExp): void {
  assert.deepEqual([code, transient], [expected, again]);
  assert.match(hint, pattern ?? /./);
}

describe('an error of S3', () => {
  for (const [names, code, transient, hint] of NAMES)
    for (const name of names)
      test(`named ${name} is ${code}`, () => {
        check(failureOf({ name }), code, transient, hint);
      });

  for (const [statuses, code, transient] of STATUSES)
    for (const status of statuses)
      test(`with the status ${status} alone is ${code}`, () => {
        check(failureOf({ status, name: 'Unknown' }), code, transient);
      });

  for (const [codes, code, transient, hint] of NETWORK)
    for (const network of codes)
      test(`with the code ${network} of the network is ${code}`, () => {
        check(failureOf({ network }), code, transient, hint);
      });

  for (const [text, code, transient] of TEXTS)
    test(`that says "${text}" is ${code}`, () => {
      check(failureOf({ text }), code, transient);
    });

  for (const [what, given, code, transient] of ORDER)
    test(`that is ${what} is ${code}`, () => {
      check(failureOf(given), code, transient);
    });

  test('a bucket without Object Lock is known by the words of AWS, MinIO and Ceph', () => {
    for (const text of [
      'Bucket is missing Object Lock Configuration',
      'Bucket is missing ObjectLockConfiguration',
      'bucket object lock not configured',
    ]) {
      const { code, hint } = failureOf({ name: 'InvalidRequest', status: 400, text });
      assert.equal(code, 'object-lock-missing');
      assert.match(hint, /bucket acme/);
    }
  });

  test('takes the name of the answer before that of the class', () => {
    const error = Object.assign(new Error('no'), { name: 'S3ServiceException', Code: 'NoSuchBucket' });
    check(toS3Failure(error, { name: 'PutObject' }, TARGET).failure, 'bucket-missing', false);
  });

  test('that could not be parsed has the status of its response', () => {
    const error = Object.assign(new SyntaxError('Unexpected token <'), { $response: { statusCode: 502 } });
    check(toS3Failure(error, { name: 'PutObject' }, TARGET).failure, 'server-error', true);
  });
});

describe('the failure of a request to S3', () => {
  test('names the permission that the request needs', () => {
    for (const [operation, permission] of [
      ['UploadPart', /s3:PutObject/],
      ['AbortMultipartUpload', /s3:AbortMultipartUpload/],
      ['ListMultipartUploads', /s3:ListBucketMultipartUploads/],
      ['ListObjectsV2', /s3:ListBucket/],
      ['HeadObject', /s3:GetObject/],
      ['DeleteObjects', /s3:DeleteObject/],
    ] as const)
      assert.match(failureOf({ name: 'AccessDenied' }, operation).hint, permission);
  });

  test('says what to set where the bucket demands checksums', () => {
    const text =
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Part requests with Object Lock parameters';
    const { code, hint } = failureOf({ name: 'InvalidRequest', status: 400, text }, 'UploadPart');
    assert.equal(code, 'request-refused');
    assert.match(hint, /checksums: when-supported/);
  });

  test('says what is known where the server gives no text, as Ceph does and any answer to HEAD', () => {
    const { message } = failureOf({ name: 'AccessDenied', status: 403, text: 'UnknownError' });
    assert.match(message, /failed: AccessDenied, without a text$/);
    assert.match(failureOf({ name: '403', status: 403, text: 'UnknownError' }).message, /refused it without a word$/);
  });

  test('names the request, the key and the bucket; its cause has the name, the code and the status', () => {
    const failure = failureOf({ name: 'SlowDown', status: 503, text: 'Reduce your rate\nand more advice' });
    assert.equal(failure.message, 'PutObject of pg/events/part-00000 in the bucket acme failed: Reduce your rate');
    assert.equal(failure.cause, 'SlowDown, HTTP 503: Reduce your rate');
    assert.equal(failure.stage, 'upload');
    assert.equal(failureOf({ network: 'ECONNRESET' }).cause, 'ECONNRESET: no');
    assert.equal(failureOf({}).cause, 'no');
  });

  test('has no secrets, and not the error of the SDK, which carries the signed request', () => {
    registerSecret('Zebra-77');
    const error = toS3Failure(
      errorOf({ text: 'key Zebra-77 is unknown' }),
      { name: 'GetObject', stage: 'verify' },
      TARGET,
    );
    assert.equal(error.cause, undefined);
    assert.equal(error.failure.stage, 'verify');
    assert.ok(!JSON.stringify(error.failure).includes('Zebra'));
  });

  test('speaks of AWS and its region where there is no endpoint, and does not stumble over one that is none', () => {
    const hintAt = (destination: object): string =>
      toS3Failure(errorOf({ status: 500 }), { name: 'PutObject' }, { ...TARGET, destination } as S3Target).failure.hint;
    assert.match(hintAt({ region: 'eu-west-1' }), /AWS S3 in eu-west-1 failed/);
    assert.match(hintAt({}), /AWS S3 failed/);
    assert.match(hintAt({ endpoint: 'no url' }), /the endpoint failed/);
  });

  test('is passed on when it is one already; what is no error becomes one too', () => {
    const known = fail('locked', { stage: 'lock', message: 'no' });
    assert.equal(toS3Failure(known, { name: 'PutObject' }, TARGET), known);
    check(toS3Failure(undefined, { name: 'PutObject' }, TARGET).failure, 's3-internal', false);
    check(toS3Failure('text', { name: 'PutObject' }, TARGET).failure, 's3-internal', false);
  });
});

test('an answer is known by its names, its status, and whether the server lacks the request', () => {
  const missing = errorOf({ name: 'NoSuchKey', status: 404 });
  assert.deepEqual([hasName(missing, 'NotFound', 'NoSuchKey'), hasName(missing, 'NotFound')], [true, false]);
  assert.deepEqual([hasStatus(missing, 404), hasStatus(missing, 403)], [true, false]);
  const lacks = (given: Given): boolean => isNotImplemented(errorOf(given));
  assert.deepEqual(
    [lacks({ name: 'NotImplemented' }), lacks({ status: 501 }), lacks({ status: 405 })],
    [true, true, true],
  );
  assert.equal(lacks({ status: 500 }), false);
});
