/** A server far away: passes bytes on as late as a round trip of that length would, however many they are. */
import { once } from 'node:events';
import net from 'node:net';

/** Where it listens, and how far away what stands behind it seems to be. */
export interface DelayProxy {
  endpoint: string;
  /** Of all bytes that come in from now on. */
  roundTripMs: number;
  stop: () => Promise<void>;
}

/** Listens on a free loopback port. Bandwidth is not limited, and no connection has to get up to speed. */
export async function startDelayProxy(upstream: URL): Promise<DelayProxy> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ noDelay: true }, (client) => {
    const { roundTripMs } = proxy;
    const behind = net.connect({ host: upstream.hostname, port: Number(upstream.port), noDelay: true });
    for (const socket of [client, behind]) sockets.add(socket.on('close', () => sockets.delete(socket)));
    // The handshake was answered here at once; over the distance it takes a round trip before the first byte is sent.
    passOn(client, behind, roundTripMs / 2, performance.now() + roundTripMs);
    passOn(behind, client, roundTripMs / 2, 0);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: DelayProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    roundTripMs: 0,
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      if (server.listening) await once(server, 'close');
    },
  };
  return proxy;
}

/** What comes from one side is written to the other `delayMs` later, and not as if it had come before `notBefore`. */
function passOn(from: net.Socket, to: net.Socket, delayMs: number, notBefore: number): void {
  const waiting: { due: number; act: () => void }[] = [];
  let timer: NodeJS.Timeout | undefined;
  const later = (act: () => void): void => {
    waiting.push({ due: Math.max(performance.now(), notBefore) + delayMs, act });
    timer ??= setTimeout(actOnDue, delayMs);
  };
  const actOnDue = (): void => {
    while (waiting[0] !== undefined && waiting[0].due <= performance.now()) waiting.shift()?.act();
    const [next] = waiting;
    timer = next === undefined ? undefined : setTimeout(actOnDue, Math.ceil(next.due - performance.now()));
  };
  from.on('data', (chunk) => {
    later(() => to.write(chunk));
  });
  from.on('end', () => {
    later(() => to.end());
  });
  from.on('error', () => to.destroy());
  from.on('close', () => {
    if (from.errored !== null) to.destroy();
  });
}
