/** A proxy in front of Postgres that reads what the server sends, message by message, and may drop or change any of it. */
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';

const HEADER_BYTES = 5;

export interface ServerMessage {
  type: string;
  body: Buffer;
}

/** Gives what the client gets in place of the message: the same bytes, others, or none at all. */
export type Edit = (message: ServerMessage, bytes: Buffer) => Buffer | undefined;

export interface PostgresProxy {
  /** Connection string of the database, through the proxy. */
  url: string;
  /** Chooses for each new connection, by the name of its application, how it is edited; undefined leaves it as it is. */
  onConnection: (application: string) => Edit | undefined;
  /** Chooses for each new connection, by the name of its application, which server it comes to: a URL. */
  serverOf: (application: string) => string;
  /** Whether the server hears of it when a client is gone; if not, it is as if the client's host had vanished. */
  passesHangUps: boolean;
  /** Of new connections: each answer comes so much later. */
  answerMs: number;
  /** How often a client of such a connection said something after an answer, the first words of it included. */
  roundTrips: number;
  stop: () => Promise<void>;
}

/** Starts a proxy in front of the server of `url`, which takes connections without TLS. */
export async function startPostgresProxy(url: string): Promise<PostgresProxy> {
  const sockets = new Set<Socket>();
  const server = net.createServer((client) => {
    const upstream = new net.Socket();
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        if (socket === client && !proxy.passesHangUps) return;
        client.destroy();
        upstream.destroy();
      });
    }
    client.once('data', (startup: Buffer) => {
      const application = applicationOf(startup);
      const target = new URL(proxy.serverOf(application));
      const edit = proxy.onConnection(application);
      upstream.connect(Number(target.port), target.hostname);
      upstream.write(startup);
      let isAnswered = false;
      proxy.roundTrips += 1;
      client.on('data', (bytes: Buffer) => {
        if (isAnswered) proxy.roundTrips += 1;
        isAnswered = false;
        upstream.write(bytes);
      });
      if (edit !== undefined) editMessages(upstream, client, edit);
      else if (proxy.answerMs === 0) upstream.pipe(client);
      else
        upstream.on('data', (bytes: Buffer) => {
          setTimeout(() => {
            isAnswered = true;
            client.write(bytes);
          }, proxy.answerMs);
        });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxied = new URL(url);
  proxied.hostname = '127.0.0.1';
  proxied.port = String((server.address() as AddressInfo).port);
  const proxy: PostgresProxy = {
    url: proxied.href,
    onConnection: () => undefined,
    answerMs: 0,
    roundTrips: 0,
    serverOf: () => url,
    passesHangUps: true,
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      if (server.listening) await once(server, 'close');
    },
  };
  return proxy;
}

/** Names and values in turn, each up to a zero byte, behind the length and the version. */
function applicationOf(startup: Buffer): string {
  const words = startup.toString('utf8', 8).split('\0');
  const at = words.indexOf('application_name');
  return at < 0 ? '' : (words[at + 1] ?? '');
}

function editMessages(from: Socket, to: Socket, edit: Edit): void {
  let waiting = Buffer.alloc(0);
  from.on('data', (bytes: Buffer) => {
    waiting = Buffer.concat([waiting, bytes]);
    while (waiting.length >= HEADER_BYTES) {
      const end = waiting.readInt32BE(1) + 1;
      if (waiting.length < end) break;
      const whole = waiting.subarray(0, end);
      const edited = edit({ type: whole.toString('latin1', 0, 1), body: whole.subarray(HEADER_BYTES) }, whole);
      if (edited !== undefined) to.write(edited);
      waiting = waiting.subarray(end);
    }
  });
}
