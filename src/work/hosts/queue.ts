/**
 * The queue by which segments come to other hosts: pg-boss, which is optional and loaded here alone. A job is one attempt; it is
 * never tried again by the queue itself. One that is not heard of any more comes to the inbox of who sent it.
 */
import { randomUUID } from 'node:crypto';
import type { Db, JobAttempt, PgBoss } from 'pg-boss';
import { errorText, fail, toFailure, type FailureError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { untilAborted } from '../../base/signals.ts';
import { TOOL } from '../../base/tool.ts';
import type { HostsConfig } from '../../config/schema.ts';
import { poolConfig } from '../../postgres/connect.ts';
import { setTimeout as sleep } from 'node:timers/promises';

/** Whoever takes part: a process that leads runs, or one that works for others. */
export type Role = 'coordinator' | 'worker';

export interface Member {
  id: string;
  role: Role;
  version: string;
  threads: number;
  host: string;
  pid: number;
  isLive: boolean;
  /** Whether it left, or was not heard of for so long that nothing of it is waited for any more. */
  isGone: boolean;
}

/** A job that was taken, or a message. `id` is that of the queue. */
export interface Taken {
  id: string;
  data: unknown;
  /** Of a job that came here as nobody was heard of who had it: its id. */
  lostId: string | null;
  attempt: JobAttempt;
}

/** Jobs of this version alone: those of another one wait for who knows them. */
const TASKS = `tasks/${TOOL.version}`;
const INBOX = { notify: true, retryLimit: 0 };
const CONNECTIONS = 4;
/** What comes without a notification, such as what is lost, is looked for so often. */
const POLL_MS = 1000;
/** A server that is cut off keeps nobody for longer. */
const ANSWER_MS = 10_000;
const MOST_AT_ONCE = 100;
/** The oldest are listed first, and of those that have ended pg-boss keeps a thousand. */
const MOST_MEMBERS = 10_000;
/** That a process has in the queue at once. */
const MOST_JOBS = 100_000;
/** What of a segment takes longer is lost: the longest that pg-boss knows. */
const LONGEST_SECONDS = 24 * 3600 - 1;

/** Who is silent for so many of them may come back, and finds nothing of his own any more. */
const GONE_BEATS = 20;

/** How silence is measured out. */
export interface Beat {
  /** A sign is given so often. */
  everyMs: number;
  /** Without one for so long, whoever works drops what he has. */
  dropAfterMs: number;
  /** Without one for so long, it is given to others; so that with all that is in between, no more than `silence` goes by. */
  lostAfterSeconds: number;
  /** Who leads looks so often for what is lost. */
  lookMs: number;
}

export function beatOf({ silenceMs }: HostsConfig): Beat {
  return {
    everyMs: Math.floor(silenceMs / 5),
    dropAfterMs: (silenceMs * 2) / 3,
    lostAfterSeconds: Math.floor((silenceMs * 0.8) / 1000),
    lookMs: Math.max(1000, silenceMs / 15),
  };
}

export class Queue {
  /** Of this process in the queue. */
  readonly id: string;
  readonly #makeBoss: () => PgBoss;
  readonly #log: Log;
  readonly #inbox: string;
  readonly #beat: Beat;
  readonly #wakers = new Map<string, () => void>();
  readonly #closing = new AbortController();
  readonly #loops: Promise<void>[] = [];
  #boss: PgBoss;
  #isDown = false;
  /** Somebody has removed the schema. */
  #isUnset = false;
  #settingUp: Promise<void> | undefined;

  private constructor(parts: { id: string; makeBoss: () => PgBoss; log: Log; beat: Beat }) {
    this.id = parts.id;
    this.#makeBoss = parts.makeBoss;
    this.#log = parts.log;
    this.#beat = parts.beat;
    this.#inbox = inboxOf(parts.id);
    this.#boss = parts.makeBoss();
  }

  /** Joins the queue, which is set up where it is not there. Throws FailureError. */
  static async open(config: HostsConfig, role: Role, threads: number, log: Log): Promise<Queue> {
    const id = randomUUID();
    const beat = beatOf(config);
    const { PgBoss } = await loadBoss();
    const makeBoss = (): PgBoss =>
      new PgBoss({
        ...(poolConfig({ url: config.url, applicationName: `pgsluice queue ${role}` }) as object),
        ...{ query_timeout: ANSWER_MS, max: CONNECTIONS, schema: config.schema },
        useListenNotify: true,
        // What is lost is looked for by who waits for it; nothing is done on a schedule.
        ...{ supervise: false, schedule: false, monitorVacuum: false, reindex: false, monitorIntervalSeconds: 1 },
        ...{ instanceName: nameOf({ id, role, version: TOOL.version, threads }) },
        instanceHeartbeatSeconds: Math.max(1, Math.floor(beat.everyMs / 1000)),
        openTelemetry: { enabled: false },
      });
    const queue = new Queue({ id, makeBoss, log, beat });
    try {
      await queue.#start();
      return queue;
    } catch (error) {
      await queue.#boss.stop({ graceful: false }).catch(() => undefined);
      throw unavailable(error);
    }
  }

  async #start(): Promise<void> {
    const boss = this.#boss;
    boss.on('error', (error) => this.#trouble(error));
    this.#hearNotifications(boss.getDb());
    await boss.start();
    // pg-boss only tells of it when it fails, and who is not listed is taken for gone.
    if (!readMembers(await boss.getInstances({ limit: MOST_MEMBERS }), this.#beat).some(({ id }) => id === this.id))
      throw new Error('it does not list this process');
    await boss.createQueue(this.#inbox, INBOX);
    await boss.createQueue(TASKS, { notify: true, retryLimit: 0, expireInSeconds: LONGEST_SECONDS });
  }

  /** As at the start, once the schema is gone: what was in it is missed, and sent anew, by who has sent it. */
  async #setUpAgain(): Promise<void> {
    this.#settingUp ??= (async () => {
      await this.#boss.stop({ graceful: false, timeout: 1000 }).catch(() => undefined);
      this.#boss = this.#makeBoss();
      await this.#start();
      this.#isUnset = false;
      this.#log.warn('the schema of the queue was gone, and was made again');
    })().finally(() => {
      this.#settingUp = undefined;
    });
    await this.#settingUp;
  }

  /** All who take part, or took part lately. */
  async members(): Promise<Member[]> {
    return readMembers(await this.#ask(() => this.#boss.getInstances({ limit: MOST_MEMBERS })), this.#beat);
  }

  /** Puts a job in; a second time, under the same id, nothing happens. */
  async send(id: string, job: object): Promise<void> {
    const heartbeatSeconds = this.#beat.lostAfterSeconds;
    await this.#ask(() => this.#boss.send(TASKS, job, { id, heartbeatSeconds, deadLetter: this.#inbox }));
  }

  /** Takes a job back: whether somebody had taken it before. It is gone then, but for who works on it. */
  async takeBack(id: string): Promise<'waited' | 'begun' | 'gone'> {
    return this.#ask(async () => {
      await this.#boss.cancel(TASKS, id);
      const [job] = await this.#boss.findJobs(TASKS, { id });
      await this.#boss.deleteJob(TASKS, id);
      if (job === undefined) return 'gone';
      // A job that nobody has taken has no such time, whatever its type says.
      return (job.startedOn as Date | null) === null ? 'waited' : 'begun';
    });
  }

  /** The jobs of this member that wait or are worked on. */
  async ownJobs(): Promise<ReadonlySet<string>> {
    const jobs = await this.#ask(() =>
      this.#boss.findJobs(TASKS, { data: { coordinator: this.id }, limit: MOST_JOBS }),
    );
    return new Set(jobs.filter(({ state }) => state === 'created' || state === 'active').map(({ id }) => id));
  }

  /** Removes jobs, in whatever state they are. */
  async remove(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.#ask(() => this.#boss.deleteJob(TASKS, [...ids]));
  }

  /** The next jobs, at most so many; who takes one gives a sign of it by {@link beat}. */
  async take(most: number): Promise<Taken[]> {
    return this.#fetch(TASKS, most);
  }

  /** Says that these are being worked on; resolves to the ids of those that still belong to who took them. */
  async beat(taken: readonly JobAttempt[]): Promise<ReadonlySet<string>> {
    if (taken.length === 0) return new Set();
    const answer = await this.#ask(() => this.#boss.touch(TASKS, [...taken]));
    return new Set((answer as unknown as { settled?: string[] }).settled);
  }

  /** A job is done, one way or another; what its outcome is has been said. */
  async settle(attempt: JobAttempt): Promise<void> {
    await this.#ask(() => this.#boss.deleteJob(TASKS, attempt));
  }

  /** Says something to another member. One who is gone for good hears nothing. */
  async say(member: string, message: object): Promise<void> {
    await this.#ask(async () => {
      try {
        await this.#boss.send(inboxOf(member), message);
      } catch (error) {
        if (!errorText(error).includes('does not exist')) throw error;
      }
    });
  }

  /** Gives `onMessage` what comes to this member, until the queue is closed. It must not throw. */
  hear(onMessage: (taken: Taken) => void): void {
    this.#loops.push(
      this.#repeat(this.#inbox, async () => {
        const taken = await this.#fetchMessages();
        for (const message of taken) onMessage(message);
        if (taken.length > 0)
          await this.#boss.deleteJob(
            this.#inbox,
            taken.map(({ id }) => id),
          );
        return taken.length === MOST_AT_ONCE;
      }),
    );
  }

  /** Calls `work` when there may be jobs, and again at once as long as it resolves to true. */
  whenJobs(work: () => Promise<boolean>): void {
    this.#loops.push(this.#repeat(TASKS, work));
  }

  /** Whoever takes jobs looks again: there is room for one. */
  wake(): void {
    this.#wakers.get(TASKS)?.();
  }

  /** Has the queue look for jobs whose owner is not heard of any more. */
  async findLost(): Promise<void> {
    await this.#ask(() => this.#boss.supervise(TASKS));
  }

  /** Removes what members have left that are gone: their jobs, and their inboxes. */
  async sweep(): Promise<void> {
    // In this order, as who joins in between is in neither.
    const queues = await this.#ask(() => this.#boss.getQueues(undefined, { limit: MOST_MEMBERS }));
    const members = await this.members();
    const there = new Set(members.filter(({ isGone }) => !isGone).map(({ id }) => id));
    there.add(this.id);
    for (const { name } of queues) {
      const member = memberOf(name);
      if (member !== undefined && !there.has(member)) await this.#removeInbox(member);
    }
  }

  async #removeInbox(member: string): Promise<void> {
    await this.#ask(async () => {
      for (const { name } of await this.#boss.getQueues(undefined, { limit: MOST_MEMBERS })) {
        if (!name.startsWith('tasks/')) continue;
        for (;;) {
          const jobs = await this.#boss.findJobs(name, { data: { coordinator: member }, limit: MOST_AT_ONCE });
          if (jobs.length === 0) break;
          await this.#boss.deleteJob(
            name,
            jobs.map(({ id }) => id),
          );
        }
      }
      await this.#boss.deleteAllJobs(inboxOf(member));
      await this.#boss.deleteQueue(inboxOf(member));
    });
  }

  /** Leaves the queue, with nothing of its own in it. What cannot be removed is removed by the next who comes. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const wake of this.#wakers.values()) wake();
    await Promise.all(this.#loops);
    await this.#removeInbox(this.id).catch(() => undefined);
    await this.#boss.stop({ graceful: false, timeout: 1000 }).catch(() => undefined);
  }

  async #fetchMessages(): Promise<Taken[]> {
    try {
      return await this.#fetch(this.#inbox, MOST_AT_ONCE);
    } catch (error) {
      // Others took us for gone.
      if (errorText(error).includes('does not exist')) await this.#boss.createQueue(this.#inbox, INBOX);
      throw error;
    }
  }

  async #fetch(name: string, most: number): Promise<Taken[]> {
    const jobs = await this.#ask(() => this.#boss.fetch<unknown>(name, { batchSize: most, includeMetadata: true }));
    return jobs.map(({ id, data, retryCount, sourceId }) => ({
      id,
      data,
      lostId: sourceId,
      attempt: { id, retryCount },
    }));
  }

  async #repeat(name: string, work: () => Promise<boolean>): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      this.#wakers.set(name, () => resolve(undefined));
      const isMore = await work().catch(() => false);
      if (isMore || this.#closing.signal.aborted) continue;
      const over = new AbortController();
      await Promise.race([promise, sleep(POLL_MS, undefined, { signal: over.signal }).catch(() => undefined)]);
      over.abort();
    }
  }

  /** pg-boss wakes its own workers by notifications; ours are woken beside them. */
  #hearNotifications(db: Db): void {
    const listen = db.listen?.bind(db);
    if (listen === undefined) return;
    const wake = (name: string): void => this.#wakers.get(name)?.();
    const wakeAll = (): void => {
      for (const name of this.#wakers.keys()) wake(name);
    };
    Object.assign(db, {
      listen: (channel: string, onNotification: (payload: string) => void, onReconnect: () => void) =>
        listen(
          channel,
          (payload) => {
            onNotification(payload);
            wake(payload);
          },
          () => {
            onReconnect();
            wakeAll();
          },
        ),
    });
  }

  /** Throws FailureError `queue-unavailable`. */
  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    try {
      if (this.#isUnset) await this.#setUpAgain();
      const answer = await ask();
      if (this.#isDown) this.#log.info('the queue of hosts.url answers again');
      this.#isDown = false;
      return answer;
    } catch (error) {
      this.#isUnset ||= isOfMissingSchema(error) && !this.#closing.signal.aborted;
      this.#trouble(error);
      throw unavailable(error);
    }
  }

  /** Said once, until it answers again. */
  #trouble(error: unknown): void {
    if (this.#isDown || this.#closing.signal.aborted) return;
    this.#isDown = true;
    this.#log.warn(
      { cause: errorText(error) },
      'the queue of hosts.url does not answer; no segment is begun until it does',
    );
  }
}

