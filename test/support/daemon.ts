/** A daemon that runs, with what a test asks it over HTTP and over its socket. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import type { State } from '../../src/daemon/view/state.ts';
import { type CliProcess, eventually } from './cli.ts';
import { PROGRAM } from './program.ts';
import type { Site } from './site.ts';

export const TOKEN = 'a-token-of-the-tests';
export const EVERY_SECOND = '* * * * * *';
export const NEVER = '0 0 1 1 *';

export interface HttpAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
}

export interface RequestParts {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

/** Asks a URL, or a path on a unix socket (`unix:SOCKET:PATH`). Any Host header may be given, as with no other client. */
export async function ask(url: string, { method = 'GET', headers = {}, body }: RequestParts = {}): Promise<HttpAnswer> {
  const [, socketPath, path] = /^unix:([^:]+):(.+)$/.exec(url) ?? [];
  const { hostname, port, pathname, search } = new URL(socketPath === undefined ? url : `http://localhost${path}`);
  const place = socketPath === undefined ? { hostname, port } : { socketPath };
  return new Promise((resolve, reject) => {
    const request = http.request({ ...place, path: pathname + search, method, headers, agent: false }, (answer) => {
      const { statusCode: status = 0 } = answer;
      text(answer).then((said) => {
        resolve({ status, headers: answer.headers, body: said });
      }, reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

export class TestDaemon {
  readonly cli: CliProcess;
  readonly config: string;
  readonly url: string;

  constructor(cli: CliProcess, config: string, url: string) {
    this.cli = cli;
    this.config = config;
    this.url = url;
  }

  get socket(): string {
    return `${this.config}.state/control.sock`;
  }

  async get(path: string): Promise<HttpAnswer> {
    return ask(this.url + path);
  }

  async post(
    path: string,
    headers: Record<string, string> = { Authorization: `Bearer ${TOKEN}` },
    body?: string,
  ): Promise<HttpAnswer> {
    return ask(this.url + path, { method: 'POST', headers, ...(body === undefined ? {} : { body }) });
  }

  async json<T = Record<string, unknown>>(path: string): Promise<T> {
    const { status, body } = await this.get(path);
    assert.equal(status, 200, body);
    return JSON.parse(body) as T;
  }

  async archive(name: string): Promise<State['archives'][number]> {
    const { archives } = await this.json<State>('/api/state');
    const archive = archives.find((one) => one.name === name);
    assert.ok(archive !== undefined);
    return archive;
  }

  /** Resolves to the archive's state once it fits. */
  async until(name: string, fits: (archive: State['archives'][number]) => boolean): Promise<State['archives'][number]> {
    return eventually(`${name} is as expected`, async () => {
      const archive = await this.archive(name);
      return fits(archive) ? archive : undefined;
    });
  }

  async stop(): Promise<void> {
    this.cli.kill('SIGTERM');
    const ending = await this.cli.ended();
    assert.equal(ending.code, 0, ending.stderr);
  }
}

/** Starts `pgsluice daemon` with this config, and with HTTP on a free port. */
export async function startDaemon(
  site: Site,
  config: string,
  environment: Record<string, string> = {},
  program = PROGRAM,
): Promise<TestDaemon> {
  const cli = site.start(['daemon'], config, environment, program);
  const { address } = await cli.waitForLog(({ msg, option }) => msg === 'listening' && option === 'http.listen');
  await cli.waitForLog('daemon is ready');
  return new TestDaemon(cli, config, String(address));
}

/** HTTP on a free port, with a token. */
export const HTTP = { listen: '127.0.0.1:0', token: TOKEN };
