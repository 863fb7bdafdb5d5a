import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { fail, FailureError, type Failure } from '../../../src/base/errors.ts';
import { createLog } from '../../../src/base/log.ts';
import type { Config } from '../../../src/config/schema.ts';
import { dataKey } from '../../../src/ledger/names.ts';
import type { Binding } from '../../../src/segment/binding.ts';
import type { ObjectFacts, Outcome, SegmentTask } from '../../../src/segment/task.ts';
import { Bindings } from '../../../src/work/bindings.ts';
import { Host } from '../../../src/work/hosts/host.ts';
import { Hosts } from '../../../src/work/hosts/hosts.ts';
import { readJob } from '../../../src/work/hosts/messages.ts';
import { Queue, type Taken } from '../../../src/work/hosts/queue.ts';
import { Threads } from '../../../src/work/threads.ts';
import '../../support/bundled-threads.ts';
import { testDatabase } from '../../support/postgres.ts';
import { placeConformance } from './place-conformance.ts';

const alive = new Set<Worker>();

process.on('worker', (worker) => {
  alive.add(worker);
  worker.once('exit', () => alive.delete(worker));
});

const log = createLog({ level: 'silent' });

placeConformance('another host, over the queue,', async (room) => {
  const { url } = await testDatabase();
  const hosts = { url, schema: 'pgsluice', silenceMs: 15_000 };
  const workers = { threads: room, maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 };
  const [ours, theirs] = [new Bindings(), new Bindings()];
  const place = new Hosts(hosts, ours, log);
  const threads = new Threads(workers, theirs);
  const queue = await Queue.open(hosts, 'worker', room, log);
  const none = { sources: {}, destinations: {}, workers } as unknown as Config;
  const host = new Host(none, hosts, { queue, place: threads, threads: room, bindings: theirs, log });
  host.start();
  const close = async (): Promise<void> => {
    await host.drain(0);
    await queue.close();
    await threads.close();
    await place.close();
  };
  return {
    place: {
      get load() {
        return place.load;
      },
      run: (task, signal, hooks) => place.run(task, signal, hooks),
      close,
    },
    add: (binding) => {
      host.reload({ ...none, ...binding });
      return ours.add(binding);
    },
    kill: async () => {
      for (const worker of alive) await worker.terminate();
    },
  };
});

describe('the queue', () => {
  test('that does not answer is a failure that may pass', async () => {
    const hosts = { url: 'postgres://nobody@127.0.0.1:1/none', schema: 'pgsluice', silenceMs: 15_000 };
    await assert.rejects(
      Queue.open(hosts, 'worker', 1, log),
      (error) => error instanceof FailureError && error.failure.code === 'queue-unavailable' && error.failure.transient,
    );
  });

  test('knows who takes part, and forgets what those have left who are gone', async (t) => {
    const { url, client } = await testDatabase(t);
    const hosts = { url, schema: 'pgsluice', silenceMs: 15_000 };
    const first = await Queue.open(hosts, 'coordinator', 0, log);
    const second = await Queue.open(hosts, 'worker', 3, log);
    const members = await second.members();
    assert.deepEqual(
      members.map(({ id, role, threads, isLive }) => [id, role, threads, isLive]).toSorted(),
      [
        [first.id, 'coordinator', 0, true],
        [second.id, 'worker', 3, true],
      ].toSorted(),
    );
    // So many have ended lately; pg-boss lists the oldest first.
    await client.query(
      `INSERT INTO pgsluice.instance
       SELECT (jsonb_populate_record(i, jsonb_build_object('id', gen_random_uuid(), 'started_on', now() - interval '1 day', 'stopped_on', now()))).*
       FROM pgsluice.instance i, generate_series(1, 1000) WHERE i.id = (SELECT min(id::text)::uuid FROM pgsluice.instance)`,
    );
    assert.deepEqual(
      (await second.members())
        .filter(({ isLive }) => isLive)
        .map(({ id: member }) => member)
        .toSorted(),
      [first.id, second.id].toSorted(),
    );
    const id = crypto.randomUUID();
    await first.send(id, { coordinator: first.id });
    await first.send(id, { coordinator: first.id });
    assert.equal((await client.query('SELECT FROM pgsluice.job')).rowCount, 1);
    assert.equal(await first.takeBack(id), 'waited');
    await first.send(id, { coordinator: first.id });
    const [taken] = await second.take(5);
    assert.deepEqual([taken?.id, taken?.data], [id, { coordinator: first.id }]);
    assert.deepEqual([...(await second.beat([taken!.attempt]))], [id]);
    assert.equal(await first.takeBack(id), 'begun');
    assert.deepEqual([...(await second.beat([taken!.attempt]))], []);
    // As if it had been killed.
    await first.send(crypto.randomUUID(), { coordinator: first.id });
    await client.query(`UPDATE pgsluice.instance SET heartbeat_on = now() - interval '1 hour' WHERE name LIKE $1`, [
      `coordinator ${first.id} %`,
    ]);
    await second.sweep();
    assert.equal((await client.query('SELECT FROM pgsluice.job')).rowCount, 0);
    assert.equal((await client.query(`SELECT FROM pgsluice.queue WHERE name LIKE 'inbox/%'`)).rowCount, 1);
    await first.close();
    await second.close();
    assert.equal((await client.query(`SELECT FROM pgsluice.queue WHERE name LIKE 'inbox/%'`)).rowCount, 0);
  });

  test('whose schema was dropped is made again, and all take part in it as before', async (t) => {
    const { url, client } = await testDatabase(t);
    const hosts = { url, schema: 'pgsluice', silenceMs: 15_000 };
    const queues = [await Queue.open(hosts, 'coordinator', 0, log), await Queue.open(hosts, 'worker', 1, log)] as const;
    await client.query('DROP SCHEMA pgsluice CASCADE');
    for (const queue of queues) await assert.rejects(queue.take(1), /queue of hosts.url does not answer/);
    for (const queue of queues) assert.deepEqual(await queue.take(1), []);
    const [first, second] = queues;
    const id = crypto.randomUUID();
    await first.send(id, { coordinator: first.id });
    const [taken] = await second.take(1);
    assert.equal(taken?.id, id);
    const live = (await first.members()).filter(({ isLive }) => isLive);
    assert.deepEqual(live.map((member) => member.id).toSorted(), queues.map((queue) => queue.id).toSorted());
    for (const queue of queues) await queue.close();
  });
});

