/** Other hosts as a place: each task is a job in the queue, which any `pgsluice worker` may take; what it says comes to our inbox. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorText, fail, toFailure, type Failure } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { NEVER, untilAborted } from '../../base/signals.ts';
import { TOOL } from '../../base/tool.ts';
import type { HostsConfig } from '../../config/schema.ts';
import { writeSharedTask, type SharedTaskMark } from '../../ledger/shared-task.ts';
import { bindTask } from '../../segment/binding.ts';
import type { FactsOf, ObjectFacts, Outcome, Task } from '../../segment/task.ts';
import { openStore } from '../../store/open.ts';
import type { Bindings } from '../bindings.ts';
import type { HostState, Place, TaskHooks } from '../place.ts';
import { cleanUpAfterDeath } from '../thread-death.ts';
import { describeEnds, digestDestination } from './ends.ts';
import { every } from './every.ts';
import { misfitOf } from './fits.ts';
import { checkJob, MOST_GENERATIONS, partOfJob, readSaid, type Job, type Report, type Said } from './messages.ts';
import { isOwn } from './own-trouble.ts';
import { beatOf, joinQueue, type Beat, type Member, type Queue, type Taken } from './queue.ts';
import { describeShared, type HostTask } from './shared.ts';
import { HeardTroubles, type ToldTrouble } from './troubles.ts';

/** What cannot be put into the queue is tried again after that. */
const PAUSE_MS = 1000;
/** Members that are gone are looked for so often. */
const SWEEP_MS = 60_000;
/** Without a host that could work, that is said after so long, and then each minute. */
const ALONE_MS = 10_000;
/** A segment that a host has refused is offered again after that. */
const REFUSED_MS = 2000;
/** Looks, each a beat apart, that have not found a job. */
const MOST_MISSED = 3;

type SegmentOutcome = Outcome<ObjectFacts>;

/** A task that was sent. */
interface Sent {
  id: string;
  task: HostTask;
  hooks: TaskHooks;
  isBegun: boolean;
  /** Bytes of lines that it has wanted, and that were granted, from its beginning on. */
  wanted: number;
  granted: number;
  troubles: HeardTroubles;
  /** Aborts once it has ended. */
  over: AbortController;
  backends: Set<number>;
  uploads: Set<string>;
  rows: number;
  /** It is in the queue, as far as is known; and how many looks have not found it there. */
  isSent: boolean;
  missed: number;
  /** The document that it was sent with. */
  shared?: Promise<SharedTaskMark>;
  /** Who works on it: the member of the queue, and the machine. */
  member?: string;
  host?: string;
  end: (outcome: SegmentOutcome) => void;
}

export class Hosts implements Place {
  readonly #config: HostsConfig;
  readonly #bindings: Bindings;
  readonly #log: Log;
  readonly #beat: Beat;
  readonly #sent = new Map<string, Sent>();
  /** What the segments of a run share, as it was last written; by run. */
  readonly #shared = new Map<string, { of: string; mark: Promise<SharedTaskMark> }>();
  readonly #closing = new AbortController();
  #queue: Promise<Queue> | undefined;
  #waiting = 0;
  #members: readonly Member[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  /** Since when segments wait and nobody is there who could take them. */
  #aloneSince: number | undefined;

  /** When it was told last that a host refuses segments, by what it says. */
  readonly #refusals = new Map<string, number>();

  /** Nothing is contacted before the first task. */
  constructor(config: HostsConfig, bindings: Bindings, log: Log) {
    this.#config = config;
    this.#bindings = bindings;
    this.#log = log;
    this.#beat = beatOf(config);
  }

