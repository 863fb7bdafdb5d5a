/** A run over a folder of the file system, and a session whose source answers from memory. */
import { randomUUID } from 'node:crypto';
import type { Log } from '../../../src/base/log.ts';
import type { DestinationConfig } from '../../../src/config/schema.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import type { PlannedSegment } from '../../../src/ledger/segments.ts';
import type { Cut } from '../../../src/run/cut/cut.ts';
import type { RunPlan } from '../../../src/run/plan.ts';
import type { Run } from '../../../src/run/run.ts';
import type { Session } from '../../../src/run/session.ts';
import type { Store } from '../../../src/store/store.ts';
import { RunProgress } from '../../../src/work/progress.ts';
import { ARCHIVE, INSTANCE, keySegments, RUN, SNAPSHOT } from '../../support/ledger.ts';

/** A line of the log. */
export interface Logged {
  level: 'info' | 'warn' | 'error';
  message: string;
  fields: Record<string, unknown>;
}

export interface TestRun {
  run: Run;
  log: Logged[];
}

/** A run of the archive `events` in the store. */
export function aRun(store: Store): TestRun {
  const log: Logged[] = [];
  const logTo =
    (level: Logged['level']) =>
    (fields: Record<string, unknown>, message: string): void => {
      log.push({ level, message, fields });
    };
  const destination = { location: { kind: 's3', bucket: 'bucket', prefix: 'pg/' } } as unknown as DestinationConfig;
  const archive = {
    name: ARCHIVE,
    table: 'public.events',
    compression: { codec: 'gzip' },
    segments: { on: 'here' },
    retry: { attempts: 3, backoffMs: 0, forMs: 900_000 },
  };
  const run = {
    archive,
    id: RUN,
    owner: randomUUID(),
    leaves: [],
    destination,
    folder: new RunFolder(store, ARCHIVE, RUN),
    log: { info: logTo('info'), warn: logTo('warn'), error: logTo('error') } as unknown as Log,
    startedAt: new Date('2026-11-23T02:15:00.000Z'),
    progress: new RunProgress(ARCHIVE, RUN, undefined),
    signal: new AbortController().signal,
    drain: new AbortController().signal,
    place: {},
  } as unknown as Run;
  return { run, log };
}

export interface TestCut {
  segments?: readonly PlannedSegment[];
  survivesSnapshot?: boolean;
  /** What the cut says of segments that it is given. */
  problem?: string;
  /** Segments that come to those of a plan that is gone on with. */
  more?: readonly PlannedSegment[];
  /** A filter of the archive. */
  where?: string;
}

/** A plan of three segments by key. */
export function aRunPlan({ segments = keySegments(3), survivesSnapshot = true, where }: TestCut = {}): RunPlan {
  const cut: Cut = {
    name: 'key',
    survivesSnapshot,
    segments: () => Promise.resolve([...segments]),
    problem: () => undefined,
    parts: { by: 'none' },
    describe: () => 'all rows',
  };
  const id = {
    name: 'id',
    type: 'bigint',
    typeOid: 20,
    baseTypeOid: 20,
    elementTypeOid: null,
    isEnum: false,
    nullable: false,
    encoding: 'integer',
  } as const;
  const subject = {
    name: 'public.events',
    selection: { kind: 'relation', from: '"public"."events"', where, columns: [id] },
    relation: { kind: 'table', primaryKey: ['id'] },
    key: ['id'],
    keyOrder: [],
  } as unknown as RunPlan['subject'];
  return {
    subject,
    estimate: { rows: 300, bytes: 3000 },
    bytes: 3000,
    cut,
    why: 'segments.by is key',
    segments,
    warnings: [],
  };
}

/** A session of another snapshot than that of the documents in test/support/ledger.ts, unless it is said to be the same. */
export function aSession(
  source: TestCut = {},
  snapshot = { ...SNAPSHOT, id: '00000009-1', takenAt: '2026-11-23T03:00:00.000Z' },
): Session {
  const { problem, more = [], ...cut } = source;
  return {
    identity: { database: 'app', serverVersion: '18.0', systemIdentifier: '7442' },
    instance: INSTANCE,
    snapshot,
    require: () => Promise.resolve(),
    lost: new AbortController().signal,
    view: {
      plan: () => Promise.resolve(aRunPlan(cut)),
      replan: (_archive: unknown, _slot: Date, { segments }: { segments: readonly PlannedSegment[] }) =>
        Promise.resolve({ ...aRunPlan({ ...cut, segments }), problem, more }),
    },
  } as unknown as Session;
}