/** A segment that was sent, and the queue of a worker that is played by the test, which says what it likes. */
async function withPlayedWorker(t: TestContext, others = 0) {
  const { url } = await testDatabase(t);
  const folder = mkdtempSync(path.join(tmpdir(), 'pgsluice-hosts-'));
  const hosts = { url, schema: 'pgsluice', silenceMs: 15_000 };
  const bindings = new Bindings();
  const generation = bindings.add({
    sources: { app: { name: 'app', url } },
    destinations: { files: { name: 'files', url: `file://${folder}`, location: { kind: 'file', folder } } },
  } as unknown as Binding);
  const worker = await Queue.open(hosts, 'worker', 1, log);
  const idle: Queue[] = [];
  while (idle.length < others) idle.push(await Queue.open(hosts, 'worker', 1, log));
  const place = new Hosts(hosts, bindings, log);
  t.after(async () => {
    await place.close();
    for (const queue of [worker, ...idle]) await queue.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const [archive, run] = ['events', '20261123T021500Z'];
  const task = {
    kind: 'archive-segment',
    ...{ archive, run, segment: 1, attempt: 1, generation, source: 'app', destination: 'files', snapshot: '1-1-1' },
    ...{ server: { systemIdentifier: null, startedAt: 1, address: null }, read: 'copy', subject: 'public.events' },
    origin: { selection: { kind: 'relation', from: 'public.events', columns: [] }, cut: { by: 'none' }, part: {} },
    ...{ columns: [], keyColumns: [], compression: { codec: 'none', engine: 'auto' } },
    key: dataKey(archive, run, 1, 'jsonl'),
  } as unknown as SegmentTask;
  let begun = 0;
  const onBegin = (): void => void (begun += 1);
  const ended = place.run(task, new AbortController().signal, { onBegin, onProgress: () => undefined });
  ended.catch(() => undefined);
  let taken = await worker.take(1);
  while (taken.length === 0) {
    await sleep(50);
    taken = await worker.take(1);
  }
  const [{ data, attempt }] = taken as [Taken];
  const { id, coordinator } = readJob(data);
  const say = (report: object): Promise<void> =>
    worker.say(coordinator, {
      ...{ format: 'pgsluice/said/1', member: worker.id, host: 'db2' },
      reports: [{ id, backends: [], uploads: [], ...report }],
    });
  const end = async (outcome: object): Promise<Outcome<ObjectFacts>> => {
    await say({ outcome: { peakHeapBytes: 0, ...outcome } });
    await worker.settle(attempt);
    return ended;
  };
  return { task, say, end, begun: () => begun };
}

function failureOf(outcome: Outcome<ObjectFacts>): Failure {
  assert.ok(!outcome.ok);
  return outcome.failure;
}

describe('what a worker says', () => {
  test('of a segment that it has begun and refuses then, goes back to who may have it wait', async (t) => {
    const { say, end, begun } = await withPlayedWorker(t);
    await say({});
    const { failure } = fail('host-differs', { stage: 'worker', message: 'its source is another server' });
    assert.equal(failureOf(await end({ ok: false, failure })).code, 'host-differs');
    assert.equal(begun(), 1);
  });

  test('of an object that cannot be that of the segment, fails it for good', async (t) => {
    const { task, end } = await withPlayedWorker(t);
    const counts = { rows: 5, jsonBytes: 14, bytes: 14, sha256: 'a'.repeat(64), crc32: '00000000' };
    const facts = { key: task.key, ...counts, firstKey: [], lastKey: [], etag: 'e' };
    const { code, transient, message } = failureOf(await end({ ok: true, seconds: 1, facts }));
    assert.deepEqual([code, transient], ['bad-job', false]);
    assert.match(message, /5 rows cannot have 14 bytes/);
  });

  test('of what it alone cannot reach counts as lost with it where there is another one, and else as it is', async (t) => {
    const { failure } = fail('timeout', { stage: 'upload', message: 'no answer' });
    const alone = await withPlayedWorker(t);
    assert.equal(failureOf(await alone.end({ ok: false, failure })).code, 'timeout');
    const amongOthers = await withPlayedWorker(t, 1);
    const { code, cause, message } = failureOf(await amongOthers.end({ ok: false, failure }));
    assert.deepEqual([code, cause], ['host-lost', 'timeout']);
    assert.match(message, /^db2 is cut off from what others may reach: no answer/);
  });
});
