/** A session: the connection that holds a run's lock and its snapshot, outside the worker threads. */
import { fail, FailureError } from '../base/errors.ts';
import type { Instance } from '../ledger/journal.ts';
import { withinAnswerTime } from '../postgres/answer-time.ts';
import { terminateBackend } from '../postgres/cancel.ts';
import { backendPid, endConnection, socketOf, type Client } from '../postgres/connect.ts';
import { postgresFailure, sqlStateOf } from '../postgres/errors.ts';
import type { HeldLock } from '../postgres/held-lock.ts';
import { lastWordsOf } from '../postgres/last-words.ts';
import { markServer, type ServerMark } from '../postgres/server-mark.ts';
import { isPooled, POOLER_WARNING } from '../postgres/settings.ts';
import {
  askServerRole,
  exportSnapshot,
  identifySource,
  type ServerRole,
  type Snapshot,
  type SourceIdentity,
} from '../postgres/snapshot.ts';
import { together } from '../postgres/together.ts';
import { Heartbeat } from './heartbeat.ts';
import { askForLock, lockConnection, lockNumber, openLock, whenUnlockedHere, type LockTarget } from './lock.ts';
import { viewSource, type SourceView } from './source-view.ts';

/** A lock that is held, and a snapshot that lives as long. From its begin to its end it is asked for from time to time. */
export interface Session {
  readonly identity: SourceIdentity;
  /** The server that the lock is of. */
  readonly instance: Instance;
  /** By which a thread knows whether it came to that server. */
  readonly mark: ServerMark;
  readonly snapshot: Snapshot;
  /** For readers, who ask whether it is still held; undefined where there is none to ask for. */
  readonly lock?: HeldLock | undefined;
  /** What is to be said against how the source is reached. */
  readonly warning?: string | undefined;
  /** The source as the snapshot shows it. */
  readonly view: SourceView;
  /** Aborts when the connection breaks: then the lock is gone, and another host may begin. */
  readonly lost: AbortSignal;
  /** Makes sure, by asking the server, that the lock is still held. Throws FailureError `session-lost` when it is not. */
  require(): Promise<void>;
  /** Ends the connection at once, whatever it is doing, on the server too. */
  cut(): void;
  close(): Promise<void>;
}

/** Takes the lock, and exports the snapshot of the run on the same connection. Throws what openLock throws. */
export async function openSession(target: LockTarget, signal: AbortSignal): Promise<Session> {
  await whenUnlockedHere(target);
  const client = await openLock(target, signal);
  try {
    const [identity, role, snapshot] = await withinAnswerTime(client, () =>
      together(client, () => [identifySource(client), askServerRole(client), exportSnapshot(client)]),
    );
    const mark = await withinAnswerTime(client, () => markServer(client, identity.systemIdentifier));
    return new PostgresSession(target, client, { identity, role, mark, snapshot });
  } catch (error) {
    await endConnection(client);
    throw postgresFailure(error, 'snapshot', 'opening the session of the run');
  }
}

interface Found {
  identity: SourceIdentity;
  role: ServerRole;
  mark: ServerMark;
  snapshot: Snapshot;
}

class PostgresSession implements Session {
  readonly identity: SourceIdentity;
  readonly instance: Instance;
  readonly mark: ServerMark;
  readonly snapshot: Snapshot;
  readonly lock: HeldLock;
  readonly warning: string | undefined;
  readonly view: SourceView;
  readonly #target: LockTarget;
  readonly #client: Client;
  readonly #heartbeat: Heartbeat;
  readonly #lost = new AbortController();
  /** A question that is on its way, and one that is sent after it: for all who ask meanwhile. */
  #asking: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(target: LockTarget, client: Client, { identity, role, mark, snapshot }: Found) {
    this.#target = target;
    this.#client = client;
    this.identity = identity;
    const { systemIdentifier, database } = identity;
    this.instance = { systemIdentifier, database, ...role };
    this.mark = mark;
    this.snapshot = snapshot;
    this.lock = { pid: backendPid(client), number: lockNumber(target.folderUrl) };
    this.warning = isPooled(client) ? POOLER_WARNING : undefined;
    // A connection may die without a word, and then another host may begin.
    this.#heartbeat = new Heartbeat(
      () => this.require(),
      () => this.cut(),
    );
    this.view = viewSource(client, (statements) => this.#heartbeat.during(statements));
    client.on('end', () => {
      this.#heartbeat.stop();
      this.#lost.abort(sessionLost(target.archive, lastWordsOf(client)));
    });
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Many segments that end at about the same time share a question, so that a distant server bounds none of them. */
  require(): Promise<void> {
    this.#next ??= this.#asking
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        this.#asking = this.#ask();
        return this.#asking;
      });
    return this.#next;
  }

  async #ask(): Promise<void> {
    this.lost.throwIfAborted();
    try {
      await askForLock(this.#client);
    } catch (error) {
      const cause = postgresFailure(error, 'lock', 'asking for the lock');
      const words = sqlStateOf(error) === '' ? lastWordsOf(this.#client) : error;
      throw new FailureError(sessionLost(this.#target.archive, words).failure, { cause });
    }
  }

  cut(): void {
    socketOf(this.#client)?.destroy();
    void terminateBackend(lockConnection(this.#target), backendPid(this.#client));
  }

  close(): Promise<void> {
    this.#heartbeat.stop();
    return endConnection(this.#client);
  }
}

/** With what the server said last, if it said anything: then that is the cause, and says what to do. */
function sessionLost(archive: string, words: unknown): FailureError {
  const message = `the connection that held the lock and the snapshot of archive ${archive} broke`;
  const said = words === undefined ? undefined : postgresFailure(words, 'snapshot', message).failure;
  return fail('session-lost', {
    stage: 'snapshot',
    archive,
    message: said?.message ?? message,
    hint: said?.hint,
    cause: said?.cause,
  });
}