  get load(): { active: number; waiting: number } {
    const active = [...this.#sent.values()].filter(({ isBegun }) => isBegun).length;
    return { active, waiting: this.#waiting - active };
  }

  /** Who takes part, as it was seen last; and what they do for runs of this process. */
  get hosts(): HostState[] {
    const sent = [...this.#sent.values()];
    return this.#members
      .filter(({ role }) => role === 'worker')
      .map(({ id, host, pid, version, threads, isLive }) => ({
        ...{ host, pid, version, threads, isLive },
        tasks: sent
          .filter(({ member }) => member === id)
          .map(({ task }) => `${task.archive}/${task.run}/${task.segment}`),
      }));
  }

  async run<T extends Task>(task: T, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<FactsOf<T>>> {
    if (task.kind !== 'archive-segment' || task.origin === undefined)
      throw new Error('only segments of archives that say so go to other hosts');
    signal.throwIfAborted();
    this.#waiting += 1;
    try {
      return (await this.#runSegment({ ...task, origin: task.origin }, signal, hooks)) as Outcome<FactsOf<T>>;
    } finally {
      this.#waiting -= 1;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the place is closed'));
    for (const timer of this.#timers) clearInterval(timer);
    const queue = await this.#queue?.catch(() => undefined);
    await queue?.close();
  }

  /**
   * A host that refuses a segment has not tried: it waits, for another one or for a config that was mended. One that was said to
   * have begun goes back to whoever sent it, who alone can have it wait as one that has not.
   */
  async #runSegment(task: HostTask, signal: AbortSignal, hooks: TaskHooks): Promise<SegmentOutcome> {
    const told = { isBegun: false };
    const onBegin = (): void => {
      told.isBegun = true;
      hooks.onBegin();
    };
    for (;;) {
      const outcome = await this.#runJob(task, signal, { ...hooks, onBegin });
      if (outcome.ok || outcome.failure.code !== 'host-differs') return outcome;
      this.#tellRefusal(outcome.failure);
      if (told.isBegun) return outcome;
      await sleep(REFUSED_MS, undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
    }
  }

  #tellRefusal(failure: Failure): void {
    const now = performance.now();
    const { message } = failure;
    if (now - (this.#refusals.get(message) ?? -SWEEP_MS) < SWEEP_MS) return;
    for (const [told, atMs] of this.#refusals) if (now - atMs >= SWEEP_MS) this.#refusals.delete(told);
    this.#refusals.set(message, now);
    this.#log.warn({ failure }, 'a host refuses segments, and leaves them to others');
  }

  async #runJob(task: HostTask, signal: AbortSignal, hooks: TaskHooks): Promise<SegmentOutcome> {
    const { promise, resolve } = Promise.withResolvers<SegmentOutcome>();
    const id = randomUUID();
    const sent: Sent = {
      ...{ id, task, hooks, end: resolve, isBegun: false, rows: 0, isSent: false, missed: 0 },
      ...{ wanted: 0, granted: 0, troubles: new HeardTroubles(), over: new AbortController() },
      ...{ backends: new Set<number>(), uploads: new Set<string>() },
    };
    this.#sent.set(id, sent);
    try {
      const queue = await this.#send(sent, signal);
      const outcome = await this.#awaitEnd(queue, sent, promise, signal);
      // A host that is cut off cannot end what it began.
      if (outcome.ok || !isOwn(outcome.failure)) return outcome;
      await this.#cleanUp(sent);
      return { ...outcome, failure: this.#asLost(sent, outcome.failure) };
    } catch (error) {
      if (signal.aborted && error === signal.reason) throw error;
      return failed(withPlace(toFailure(error, 'worker'), task));
    } finally {
      this.#sent.delete(id);
      sent.over.abort(new Error('the task has ended'));
    }
  }

  /** What one host cannot reach is as a host that is lost, as long as there is another one. */
  #asLost({ member, host = 'a host' }: Sent, failure: Failure): Failure {
    const isOther = ({ id, role, version, isLive }: Member): boolean =>
      role === 'worker' && isLive && version === TOOL.version && id !== member;
    if (failure.code === 'host-differs' || !this.#members.some(isOther)) return failure;
    const { archive, run, segment, message, hint } = failure;
    const place = { ...(archive && { archive }), ...(run && { run }), ...(segment === undefined ? {} : { segment }) };
    const lost = `${host} is cut off from what others may reach: ${message}`;
    return fail('host-lost', { stage: failure.stage, ...place, message: lost, hint, cause: failure.code }).failure;
  }

  /** Puts it into the queue, as soon as that answers. Throws the signal's reason when it aborts before, and FailureError. */
  async #send(sent: Sent, signal: AbortSignal): Promise<Queue> {
    const queue = await untilAborted(this.#open(), signal);
    for (;;) {
      signal.throwIfAborted();
      try {
        await queue.send(sent.id, await this.#jobOf(queue, sent));
        sent.isSent = true;
        return queue;
      } catch (error) {
        if (toFailure(error, 'worker').code !== 'queue-unavailable') throw error;
        await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
        // It was there all the same: sent again, it would be done twice.
        sent.isSent = sent.isBegun;
        if (sent.isSent) return queue;
        if (!signal.aborted) continue;
        // It may be there all the same.
        await queue.remove([sent.id]).catch(() => undefined);
      }
    }
  }

  async #awaitEnd(
    queue: Queue,
    sent: Sent,
    end: Promise<SegmentOutcome>,
    signal: AbortSignal,
  ): Promise<SegmentOutcome> {
    const aborted = Promise.withResolvers<undefined>();
    const onAbort = (): void => aborted.resolve(undefined);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    try {
      const outcome = await Promise.race([end, aborted.promise]);
      if (outcome !== undefined) return outcome;
      return await this.#drop(queue, sent, end, signal);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Takes the job back. Who works on it is told, hears it at its next sign at the latest, and says when it has dropped it. */
  async #drop(queue: Queue, sent: Sent, end: Promise<SegmentOutcome>, signal: AbortSignal): Promise<SegmentOutcome> {
    // It is nobody's loss that it is there no more.
    sent.isSent = false;
    const reason = errorText(signal.reason);
    const before = await queue.takeBack(sent.id).catch(() => 'begun' as const);
    if (before === 'waited') throw signal.reason;
    if (sent.member !== undefined)
      await queue.say(sent.member, { format: 'pgsluice/drop/1', id: sent.id, reason }).catch(() => undefined);
    const over = new AbortController();
    const late = sleep(this.#config.silenceMs, undefined, { signal: over.signal }).catch(() => undefined);
    const outcome = await Promise.race([end, late]);
    over.abort();
    if (outcome === undefined) await this.#cleanUp(sent);
    this.#begin(sent);
    if (outcome !== undefined && (outcome.ok || outcome.failure.code !== 'aborted')) return outcome;
    // Its host may have found its job gone before it was told why.
    return { ...failed(dropped(sent.task, reason)), peakHeapBytes: outcome?.peakHeapBytes ?? 0 };
  }

  async #open(): Promise<Queue> {
    this.#queue ??= this.#join();
    try {
      return await this.#queue;
    } catch (error) {
      this.#queue = undefined;
      throw error;
    }
  }

  async #join(): Promise<Queue> {
    const how = { log: this.#log, signal: this.#closing.signal };
    const queue = await joinQueue(this.#config, 'coordinator', 0, how);
    queue.hear((taken) => {
      this.#hear(taken);
    });
    this.#timers.push(
      every(this.#beat.lookMs, async () => {
        if (this.#sent.size > 0) await queue.findLost();
      }),
      every(this.#beat.everyMs, async () => {
        await this.#lookAtMembers(queue);
        await this.#lookForMissing(queue);
      }),
      every(SWEEP_MS, () => queue.sweep()),
    );
    await queue.sweep().catch(() => undefined);
    // A failure of the first segments is judged by who else is there.
    await this.#lookAtMembers(queue).catch(() => undefined);
    return queue;
  }

  /** Says when segments wait and nobody is there who could take them. */
  async #lookAtMembers(queue: Queue): Promise<void> {
    this.#members = await queue.members();
    const workers = this.#members.filter(({ role, isLive }) => role === 'worker' && isLive);
    const now = performance.now();
    if (this.load.waiting === 0 || workers.some(({ version }) => version === TOOL.version))
      this.#aloneSince = undefined;
    else this.#aloneSince ??= now - this.#beat.everyMs;
    if (this.#aloneSince === undefined || now - this.#aloneSince < ALONE_MS) return;
    this.#aloneSince = now + SWEEP_MS - ALONE_MS;
    const others = workers.map(({ host, version }) => `${host} (${version})`);
    this.#log.warn(
      { waiting: this.load.waiting, otherVersions: others },
      `segments wait for a host: no pgsluice worker ${TOOL.version} takes part in the queue`,
    );
  }

  /** Jobs that are in the queue no more, and of which nothing was said: somebody took this process for gone, or emptied the queue. */
  async #lookForMissing(queue: Queue): Promise<void> {
    const looked = [...this.#sent.values()].filter(({ isSent }) => isSent);
    if (looked.length === 0) return;
    const there = await queue.ownJobs();
    for (const sent of looked) {
      // What is said of it may be on its way.
      sent.missed = there.has(sent.id) ? 0 : sent.missed + 1;
      if (sent.missed === MOST_MISSED) void this.#lost(sent);
    }
  }

  #hear({ data, lostId }: Taken): void {
    if (lostId !== null) {
      const sent = this.#sent.get(lostId);
      if (sent !== undefined) void this.#lost(sent);
      return;
    }
    try {
      this.#take(readSaid(data));
    } catch (error) {
      this.#log.warn(
        { failure: toFailure(error, 'worker') },
        'a message in the queue is not one of ours, and is left out',
      );
    }
  }

  #take({ member, host, reports }: Said): void {
    for (const report of reports) {
      const sent = this.#sent.get(report.id);
      if (sent === undefined) continue;
      Object.assign(sent, { member, host });
      this.#follow(sent, report);
    }
  }

  #follow(sent: Sent, { backends, uploads, progress, pace, troubles = [], outcome }: Report): void {
    for (const pid of backends) sent.backends.add(pid);
    for (const upload of uploads) sent.uploads.add(upload);
    if (outcome?.ok === false && outcome.failure.code === 'host-differs' && !sent.isBegun) {
      sent.end({ ...outcome, failure: withPlace(onHost(outcome.failure, sent.host), sent.task) });
      return;
    }
    this.#begin(sent);
    if (progress !== undefined && progress.rows >= sent.rows) {
      sent.rows = progress.rows;
      sent.hooks.onProgress({ kind: 'progress', ...progress });
    }
    sent.troubles.hear(
      troubles.map((trouble) => onHostToo(trouble, sent.host)),
      (trouble) => sent.hooks.onTrouble?.(trouble),
    );
    if (pace !== undefined && outcome === undefined) this.#grant(sent, pace);
    if (outcome === undefined) return;
    if (!outcome.ok && outcome.failure.code === 'bad-journal') this.#forgetShared(sent);
    if (!outcome.ok) sent.end({ ...outcome, failure: withPlace(onHost(outcome.failure, sent.host), sent.task) });
    else this.#takeFacts(sent, { ...outcome, facts: { ...outcome.facts, etag: outcome.facts.etag ?? '' } });
  }

  #takeFacts(sent: Sent, outcome: Extract<SegmentOutcome, { ok: true }>): void {
    const { archive, run, segment } = sent.task;
    const misfit = misfitOf(sent.task, outcome.facts);
    if (misfit === undefined)
      this.#log.debug({ archive, run, segment, member: sent.member, host: sent.host }, 'a segment was done by a host');
    sent.end(misfit === undefined ? outcome : failed(withPlace(onHost(doesNotFit(misfit), sent.host), sent.task)));
  }

  /** Grants what is wanted as the pace of the run allows it, and says again what was not heard. */
  #grant(sent: Sent, { wanted, granted }: NonNullable<Report['pace']>): void {
    const bytes = wanted - sent.wanted;
    if (bytes > 0) {
      sent.wanted = wanted;
      void this.#grantMore(sent, bytes).catch(() => undefined);
    } else if (granted < sent.granted) void this.#tellGranted(sent).catch(() => undefined);
  }

  async #grantMore(sent: Sent, bytes: number): Promise<void> {
    await sent.hooks.grant?.(bytes, sent.over.signal);
    sent.granted += bytes;
    await this.#tellGranted(sent);
  }

  async #tellGranted({ id, member, granted }: Sent): Promise<void> {
    const queue = await this.#queue;
    if (member !== undefined) await queue?.say(member, { format: 'pgsluice/grant/1', id, granted });
  }

