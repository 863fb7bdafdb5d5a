/**
 * The HTTP server of the page and the API, on a TCP address; and the same API on a unix socket, for those who may open
 * that.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { errorText } from '../../base/errors.ts';
import { makeFolderSync } from '../../base/make-folder.ts';
import type { Log } from '../../base/log.ts';
import { parseListen } from '../../config/location.ts';
import type { Config } from '../../config/schema.ts';
import { limitConnections } from './connections.ts';
import { refuseAction, refuseHost } from './guard.ts';
import { refusal, send, type Reply } from './reply.ts';
import { answer, type Backend } from './routes.ts';

const LIMITS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5000, maxHeaderSize: 16 * 1024 };
/** A connection on which nothing moves for so long is cut. Streams of events have a heartbeat. */
const IDLE_TIMEOUT_MS = 60_000;
/** Linux's limit for the path of a socket, with its NUL byte. */
const MAX_SOCKET_PATH_BYTES = 107;

export interface Listener {
  /** Where it listens: `http://127.0.0.1:8432`, or the path of the socket. */
  address: string;
  close: () => Promise<void>;
}

type Refuse = (request: http.IncomingMessage) => Reply | undefined;

/**
 * Listens on `http.listen`; the config is asked for at each request, as a reload may change the token. Rejects when it
 * cannot.
 */
export async function openHttp(
  listen: string,
  backend: Backend,
  http: () => Config['http'],
  log: Log,
): Promise<Listener> {
  const address = parseListen(listen);
  if (address === undefined) throw new Error(`${listen} is no host:port`);
  const server = createServer(
    backend,
    log,
    (request) => refuseHost(request, http()),
    (request) => refuseAction(request, http()),
  );
  await listening(server, () => server.listen(address));
  const bound = server.address() as net.AddressInfo;
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  return { address: `http://${host}:${bound.port}`, close: () => closeServer(server) };
}

/**
 * Listens on a unix socket, which only its owner and group may open; who may, may act. A socket that a killed daemon
 * left is replaced; one that somebody answers on is not. Rejects when it cannot listen.
 */
export async function openControl(socket: string, backend: Backend, log: Log): Promise<Listener> {
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH_BYTES) throw new Error('the path is too long for a unix socket');
  if (await isAnswered(socket)) throw new Error('another daemon listens on it');
  makeFolderSync(path.dirname(socket), 0o750);
  removeSocket(socket);
  const allow = (): undefined => undefined;
  const server = createServer(backend, log, allow, allow);
  await listening(server, () => listenPrivately(server, socket));
  return { address: socket, close: () => closeServer(server) };
}

/** Only ever a socket, which a killed daemon left: anything else in its place is somebody's file. */
function removeSocket(socket: string): void {
  const found = lstatSync(socket, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error('something that is not a socket stands there, and is left alone');
  unlinkSync(socket);
}

/**
 * Listening binds at once, and the mask is that of this moment: nobody else can open the socket before it has its mode.
 */
function listenPrivately(server: http.Server, socket: string): void {
  const mask = process.umask(0o177);
  try {
    server.listen(socket);
  } finally {
    process.umask(mask);
  }
  server.once('listening', () => {
    chmodSync(socket, 0o660);
  });
}

function createServer(backend: Backend, log: Log, refuseRequest: Refuse, refuseAct: Refuse): http.Server {
  const server = http.createServer(LIMITS, (request, response) => {
    response.on('error', () => undefined);
    const refused = refuseRequest(request);
    if (refused !== undefined) {
      send(request, response, refused);
      return;
    }
    answer(backend, request, response, refuseAct).catch((error: unknown) => {
      log.error({ error: errorText(error), path: request.url?.split('?')[0] }, 'a request could not be answered');
      if (response.headersSent) response.destroy();
      else send(request, response, refusal(500, 'internal', 'this is a defect in pgsluice; the log says more'));
    });
  });
  limitConnections(server);
  server.timeout = IDLE_TIMEOUT_MS;
  return server;
}

function listening(server: http.Server, listen: () => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
    listen();
  });
}

async function closeServer(server: http.Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}

function isAnswered(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(socket);
    const say = (answered: boolean) => () => {
      probe.destroy();
      resolve(answered);
    };
    probe.once('connect', say(true)).once('error', say(false));
  });
}
