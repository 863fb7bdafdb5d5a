/** What every place where tasks are run must do, whoever does the work there. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { Client } from 'pg';
import { createLog } from '../../../src/base/log.ts';
import type { ArchiveConfig, DestinationConfig } from '../../../src/config/schema.ts';
import { chooseCompressor } from '../../../src/format/compress/codec.ts';
import { dataKey } from '../../../src/ledger/names.ts';
import { connectPostgres, endConnection } from '../../../src/postgres/connect.ts';
import { buildSelect } from '../../../src/postgres/select.ts';
import { markServer } from '../../../src/postgres/server-mark.ts';
import { Pace } from '../../../src/pace/pace.ts';
import { beginReading, exportSnapshot } from '../../../src/postgres/snapshot.ts';
import { describeSubject } from '../../../src/run/subject.ts';
import type { Binding } from '../../../src/segment/binding.ts';
import type { ObjectFacts, SegmentTask } from '../../../src/segment/task.ts';
import { dispatchTasks } from '../../../src/work/dispatch.ts';
import type { Place, TaskHooks } from '../../../src/work/place.ts';
import { eventually } from '../../support/cli.ts';
import { oracleLines, SLOT } from '../../support/read-lines.ts';
import { createGatedView, createWideTable, openSite, type GatedView, PREFIX, type Site } from '../../support/site.ts';

/** A place under test. */
export interface Subject {
  place: Place;
  /** Makes a generation of a config known to it; tasks that name it follow. */
  add(binding: Binding): number;
  /** Ends whoever works on something, without a warning. */
  kill(): Promise<void>;
  /** How many threads were started, where they are started by need. */
  started?(): number;
}

const ROWS = 300;
/** A row after which an upload in parts has begun, and progress has been told. */
const GATE_AT = 1200;
const GATED_ROWS = 1300;
const RUN = '20261123T021500Z';