  #begin(sent: Sent): void {
    if (sent.isBegun) return;
    sent.isBegun = true;
    sent.hooks.onBegin();
  }

  /** Nobody has heard of its host for too long. What it began is ended from here, and the segment may be done by another. */
  async #lost(sent: Sent): Promise<void> {
    await this.#cleanUp(sent);
    const queue = await this.#queue;
    await queue?.remove([sent.id]).catch(() => undefined);
    this.#begin(sent);
    const where = sent.host === undefined ? 'the host' : `the host ${sent.host}`;
    const doing = `after row ${sent.rows} of segment ${sent.task.segment}`;
    const message = `${where} that read ${sent.task.subject} was not heard of any more, ${doing}`;
    sent.end(failed(withPlace(fail('host-lost', { stage: 'worker', message }).failure, sent.task)));
  }

  async #cleanUp({ task, backends, uploads }: Sent): Promise<void> {
    const ends = bindTask(task, this.#bindings.of(task.generation));
    const each = Math.max(backends.size, uploads.size);
    const [pids, ids] = [[...backends], [...uploads]];
    for (let at = 0; at < each; at += 1)
      await cleanUpAfterDeath(task, ends, { backendPid: pids[at], uploadId: ids[at], rows: 0, peakHeapBytes: 0 });
  }

  async #jobOf(queue: Queue, sent: Sent): Promise<Job> {
    const { id, task } = sent;
    sent.shared = this.#share(task);
    const { archive, run, generation, destination, attempt, key, token, replaces } = task;
    return checkJob({
      format: 'pgsluice/job/1',
      ...{ id, coordinator: queue.id, archive, run, attempt, key },
      ...{ generation, generations: this.#bindings.generations.slice(-MOST_GENERATIONS) },
      ...{ destination, destinationDigest: digestDestination(this.#bindings.of(generation), destination) },
      part: partOfJob(task.origin.part, task.segment),
      ...(token === undefined ? {} : { token }),
      ...(replaces === undefined ? {} : { replaces }),
      shared: await sent.shared,
    });
  }

  /** Somebody has written over it, such as a process that was frozen and leads the run no more: the next attempt writes it anew. */
  #forgetShared({ task, shared }: Sent): void {
    const run = `${task.archive}/${task.run}`;
    if (this.#shared.get(run)?.mark === shared) this.#shared.delete(run);
  }

  /** Writes what the segments of the run share, once for each session. */
  #share(task: HostTask): Promise<SharedTaskMark> {
    const run = `${task.archive}/${task.run}`;
    const of = `${task.generation} ${task.snapshot} ${task.lock?.pid ?? ''}`;
    const known = this.#shared.get(run);
    if (known?.of === of) return known.mark;
    const mark = this.#write(task);
    this.#shared.set(run, { of, mark });
    mark.catch(() => this.#shared.delete(run));
    if (this.#shared.size > MOST_RUNS) this.#shared.delete(this.#shared.keys().next().value ?? '');
    return mark;
  }

  async #write(task: HostTask): Promise<SharedTaskMark> {
    const binding = this.#bindings.of(task.generation);
    const store = openStore(bindTask(task, binding).destination, NEVER);
    try {
      const place = { store, archive: task.archive, run: task.run };
      return await writeSharedTask(place, describeShared(task, describeEnds(binding, task)));
    } finally {
      store.close();
    }
  }
}

const MOST_RUNS = 1000;

function failed(failure: Failure): SegmentOutcome {
  return { ok: false, failure, peakHeapBytes: 0 };
}

function withPlace(failure: Failure, { archive, run, segment }: HostTask): Failure {
  return { ...failure, archive, run, segment };
}

function onHost(failure: Failure, host: string | undefined): Failure {
  return host === undefined ? failure : { ...failure, message: `${failure.message} (on ${host})` };
}

function onHostToo(trouble: ToldTrouble, host: string | undefined): ToldTrouble {
  return trouble.failure === undefined ? trouble : { ...trouble, failure: onHost(trouble.failure, host) };
}

function dropped(task: HostTask, reason: string): Failure {
  const message = `the segment was dropped: ${reason}`;
  return withPlace(fail({ code: 'aborted', transient: false }, { stage: 'worker', message }).failure, task);
}

function doesNotFit(why: string): Failure {
  const message = `what a host says of its object does not fit its segment: ${why}`;
  return fail('bad-job', { stage: 'worker', message }).failure;
}
