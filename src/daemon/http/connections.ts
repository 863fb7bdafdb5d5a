/**
 * How many connections there may be: for each address, and over all of them, with room that is kept for the loopback, where checks
 * of health come from. Where there are too many, the oldest goes that asks for nothing; clients that are slow to ask lose to
 * those that ask.
 */
import type http from 'node:http';
import net from 'node:net';
import type { Socket } from 'node:net';

const MOST_FROM_ADDRESS = 20;
const MOST_FROM_OTHERS = 100;
const MOST_FROM_LOOPBACK = 100;

interface Connection {
  socket: Socket;
  address: string;
  isLocal: boolean;
  /** Requests that are being answered. */
  answering: number;
}

/** Keeps the server within the limits. */
export function limitConnections(server: http.Server): void {
  const connections = new Map<Socket, Connection>();
  server.maxConnections = MOST_FROM_OTHERS + MOST_FROM_LOOPBACK + 1;
  server.on('connection', (socket) => {
    const address = socket.remoteAddress ?? '';
    const connection = { socket, address, isLocal: isLocal(address), answering: 0 };
    if (!makeRoom([...connections.values()], connection)) {
      socket.destroy();
      return;
    }
    connections.set(socket, connection);
    socket.once('close', () => connections.delete(socket));
  });
  server.on('request', (request, response) => {
    const connection = connections.get(request.socket);
    if (connection === undefined) return;
    connection.answering += 1;
    response.once('close', () => {
      connection.answering -= 1;
    });
  });
}

/** Whether there is room for another one, once the oldest idle ones are gone that are too many. */
function makeRoom(connections: readonly Connection[], { address, isLocal }: Connection): boolean {
  const alike = connections.filter((other) => other.isLocal === isLocal);
  const fromAddress = alike.filter((other) => other.address === address);
  if (isLocal) return alike.length < MOST_FROM_LOOPBACK || dropOldest(alike);
  if (fromAddress.length >= MOST_FROM_ADDRESS) return dropOldest(fromAddress);
  return alike.length < MOST_FROM_OTHERS || dropOldest(alike);
}

function dropOldest(connections: readonly Connection[]): boolean {
  const idle = connections.find(({ answering, socket }) => answering === 0 && !socket.destroyed);
  idle?.socket.destroy();
  return idle !== undefined;
}

/** The loopback, and the unix socket, which has no address. */
function isLocal(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  return plain === '' || plain === '::1' || (net.isIPv4(plain) && plain.startsWith('127.'));
}