/** Joins as soon as the queue answers. Throws the signal's reason, and FailureError where no waiting helps. */
export async function joinQueue(
  config: HostsConfig,
  role: Role,
  threads: number,
  { log, signal }: { log: Log; signal: AbortSignal },
): Promise<Queue> {
  for (let tried = 0; ; tried += 1) {
    const opening = Queue.open(config, role, threads, log);
    try {
      return await untilAborted(opening, signal);
    } catch (error) {
      if (signal.aborted) void opening.then((queue) => queue.close()).catch(() => undefined);
      signal.throwIfAborted();
      const failure = toFailure(error, 'worker');
      if (failure.code !== 'queue-unavailable') throw error;
      if (tried === 0) log.warn({ failure }, 'the queue of hosts.url cannot be used; it is tried again and again');
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
    }
  }
}

/** A schema or a table that is not there. */
const MISSING: ReadonlySet<unknown> = new Set(['3F000', '42P01']);

function isOfMissingSchema(error: unknown): boolean {
  return error instanceof Error && MISSING.has(Reflect.get(error, 'code'));
}

function readMembers(found: Awaited<ReturnType<PgBoss['getInstances']>>, { everyMs }: Beat): Member[] {
  // By the clock of the queue's server, which is that of the latest sign.
  const latest = Math.max(...found.map(({ heartbeatOn }) => heartbeatOn.getTime()));
  return found.flatMap(({ name, host, pid, live, heartbeatOn, stoppedOn }) => {
    const member = readName(name ?? '');
    const isGone = stoppedOn !== null || latest - heartbeatOn.getTime() > GONE_BEATS * everyMs;
    return member === undefined ? [] : [{ ...member, host, pid, isLive: live, isGone }];
  });
}

