import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { FailureError } from '../../../src/base/errors.ts';
import { createLog } from '../../../src/base/log.ts';
import type { Config } from '../../../src/config/schema.ts';
import { Bindings } from '../../../src/work/bindings.ts';
import { Host } from '../../../src/work/hosts/host.ts';
import { Hosts } from '../../../src/work/hosts/hosts.ts';
import { Queue } from '../../../src/work/hosts/queue.ts';
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
