import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail, type Failure } from '../../../src/base/errors.ts';
import type { FailureCode } from '../../../src/base/failures.ts';
import { postgresFailure } from '../../../src/postgres/errors.ts';

/** What comes of an error with these fields. */
function failureOf(message: string, fields: Record<string, unknown> = {}): Failure {
  return postgresFailure(Object.assign(new Error(message), fields), 'read', 'reading events').failure;
}

function check(failure: Failure, code: FailureCode, transient: boolean, hint: RegExp | undefined): void {
  assert.deepEqual([failure.code, failure.transient], [code, transient]);
  if (hint !== undefined) assert.match(failure.hint, hint);
}

type Row = readonly [given: string, code: FailureCode, transient: boolean, hint?: RegExp];

const STATES: readonly Row[] = [
  ['0A000', 'not-supported', false],
  ['22003', 'bad-value', false, /params/],
  ['22007', 'bad-value', false, /params/],
  ['22008', 'bad-value', false, /params/],
  ['22015', 'bad-value', false, /params/],
  ['22P02', 'bad-value', false],
  ['25006', 'read-only', false, /only selects/],
  ['25P03', 'connection-lost', true, /idle_in_transaction_session_timeout/],
  ['25P04', 'connection-lost', true, /transaction_timeout/],
  ['28000', 'login-refused', false, /pg_hba\.conf/],
  ['28P01', 'login-refused', false, /password/],
  ['3D000', 'database-not-found', false],
  ['3F000', 'table-not-found', false, /schema/],
  ['40001', 'serialization-failure', true, /hot_standby_feedback/],
  ['40P01', 'deadlock', true],
  ['42501', 'permission-denied', false, /GRANT/],
  ['42601', 'syntax-error', false],
  ['42703', 'column-not-found', false],
  ['42883', 'unknown-function', false],
  ['42P01', 'table-not-found', false],
  ['53100', 'source-disk-full', false],
  ['53300', 'too-many-connections', true],
  ['55P03', 'lock-not-available', true],
  ['57014', 'query-cancelled', false],
  ['57P04', 'database-not-found', false, /dropped/],
  ['57P05', 'connection-lost', true, /idle_session_timeout/],
  ['72000', 'snapshot-lost', false, /old_snapshot_threshold/],
  ['XX000', 'query-failed', false, /extensions/],
  ['XX001', 'server-corruption', false],
  ['XX002', 'server-corruption', false],
];

const CLASSES: readonly Row[] = [
  ['08000', 'connection-lost', true],
  ['08003', 'connection-lost', true],
  ['08006', 'connection-lost', true],
  ['08P01', 'connection-lost', true],
  ['53000', 'server-out-of-resources', true],
  ['53200', 'server-out-of-resources', true],
  ['53400', 'server-out-of-resources', true],
  ['57000', 'connection-lost', true],
  ['57P01', 'connection-lost', true, /stopped or the session was terminated/],
  ['57P02', 'connection-lost', true],
  ['57P03', 'connection-lost', true],
  ['58000', 'server-io-error', false],
  ['58030', 'server-io-error', false],
  ['58P01', 'server-io-error', false],
];

const OTHER_STATES: readonly Row[] = [
  ['22012', 'query-failed', false, /message of the server/],
  ['22021', 'invalid-bytes', false],
  ['25P02', 'query-failed', false],
  ['42704', 'query-failed', false],
  ['55000', 'query-failed', false],
  ['HV000', 'query-failed', false],
  ['P0001', 'query-failed', false],
];

