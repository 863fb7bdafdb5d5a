/**
 * Sends to systemd's socket through libc, called with koffi, as Node has no unix datagram sockets. libsystemd's own
 * sd_notify would find the socket only in the environment, from which it was removed; putting it back for each call is
 * not safe beside libuv's threads. The protocol is a stable interface, which sd_notify(3) invites programs to speak.
 */
import type { Sender } from './sender.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** The size of `sun_path`, with the closing NUL byte of a path. */
const MAX_PATH_BYTES = 108;

/** systemd may be busy, but to wait for it must not freeze the daemon for long. */
const WAIT_MS = 5;
const MAX_WAITS = 200;

interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  sendto(fd: number, data: Buffer, bytes: number, flags: number, address: Buffer, addressBytes: number): number;
  close(fd: number): number;
  /** The name of the last error, such as `ENOENT`. */
  errorName(): string;
}

/** Rejects when koffi is not installed, has no build for this machine, or the address is not a unix socket. */
export async function openLibcSender(socket: string, onProblem: (message: string) => void): Promise<Sender> {
  const address = socketAddress(socket);
  const libc = await loadLibc();
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error(`socket() failed with ${libc.errorName()}`);
  let open = true;
  return {
    via: 'libc',
    send(lines) {
      const problem = open ? sendDatagram(libc, fd, address, lines.join('\n')) : undefined;
      if (problem !== undefined) onProblem(`cannot write to systemd's socket ${socket}: ${problem}`);
    },
    async close() {
      if (open) libc.close(fd);
      open = false;
    },
  };
}

async function loadLibc(): Promise<Libc> {
  const { default: koffi } = await import('koffi');
  // Null is the process itself, which has libc loaded, whatever its name is on this distribution.
  const library = koffi.load(null);
  const address = 'const void *address, uint32_t addressBytes';
  return {
    socket: library.func('int socket(int domain, int type, int protocol)') as unknown as Libc['socket'],
    sendto: library.func(
      `intptr_t sendto(int fd, const void *data, size_t bytes, int flags, ${address})`,
    ) as unknown as Libc['sendto'],
    close: library.func('int close(int fd)') as unknown as Libc['close'],
    errorName() {
      const errno = koffi.errno();
      return Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
    },
  };
}

/** What went wrong; undefined when the message was sent. */
function sendDatagram(libc: Libc, fd: number, address: Buffer, text: string): string | undefined {
  const message = Buffer.from(text);
  let problem = '';
  for (let waits = 0; waits < MAX_WAITS; waits += 1) {
    const sent = libc.sendto(fd, message, message.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
    if (sent >= 0) return undefined;
    problem = libc.errorName();
    if (problem !== 'EAGAIN' && problem !== 'EINTR') return problem;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
  }
  return problem;
}

/** A `sockaddr_un` of exactly the right length: for an abstract socket, each byte more would be part of its name. */
function socketAddress(socket: string): Buffer {
  const abstract = socket.startsWith('@');
  if (!abstract && !socket.startsWith('/')) throw new Error(`NOTIFY_SOCKET=${socket} is not a unix socket`);
  const path = Buffer.from(abstract ? `\0${socket.slice(1)}` : `${socket}\0`);
  if (path.length > MAX_PATH_BYTES) throw new Error(`NOTIFY_SOCKET=${socket} is too long for a unix socket`);
  const family = Buffer.from(Uint16Array.of(AF_UNIX).buffer);
  return Buffer.concat([family, path]);
}
