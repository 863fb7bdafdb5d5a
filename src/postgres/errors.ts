/** Says of every error that Postgres, PgBouncer or the driver gives what it means, and whether another try may help. */
import { errorText, fail, FailureError, type FailureKind, type Stage } from '../base/errors.ts';
import { isNetworkCode, isTlsCode, kindOfNetworkCode } from '../base/network.ts';

const ENDED_BY_TIMEOUT: FailureKind = {
  code: 'connection-lost',
  hint: 'The server or a pooler ended the session by a time-out: see idle_in_transaction_session_timeout, transaction_timeout and idle_session_timeout of this role.',
};
const SERVER_STOPPED: FailureKind = {
  code: 'connection-lost',
  hint: 'The server was stopped or the session was terminated: see its log.',
};
const UNREACHABLE: FailureKind = {
  code: 'connection-lost',
  hint: 'Check that the server is up and that the host and port in the url of this source are right.',
};

const BY_STATE: Readonly<Record<string, FailureKind>> = {
  '0A000': { code: 'not-supported' },
  '22003': { code: 'bad-value' },
  '22007': { code: 'bad-value' },
  '22008': { code: 'bad-value' },
  '22015': { code: 'bad-value' },
  '22021': { code: 'invalid-bytes' },
  '22P02': { code: 'bad-value' },
  '22P05': { code: 'invalid-bytes' },
  '25006': { code: 'read-only' },
  '25P03': ENDED_BY_TIMEOUT,
  '25P04': ENDED_BY_TIMEOUT,
  '28000': {
    code: 'login-refused',
    hint: 'pg_hba.conf of the server does not let this role in from this host, or the role does not exist.',
  },
  '28P01': { code: 'login-refused', hint: 'The password of this source is wrong.' },
  '3D000': { code: 'database-not-found' },
  '3F000': { code: 'table-not-found', hint: 'The schema does not exist; check its name.' },
  '40001': { code: 'serialization-failure' },
  '40P01': { code: 'deadlock' },
  '42501': { code: 'permission-denied' },
  '42601': { code: 'syntax-error' },
  '42703': { code: 'column-not-found' },
  '42883': { code: 'unknown-function' },
  '42P01': { code: 'table-not-found' },
  '53100': { code: 'source-disk-full' },
  '53300': { code: 'too-many-connections' },
  '55P03': { code: 'lock-not-available' },
  '57014': { code: 'query-cancelled' },
  '57P04': { code: 'database-not-found', hint: 'The database was dropped while pgsluice was connected to it.' },
  '57P05': ENDED_BY_TIMEOUT,
  '72000': {
    code: 'snapshot-lost',
    hint: 'The server dropped the snapshot (old_snapshot_threshold). Raise that setting.',
  },
  // What extensions raise for plain errors; XX001 and XX002 alone are corrupted data.
  XX000: {
    code: 'query-failed',
    hint: 'The server or one of its extensions reports an internal error; see its message, and the log of the server.',
  },
  XX001: { code: 'server-corruption' },
  XX002: { code: 'server-corruption' },
};

const BY_CLASS: Readonly<Record<string, FailureKind>> = {
  '08': {
    code: 'connection-lost',
    hint: 'The connection to Postgres broke. Look at the server log and the network between.',
  },
  '53': { code: 'server-out-of-resources' },
  '57': SERVER_STOPPED,
  '58': { code: 'server-io-error' },
};

/**
 * PgBouncer answers with 08P01 whatever is wrong, and says it in words; the server does so for a statement that has other values
 * than it needs. The first that matches decides.
 */
const BY_POOLER_TEXT: readonly (readonly [RegExp, FailureKind])[] = [
  [
    /^bind message supplies \d+ parameters/,
    {
      code: 'bad-value',
      hint: 'Give params one value for each of $1, $2 … in query; a where takes none, write the value itself there.',
    },
  ],
  [/no such database|database ".*" does not exist/i, { code: 'database-not-found' }],
  [/no more connections|too many (?:clients|connections)|connection slots/i, { code: 'too-many-connections' }],
  [/connect failed|connect timeout|server down/i, UNREACHABLE],
  [/starting up|shutting down|recovery mode/i, SERVER_STOPPED],
  [
    /no such user|(?:login|auth|authentication) failed|login rejected|role ".*" does not exist|pg_hba\.conf/i,
    { code: 'login-refused' },
  ],
  [/(?:SSL|TLS) required/i, { code: 'tls-refused' }],
  [
    /unsupported startup parameter/i,
    { code: 'not-supported', hint: 'Name the parameter in ignore_startup_parameters of PgBouncer.' },
  ],
  [/_timeout\b|transaction timeout/i, ENDED_BY_TIMEOUT],
];

