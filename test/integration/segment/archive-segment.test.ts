import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { FailureError } from '../../../src/base/errors.ts';
import type { Reader } from '../../../src/config/reader.ts';
import type { ArchiveConfig, DestinationConfig } from '../../../src/config/schema.ts';
import { hasBinaryEncoder } from '../../../src/format/jsonl/write/binary/column.ts';
import { connectPostgres, endConnection, type Client } from '../../../src/postgres/connect.ts';
import { buildSelect } from '../../../src/postgres/select.ts';
import { markServer } from '../../../src/postgres/server-mark.ts';
import { beginReading, exportSnapshot } from '../../../src/postgres/snapshot.ts';
import { describeSubject } from '../../../src/run/subject.ts';
import { archiveSegment } from '../../../src/segment/archive.ts';
import { letGoOfAll } from '../../../src/base/kept.ts';
import type { WorkerMessage } from '../../../src/segment/messages.ts';
import type { SegmentTask } from '../../../src/segment/task.ts';
import { untilAborted } from '../../../src/base/signals.ts';
import { eventually, withDeadline } from '../../support/cli.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { SLOT } from '../../support/read-lines.ts';

const READERS: readonly Reader[] = ['copy', 'query', 'cursor'];

const NAME = 'pgsluice stalled/now/0';
/** Its 50th row takes an hour. */
const STALLED = `SELECT i AS id FROM generate_series(1, 100) AS i WHERE CASE WHEN i = 50 THEN pg_sleep(3600) IS NOT NULL ELSE true END`;
/** 40 MB. */
const LARGE = `SELECT i AS id, repeat('x', 2000) AS v FROM generate_series(1, 20000) AS i`;
const SILENT = { report: () => undefined, onProgress: () => undefined, grant: () => Promise.resolve() };
const THREE_ROWS = 'SELECT i AS id FROM generate_series(1, 3) AS i';

