/** Says of every error that Postgres or its driver gives what it means, and whether another try may help. */
import { errorText, FailureError, type Stage } from '../base/errors.ts';
import type { FailureCode } from '../base/failures.ts';

interface Meaning {
  code: FailureCode;
  transient: boolean;
  hint: string;
}

const BY_STATE: Record<string, Meaning> = {
  '42P01': {
    code: 'table-not-found',
    transient: false,
    hint: 'Check the name, its schema and its quotes; names are case-sensitive inside quotes.',
  },
  '3F000': { code: 'table-not-found', transient: false, hint: 'The schema does not exist; check its name.' },
  '42703': {
    code: 'column-not-found',
    transient: false,
    hint: 'Check the names in columns, exclude, key, where and query.',
  },
  '42501': {
    code: 'permission-denied',
    transient: false,
    hint: 'GRANT USAGE on the schema and SELECT on the table to the role of this source. Where row-level security hides rows, the role needs BYPASSRLS: an archive with hidden rows would not be whole.',
  },
  '28P01': { code: 'login-refused', transient: false, hint: 'The password of this source is wrong.' },
  '28000': {
    code: 'login-refused',
    transient: false,
    hint: 'pg_hba.conf of the server does not let this role in from this host, or the role does not exist.',
  },
  '3D000': { code: 'database-not-found', transient: false, hint: 'Check the database name in the url of this source.' },
  '42601': {
    code: 'syntax-error',
    transient: false,
    hint: 'Correct the SQL of where or query; `pgsluice check --online` tries it.',
  },
  '57014': {
    code: 'query-cancelled',
    transient: false,
    hint: 'Somebody cancelled the query on the server (pg_cancel_backend, or a timeout set for this role). Run it again when that is no longer the case.',
  },
  '53300': {
    code: 'too-many-connections',
    transient: true,
    hint: 'Raise max_connections, or lower workers.threads: a run takes one connection and one more a thread.',
  },
  '53100': { code: 'source-disk-full', transient: false, hint: 'The disk of the database server is full.' },
  '25006': {
    code: 'read-only',
    transient: false,
    hint: 'The statement wants to write; a source is only read. Use a query that only selects.',
  },
  '0A000': {
    code: 'not-supported',
    transient: false,
    hint: 'The server does not support this statement; see its message.',
  },
  '22P02': {
    code: 'bad-value',
    transient: false,
    hint: 'A value in where, query or params does not have the form of its type.',
  },
  '42883': {
    code: 'unknown-function',
    transient: false,
    hint: 'A function or an operator in where or query does not exist for these types; add a cast.',
  },
  '40001': {
    code: 'serialization-failure',
    transient: true,
    hint: 'On a standby: set hot_standby_feedback = on, or raise max_standby_streaming_delay, so that long reads are not cancelled.',
  },
  '40P01': {
    code: 'deadlock',
    transient: true,
    hint: 'Another session held a lock that this one needed; it is tried again.',
  },
  '55P03': {
    code: 'lock-not-available',
    transient: true,
    hint: 'Another session holds an exclusive lock on the table, such as ALTER TABLE or VACUUM FULL. Schedule the archive at another time.',
  },
  '72000': {
    code: 'snapshot-lost',
    transient: false,
    hint: 'The server dropped the snapshot (old_snapshot_threshold). Raise that setting.',
  },
};

const BY_CLASS: Record<string, Meaning> = {
  '08': {
    code: 'connection-lost',
    transient: true,
    hint: 'The connection to Postgres broke. Look at the server log and the network between.',
  },
  '53': {
    code: 'server-out-of-resources',
    transient: true,
    hint: 'The database server is out of memory, disk or connections.',
  },
  '57': {
    code: 'connection-lost',
    transient: true,
    hint: 'The server was stopped or the session was terminated. It is tried again.',
  },
  '58': {
    code: 'server-io-error',
    transient: false,
    hint: 'The database server could not read its files; look at its log at once.',
  },
  XX: {
    code: 'server-corruption',
    transient: false,
    hint: 'The database server reports an internal error or corrupted data; look at its log at once.',
  },
};

const NETWORK: Meaning = {
  code: 'connection-lost',
  transient: true,
  hint: 'Check that the server is up and that the host and port in the url of this source are right.',
};

const TLS: Meaning = {
  code: 'tls-refused',
  transient: false,
  hint: 'Check sslmode in the url: "require" verifies the certificate here; sslmode=no-verify does not, and sslrootcert=/path names a CA.',
};

/** Wraps an error of the driver into a FailureError; one that is a FailureError already is passed on. */
export function postgresFailure(error: unknown, stage: Stage, doing: string): FailureError {
  if (error instanceof FailureError) return error;
  const meaning = meaningOf(error);
  const state = stateOf(error);
  const detail = [errorText(error), fieldOf(error, 'detail'), fieldOf(error, 'hint')].filter(
    (text) => text !== undefined,
  );
  return new FailureError(
    {
      code: meaning.code,
      stage,
      transient: meaning.transient,
      message: `${doing}: ${detail.join(' ')}`,
      hint: meaning.hint,
      ...(state === undefined ? {} : { cause: `SQLSTATE ${state}` }),
    },
    { cause: error },
  );
}

function meaningOf(error: unknown): Meaning {
  const state = stateOf(error);
  const text = errorText(error);
  if (/invalid snapshot identifier|could not import the requested snapshot|snapshot .* does not exist/i.test(text)) {
    return {
      code: 'snapshot-lost',
      transient: false,
      hint: 'The connection that held the snapshot is gone; the run is resumed or planned again.',
    };
  }
  if (state !== undefined && /^[0-9A-Z]{5}$/.test(state)) {
    const known = BY_STATE[state] ?? BY_CLASS[state.slice(0, 2)];
    return (
      known ?? { code: 'query-failed', transient: false, hint: 'Postgres refused the statement; see its message.' }
    );
  }
  if (/certificate|SSL|TLS|self[- ]signed/i.test(text)) return TLS;
  if (isNetworkError(error, text)) return NETWORK;
  return { code: 'query-failed', transient: false, hint: 'See the message.' };
}

function isNetworkError(error: unknown, text: string): boolean {
  if (/terminated|timeout|timed out|closed|ended|socket hang up|not queryable/i.test(text)) return true;
  if (error instanceof AggregateError) return error.errors.some((inner) => isNetworkError(inner, errorText(inner)));
  const code = stateOf(error);
  return code !== undefined && /^E[A-Z_]+$/.test(code);
}

function stateOf(error: unknown): string | undefined {
  return fieldOf(error, 'code');
}

function fieldOf(error: unknown, name: string): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}