async function loadBoss(): Promise<typeof import('pg-boss')> {
  try {
    return await import('pg-boss');
  } catch (error) {
    throw fail('queue-missing', {
      stage: 'config',
      message: `hosts needs the package pg-boss, which cannot be loaded: ${errorText(error).split('\n')[0] ?? ''}`,
    });
  }
}

function unavailable(error: unknown): FailureError {
  return fail('queue-unavailable', {
    stage: 'worker',
    message: `the queue of hosts.url does not answer: ${errorText(error)}`,
  });
}

function inboxOf(member: string): string {
  return `inbox/${member}`;
}

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

function memberOf(queue: string): string | undefined {
  return new RegExp(`^inbox/(${UUID})$`).exec(queue)?.[1];
}

/** By what pg-boss lists it. */
function nameOf({ id, role, version, threads }: Pick<Member, 'id' | 'role' | 'version' | 'threads'>): string {
  return `${role} ${id} ${version} ${threads}`;
}

function readName(name: string): Pick<Member, 'id' | 'role' | 'version' | 'threads'> | undefined {
  const [, role, id = '', version = '', threads] =
    new RegExp(`^(coordinator|worker) (${UUID}) ([\\w.+-]{1,50}) (\\d{1,4})$`).exec(name) ?? [];
  return role === undefined ? undefined : { id, role: role as Role, version, threads: Number(threads) };
}