/** `open` gives a place with room for that many tasks at once. */
export function placeConformance(name: string, open: (room: number) => Promise<Subject>): void {
  describe(`${name}, a place where tasks are run,`, () => {
    let site: Site;
    /** They keep the snapshots of the tasks. */
    let holders: Client[];
    let subject: Subject;
    let generation: number;
    let segments = 0;
    let views = 0;

    before(async () => {
      site = await openSite();
      await createWideTable(site, 'rows', ROWS);
      await site.database.client.query('CREATE TABLE nothing (id int PRIMARY KEY, pad text)');
      subject = await open(1);
      generation = subject.add(bindingOf(site));
    });
    after(() => subject.place.close());
    beforeEach(async () => {
      holders = [];
    });
    afterEach(async () => {
      await Promise.all(holders.map(endConnection));
      await site.waitForNoBackends();
      assert.deepEqual(site.pendingUploads('events'), []);
    });

    /** A task that archives a whole table, as a segment of its own. */
    async function taskOf(table: string, changes: Partial<SegmentTask> = {}): Promise<SegmentTask> {
      const holder = await connectPostgres({ url: site.database.url, applicationName: 'test' });
      holders.push(holder);
      await beginReading(holder);
      const { id } = await exportSnapshot(holder);
      const { selection, name: subjectName } = await describeSubject(holder, { table } as ArchiveConfig, SLOT);
      return {
        kind: 'archive-segment',
        archive: 'events',
        run: RUN,
        ...next(),
        attempt: 1,
        generation,
        source: 'app',
        destination: 'bucket',
        snapshot: id,
        server: await markServer(holder),
        read: 'cursor',
        select: buildSelect(selection),
        origin: { selection, cut: { by: 'none' }, part: {} },
        columns: selection.columns,
        subject: subjectName,
        range: 'all rows',
        keyColumns: [0],
        compression: { codec: 'none', engine: 'auto' },
        compressor: chooseCompressor({ codec: 'none', engine: 'auto' }),
        maxRowBytes: 1_000_000,
        ...changes,
      };
    }

    /** The next segment of the run. */
    function next(): Pick<SegmentTask, 'segment' | 'key'> {
      segments += 1;
      return { segment: segments, key: dataKey('events', RUN, segments, 'jsonl') };
    }

    /** A table of some parts, whose reading waits in the middle. */
    async function gated(): Promise<GatedView> {
      views += 1;
      return createGatedView(site, `gated_${views}`, GATED_ROWS, GATE_AT);
    }

    /** Waits until the task has rows on their way: its first part is sent, and its reader waits. */
    async function untilInMiddle(view: GatedView, { key }: SegmentTask): Promise<void> {
      await view.reached();
      await eventually('a part is sent', async () =>
        site.proxy.requests.some((request) => request.operation === 'UploadPart' && request.key === PREFIX + key),
      );
      await untilOneIsActive();
    }

    /** Other hosts say a little later what they have begun. */
    async function untilOneIsActive(): Promise<void> {
      await eventually('one is active', async () => subject.place.load.active === 1);
    }

    async function succeed(task: SegmentTask): Promise<ObjectFacts> {
      const outcome = await subject.place.run(task, never, watch().hooks);
      assert.ok(outcome.ok, JSON.stringify(outcome));
      return outcome.facts;
    }

    /** Sessions on this database that the server ended because somebody told it to. */
    async function sessionsKilled(): Promise<number> {
      const { rows } = await site.database.client.query<{ killed: number }>(
        'SELECT sessions_killed::int AS killed FROM pg_stat_database WHERE datname = current_database()',
      );
      return rows[0]?.killed ?? 0;
    }

    const stored = async (task: SegmentTask): Promise<Buffer | undefined> =>
      (await site.stored(PREFIX + task.key))?.body;

    // The first ones: no thread is there yet.
    it('needs no thread for a segment without rows, and writes its object', async () => {
      const task = await taskOf('nothing', { isExpectedEmpty: true });
      const { key, rows, bytes, firstKey } = await succeed(task);
      assert.deepEqual([key, rows, bytes, firstKey], [task.key, 0, 0, null]);
      assert.equal((await stored(task))?.length, 0);
      assert.equal(subject.started?.() ?? 0, 0);
    });

    it('loses no row of a segment that is not empty, as was expected', async () => {
      const task = await taskOf('rows', { isExpectedEmpty: true });
      assert.equal((await succeed(task)).rows, ROWS);
      const lines = (await stored(task))?.toString().trimEnd().split('\n');
      assert.deepEqual(lines, await oracleLines(site.database.url, 'rows'));
      assert.equal(subject.started?.() ?? 1, 1);
    });

    it('resolves to what is known of the object, which is there then', async () => {
      const task = await taskOf('rows');
      const outcome = await subject.place.run(task, never, watch().hooks);
      assert.ok(outcome.ok, JSON.stringify(outcome));
      const body = await stored(task);
      assert.ok(body !== undefined);
      assert.deepEqual(body.toString().trimEnd().split('\n'), await oracleLines(site.database.url, 'rows'));
      const { facts } = outcome;
      assert.deepEqual(
        [facts.key, facts.rows, facts.bytes, facts.firstKey, facts.lastKey],
        [task.key, ROWS, body.length, ['1'], [String(ROWS)]],
      );
      assert.equal(facts.sha256, createHash('sha256').update(body).digest('hex'));
      assert.ok(outcome.peakHeapBytes > 0 && outcome.seconds > 0);
    });

    it('resolves to the failure of a task that fails, and says of which segment it is', async () => {
      const task = await taskOf('rows', { snapshot: '00000000-00000000-1' });
      const outcome = await subject.place.run(task, never, watch().hooks);
      assert.ok(!outcome.ok);
      const { archive, run, segment, code, hint } = outcome.failure;
      assert.deepEqual([archive, run, segment], ['events', RUN, task.segment]);
      assert.equal(code, 'snapshot-lost');
      assert.notEqual(hint, '');
      assert.equal(await stored(task), undefined);
    });

    it('tells when a task begins and how far it is', async () => {
      const view = await gated();
      const told = watch();
      const task = await taskOf(view.table);
      const outcome = subject.place.run(task, never, told.hooks);
      await untilInMiddle(view, task);
      await eventually('progress is told', async () => told.rows.length > 0);
      assert.ok(
        told.rows.every((rows) => rows > 0 && rows < GATED_ROWS),
        told.rows.join(),
      );
      assert.equal(told.begun, 1);
      await view.open();
      assert.ok((await outcome).ok);
      assert.deepEqual(
        told.rows,
        told.rows.toSorted((a, b) => a - b),
      );
    });

    it('lets those wait that it has no room for, and counts them', async () => {
      const view = await gated();
      const second = watch();
      const task = await taskOf(view.table);
      const outcomes = [subject.place.run(task, never, watch().hooks)];
      // Two tables in one run: what the first one shares with its run must be read before the second one's is in its place.
      await untilInMiddle(view, task);
      outcomes.push(subject.place.run(await taskOf('rows'), never, second.hooks));
      await eventually('one waits', async () => subject.place.load.waiting === 1);
      assert.deepEqual(subject.place.load, { active: 1, waiting: 1 });
      assert.equal(second.begun, 0);
      await view.open();
      assert.deepEqual(
        (await Promise.all(outcomes)).map(({ ok }) => ok),
        [true, true],
      );
      assert.equal(second.begun, 1);
      assert.deepEqual(subject.place.load, { active: 0, waiting: 0 });
    });

    it('begins no task whose signal aborts before there is room for it', async () => {
      const view = await gated();
      const first = subject.place.run(await taskOf(view.table), never, watch().hooks);
      const told = watch();
      const abort = new AbortController();
      const task = await taskOf('rows');
      await view.reached();
      const second = subject.place.run(task, abort.signal, told.hooks);
      await eventually('one waits', async () => subject.place.load.waiting === 1);
      abort.abort(new Error('cancelled by hand'));
      await assert.rejects(second, { message: 'cancelled by hand' });
      await assert.rejects(subject.place.run(task, abort.signal, told.hooks), { message: 'cancelled by hand' });
      await view.open();
      assert.ok((await first).ok);
      assert.equal(told.begun, 0);
      assert.equal(await stored(task), undefined);
    });

    it('drops a task cleanly whose signal aborts in the middle of it, and takes the next one', async () => {
      const view = await gated();
      const abort = new AbortController();
      const task = await taskOf(view.table);
      const running = subject.place.run(task, abort.signal, watch().hooks);
      await untilInMiddle(view, task);
      abort.abort(new Error('cancelled by hand'));
      const outcome = await running;
      assert.ok(!outcome.ok);
      assert.equal(outcome.failure.code, 'aborted');
      assert.match(outcome.failure.message, /cancelled by hand/);
      assert.deepEqual(site.pendingUploads('events'), []);
      assert.equal(await stored(task), undefined);
      await succeed(await taskOf('rows'));
    });

    it('fails a task whose worker dies, to be tried again, ends what it left, and takes the next one', async () => {
      const view = await gated();
      const task = await taskOf(view.table);
      const running = subject.place.run(task, never, watch().hooks);
      await untilInMiddle(view, task);
      const before = await sessionsKilled();
      await subject.kill();
      const outcome = await running;
      assert.ok(!outcome.ok);
      const { code, transient, archive, run, segment } = outcome.failure;
      assert.deepEqual([code, transient, archive, run, segment], ['worker-died', true, 'events', RUN, task.segment]);
      assert.deepEqual(site.pendingUploads('events'), []);
      // One that is only cut off would go on waiting, and end as abandoned.
      await eventually('its query is stopped', async () => (await sessionsKilled()) > before);
      assert.equal(await stored(task), undefined);
      await succeed(await taskOf('rows'));
    });

    it('ends what it has begun when a run is drained, and nothing else is begun', async () => {
      const view = await gated();
      const drain = new AbortController();
      const tasks = [await taskOf(view.table), await taskOf('rows')];
      const finished: number[] = [];
      const dispatching = dispatchTasks(tasks, {
        place: subject.place,
        log: createLog({ level: 'silent' }),
        retry: { attempts: 1, backoffMs: 0, forMs: 900_000 },
        parallel: 1,
        signal: never,
        drain: drain.signal,
        onAttempt: () => undefined,
        onProgress: () => undefined,
        onFailed: () => undefined,
        onFinished: async ({ segment }) => void finished.push(segment),
      });
      dispatching.catch(() => undefined);
      await view.reached();
      await untilOneIsActive();
      drain.abort(new Error('the daemon stops'));
      await view.open();
      await assert.rejects(dispatching, /1 segment still to do/);
      assert.deepEqual(finished, [tasks[0]!.segment]);
      assert.equal(await stored(tasks[1]!), undefined);
    });

    it('reads no faster than is granted, over all tasks at once, and says how much it wants', async () => {
      const several = await open(3);
      const [rate, pieceBytes] = [100_000, 75_000];
      // Its time goes by only while bytes are waited for: so it tells what was granted, however busy the machine is.
      let elapsed = 0;
      const sleep = async (ms: number): Promise<void> => {
        elapsed += ms;
        await new Promise((resolve) => setImmediate(resolve));
      };
      const clock = { now: () => 0, elapsed: () => elapsed, sleep };
      const log = createLog({ level: 'silent' });
      const pace = new Pace({ pace: { bytesPerSecond: rate }, timezone: 'UTC', log, clock });
      const asked: number[] = [];
      const hooks = (): TaskHooks => ({
        ...watch().hooks,
        grant: (bytes, signal) => {
          asked.push(bytes);
          return pace.grant(bytes, signal);
        },
      });
      try {
        const number = several.add(bindingOf(site));
        // All of a run read one snapshot.
        const first = await taskOf('rows', { generation: number, pieceBytes });
        const tasks = [first];
        while (tasks.length < 4) tasks.push(await taskOf('rows', { ...first, ...next() }));
        const outcomes = await Promise.all(tasks.map((task) => several.place.run(task, never, hooks())));
        const bytes = outcomes.reduce((sum, outcome) => sum + (outcome.ok ? outcome.facts.jsonBytes : Number.NaN), 0);
        assert.ok(bytes > 40 * rate, 'it takes more than 40 s');
        // A portion that was asked for may not be needed to its end.
        const left = asked.reduce((sum, each) => sum + each, 0) - bytes;
        assert.ok(left >= 0 && left < tasks.length * pieceBytes, `${left} bytes more were asked for`);
        assert.ok(Math.max(...asked) <= pieceBytes);
        const ratio = bytes / ((elapsed / 1000) * rate);
        assert.ok(Math.abs(ratio - 1) < 0.05, `${ratio}`);
      } finally {
        await several.place.close();
      }
    });

    it('takes the names in a task for what they stood for in its generation, whatever came since', async () => {
      const newer = subject.add(bindingOf(site, 'newer/'));
      const [first, second, third] = [
        await taskOf('rows'),
        await taskOf('rows', { generation: newer }),
        await taskOf('rows'),
      ];
      for (const task of [first, second]) await succeed(task);
      // Whoever comes after it knows neither generation.
      await subject.kill();
      await succeed(third);
      assert.ok((await stored(first)) !== undefined && (await stored(third)) !== undefined);
      assert.equal(await stored(second), undefined);
      assert.ok((await site.stored(`newer/${second.key}`)) !== undefined);
    });
  });
}

const never = new AbortController().signal;

/** Hooks that keep what they are told. */
function watch(): { hooks: TaskHooks; begun: number; rows: number[] } {
  const told = { begun: 0, rows: [] as number[] };
  const hooks: TaskHooks = {
    onBegin: () => {
      told.begun += 1;
    },
    onProgress: ({ rows }) => {
      told.rows.push(rows);
    },
  };
  return Object.assign(told, { hooks });
}

/** One source and one destination, as a config has them. */
function bindingOf(site: Site, prefix = PREFIX): Binding {
  const bucket = {
    ...site.destination(),
    name: 'bucket',
    url: `s3://archive/${prefix.slice(0, -1)}`,
    location: { kind: 's3', bucket: 'archive', prefix },
    accessKeyId: site.s3.accessKeyId,
    secretAccessKey: site.s3.secretAccessKey,
    partBytes: 5 * 1024 ** 2,
    checksums: 'when-supported',
    tags: {},
  } as unknown as DestinationConfig;
  return { sources: { app: { name: 'app', url: site.database.url } }, destinations: { bucket } };
}
