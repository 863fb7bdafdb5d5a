/**
 * The connections that segments are read on: a thread keeps the one of a segment that was read well for the next one.
 *
 * Each segment has a transaction of its own, which ends with it. So what is kept holds no snapshot and no lock, whether its run
 * goes on, pauses or is over; and whatever a segment has set goes with its transaction.
 */
import type { HeldLock } from '../postgres/held-lock.ts';
import { withinAnswerTime } from '../postgres/answer-time.ts';
import { terminateBackend } from '../postgres/cancel.ts';
import {
  backendPid,
  connectPostgres,
  endConnection,
  socketOf,
  type Client,
  type ConnectionTarget,
} from '../postgres/connect.ts';
import { importSnapshotOf, type ServerMark } from '../postgres/server-mark.ts';
import { Kept } from '../base/kept.ts';
import { endReading } from './source/end-reading.ts';

/** A backend that has seen very many tables holds on to what it knows of each. */
const MOST_SEGMENTS = 1000;
/** Longer names are cut short by the server. */
const LONGEST_NAME = 63;

/** A snapshot, and the server that it is of. */
export interface Imported {
  snapshot: string;
  server: ServerMark;
}

export interface ReaderHooks {
  /** Called with the server's id of the connection before anything is read on it. */
  onBackend: (pid: number) => void;
  signal: AbortSignal;
}

/** By URL, as a connection of any generation of the config with the same URL is the same. */
const kept = new Kept<string, Reader>((reader) => reader.hangUp());

/** Opens a transaction under the snapshot, on a connection that was kept or on a new one. Throws FailureError. */
export async function openReader(target: ConnectionTarget, imported: Imported, hooks: ReaderHooks): Promise<Reader> {
  const before = kept.take(target.url);
  if (before !== undefined) {
    try {
      await before.begin(target, imported, hooks);
      return before;
    } catch {
      // It may have been ended while it was idle, or lead to a server that is another one now: only a new one tells.
      await before.drop();
      hooks.signal.throwIfAborted();
    }
  }
  const reader = new Reader(await connectPostgres(target, 'connect', hooks.signal), target);
  try {
    await reader.begin(target, imported, hooks);
    return reader;
  } catch (error) {
    await reader.drop();
    throw error;
  }
}

/** A connection between its segments, or in one. */
export class Reader {
  readonly client: Client;
  #target: ConnectionTarget;
  #segments = 0;
  /** It is as it was before its first segment. */
  #isClean = true;

  constructor(client: Client, target: ConnectionTarget) {
    this.client = client;
    this.#target = target;
  }

  /** Opens the transaction of a segment. */
  async begin(
    target: ConnectionTarget,
    { snapshot, server }: Imported,
    { onBackend, signal }: ReaderHooks,
  ): Promise<void> {
    this.#target = target;
    this.#isClean = false;
    this.#segments += 1;
    const pid = backendPid(this.client);
    onBackend(pid);
    signal.throwIfAborted();
    signal.addEventListener('abort', this.cut, { once: true });
    try {
      // By its name whoever looks at the server, or terminates it, knows the segment.
      const own = { application_name: target.applicationName.slice(0, LONGEST_NAME) };
      await withinAnswerTime(this.client, () => importSnapshotOf(this.client, snapshot, server, own));
    } finally {
      signal.removeEventListener('abort', this.cut);
    }
    // Behind a pooler, each transaction may be on another backend.
    if (backendPid(this.client) !== pid) onBackend(backendPid(this.client));
  }

  /** Ends the transaction once all of its rows were read. Throws FailureError, `session-lost` when the lock is not held any more. */
  async end(lock: HeldLock | undefined): Promise<void> {
    await endReading(this.client, lock);
    this.#isClean = true;
  }

  /** Wakes whoever waits for a server that sends nothing. */
  readonly cut = (): void => {
    socketOf(this.client)?.destroy();
  };

  /** To be called when the segment is done: the next one may have the connection. */
  async giveBack(): Promise<void> {
    if (!this.#isClean) await this.drop();
    else if (this.#segments < MOST_SEGMENTS) await kept.keep(this.#target.url, this);
    else await this.hangUp();
  }

  /** After a failure the query may still be running, and blocked on us: it is stopped on the server, and the socket is cut. */
  async drop(): Promise<void> {
    this.cut();
    await terminateBackend(this.#target, backendPid(this.client));
    await endConnection(this.client);
  }

  async hangUp(): Promise<void> {
    await endConnection(this.client);
  }
}
