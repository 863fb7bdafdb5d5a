/** Asks the daemon that runs: over its unix socket, or over HTTP with a token. */
import { existsSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { errorText, UsageError } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { type Invocation } from './invocation.ts';
import { printLines } from './terminal/print.ts';

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
/** Where the daemon listens by default: as the service of systemd/pgsluice.service, and started in any other way. */
const SERVICE_SOCKET = '/run/pgsluice/control.sock';
const DEFAULT_SOCKET = '/var/lib/pgsluice/control.sock';

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
        resolve({ status: answer.statusCode ?? 0, body: parse(said) });
      }, reject);
    });
    request.on('timeout', () => request.destroy(new Error('it did not answer in time')));
    request.on('error', (error) => {
      reject(new Unreachable(`no daemon answers at ${target.name}: ${errorText(error)}`));
    });
    request.end(payload);
  });
}

/** Nothing listens there: no daemon runs, or somewhere else. */
export class Unreachable extends Error {}

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

/**
 * A shell of the operator's has not the environment of the service: there, RUNTIME_DIRECTORY is not set, so the default place
 * differs, and a config that takes secrets from variables cannot be loaded. The usual places of a service are looked at then.
 */
function findSocket(invocation: Invocation): string {
  try {
    const { control } = loadConfig(invocation.configFile, invocation.environment);
    return control === DEFAULT_SOCKET && existsSync(SERVICE_SOCKET) ? SERVICE_SOCKET : control;
  } catch (error) {
    const found = [SERVICE_SOCKET, DEFAULT_SOCKET].find(existsSync);
    if (!(error instanceof UsageError) || found === undefined) throw error;
    printLines(invocation, [`${invocation.configFile} cannot be loaded here; asking ${found}`], invocation.stderr);
    return found;
  }
}

function parse(said: string): unknown {
  try {
    return JSON.parse(said);
  } catch {
    return { error: { code: 'no-daemon', message: 'what answers is not the daemon' } };
  }
}
