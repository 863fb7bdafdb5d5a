/**
 * Who may ask, and who may act: names of hosts against DNS rebinding, a bearer token, and no requests from other sites.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import net from 'node:net';
import { parseListen } from '../../config/location.ts';
import type { Config } from '../../config/schema.ts';
import { refusal, type Reply } from './reply.ts';

type HttpConfig = Config['http'];

/** Why a request is not answered at all; undefined when it may be. */
export function refuseHost(request: IncomingMessage, http: HttpConfig): Reply | undefined {
  // Of two, a proxy in front may have gone by the other one.
  const [named = '', ...others] = request.headersDistinct['host'] ?? [];
  const host = others.length > 0 ? undefined : hostOf(named);
  if (host !== undefined && (isLoopback(host) || ownNames(http).has(host))) return undefined;
  return refusal(421, 'wrong-host', "this name is not one of the daemon's; add it to http.hosts if it should be");
}

/** Why a request may not act; undefined when it may. Browsers send Origin with every POST, and cookies unasked. */
export function refuseAction(request: IncomingMessage, http: HttpConfig): Reply | undefined {
  const { origin, cookie, authorization = '' } = request.headers;
  if (cookie !== undefined) return refusal(403, 'cookies', 'requests with cookies are refused; give a bearer token');
  if (origin !== undefined && !isOwnOrigin(origin, request))
    return refusal(403, 'wrong-origin', 'this is no page of the daemon');
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return refusal(403, 'wrong-origin', 'this is no page of the daemon');
  if (http.token === undefined) return refusal(403, 'read-only', 'HTTP is read-only, as the config has no http.token');
  const [, token = ''] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
  if (isSame(token, http.token)) return undefined;
  return refusal(401, 'wrong-token', 'a bearer token is needed, the http.token of the config', {
    'WWW-Authenticate': 'Bearer realm="pgsluice"',
  });
}

/**
 * The name or address in a Host header, in lower case and without port, brackets and final dot; undefined when it is
 * none.
 */
function hostOf(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header);
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, '');
}

function isLoopback(host: string): boolean {
  if (host === 'localhost' || host.endsWith('.localhost') || host === '::1') return true;
  return net.isIPv4(host) && host.startsWith('127.');
}

function ownNames(http: HttpConfig): Set<string> {
  const listen = http.listen === undefined ? [] : [parseListen(http.listen)?.host ?? ''];
  return new Set([...http.hosts, ...listen].map((name) => name.toLowerCase().replaceAll(/^\[|\]$/g, '')));
}

function isOwnOrigin(origin: string, request: IncomingMessage): boolean {
  const url = URL.parse(origin);
  return url !== null && url.host === (request.headers.host ?? '').toLowerCase();
}

/** Takes the same time however much of it is right. */
function isSame(token: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(token), digest(expected));
}
