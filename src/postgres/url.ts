/** Reads a connection URL as libpq documents it, and says in plain words what of it we cannot do, without echoing a value. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { nearestName } from '../base/suggest.ts';

/** Where a URL leads and how; what it leaves open is undefined, and the driver takes it from PGHOST, PGUSER and the like. */
export interface PostgresUrl {
  host: string | undefined;
  port: number | undefined;
  user: string | undefined;
  password: string | undefined;
  database: string | undefined;
  /** Undefined when the URL says nothing of TLS. */
  tls: TlsMode | undefined;
  /** The sslmode that verifies as `verify-full` here, and less in libpq; undefined for any other one. */
  stricterThan: string | undefined;
  /** Paths of PEM files. */
  files: { ca?: string; cert?: string; key?: string };
  sslnegotiation: 'postgres' | 'direct' | undefined;
  channelBinding: boolean;
  /** `-c name=value …` for the server. */
  options: string | undefined;
}

/** `require`, `prefer` and `verify-ca` verify as `verify-full` does, unlike libpq; see docs/install.md. */
export type TlsMode = 'disable' | 'encrypt' | 'verify';

const SSL_MODES: Record<string, TlsMode> = {
  disable: 'disable',
  prefer: 'verify',
  require: 'verify',
  'verify-ca': 'verify',
  'verify-full': 'verify',
  'no-verify': 'encrypt',
};

/** What may stand behind the `?`; `true` where it is taken and has no effect with us. */
const PARAMETERS: Record<string, true | ((value: string) => string | undefined)> = {
  host: describeHostProblem,
  port: (value) => (isPort(value) ? undefined : 'port must be a number from 1 to 65535'),
  user: () => undefined,
  password: () => undefined,
  dbname: () => undefined,
  sslmode: (value) =>
    Object.hasOwn(SSL_MODES, value)
      ? undefined
      : `sslmode must be ${Object.keys(SSL_MODES).join(', ')}, in small letters`,
  ssl: (value) => (['true', '1', 'false', '0', 'no-verify'].includes(value) ? undefined : 'ssl must be true or false'),
  sslrootcert: () => undefined,
  sslcert: () => undefined,
  sslkey: () => undefined,
  sslnegotiation: (value) =>
    ['postgres', 'direct'].includes(value) ? undefined : 'sslnegotiation must be postgres or direct',
  channel_binding: (value) =>
    ['disable', 'prefer', 'require'].includes(value) ? undefined : 'channel_binding must be disable, prefer or require',
  uselibpqcompat: (value) => (['true', 'false'].includes(value) ? undefined : 'uselibpqcompat must be true or false'),
  target_session_attrs: (value) =>
    value === 'any' ? undefined : 'target_session_attrs is not supported; name the one host that is meant',
  service: () => 'service is not supported; write what the service file says into the URL',
  passfile: () => 'passfile is not supported; write ${file:/path} or ${NAME} in the place of the password',
  options: () => undefined,
  // Ours are set on each connection, so that it can be found on the server, and so that a dead one is noticed.
  application_name: true,
  fallback_application_name: true,
  client_encoding: true,
  connect_timeout: true,
  keepalives: true,
  keepalives_idle: true,
  keepalives_interval: true,
  keepalives_count: true,
  tcp_user_timeout: true,
  gssencmode: true,
  sslcompression: true,
  sslsni: true,
};

/** What is wrong with a connection URL; undefined when it can be used. */
export function describePostgresUrlProblem(text: string): string | undefined {
  const read = readUrl(text);
  return typeof read === 'string' ? read : undefined;
}

/** Throws an Error with the problem when the URL cannot be used; one from a config that was loaded can. */
export function parsePostgresUrl(text: string): PostgresUrl {
  const read = readUrl(text);
  if (typeof read === 'string') throw new Error(`the connection URL ${read}`);
  return read;
}

const ENCODE = 'special characters in a password are written as %XX, such as %23 for #, %2F for / and %40 for @';