/** Words of the driver and of libpq, which come without a code. The network stands before TLS, through which it breaks too. */
const BY_TEXT: readonly (readonly [RegExp, FailureKind])[] = [
  [/\bterminated\b|time-?out|timed out|\bclosed\b|\bended\b|socket hang up|not queryable|SSL SYSCALL/i, UNREACHABLE],
  [
    /client password must be a string/i,
    {
      code: 'login-refused',
      hint: 'The server asks for a password, and the url of this source has none: write it there, as postgres://user:${PASSWORD}@host/db.',
    },
  ],
  [/certificate|SSL|TLS|self[- ]signed/i, { code: 'tls-refused' }],
];

/** 55000 is the state of many things that are not as they must be. */
const NOT_POPULATED = /^materialized view ".*" has not been populated/;

const SNAPSHOT_GONE =
  /invalid snapshot identifier|could not import the requested snapshot|^snapshot ".*" does not exist/i;

/** Wraps an error of the driver into a FailureError; one that is a FailureError already is passed on. */
export function postgresFailure(error: unknown, stage: Stage, doing: string): FailureError {
  if (error instanceof FailureError) return error;
  const code = fieldOf(error, 'code');
  const detail = [errorText(error), fieldOf(error, 'detail'), fieldOf(error, 'hint')].filter(
    (text) => text !== undefined,
  );
  const cause = code !== undefined && isState(code) ? `SQLSTATE ${code}` : code;
  return fail(kindOf(error), { stage, message: `${doing}: ${detail.join(' ')}`, cause }, { cause: error });
}

/** Codes of the network come first, as EPIPE has the form of a SQLSTATE; then what the server says; then mere words. */
function kindOf(error: unknown): FailureKind {
  const text = errorText(error);
  if (SNAPSHOT_GONE.test(text)) return { code: 'snapshot-lost' };
  const code = fieldOf(error, 'code') ?? '';
  return kindOfNetwork(error, code) ?? (isState(code) ? kindOfState(code, text) : kindOfText(text));
}

function kindOfNetwork(error: unknown, code: string): FailureKind | undefined {
  if (code === 'EMFILE' || code === 'ENFILE') return { code: 'too-many-open-files' };
  if (isNetworkCode(code)) return { ...UNREACHABLE, code: kindOfPostgresNetwork(code) };
  if (isTlsCode(code)) return { code: 'tls-refused' };
  if (!(error instanceof AggregateError)) return undefined;
  // One of several addresses that does not answer is worth another try, whatever the others say.
  const inner = error.errors.map((each) => kindOfNetwork(each, fieldOf(each, 'code') ?? ''));
  return inner.find((kind) => kind?.hint === UNREACHABLE.hint) ?? inner.find((kind) => kind !== undefined);
}

/** A unix socket that is not there, or that this user may not open, is as good as nobody who listens. */
function kindOfPostgresNetwork(code: string): ReturnType<typeof kindOfNetworkCode> {
  return code === 'ENOENT' || code === 'EACCES' ? 'connection-refused' : kindOfNetworkCode(code);
}

function kindOfState(state: string, text: string): FailureKind {
  if (state === '55000' && NOT_POPULATED.test(text)) return { code: 'not-populated' };
  const ofPooler = state === '08P01' ? match(BY_POOLER_TEXT, text) : undefined;
  return ofPooler ?? BY_STATE[state] ?? BY_CLASS[state.slice(0, 2)] ?? { code: 'query-failed' };
}

function kindOfText(text: string): FailureKind {
  return match(BY_TEXT, text) ?? { code: 'query-failed', hint: 'See the message.' };
}

function match(rules: readonly (readonly [RegExp, FailureKind])[], text: string): FailureKind | undefined {
  return rules.find(([pattern]) => pattern.test(text))?.[1];
}

/** The SQLSTATE of what the server said; empty for what the driver or the network says. */
export function sqlStateOf(error: unknown): string {
  const code = fieldOf(error, 'code') ?? '';
  return isState(code) ? code : '';
}

function isState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code) && !isNetworkCode(code);
}

function fieldOf(error: unknown, name: string): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}