describe('a segment', () => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let holder: Client;
  let folder: string;

  before(async () => {
    database = await testDatabase();
    proxy = await startPostgresProxy(database.url);
    proxy.passesHangUps = false;
    holder = await connectPostgres({ url: database.url, applicationName: 'test' });
    await beginReading(holder);
    folder = await mkdtemp(path.join(os.tmpdir(), 'pgsluice-test-'));
  });
  after(async () => {
    await letGoOfAll();
    await endConnection(holder);
    await proxy.stop();
    await rm(folder, { recursive: true });
  });

  async function taskBy(read: Reader, query = STALLED): Promise<SegmentTask> {
    const { selection, name } = await describeSubject(holder, { query } as ArchiveConfig, SLOT);
    return {
      kind: 'archive-segment',
      ...{ archive: 'stalled', run: 'now', segment: 0, attempt: 1, generation: 0, source: 'default' },
      ...{
        destination: 'default',
        subject: name,
        range: 'all rows',
        columns: selection.columns,
        keyColumns: [],
        maxRowBytes: 16e6,
      },
      snapshot: (await exportSnapshot(holder)).id,
      server: await markServer(holder),
      read,
      select: buildSelect(selection, {}, (column) => read !== 'cursor' && !hasBinaryEncoder(column)),
      key: 'part-00000.jsonl.gz',
      compression: { codec: 'gzip', engine: 'zlib' },
      compressor: { engine: 'zlib', level: 1 },
    };
  }

  async function backends(): Promise<number> {
    const { rowCount } = await database.client.query(
      "SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'PgSleep'",
      [NAME],
    );
    return rowCount ?? 0;
  }

  for (const read of READERS)
    test(`by ${read}, whose source says nothing for long, is dropped at once, and its query is ended on a server that does not hear that we hang up`, async () => {
      const abort = new AbortController();
      const reason = new Error('dropped');
      const url = pathToFileURL(folder).href;
      const destination = { url, location: { kind: 'file', folder }, partBytes: 8e6 } as DestinationConfig;
      const ends = { database: { url: proxy.url, applicationName: NAME }, destination };
      const hooks = { ...SILENT, signal: abort.signal };
      const archiving = archiveSegment(await taskBy(read), ends, hooks);
      archiving.catch(() => undefined);
      await eventually('the source is stalled', async () => (await backends()) === 1);
      abort.abort(reason);
      await assert.rejects(
        withDeadline(archiving, () => 'the segment goes on'),
        (error) => error === reason,
      );
      await eventually('its query is ended', async () => (await backends()) === 0);
      assert.deepEqual(await readdir(folder), []);
    });

  for (const read of READERS)
    test(`by ${read} is not finished when the lock of its run is gone by the end of its rows`, async () => {
      const LOCK = '-8000000000000000001';
      const { rows } = await holder.query<{ pid: number }>(`SELECT pg_backend_pid() AS pid, pg_advisory_lock(${LOCK})`);
      const url = pathToFileURL(folder).href;
      const destination = { url, location: { kind: 'file', folder }, partBytes: 8e6 } as DestinationConfig;
      const ends = { database: { url: database.url, applicationName: NAME }, destination };
      const hooks = { ...SILENT, signal: new AbortController().signal };
      const task = { ...(await taskBy(read, THREE_ROWS)), lock: { pid: rows[0]!.pid, number: LOCK } };
      assert.equal((await archiveSegment({ ...task, key: `held-${read}` }, ends, hooks)).rows, 3);
      await holder.query(`SELECT pg_advisory_unlock(${LOCK})`);
      await assert.rejects(
        archiveSegment({ ...task, key: `lost-${read}` }, ends, hooks),
        (error) => error instanceof FailureError && error.failure.code === 'session-lost',
      );
      assert.deepEqual(await readdir(folder), [`held-${read}`]);
      await rm(path.join(folder, `held-${read}`));
    });

  for (const read of READERS)
    test(`by ${read} holds the server back while nothing is granted, and is dropped all the same`, async () => {
      const abort = new AbortController();
      const url = pathToFileURL(folder).href;
      const destination = { url, location: { kind: 'file', folder }, partBytes: 8e6 } as DestinationConfig;
      const ends = { database: { url: database.url, applicationName: `${NAME} ${read}` }, destination };
      let asked = 0;
      const grant = (bytes: number): Promise<void> => {
        asked += bytes;
        return asked < 100_000 ? Promise.resolve() : untilAborted(new Promise(() => undefined), abort.signal);
      };
      const task = { ...(await taskBy(read, LARGE)), key: `paced-${read}`, pieceBytes: 10_000 };
      const archiving = archiveSegment(task, ends, { ...SILENT, grant, signal: abort.signal });
      archiving.catch(() => undefined);
      // A cursor asks for some rows at a time; the others go on until nobody takes any more.
      const [event, state] = read === 'cursor' ? ['Client%', '%'] : ['ClientWrite', 'active'];
      await eventually('the server waits', async () => {
        const { rowCount } = await database.client.query(
          'SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event LIKE $2 AND state LIKE $3',
          [`${NAME} ${read}`, event, state],
        );
        return rowCount === 1 && asked === 100_000;
      });
      abort.abort(new Error('dropped'));
      await assert.rejects(archiving, /dropped/);
      assert.deepEqual(await readdir(folder), []);
    });

  describe('on the connection of the one before it', () => {
    const APPLICATION = 'pgsluice kept/now/';
    let key = 0;

    /** Archives three rows, or what the query gives, and resolves to the backend that they were read on. */
    async function archive(changes: Partial<SegmentTask> = {}, query = THREE_ROWS, signal?: AbortSignal) {
      key += 1;
      const pids: number[] = [];
      const destination = { url: pathToFileURL(folder).href, location: { kind: 'file', folder }, partBytes: 8e6 };
      const ends = {
        database: { url: database.url, applicationName: `${APPLICATION}${key}` },
        destination: destination as DestinationConfig,
      };
      const task = { ...(await taskBy('copy', query)), key: `kept-${key}`, ...changes };
      const hooks = {
        report: (message: WorkerMessage) => {
          if (message.kind === 'backend') pids.push(message.pid);
        },
        onProgress: () => undefined,
        grant: () => Promise.resolve(),
        signal: signal ?? new AbortController().signal,
      };
      const { rows } = await archiveSegment(task, ends, hooks);
      return { rows, pid: pids.at(-1)!, pids, line: (await readFile(path.join(folder, task.key))).toString() };
    }

    async function kept(): Promise<{ pid: number; state: string; holds: string | null; locks: number }[]> {
      const { rows } = await database.client.query<Awaited<ReturnType<typeof kept>>[number]>(
        `SELECT pid, state, backend_xmin::text AS holds,
           (SELECT count(*)::int FROM pg_locks l WHERE l.pid = a.pid) AS locks
         FROM pg_stat_activity a WHERE datname = current_database() AND application_name LIKE $1`,
        [`${APPLICATION}%`],
      );
      return rows;
    }

    const UNPACKED = { compression: { codec: 'none' }, compressor: { engine: 'none' } } as unknown as SegmentTask;

    afterEach(async () => {
      await letGoOfAll();
      await eventually('nothing is left', async () => (await kept()).length === 0);
      for (const name of await readdir(folder)) await rm(path.join(folder, name));
    });

    for (const read of READERS)
      test(`by ${read} is read as on a new one, and in between it holds nothing`, async () => {
        const first = await archive({ read });
        assert.deepEqual(await kept(), [{ pid: first.pid, state: 'idle', holds: null, locks: 0 }]);
        const second = await archive({ read });
        assert.deepEqual([second.rows, second.pids], [3, [first.pid]]);
      });

    test('finds nothing of what a statement has set or locked', async () => {
      const zone = "SELECT current_setting('TimeZone') AS zone";
      const setting = `${zone}, set_config('TimeZone', 'Asia/Tokyo', false) AS set, pg_advisory_lock(-41)::text AS locked`;
      const first = await archive(UNPACKED, setting);
      assert.match(first.line, /Asia\/Tokyo/);
      assert.equal((await kept())[0]?.locks, 0);
      const second = await archive(UNPACKED, zone);
      assert.equal(second.pid, first.pid);
      assert.equal(second.line, '{"zone":"UTC"}\n');
    });

    test('is read on a new one where that was ended meanwhile', async () => {
      const first = await archive();
      await database.client.query('SELECT pg_terminate_backend($1, 5000)', [first.pid]);
      const second = await archive();
      assert.equal(second.rows, 3);
      assert.notEqual(second.pid, first.pid);
    });

    for (const [what, changes, query, code] of [
      ['a snapshot that is gone', { snapshot: '00000FFF-00000001-1' }, THREE_ROWS, 'snapshot-lost'],
      ['a statement that fails', {}, 'SELECT 1 / (i - 3) AS id FROM generate_series(1, 3) AS i', 'query-failed'],
      ['a lock that is gone', { lock: { pid: 1, number: '-42' } }, THREE_ROWS, 'session-lost'],
    ] as const)
      test(`is not read on one that has seen ${what}`, async () => {
        const first = await archive();
        await assert.rejects(
          archive(changes, query),
          (error) => error instanceof FailureError && error.failure.code === code,
        );
        await eventually('the connection is ended', async () => (await kept()).length === 0);
        const next = await archive();
        assert.equal(next.rows, 3);
        assert.notEqual(next.pid, first.pid);
      });

    test('is not read on one that was cut in the middle', async () => {
      const first = await archive();
      const abort = new AbortController();
      const stalled = archive({}, STALLED, abort.signal);
      stalled.catch(() => undefined);
      await eventually('the source is stalled', async () => (await kept())[0]?.state === 'active');
      assert.equal((await kept())[0]?.pid, first.pid);
      abort.abort(new Error('dropped'));
      await assert.rejects(stalled, /dropped/);
      await eventually('the connection is ended', async () => (await kept()).length === 0);
      assert.notEqual((await archive()).pid, first.pid);
    });
  });
});
