/** Asks the daemon that runs: over its unix socket, or over HTTP with a token. */
import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { errorText, UsageError } from '../base/errors.ts';
import { findControlSocket, SERVICE_SOCKET } from '../config/control-socket.ts';
import { DEFAULT_CONFIG } from './entry.ts';
import { type Invocation } from './invocation.ts';

export interface ControlOptions {
  /** Path of the socket; absent: the one that the config names. */
  socket?: string;
  /** Base URL of the page, instead of a socket. */
  url?: string;
}

export interface ControlAnswer {
  status: number;
  /** The JSON document; of a refusal, `{ error: { code, message } }`. */
  body: unknown;
}

const TIMEOUT_MS = 60_000;
const TOKEN_VARIABLE = 'PGSLUICE_TOKEN';

/** Throws UsageError when the daemon cannot be reached by what was given at all. */
export async function askDaemon(
  invocation: Invocation,
  options: ControlOptions,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<ControlAnswer> {
  const target = targetOf(invocation, options, path);
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    ...target.headers,
    ...(payload === undefined
      ? {}
      : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(payload) }),
  };
  return new Promise((resolve, reject) => {
    const request = target.module.request({ ...target.place, method, headers, timeout: TIMEOUT_MS }, (answer) => {
      text(answer).then((said) => {
        resolve({ status: answer.statusCode ?? 0, body: parse(said, target.name) });
      }, reject);
    });
    request.on('timeout', () => request.destroy(new Error('it did not answer in time')));
    request.on('error', (error: NodeJS.ErrnoException) => {
      reject(unreachable(target.name, error));
    });
    request.end(payload);
  });
}

/** Nothing listens there: no daemon runs, or somewhere else; or this user may not ask. */
export class Unreachable extends Error {
  readonly code: 'not-running' | 'not-allowed';

  constructor(message: string, code: Unreachable['code']) {
    super(message);
    this.code = code;
  }
}

function unreachable(name: string, error: NodeJS.ErrnoException): Unreachable {
  switch (error.code) {
    case 'EACCES':
    case 'EPERM':
      return new Unreachable(`this user may not open ${name}`, 'not-allowed');
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new Unreachable(`the daemon is not running: nothing listens at ${name}`, 'not-running');
    default:
      return new Unreachable(`no daemon answers at ${name}: ${errorText(error)}`, 'not-running');
  }
}

interface Target {
  module: typeof http | typeof https;
  name: string;
  place: http.RequestOptions;
  headers: Record<string, string>;
}

function targetOf(invocation: Invocation, { socket, url }: ControlOptions, path: string): Target {
  if (socket !== undefined && url !== undefined) throw new UsageError('give --socket or --url, not both');
  if (url === undefined) {
    const socketPath = socket ?? findSocket(invocation);
    return { module: http, name: socketPath, place: { socketPath, path }, headers: { Host: 'localhost' } };
  }
  const base = URL.parse(url);
  if (base === null || !['http:', 'https:'].includes(base.protocol))
    throw new UsageError('--url must be the http:// or https:// address of the daemon, such as http://127.0.0.1:8432');
  const token = invocation.environment[TOKEN_VARIABLE] ?? '';
  const { hostname, port, protocol, origin, pathname } = base;
  return {
    module: protocol === 'https:' ? https : http,
    name: origin,
    place: { hostname: hostname.replaceAll(/^\[|\]$/g, ''), port, path: pathname.replace(/\/$/, '') + path },
    headers: token === '' ? {} : { Authorization: `Bearer ${token}` },
  };
}

/** A config that is named and not there is a slip of the pen; one that this user may not read is the service's. */
function findSocket({ configFile, environment }: Invocation): string {
  try {
    return findControlSocket(configFile, environment);
  } catch (error) {
    if (configFile === DEFAULT_CONFIG) return SERVICE_SOCKET;
    throw new UsageError(
      `${configFile}: cannot be read: ${errorText(error)}; name the config with --config, or --socket`,
    );
  }
}

function parse(said: string, name: string): unknown {
  try {
    return JSON.parse(said);
  } catch {
    return { error: { code: 'no-daemon', message: `what answers at ${name} is not the daemon` } };
  }
}
