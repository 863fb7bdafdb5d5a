/** What a `pgsluice worker` does: takes jobs out of the queue as it has threads for them, runs them, and tells what became of them. */
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fail, toFailure, type Failure } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { maxRowBytes } from '../../base/memory-budget.ts';
import { NEVER } from '../../base/signals.ts';
import type { Config, HostsConfig } from '../../config/schema.ts';
import { bindTask } from '../../segment/binding.ts';
import { readSharedTask, type SharedTask } from '../../ledger/shared-task.ts';
import type { ObjectFacts, Outcome, SegmentTask } from '../../segment/task.ts';
import { openStore } from '../../store/open.ts';
import type { Bindings } from '../bindings.ts';
import type { Place } from '../place.ts';
import { destinationOf, requireSameDestination, requireSameEnds } from './ends.ts';
import { every } from './every.ts';
import { HostGenerations } from './generations.ts';
import { Lease } from './lease.ts';
import {
  inMessages,
  MOST_TRACES,
  readJob,
  readOrder,
  shortened,
  shortTrouble,
  type Job,
  type Report,
  type Said,
} from './messages.ts';
import { isOwn, judgeOwn, Rests } from './own-trouble.ts';
import { probeEnds } from './probe-ends.ts';
import { beatOf, type Beat, type Member, type Queue, type Taken } from './queue.ts';
import { taskOfJob } from './task-of-job.ts';
import { Troubles } from './troubles.ts';

/** How far a task is, is told so often. */
const PROGRESS_MS = 5000;
/** What is left of members that are gone is looked for so often. */
const SWEEP_MS = 60_000;
/** What was begun is told so soon: what is begun meanwhile goes along, and what is done by then needs no word of its own. */
const GATHER_MS = 250;
/** What cannot be told is told again after that, and so often at most: then the segment is lost with its host. */
const PAUSE_MS = 500;
const MOST_TOLD = 120;
/** Documents of runs that are kept. */
const MOST_KEPT = 20;

export interface HostParts {
  queue: Queue;
  /** Its threads. */
  place: Place;
  threads: number;
  bindings: Bindings;
  log: Log;
}

/** A job that this host has taken. */
interface Held {
  taken: Taken;
  job: Job;
  generation: number;
  abort: AbortController;
  isBegun: boolean;
  /** Whether it belongs to somebody else by now, and nobody is to hear of it. */
  isLost: boolean;
  /** Of the last sign that the queue took for it, by the monotonic clock. */
  heardMs: number;
  report: Report;
  troubles: Troubles;
  /** There where its run has a pace. */
  lease: Lease | undefined;
}

export class Host {
  readonly #parts: HostParts;
  readonly #beat: Beat;
  readonly #held = new Map<string, Held>();
  readonly #shared = new Map<string, Promise<SharedTask>>();
  readonly #host = os.hostname();
  readonly #timers: NodeJS.Timeout[] = [];
  #config: Config;
  readonly #generations: HostGenerations;
  #members: readonly Member[] = [];
  readonly #rests: Rests;
  #isDraining = false;
  #gathering: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];
  #done = 0;
  /** What is being taken out of the queue. */
  #taking: Promise<unknown> = Promise.resolve();