const NETWORK_CODES: readonly Row[] = [
  // The codes that S3 has for the same.
  ...['ECONNREFUSED', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'ENOENT', 'EACCES'].map(
    (code): Row => [code, 'connection-refused', true, /host and port/],
  ),
  ...['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'ESERVFAIL'].map((code): Row => [code, 'dns', true, /host and port/]),
  ...[
    'ECONNRESET',
    'ECONNABORTED',
    'EPIPE',
    'ETIMEDOUT',
    'ENETRESET',
    'ENOTCONN',
    'EIO',
    'ERR_STREAM_PREMATURE_CLOSE',
    'ERR_STREAM_DESTROYED',
    'ERR_STREAM_WRITE_AFTER_END',
    'ERR_SOCKET_CLOSED',
    'ERR_TLS_HANDSHAKE_TIMEOUT',
  ].map((code): Row => [code, 'connection-lost', true, /host and port/]),
  ['EMFILE', 'too-many-open-files', true, /LimitNOFILE/],
  ['ENFILE', 'too-many-open-files', true],
];

const TLS_CODES: readonly Row[] = [
  'CERT_HAS_EXPIRED',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'EPROTO',
  'HOSTNAME_MISMATCH',
].map((code) => [code, 'tls-refused', false, /sslmode/]);

const OWN_CODES: readonly Row[] = ['ERR_INVALID_ARG_TYPE', 'ERR_SOCKET_BAD_PORT', 'toString', 'E'].map((code) => [
  code,
  'query-failed',
  false,
]);

const WORDS: readonly Row[] = [
  ['Connection terminated', 'connection-lost', true],
  ['Connection terminated unexpectedly', 'connection-lost', true],
  ['Connection terminated due to connection timeout', 'connection-lost', true],
  ['timeout expired', 'connection-lost', true],
  ['Query read timeout', 'connection-lost', true],
  ['connect timed out', 'connection-lost', true],
  ['Client was closed and is not queryable', 'connection-lost', true],
  ['Client has encountered a connection error and is not queryable', 'connection-lost', true],
  ['This socket has been ended by the other party', 'connection-lost', true],
  ['socket hang up', 'connection-lost', true],
  ['SSL SYSCALL error: EOF detected', 'connection-lost', true],
  ['SSL connection has been closed unexpectedly', 'connection-lost', true],
  ['The server does not support SSL connections', 'tls-refused', false],
  ['There was an error establishing an SSL connection', 'tls-refused', false],
  ['self-signed certificate in certificate chain', 'tls-refused', false],
  ['self signed certificate', 'tls-refused', false],
  ['Received unexpected dataRow message from backend.', 'query-failed', false, /See the message/],
  ['the value is recommended and intended', 'query-failed', false],
];

test('55000 is the state of many things, and a materialized view without rows is told by its words', () => {
  const failure = failureOf('materialized view "v" has not been populated', { code: '55000' });
  assert.equal(failure.code, 'not-populated');
  assert.match(failure.hint, /REFRESH MATERIALIZED VIEW/);
  assert.equal(failureOf('lastval is not yet defined in this session', { code: '55000' }).code, 'query-failed');
});

/** All of them with 08P01, as PgBouncer answers; and the server, for a statement with a $1 that nobody gave a value. */
const POOLER_WORDS: readonly Row[] = [
  ['bind message supplies 0 parameters, but prepared statement "" requires 1', 'bad-value', false, /params/],
  ['no such database: events', 'database-not-found', false],
  ['server login failed: FATAL database "events" does not exist', 'database-not-found', false],
  ['no such user: archiver', 'login-refused', false],
  ['SASL authentication failed', 'login-refused', false],
  ['auth failed', 'login-refused', false],
  ['login rejected', 'login-refused', false],
  ['server login failed: FATAL password authentication failed for user "archiver"', 'login-refused', false],
  ['server login failed: FATAL role "archiver" does not exist', 'login-refused', false],
  ['server login failed: FATAL no pg_hba.conf entry for host "10.0.0.7"', 'login-refused', false],
  ['server login has been failing, cached error: password authentication failed', 'login-refused', false],
  ['server login has been failing, cached error: connect failed (server_login_retry)', 'connection-lost', true],
  ['server login has been failing, try again later (server_login_retry)', 'connection-lost', true],
  ['server login failed: FATAL the database system is starting up', 'connection-lost', true],
  ['server login failed: FATAL sorry, too many clients already', 'too-many-connections', true],
  ['server login failed: FATAL remaining connection slots are reserved', 'too-many-connections', true],
  ['no more connections allowed (max_client_conn)', 'too-many-connections', true],
  ['client_login_timeout (server down)', 'connection-lost', true, /host and port/],
  ['query_wait_timeout', 'connection-lost', true, /time-out/],
  ['idle transaction timeout', 'connection-lost', true, /time-out/],
  ['SSL required', 'tls-refused', false],
  ['TLS required', 'tls-refused', false],
  ['unsupported startup parameter: extra_float_digits', 'not-supported', false, /ignore_startup_parameters/],
  ['server conn crashed?', 'connection-lost', true],
];

const SNAPSHOT_WORDS = [
  'invalid snapshot identifier: "00000003-0000001B-1"',
  'could not import the requested snapshot',
  'snapshot "00000003-0000001B-1" does not exist',
];

describe('an error of Postgres', () => {
  for (const [state, code, transient, hint] of [...STATES, ...CLASSES, ...OTHER_STATES]) {
    test(`with SQLSTATE ${state} is ${code}`, () => {
      const failure = failureOf('no', { code: state });
      check(failure, code, transient, hint);
      assert.equal(failure.cause, `SQLSTATE ${state}`);
    });
  }

  for (const text of SNAPSHOT_WORDS) {
    test(`that says "${text}" is snapshot-lost, whatever its SQLSTATE`, () => {
      for (const code of ['22023', '42704', '55000', undefined])
        check(failureOf(text, { code }), 'snapshot-lost', false, /resumed/);
    });
  }

  test('keeps its code when a name only looks like a lost snapshot', () => {
    check(failureOf('relation "my snapshot 1" does not exist', { code: '42P01' }), 'table-not-found', false, undefined);
  });

  test('goes by its SQLSTATE, not by words of the network or of TLS in its text', () => {
    check(failureOf('column "closed" does not exist', { code: '42703' }), 'column-not-found', false, undefined);
    check(
      failureOf('relation "ssl_certificates" does not exist', { code: '42P01' }),
      'table-not-found',
      false,
      undefined,
    );
    check(failureOf('no such database: x', { code: '42P01' }), 'table-not-found', false, undefined);
  });

  test('has its detail and the hint of the server in the message', () => {
    const failure = failureOf('permission denied', { code: '42501', detail: 'For table a.', hint: 'Ask.' });
    assert.equal(failure.message, 'reading events: permission denied For table a. Ask.');
    assert.equal(failure.stage, 'read');
  });
});

describe('an error of PgBouncer', () => {
  for (const [text, code, transient, hint] of POOLER_WORDS) {
    test(`that says "${text}" is ${code}`, () => {
      check(failureOf(text, { code: '08P01' }), code, transient, hint);
    });
  }
});

describe('an error of the connection', () => {
  for (const [given, code, transient, hint] of [...NETWORK_CODES, ...TLS_CODES, ...OWN_CODES]) {
    test(`with the code ${given} is ${code}`, () => {
      const failure = failureOf('no', { code: given });
      check(failure, code, transient, hint);
      assert.equal(failure.cause, given);
    });
  }

  for (const [text, code, transient, hint] of WORDS) {
    test(`without a code that says "${text}" is ${code}`, () => {
      check(failureOf(text), code, transient, hint);
    });
  }

  test('goes by its code, though its text speaks of TLS: a drop in the handshake says nothing of certificates', () => {
    const text = 'Client network socket disconnected before secure TLS connection was established';
    check(failureOf(text, { code: 'ECONNRESET' }), 'connection-lost', true, undefined);
    check(failureOf('write EPIPE, SSL', { code: 'EPIPE' }), 'connection-lost', true, undefined);
    check(
      failureOf('certificate has expired, connection closed', { code: 'CERT_HAS_EXPIRED' }),
      'tls-refused',
      false,
      undefined,
    );
  });

  test('to several addresses is that of the first one that did not answer', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    const untrusted = Object.assign(new Error('no'), { code: 'CERT_HAS_EXPIRED' });
    const of = (errors: Error[]): Failure =>
      postgresFailure(new AggregateError(errors), 'connect', 'connecting').failure;
    check(of([refused, refused]), 'connection-refused', true, /host and port/);
    check(of([untrusted, refused]), 'connection-refused', true, undefined);
    check(of([untrusted, untrusted]), 'tls-refused', false, undefined);
    check(of([new Error('no')]), 'query-failed', false, undefined);
  });
});

test('what is no error becomes a failure too, and what is one already is passed on', () => {
  check(postgresFailure('text', 'read', 'reading').failure, 'query-failed', false, undefined);
  check(postgresFailure(undefined, 'read', 'reading').failure, 'query-failed', false, undefined);
  const known = fail('locked', { stage: 'lock', message: 'no' });
  assert.equal(postgresFailure(known, 'read', 'reading'), known);
});