function readUrl(text: string): PostgresUrl | string {
  if (!/^postgres(?:ql)?:\/\//i.test(text)) return 'must be a postgres:// URL';
  if (/^[^/]*\/\/(?:[^@/?#]*@)?[^/?#]*,/.test(text))
    return 'must name one host: several are not tried one after the other; name the one that is meant';
  // Only the host may be left out, as libpq allows it where `?host=` names a folder with a socket.
  const url = URL.parse(text) ?? URL.parse(text.replace('@/', `@${NO_HOST}/`));
  if (url === null) return `must be a valid postgres:// URL; ${ENCODE}`;
  // What an unencoded password leaves behind its own /, ? or #, which would be taken for a database or a parameter.
  if (url.hash !== '' || /[@/]/.test(url.pathname.slice(1)) || url.search.includes('@'))
    return `must be a valid postgres:// URL; ${ENCODE}`;
  return describeParameters(url.searchParams) ?? describeDecoding(url) ?? toPostgresUrl(url);
}

const NO_HOST = 'no-host.invalid';

function describeParameters(parameters: URLSearchParams): string | undefined {
  for (const [name, value] of parameters) {
    const rule = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : undefined;
    if (rule === undefined) return describeUnknown(name);
    const problem = rule === true ? undefined : rule(value);
    if (problem !== undefined) return `is not good: ${problem}`;
  }
  return undefined;
}

/** The name is echoed only where it is near one that exists: else it may be the rest of a password. */
function describeUnknown(name: string): string {
  const known = Object.keys(PARAMETERS);
  const near = nearestName(name.toLowerCase(), known);
  return near === undefined
    ? `has a parameter that is not known; known are: ${known.join(', ')}`
    : `has a parameter that is not known; did you mean "${near}"?`;
}

function describeDecoding({ username, password, hostname, pathname }: URL): string | undefined {
  const parts = [username, password, hostname, pathname];
  return parts.every((part) => decode(part) !== undefined)
    ? undefined
    : `has a % that is not followed by two hex digits`;
}

function toPostgresUrl(url: URL): PostgresUrl {
  const parameter = (name: string): string | undefined => nonEmpty(url.searchParams.get(name));
  const hostname = url.hostname === NO_HOST ? '' : url.hostname.replace(/^\[(.+)\]$/, '$1');
  const port = parameter('port') ?? nonEmpty(url.port);
  const files = { ca: parameter('sslrootcert'), cert: parameter('sslcert'), key: parameter('sslkey') };
  return {
    host: parameter('host') ?? nonEmpty(decode(hostname)),
    port: port === undefined ? undefined : Number(port),
    user: parameter('user') ?? nonEmpty(decode(url.username)),
    password: parameter('password') ?? nonEmpty(decode(url.password)),
    database: parameter('dbname') ?? nonEmpty(decode(url.pathname.slice(1))),
    tls: tlsMode(parameter),
    stricterThan: stricterThan(parameter),
    files: Object.fromEntries(Object.entries(files).filter(([, file]) => file !== undefined)),
    sslnegotiation: parameter('sslnegotiation') as PostgresUrl['sslnegotiation'],
    channelBinding: ['prefer', 'require'].includes(parameter('channel_binding') ?? ''),
    options: parameter('options'),
  };
}

function tlsMode(parameter: (name: string) => string | undefined): TlsMode | undefined {
  const mode = parameter('sslmode');
  if (mode !== undefined) {
    const isLibpq = parameter('uselibpqcompat') === 'true';
    const verifiesInLibpq = mode.startsWith('verify') || parameter('sslrootcert') !== undefined;
    return isLibpq && !verifiesInLibpq && mode !== 'disable' ? 'encrypt' : SSL_MODES[mode];
  }
  switch (parameter('ssl')) {
    case 'true':
    case '1':
      return 'verify';
    case 'no-verify':
      return 'encrypt';
    case 'false':
    case '0':
      return 'disable';
    default:
      return impliesTls(parameter) ? 'verify' : undefined;
  }
}

function stricterThan(parameter: (name: string) => string | undefined): string | undefined {
  const mode = parameter('sslmode');
  return mode !== 'verify-full' && tlsMode(parameter) === 'verify' ? mode : undefined;
}

function impliesTls(parameter: (name: string) => string | undefined): boolean {
  const hasFile = ['sslrootcert', 'sslcert', 'sslkey'].some((name) => parameter(name) !== undefined);
  return hasFile || parameter('sslnegotiation') === 'direct';
}

/** Whether two URLs name the same database, by what they say: two names of one server are not seen through. */
export function isSameDatabase(one: string, other: string): boolean {
  const [a, b] = [placeOf(one), placeOf(other)];
  return a.every((part, at) => part === b[at]);
}

function placeOf(url: string): (string | number | undefined)[] {
  const { host = 'localhost', port = 5432, database, user } = parsePostgresUrl(url);
  return [host.toLowerCase(), port, database ?? user];
}

/** What the driver takes for `ssl`; undefined leaves it to PGSSLMODE. Throws an Error that names a file that cannot be read. */
export function tlsOptions({ tls, files }: PostgresUrl): ConnectionOptions | false | undefined {
  if (tls === undefined || tls === 'disable') return tls === undefined ? undefined : false;
  const pems = Object.entries(files).map(([name, file]) => [name, readPem(file)]);
  return { ...(Object.fromEntries(pems) as ConnectionOptions), rejectUnauthorized: tls === 'verify' };
}

/** A certificate or a key that the URL names cannot be read. */
export class TlsFileError extends Error {}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new TlsFileError(`${file}, which the connection URL names for TLS, cannot be read: ${code}`);
  }
}

function describeHostProblem(value: string): string | undefined {
  return value.includes(',') ? 'host must be one host or one folder of a socket' : undefined;
}

function isPort(value: string): boolean {
  return /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function nonEmpty(text: string | null | undefined): string | undefined {
  return text === null || text === '' ? undefined : text;
}