  constructor(config: Config, hosts: HostsConfig, parts: HostParts) {
    this.#config = config;
    this.#parts = parts;
    this.#beat = beatOf(hosts);
    this.#generations = new HostGenerations(parts.bindings, config);
    this.#rests = new Rests((pauseMs, error) => {
      const failure = error === undefined ? {} : { failure: toFailure(error, 'worker') };
      parts.log.warn(
        { pauseMs, ...failure },
        'this host takes no segment for a while: others may reach what it does not',
      );
    });
  }

  /** Segments that it works on, and that it has done. */
  get counts(): { active: number; done: number; isResting: boolean } {
    return { active: this.#held.size, done: this.#done, isResting: this.#rests.isResting };
  }

  start(): void {
    const { queue } = this.#parts;
    queue.hear((taken) => {
      this.#hear(taken);
    });
    queue.whenJobs(() => this.#takeJobs());
    this.#timers.push(
      every(this.#beat.everyMs, () => this.#giveSign()),
      every(1000, async () => this.#dropSilent()),
      every(SWEEP_MS, () => this.#sweep()),
      every(PROGRESS_MS, async () => this.#tellSoon()),
    );
  }

  /** Later runs go by the new config; those that this host takes part in keep theirs. Threads and the queue stay as they are. */
  reload(config: Config): void {
    this.#config = config;
    this.#generations.reload(config);
    this.#forgetGenerations();
    // What it could not reach may be mended by that.
    this.#rests.done();
    this.#parts.queue.wake();
  }

  /** Takes nothing any more, and resolves once all that it has is done; what is not, once `limitMs` are over, is dropped. */
  async drain(limitMs: number): Promise<void> {
    this.#isDraining = true;
    await this.#taking;
    const late = setTimeout(() => {
      for (const held of this.#held.values()) held.abort.abort(STOPPED);
    }, limitMs);
    await this.#untilIdle();
    clearTimeout(late);
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#gathering);
  }

  async #untilIdle(): Promise<void> {
    while (this.#held.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Returns whether there may be more. */
  async #takeJobs(): Promise<boolean> {
    const free = this.#parts.threads - this.#held.size;
    if (this.#isDraining || free <= 0) return false;
    const taking = this.#takeWhenFit(free);
    this.#taking = taking.catch(() => undefined);
    const { jobs, startedMs } = await taking;
    for (const taken of jobs) this.#begin(taken, startedMs);
    return jobs.length > 0;
  }

  async #takeWhenFit(most: number): Promise<{ jobs: Taken[]; startedMs: number }> {
    const mayTake = (await this.#rests.mayWork()) && !this.#isDraining;
    const startedMs = performance.now();
    return { jobs: mayTake ? await this.#parts.queue.take(most) : [], startedMs };
  }

  #begin(taken: Taken, heardMs: number): void {
    let job: Job;
    try {
      job = readJob(taken.data);
      if (job.id !== taken.id) throw fail('bad-job', { stage: 'worker', message: 'a job has the id of another one' });
    } catch (error) {
      // Nobody waits for what is no job of ours.
      this.#parts.log.warn(
        { failure: toFailure(error, 'worker') },
        'a job in the queue is not one of ours, and is removed',
      );
      void this.#parts.queue.settle(taken.attempt).catch(() => undefined);
      return;
    }
    const held: Held = {
      ...{
        taken,
        job,
        heardMs,
        generation: this.#generations.of(job),
        abort: new AbortController(),
        isBegun: false,
        isLost: false,
      },
      report: { id: job.id, backends: [], uploads: [] },
      troubles: new Troubles(MOST_TRACES),
      lease: undefined,
    };
    this.#held.set(job.id, held);
    void this.#work(held).finally(() => {
      this.#held.delete(job.id);
      this.#forgetGenerations();
      for (const resolve of this.#idle.splice(0)) resolve();
      this.#parts.queue.wake();
    });
  }

  /** Does a job, and says what became of it. Never throws. */
  async #work(held: Held): Promise<void> {
    const { queue, log } = this.#parts;
    const { job, taken, report } = held;
    const context = { archive: job.archive, run: job.run, segment: job.part.index, attempt: job.attempt };
    try {
      if (!(await this.#isLedBy(job.coordinator))) {
        log.info(context, 'a segment is left: nobody leads its run any more');
        await queue.settle(taken.attempt);
        return;
      }
      log.debug(context, 'a segment begins');
      const outcome = await this.#runJob(held);
      if (held.isLost) return;
      if (outcome.ok) {
        this.#done += 1;
        this.#rests.done();
        this.#generations.served(job, held.generation);
      } else log.warn({ ...context, failure: outcome.failure }, 'a segment was not done here');
      report.outcome = outcome.ok
        ? outcome
        : { ...outcome, failure: shortened(held.abort.signal.reason === STOPPED ? stopped(job) : outcome.failure) };
      await this.#tellEnd(held);
    } catch (error) {
      log.warn({ ...context, failure: toFailure(error, 'worker') }, 'what became of a segment could not be told');
    }
  }

  async #runJob(held: Held): Promise<Outcome<ObjectFacts>> {
    const { place } = this.#parts;
    const { job, report, abort } = held;
    try {
      const task = await this.#taskOf(held);
      const { pieceBytes } = task;
      if (pieceBytes !== undefined) held.lease = new Lease(pieceBytes, () => this.#tellNow());
      const outcome = await place.run(task, abort.signal, {
        onBegin: () => {
          held.isBegun = true;
          this.#tellSoon();
        },
        onProgress: ({ rows, jsonBytes, bytes, heapBytes }) => {
          report.progress = { rows, jsonBytes, bytes, heapBytes };
        },
        onTrace: (trace) => {
          if ('backendPid' in trace) report.backends = [...report.backends, trace.backendPid].slice(-MOST_TRACES);
          else report.uploads = [...report.uploads, trace.uploadId].slice(-MOST_TRACES);
          this.#tellSoon();
        },
        onTrouble: (trouble) => {
          held.troubles.note(shortTrouble(trouble));
          this.#tellSoon();
        },
        grant: async (bytes, signal) => held.lease?.take(bytes, signal),
      });
      if (outcome.ok) return outcome;
      const ends = bindTask(task, this.#parts.bindings.of(held.generation));
      return { ...outcome, failure: this.#judge(outcome.failure, () => probeEnds(ends, task.key)) };
    } catch (error) {
      const failure = this.#judge(toFailure(error, 'worker'));
      return { ok: false, failure: { ...failure, archive: job.archive, run: job.run }, peakHeapBytes: 0 };
    }
  }

  #judge(failure: Failure, probe?: () => Promise<unknown>): Failure {
    // Of a document that was just written over: the next attempt has the new one.
    const mayPass = failure.code === 'bad-journal';
    const judged = judgeOwn(failure);
    if (mayPass || isOwn(judged)) this.#rests.failed(probe);
    return mayPass ? { ...judged, transient: true } : judged;
  }

  /** The task as this host does it: by its own config, once that was found to mean the same. Throws FailureError. */
  async #taskOf({ job, generation }: Held): Promise<SegmentTask> {
    const binding = this.#parts.bindings.of(generation);
    // Before anything is read from there.
    requireSameDestination(binding, job);
    const shared = await this.#sharedOf(job, generation);
    requireSameEnds(binding, shared.ends);
    return taskOfJob(job, shared, {
      generation,
      maxRowBytes: maxRowBytes(this.#config.workers.maxOldGenerationSizeMb),
    });
  }

  #sharedOf(job: Job, generation: number): Promise<SharedTask> {
    const key = `${generation} ${job.archive}/${job.run} ${job.shared.sha256} ${job.shared.etag}`;
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const reading = this.#readShared(job, generation);
    this.#shared.set(key, reading);
    reading.catch(() => this.#shared.delete(key));
    if (this.#shared.size > MOST_KEPT) this.#shared.delete(this.#shared.keys().next().value ?? '');
    return reading;
  }

  async #readShared({ archive, run, destination: name, shared }: Job, generation: number): Promise<SharedTask> {
    const destination = destinationOf(this.#parts.bindings.of(generation), name);
    const store = openStore(destination, NEVER);
    try {
      return await readSharedTask({ store, archive, run }, shared);
    } finally {
      store.close();
    }
  }

  /** Says the outcome until it is heard, then removes the job; unless it is somebody else's by then. */
  async #tellEnd(held: Held): Promise<void> {
    const { queue } = this.#parts;
    for (let told = 0; !held.isLost && told < MOST_TOLD; told += 1) {
      try {
        await queue.say(held.job.coordinator, this.#said([reportOf(held)]));
        await queue.settle(held.taken.attempt);
        return;
      } catch {
        await sleep(PAUSE_MS);
      }
    }
  }

  /** What was begun is told soon, as it is to be ended should this host die. */
  #tellSoon(): void {
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.#tellNow();
    }, GATHER_MS);
  }

  /** Who waits for an answer asks at once. What cannot be said goes along with the next sign of progress. */
  #tellNow(): void {
    void this.#tellAll().catch(() => undefined);
  }

  async #tellAll(): Promise<void> {
    const byCoordinator = Map.groupBy(
      [...this.#held.values()].filter(
        ({ isBegun, isLost, report }) => isBegun && !isLost && report.outcome === undefined,
      ),
      ({ job }) => job.coordinator,
    );
    for (const [coordinator, held] of byCoordinator)
      for (const together of inMessages(held.map((one) => ({ one, report: reportOf(one) })))) {
        await this.#parts.queue.say(coordinator, this.#said(together.map(({ report }) => report)));
        for (const { one, report } of together) one.troubles.told(report.troubles ?? []);
      }
  }

  #said(reports: Report[]): Said {
    return { format: 'pgsluice/said/1', member: this.#parts.queue.id, host: this.#host, reports };
  }

  #hear({ data }: Taken): void {
    try {
      const order = readOrder(data);
      const held = this.#held.get(order.id);
      if (order.format === 'pgsluice/grant/1') held?.lease?.grant(order.granted);
      else held?.abort.abort(new Error(order.reason));
    } catch (error) {
      this.#parts.log.warn(
        { failure: toFailure(error, 'worker') },
        'a message in the queue is not one of ours, and is left out',
      );
    }
  }

  /** What belongs to somebody else, or to a run that nobody leads any more, is dropped. */
  async #giveSign(): Promise<void> {
    const held = [...this.#held.values()];
    if (held.length === 0) return;
    const { queue } = this.#parts;
    const startedMs = performance.now();
    const still = await queue.beat(held.map(({ taken }) => taken.attempt));
    for (const one of held) {
      if (still.has(one.taken.id)) one.heardMs = startedMs;
      // What is being told has just been removed from the queue.
      else if (one.report.outcome === undefined) this.#drop(one, 'its job was taken back, or given to another host');
    }
    this.#members = await queue.members();
    const led = new Set(this.#members.filter(({ isLive }) => isLive).map(({ id }) => id));
    for (const one of held) {
      if (led.has(one.job.coordinator) || one.isLost) continue;
      this.#lose(one, 'nobody leads its run any more');
      await queue.settle(one.taken.attempt);
    }
  }

  /** By a clock that goes on while this process is frozen. */
  #dropSilent(): void {
    const oldestMs = performance.now() - this.#beat.dropAfterMs;
    for (const held of this.#held.values())
      if (held.heardMs < oldestMs) this.#lose(held, 'the queue took no sign of this host for too long');
  }

  /** And nobody is to hear of it any more, or could. */
  #lose(held: Held, why: string): void {
    held.isLost = true;
    this.#drop(held, why);
  }

  #drop(held: Held, why: string): void {
    if (held.abort.signal.aborted) return;
    const { log } = this.#parts;
    const { archive, run, part, attempt } = held.job;
    log.warn({ archive, run, segment: part.index, attempt }, `a segment is dropped: ${why}`);
    held.abort.abort(new Error(why));
  }

  async #isLedBy(coordinator: string): Promise<boolean> {
    const isLive = (): boolean => this.#members.some(({ id, isLive }) => id === coordinator && isLive);
    if (!isLive()) this.#members = await this.#parts.queue.members();
    return isLive();
  }

  /** What others have left who are gone; and what was kept for them. */
  async #sweep(): Promise<void> {
    const { queue } = this.#parts;
    await queue.sweep();
    const there = (await queue.members()).filter(({ isGone }) => !isGone);
    this.#generations.forgetOthers(new Set(there.map(({ id }) => id)));
    this.#forgetGenerations();
  }

  #forgetGenerations(): void {
    this.#generations.drop([...this.#held.values()].map(({ generation }) => generation));
  }
}

/** All that is known of a task by now. */
function reportOf({ report, troubles, lease }: Held): Report {
  const { list } = troubles;
  return {
    ...report,
    ...(lease === undefined ? {} : { pace: lease.state }),
    ...(list.length === 0 ? {} : { troubles: [...list] }),
  };
}

const STOPPED = new Error('the host is stopped');

/** Its run has not been stopped, so another host may have it at once. */
function stopped({ archive, run, part }: Job): Failure {
  const message = `the host was stopped before segment ${part.index} was done`;
  return fail('host-lost', { stage: 'worker', archive, run, segment: part.index, message }).failure;
}
