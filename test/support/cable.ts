/** A cable between a process and a server. While it is cut, nothing passes, and neither side hears of it. */
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';

export interface Cable {
  /** Where it begins: a port of 127.0.0.1. */
  readonly port: number;
  cut: () => void;
  /** What was sent meanwhile comes late, as after a cable was plugged in again. */
  mend: () => void;
  stop: () => Promise<void>;
}

/** Lays a cable to a port of 127.0.0.1. */
export async function layCable(port: number): Promise<Cable> {
  const sockets = new Set<Socket>();
  let mended = Promise.withResolvers<undefined>();
  mended.resolve(undefined);
  let isCut = false;
  const join = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on('error', () => undefined);
    from.on('data', (bytes: Buffer) => to.write(bytes));
    from.on('close', () => {
      sockets.delete(from);
      void mended.promise.then(() => to.destroy());
    });
    if (isCut) from.pause();
  };
  const listener = net.createServer((client) => {
    const server = net.connect(port, '127.0.0.1');
    join(client, server);
    join(server, client);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const cable = {
    port: (listener.address() as AddressInfo).port,
    cut: () => {
      isCut = true;
      mended = Promise.withResolvers();
      for (const socket of sockets) socket.pause();
    },
    mend: () => {
      isCut = false;
      for (const socket of sockets) socket.resume();
      mended.resolve(undefined);
    },
    stop: async () => {
      cable.mend();
      listener.close();
      for (const socket of sockets) socket.destroy();
      if (listener.listening) await once(listener, 'close');
    },
  };
  return cable;
}
