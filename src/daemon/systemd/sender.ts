/** What gets a message to systemd: the interface that notify-libc.ts and notify-command.ts fulfil. */

/**
 * One way to get a datagram to systemd. Sending never throws; what goes wrong is reported when the sender is opened.
 */
export interface Sender {
  via: 'libc' | 'systemd-notify';
  /** Sends lines of `NAME=value`, in one message. */
  send(lines: readonly string[]): void;
  /** Waits until all that was sent has arrived, at most some seconds. */
  close(): Promise<void>;
}

/** Opens a sender to this socket, or throws when this way does not exist on this machine. */
export type OpenSender = (socket: string, onProblem: (message: string) => void) => Promise<Sender>;
