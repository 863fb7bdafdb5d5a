/**
 * What a config lays open to others more than it needs to. All of it works, and may be meant; so it is said, not
 * refused.
 */
import { statSync } from 'node:fs';
import net from 'node:net';
import { parsePostgresUrl } from '../postgres/url.ts';
import { parseListen } from './location.ts';
import { readText } from './read.ts';
import type { Config, DestinationConfig, SourceConfig } from './schema.ts';
import { secretValues } from './secrets.ts';

/** Lines for `check` and the log; empty when there is nothing to say. */
export function exposureWarnings(config: Config, environment: NodeJS.ProcessEnv): string[] {
  return [
    ...warnOfListening(config.http.listen),
    ...Object.values(config.sources).flatMap((source) => warnOfSource(source, environment)),
    ...Object.values(config.destinations).flatMap(warnOfEndpoint),
  ];
}

/** Others on this machine may read a file that holds a secret: then the secret is theirs too. */
export function fileWarnings(file: string, config: Config): string[] {
  try {
    if ((statSync(file).mode & OTHERS_READ) === 0) return [];
    const text = readText(file);
    const written = secretValues(config).filter((secret) => secret.length >= MIN_SECRET_CHARS && text.includes(secret));
    return written.length === 0
      ? []
      : [`${file} holds secrets and can be read by every user of this machine; chmod 640 ${file}, or use \${NAME}`];
  } catch {
    // It could be read a moment ago; a pipe cannot be read a second time.
    return [];
  }
}

const OTHERS_READ = 0o004;
const MIN_SECRET_CHARS = 4;

/** What root can be made to do, any user can do who finds a way into the process. */
export function userWarnings(uid: number | undefined): string[] {
  return uid === 0
    ? ['running as root: nothing here needs it; use a user of its own, as the systemd unit does (docs/install.md)']
    : [];
}

function warnOfListening(listen: string | undefined): string[] {
  const host = listen === undefined ? undefined : parseListen(listen)?.host;
  if (host === undefined || isLoopback(host)) return [];
  return [
    `http.listen: ${host} can be reached from other machines, without TLS; listen on 127.0.0.1 behind a proxy that has it`,
  ];
}

function warnOfEndpoint({ name, endpoint }: DestinationConfig): string[] {
  const url = endpoint === undefined ? null : URL.parse(endpoint);
  if (url?.protocol !== 'http:' || isLoopback(url.hostname)) return [];
  return [`destinations.${name}.endpoint: http:// sends rows and signed requests in clear text; use https://`];
}

function warnOfSource({ name, url }: SourceConfig, environment: NodeJS.ProcessEnv): string[] {
  const { host = environment['PGHOST'] ?? 'localhost', tls } = parsePostgresUrl(url);
  if (host.startsWith('/') || isLoopback(host)) return [];
  const where = `sources.${name}.url`;
  switch (tls ?? tlsOfEnvironment(environment)) {
    case 'disable':
      return [`${where}: rows and the login go over the network without TLS; add ?sslmode=verify-full`];
    case 'encrypt':
      return [`${where}: the server's certificate is not verified, so anybody between can read along; use verify-full`];
    case 'verify':
      return [];
  }
}

function tlsOfEnvironment({ PGSSLMODE: mode = '' }: NodeJS.ProcessEnv): 'disable' | 'encrypt' | 'verify' {
  if (mode === 'no-verify') return 'encrypt';
  return ['prefer', 'require', 'verify-ca', 'verify-full'].includes(mode) ? 'verify' : 'disable';
}

function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[(.+)\]$/, '$1').toLowerCase();
  if (host === 'localhost' || host.endsWith('.localhost') || host === '::1') return true;
  return net.isIPv4(host) && host.startsWith('127.');
}
