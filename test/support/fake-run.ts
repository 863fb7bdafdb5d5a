/** Runs without a server and without threads: sessions that the test loses, a place that writes objects at once. */
import { createHash, randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { fail, type Failure } from '../../src/base/errors.ts';
import type { ArchiveConfig, Config, DestinationConfig } from '../../src/config/schema.ts';
import type { Instance } from '../../src/ledger/journal.ts';
import { RunFolder } from '../../src/ledger/run-folder.ts';
import type { Column } from '../../src/postgres/columns.ts';
import type { RowDigest } from '../../src/postgres/row-digest.ts';
import type { Snapshot, SourceIdentity } from '../../src/postgres/snapshot.ts';
import type { Leaf } from '../../src/postgres/table-stats.ts';
import type { Cut } from '../../src/run/cut/cut.ts';
import { cutByKey } from '../../src/run/cut/key.ts';
import { cutByPages } from '../../src/run/cut/pages.ts';
import type { RunPlan } from '../../src/run/plan.ts';
import { GATHERING } from '../../src/run/receipt-writer.ts';
import type { Run } from '../../src/run/run.ts';
import type { Session } from '../../src/run/session.ts';
import type { SourceView } from '../../src/run/source-view.ts';
import type { FactsOf, ObjectFacts, Outcome, SegmentTask, Task } from '../../src/segment/task.ts';
import type { PlannedSegment } from '../../src/ledger/segments.ts';
import type { Store } from '../../src/store/store.ts';
import type { Place, TaskHooks } from '../../src/work/place.ts';
import { Pace } from '../../src/pace/pace.ts';
import { RunProgress } from '../../src/work/progress.ts';
import { ARCHIVE, INSTANCE, RUN, temporaryStore } from './ledger.ts';
import { recordTo, type LogLine } from './record-log.ts';

// A place that is done at once would be ahead of its receipts.
GATHERING.ms = 0;

const KEY: Column = {
  name: 'id',
  type: 'bigint',
  typeOid: 20,
  baseTypeOid: 20,
  elementTypeOid: null,
  isEnum: false,
  nullable: false,
  encoding: 'integer',
};

const LEAF: Leaf = {
  oid: 100,
  name: 'public.events',
  from: 'ONLY "public"."events"',
  pages: 4,
  bytes: 4 * 8192,
  hasPages: true,
  isReadable: true,
};

/** Cuts of a table into four segments. */
export const CUTS: Readonly<Record<'key' | 'pages', Cut>> = {
  key: cutByKey({
    columns: [{ reference: '"id"', type: 'pg_catalog.int8', operators: 'pg_catalog' }],
    nullable: false,
    findBounds: () => Promise.resolve([['100'], ['200'], ['300']]),
    findDescent: () => Promise.resolve(undefined),
  }),
  pages: cutByPages({ leaves: [LEAF], table: { oid: 100, name: '"events"' }, targetBytes: 8192 }),
};

/** A source that never changes; the test may say otherwise. */
export class FakeSource {
  cut: Cut = CUTS.key;
  identity: SourceIdentity = { database: 'app', serverVersion: '18.0', systemIdentifier: '7442' };
  columns: Column[] = [KEY];
  digest: RowDigest = { rows: 40, sum: 0n };
  /** What a plan that is gone on with gets beside its segments. */
  more: PlannedSegment[] = [];
  /** How often it was planned anew. */
  planned = 0;
  /** Called before each plan, and before each look whether the source was rewritten. */
  onPlan: () => void = () => undefined;
  onLook: () => void | Promise<void> = () => undefined;
  onDigest: () => void = () => undefined;

  get view(): SourceView {
    return {
      plan: async () => {
        this.planned += 1;
        this.onPlan();
        return this.#plan();
      },
      replan: async (_archive, _slot, { by, why, segments }) => {
        this.onPlan();
        const cut = by === 'none' || by === 'value' ? this.cut : CUTS[by];
        return { ...(await this.#plan()), cut, why, segments, problem: cut.problem(segments), more: this.more };
      },
      requireNotRewritten: async () => {
        await this.onLook();
      },
      digest: async () => {
        this.onDigest();
        return this.digest;
      },
    };
  }

  async #plan(): Promise<RunPlan> {
    return {
      subject: {
        name: 'public.events',
        selection: { kind: 'relation', from: '"public"."events"', where: undefined, columns: this.columns },
        relation: undefined,
        key: ['id'],
        keyOrder: ['bigint'],
      },
      estimate: { rows: 40, bytes: 400 },
      bytes: 400,
      cut: this.cut,
      why: `segments.by is ${this.cut.name}`,
      segments: await this.cut.segments(),
      warnings: [],
    };
  }
}

/** A session that holds until the test loses it. */
export class FakeSession implements Session {
  readonly identity: SourceIdentity;
  readonly snapshot: Snapshot;
  instance: Instance = INSTANCE;
  readonly mark = { systemIdentifier: '7442', startedAt: 1, address: '10.0.0.1:5432' };
  readonly view: SourceView;
  /** Whether the server still knows of the lock when it is asked. */
  holdsLock = true;
  isCut = false;
  isClosed = false;
  readonly #lost = new AbortController();

  constructor(source: FakeSource, number: number) {
    this.identity = source.identity;
    this.view = source.view;
    this.snapshot = {
      id: `00000003-0000001B-${number}`,
      lsn: `0/${number}`,
      takenAt: new Date(Date.UTC(2026, 10, 23, 2, 15, number)).toISOString(),
    };
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  lose(): void {
    this.#lost.abort(fail('session-lost', { stage: 'snapshot', message: 'the connection broke' }));
  }

  async require(): Promise<void> {
    this.lost.throwIfAborted();
    if (!this.holdsLock) throw fail('session-lost', { stage: 'lock', message: 'the lock is gone' });
  }

  cut(): void {
    this.isCut = true;
    this.lose();
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

/** A place that writes a segment's object at once, unless the test has something else happen. */
export class WritingPlace implements Place {
  readonly load = { active: 0, waiting: 0 };
  /** Segments in the order in which they were begun. */
  readonly begun: number[] = [];
  /** Called before a segment is written; what it returns is how the segment failed. */
  onTask: (task: SegmentTask) => Partial<Failure> | undefined = () => undefined;
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async run<T extends Task>(task: T, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<FactsOf<T>>> {
    if (task.kind !== 'archive-segment') throw new Error('only segments are archived here');
    signal.throwIfAborted();
    hooks.onBegin();
    this.begun.push(task.segment);
    const failure = this.onTask(task);
    if (failure !== undefined || signal.aborted) return { ok: false, failure: whole(failure), peakHeapBytes: 0 };
    const facts = (await this.#write(task)) as FactsOf<T> | undefined;
    if (facts === undefined) return { ok: false, failure: whole(REFUSED), peakHeapBytes: 0 };
    return { ok: true, facts, peakHeapBytes: 1000, seconds: 0 };
  }

  async close(): Promise<void> {
    // There is nothing to end.
  }

  /** Ten rows, which say under which snapshot they were read; undefined when what is there may not be replaced. */
  async #write({ key, segment, snapshot, replaces }: SegmentTask): Promise<ObjectFacts | undefined> {
    const body = Buffer.from(`{"segment":${segment},"snapshot":"${snapshot}"}\n`.repeat(10));
    const condition = replaces === undefined ? {} : { replaces };
    const written = await this.#store.put(key, body, { contentType: 'application/gzip', ...condition });
    if (written.outcome !== 'written') return undefined;
    return {
      key,
      etag: written.etag,
      rows: 10,
      jsonBytes: body.length,
      bytes: body.length,
      sha256: createHash('sha256').update(body).digest('hex'),
      crc32: crc32(body).toString(16).padStart(8, '0'),
      firstKey: [String(segment * 100)],
      lastKey: [String(segment * 100 + 9)],
      lineDigest: '0',
    };
  }
}

const REFUSED = { code: 'precondition-failed', transient: true, message: 'something else is there' } as const;

function whole(failure: Partial<Failure> = { code: 'aborted' }): Failure {
  return { code: 'internal', stage: 'worker', transient: false, message: 'failed', hint: '', segment: 0, ...failure };
}

/** Everything that a run touches, for the test to look at and to change. Several runs may follow one another. */
export class FakeRuns {
  readonly store = temporaryStore();
  readonly folder = new RunFolder(this.store, ARCHIVE, RUN);
  readonly source = new FakeSource();
  readonly place = new WritingPlace(this.store);
  readonly sessions: FakeSession[] = [];
  readonly log: LogLine[] = [];
  stop = new AbortController();
  drain = new AbortController();
  archive = {
    name: ARCHIVE,
    table: 'public.events',
    source: 'default',
    destination: 'default',
    segments: { by: 'key', on: 'here', targetBytes: 1, parallel: 1 },
    compression: { codec: 'none', engine: 'auto' },
    read: 'auto',
    retry: { attempts: 3, backoffMs: 0, forMs: 900_000 },
  } as unknown as ArchiveConfig;

  /** The run as another process takes it up. */
  next(changes: Partial<Run> = {}): Run {
    return {
      archive: this.archive,
      id: RUN,
      owner: randomUUID(),
      config: { workers: { threads: 1, maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 } } as Config,
      generation: 1,
      place: this.place,
      pace: new Pace({ pace: {}, timezone: 'UTC', log: recordTo(this.log) }),
      destination: { location: { kind: 'file', folder: '/srv' } } as unknown as DestinationConfig,
      folder: this.folder,
      log: recordTo(this.log),
      progress: new RunProgress(ARCHIVE, RUN, undefined),
      startedAt: new Date(Date.UTC(2026, 10, 23, 2, 15)),
      signal: this.stop.signal,
      drain: this.drain.signal,
      leaves: [],
      verifySource: false,
      aside: (work) => work(),
      openSession: () => {
        const session = new FakeSession(this.source, this.sessions.length + 1);
        this.sessions.push(session);
        return Promise.resolve(session);
      },
      close: () => Promise.resolve(),
      ...changes,
    };
  }

  /** The session that is open. */
  get session(): FakeSession {
    const last = this.sessions.at(-1);
    if (last === undefined) throw new Error('no session was opened');
    return last;
  }

  /** Names of the objects in the run's folder. */
  async objects(): Promise<string[]> {
    const names: string[] = [];
    for await (const { key } of this.folder.list()) names.push(key.slice(this.folder.prefix.length));
    return names.sort();
  }
}
