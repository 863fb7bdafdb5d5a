import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { createLog } from '../../../src/base/log.ts';
import { TOOL } from '../../../src/base/tool.ts';
import type { Config } from '../../../src/config/schema.ts';
import { SHARED_TASK_FORMAT, writeSharedTask } from '../../../src/ledger/shared-task.ts';
import type { SegmentOutcome } from '../../../src/segment/task.ts';
import { openFileStore } from '../../../src/store/file/file.ts';
import { Bindings } from '../../../src/work/bindings.ts';
import { describeEnds, digestDestination } from '../../../src/work/hosts/ends.ts';
import { Host } from '../../../src/work/hosts/host.ts';
import { readSaid, type Job, type Report } from '../../../src/work/hosts/messages.ts';
import type { Member, Queue, Taken } from '../../../src/work/hosts/queue.ts';
import type { Place } from '../../../src/work/place.ts';

const [ARCHIVE, RUN] = ['events', '20261123T021500Z'];
const folder = mkdtempSync(path.join(tmpdir(), 'pgsluice-host-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const config = {
  sources: { app: { name: 'app', url: 'postgres://app@db/events' } },
  destinations: { files: { name: 'files', url: `file://${folder}`, location: { kind: 'file', folder } } },
  workers: { threads: 1, maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 },
} as unknown as Config;

async function aJob(): Promise<Job> {
  const place = { store: openFileStore(folder), archive: ARCHIVE, run: RUN };
  const mark = await writeSharedTask(place, {
    format: SHARED_TASK_FORMAT,
    ...{ archive: ARCHIVE, run: RUN, tool: TOOL, snapshot: '1-1-1', read: 'copy', subject: 'public.events' },
    ends: describeEnds(config, { source: 'app', destination: 'files' }),
    server: { systemIdentifier: null, startedAt: 1, address: null },
    selection: { kind: 'relation', from: 'public.events', columns: [] },
    cut: { by: 'none' },
    keyColumns: [],
    compression: { codec: 'none', engine: 'auto' },
  });
  return {
    format: 'pgsluice/job/1',
    ...{ id: randomUUID(), coordinator: randomUUID(), archive: ARCHIVE, run: RUN, destination: 'files', attempt: 1 },
    ...{ generation: 1, generations: [1], destinationDigest: digestDestination(config, 'files') },
    part: { index: 0 },
    key: `${ARCHIVE}/run=${RUN}/part-00000.jsonl`,
    shared: mark,
  };
}

/** A host with one job, that takes it once `give` is called; its place works until it is told to drop it. */
async function aHost(changes: Partial<Job> = {}) {
  const job = { ...(await aJob()), ...changes };
  const given = Promise.withResolvers<Taken[]>();
  const asked = Promise.withResolvers<undefined>();
  const begun = Promise.withResolvers<undefined>();
  const told: Report[] = [];
  const settled: string[] = [];
  const done = Promise.withResolvers<undefined>();
  const take = { calls: 0 };
  let takeJobs = (): Promise<boolean> => Promise.resolve(false);
  const queue = {
    id: randomUUID(),
    hear: () => undefined,
    whenJobs: (work: () => Promise<boolean>) => (takeJobs = work),
    take: () => {
      asked.resolve(undefined);
      take.calls += 1;
      return take.calls === 1 ? given.promise : Promise.resolve([]);
    },
    members: () => Promise.resolve([{ id: job.coordinator, isLive: true } as Member]),
    say: async (_member: string, said: object) => {
      told.push(...readSaid(said).reports);
    },
    settle: async ({ id }: { id: string }) => {
      settled.push(id);
      done.resolve(undefined);
    },
    sweep: () => Promise.resolve(),
    beat: () => Promise.resolve(new Set([job.id])),
    wake: () => undefined,
  } as unknown as Queue;
  const place = {
    run: (_task: unknown, signal: AbortSignal) =>
      new Promise<SegmentOutcome>((_resolve, reject) => {
        begun.resolve(undefined);
        const drop = (): void => reject(signal.reason as Error);
        if (signal.aborted) drop();
        else signal.addEventListener('abort', drop, { once: true });
      }),
  } as unknown as Place;
  const parts = { queue, place, threads: 1, bindings: new Bindings(), log: createLog({ level: 'silent' }) };
  const host = new Host(config, { url: '', schema: 'pgsluice', silenceMs: 15_000 }, parts);
  host.start();
  const give = (): void =>
    given.resolve([{ id: job.id, data: job, lostId: null, attempt: { id: job.id, retryCount: 0 } }]);
  return {
    ...{ host, job, told, settled, take, give, takeJobs: () => takeJobs() },
    ...{ asked: asked.promise, begun: begun.promise, done: done.promise },
  };
}

describe('a host that is stopped', () => {
  test('gives what it could not finish to another one: that is no failure of the run', async () => {
    const { host, job, begun, told, settled, give, takeJobs } = await aHost();
    give();
    await takeJobs();
    await begun;
    await host.drain(0);
    const [{ outcome } = {}] = told;
    assert.ok(outcome !== undefined && !outcome.ok);
    assert.deepEqual([outcome.failure.code, outcome.failure.transient], ['host-lost', true]);
    assert.deepEqual(settled, [job.id]);
  });

  test('waits for what it is just taking out of the queue', async () => {
    const { host, job, asked, settled, give, takeJobs } = await aHost();
    const taking = takeJobs();
    await asked;
    const draining = host.drain(0).then(() => [...settled]);
    setImmediate(give);
    await taking;
    assert.deepEqual(await draining, [job.id]);
  });
});

test('a host whose destination of that name is another place reads nothing there, and refuses the segment', async () => {
  const { host, told, settled, job, give, takeJobs } = await aHost({ destinationDigest: 'f'.repeat(64) });
  give();
  await takeJobs();
  await host.drain(60_000);
  const [{ outcome } = {}] = told;
  assert.ok(outcome !== undefined && !outcome.ok);
  assert.equal(outcome.failure.code, 'host-differs');
  assert.match(outcome.failure.message, /its destination "files" has another url, endpoint or region/);
  assert.deepEqual(settled, [job.id]);
});

test('a host that could not do a segment takes no other for a while, and at once when its config is another one', async (t) => {
  const { host, take, give, takeJobs, done } = await aHost({ destinationDigest: 'f'.repeat(64) });
  t.after(() => host.drain(0));
  give();
  await takeJobs();
  await done;
  while (host.counts.active > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(host.counts.isResting, true);
  await takeJobs();
  assert.equal(take.calls, 1);
  host.reload(config);
  await takeJobs();
  assert.equal(take.calls, 2);
});
