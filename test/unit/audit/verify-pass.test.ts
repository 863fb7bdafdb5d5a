import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { verifyPass, type AuditMemory, type DueProof, type PassParts } from '../../../src/audit/verify-pass.ts';
import type { AuditFindings } from '../../../src/audit/due.ts';
import type { ProofOutcome } from '../../../src/audit/prove-run.ts';
import type { Failure } from '../../../src/base/errors.ts';
import { manifestKey, verifiedKey } from '../../../src/ledger/names.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { aPlan } from '../../support/ledger.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';
import { AuditSite } from './support.ts';

const [A, B, C] = ['20260101T000000Z', '20260102T000000Z', '20260103T000000Z'] as const;
const DAY_MS = 86_400_000;

interface Seen {
  bytes: number;
  begun: string[];
  ended: Map<string, ProofOutcome>;
  failures: Failure[];
  log: LogLine[];
}

interface Options {
  atMostBytes?: number;
  everyMs?: number;
  memory?: AuditMemory;
  foundDifferentMs?: PassParts['foundDifferentMs'];
  signal?: AbortSignal;
  onBegin?: (due: DueProof) => void;
  onFound?: PassParts['hooks']['found'];
}

async function pass(site: AuditSite, options: Options = {}): Promise<Seen> {
  const seen: Omit<Seen, 'bytes'> = { begun: [], ended: new Map(), failures: [], log: [] };
  const { memory = new Map() as AuditMemory, foundDifferentMs = () => undefined, onBegin = () => undefined } = options;
  const { signal = new AbortController().signal, everyMs = 30 * DAY_MS, atMostBytes = 1e9 } = options;
  const { onFound = () => undefined } = options;
  const bytes = await verifyPass(
    {
      ...{ config: () => site.config, log: recordTo(seen.log), signal, memory, foundDifferentMs },
      hooks: {
        found: onFound,
        failed: (_archive, failure) => seen.failures.push(failure),
        begin: (due) => {
          seen.begun.push(due.run);
          onBegin(due);
        },
        progress: () => undefined,
        end: ({ run }, outcome) => seen.ended.set(run, outcome),
      },
    },
    { schedule: '0 5 * * *', everyMs, atMostBytes },
  );
  return { bytes, ...seen };
}

describe('a pass of standing verification', () => {
  test('proves what has no proof or an old one, the oldest first, and notes when, by whom and of which manifest', async () => {
    const site = new AuditSite();
    for (const [run, daysAgo] of [
      [A, 5],
      [B, 50],
      [C, 70],
    ] as const)
      await site.commit(run, { daysAgo });
    await site.prove(C, 40);
    const { begun, ended, failures } = await pass(site);
    assert.deepEqual([begun, failures], [[B, C, A], []]);
    assert.ok([...ended.values()].every(({ status }) => status === 'proved'));
    const verified = await new RunFolder(site.store, 'events', A).verified();
    const manifest = (await site.store.get(manifestKey('events', A), 1e6))?.body ?? '';
    assert.deepEqual([verified?.rows, verified?.objects, verified?.sha256], [10, 1, hash('sha256', manifest)]);
    assert.deepEqual((await pass(site)).begun, [], 'all of them are proved');
  });

  test('reads no more than it may at a time, but one run at least', async () => {
    const site = new AuditSite();
    let each = 0;
    for (const [run, daysAgo] of [
      [A, 3],
      [B, 2],
      [C, 1],
    ] as const)
      each = await site.commit(run, { daysAgo });
    const first = await pass(site, { atMostBytes: Math.floor(2.5 * each) });
    assert.deepEqual([first.begun, first.bytes], [[A, B], 2 * each]);
    assert.deepEqual((await pass(site, { atMostBytes: 1 })).begun, [C]);
  });

  test('goes over all archives of the config, and over none that was taken out of it meanwhile', async () => {
    const site = new AuditSite({ events: {}, others: {}, gone: {} });
    await site.commit(A, { archive: 'others', daysAgo: 9 });
    await site.commit(B, { daysAgo: 8 });
    await site.commit(C, { archive: 'gone', daysAgo: 7 });
    const onBegin = ({ run }: DueProof): void => {
      if (run === B) site.configure({ events: {}, others: {} });
    };
    assert.deepEqual((await pass(site, { onBegin })).begun, [A, B]);
  });

  test('goes on where an archive and its destination are taken out of the config before it comes to them', async () => {
    const site = new AuditSite({ events: {}, gone: { destination: 'broken' } });
    await site.commit(A);
    const onFound = (): void => {
      const { broken: _broken, ...destinations } = site.configure({ events: {} }).destinations;
      site.config = { ...site.config, destinations };
    };
    const { begun, failures } = await pass(site, { onFound });
    assert.deepEqual([begun, failures], [[A], []]);
  });

  test('names the object that has another bit, and notes no proof of it', async () => {
    const site = new AuditSite();
    await site.commit(A);
    const whole = await site.flipBit(A);
    const { ended } = await pass(site);
    const outcome = ended.get(A);
    assert.ok(outcome?.status === 'different');
    assert.equal(outcome.differences[0]?.key, site.keyOf(A));
    assert.equal(await site.provedAt(A), undefined);
    await site.store.put(site.keyOf(A), whole, { contentType: 'application/gzip' });
    assert.equal((await pass(site)).ended.get(A)?.status, 'proved');
    assert.notEqual(await site.provedAt(A), undefined);
  });

  test('comes to a run that differed behind the others, so that these have their turn', async () => {
    const site = new AuditSite();
    const each = await site.commit(A, { daysAgo: 9 });
    await site.commit(B, { daysAgo: 8 });
    const foundDifferentMs = (_archive: string, run: string): number | undefined =>
      run === A ? Date.now() : undefined;
    const { begun } = await pass(site, { foundDifferentMs, atMostBytes: each });
    assert.deepEqual(begun, [B]);
  });

  for (const [what, keys] of [
    ['whose data is gone', 'data'],
    ['whose manifest is gone since it was read', 'manifest'],
  ] as const)
    test(`finds a run different ${what}`, async () => {
      const site = new AuditSite();
      await site.commit(A);
      await pass(site, { everyMs: 0 });
      await site.remove(A, keys);
      const outcome = (await pass(site, { everyMs: 0 })).ended.get(A);
      assert.ok(outcome?.status === 'different');
      assert.match(outcome.differences[0]?.message ?? '', /is not there/);
    });

  test('takes a run whose data may be gone by its age, and is, for expired, and looks at it once', async () => {
    const site = new AuditSite({ events: { mayExpireAfter: '10d' } });
    await site.commit(A, { daysAgo: 11 });
    await site.commit(B, { daysAgo: 9 });
    for (const run of [A, B]) await site.remove(run, 'data');
    const memory: AuditMemory = new Map();
    const { ended, bytes } = await pass(site, { memory });
    assert.deepEqual([ended.get(A)?.status, ended.get(B)?.status], ['expired', 'different']);
    assert.ok(bytes > 0);
    assert.deepEqual((await pass(site, { memory })).begun, [B]);
  });

  test('says in plain words that data has expired in part, or may not have', async () => {
    const site = new AuditSite({ events: { mayExpireAfter: '10d' } });
    await site.commit(A, { daysAgo: 11, objects: 3 });
    await site.commit(B, { daysAgo: 9, objects: 3 });
    for (const run of [A, B]) await site.remove(run, 'data');
    const { ended } = await pass(site);
    const words = [A, B].map((run) => {
      const outcome = ended.get(run);
      return outcome?.status === 'different' ? outcome.differences[0]?.message : outcome?.status;
    });
    assert.match(
      words[0] ?? '',
      /^1 of 3 data objects is not there: the run is older than mayExpireAfter, and has expired in part/,
    );
    assert.match(
      words[1] ?? '',
      /^1 of 3 data objects is not there, and may not have expired: .* younger than mayExpireAfter$/,
    );
  });

  test('finds a run whose manifest is gone, by the data or the proof that it has left, and none that is in progress', async () => {
    const site = new AuditSite();
    for (const run of [A, B, C]) await site.commit(run);
    await pass(site);
    for (const run of [A, B, C]) await site.remove(run, 'manifest');
    await site.remove(B, 'data');
    // Another host knows nothing of the manifests that were read here.
    rmSync(site.config.state, { recursive: true });
    await new RunFolder(site.store, 'events', C).own(aPlan({ archive: 'events', run: C }));
    const seen: AuditFindings['damaged'][] = [];
    await pass(site, { onFound: (_archive, { damaged }) => seen.push(damaged) });
    assert.deepEqual(
      seen.flat().map(({ run, failure }) => [run, failure.code]),
      [A, B].map((run) => [run, 'manifest-lost']),
    );
    assert.match(
      seen.flat()[0]?.failure.message ?? '',
      /is not there any more, though 1 data object of the run is still there/,
    );
  });

  test('believes what another host has noted meanwhile, and no note that is none, or that is of the future', async () => {
    const site = new AuditSite();
    for (const run of [A, B, C]) await site.commit(run);
    await site.store.put(verifiedKey('events', A), Buffer.from('{}'), { contentType: 'application/json' });
    await site.prove(B, -400);
    await site.prove(C, 0);
    const file = path.join(site.folder, verifiedKey('events', C));
    const proof = readFileSync(file);
    rmSync(file);
    const onBegin = ({ run }: DueProof): void => {
      if (run === A) writeFileSync(file, proof);
    };
    const { begun, log } = await pass(site, { onBegin });
    assert.deepEqual(begun, [A, B]);
    assert.deepEqual(
      log.flatMap(({ fields }) => (fields['failure'] as Failure | undefined)?.code ?? []),
      ['bad-proof', 'bad-proof'],
    );
  });

  test('asks no folder of a run that it has seen to be proved lately', async () => {
    const site = new AuditSite();
    await site.commit(A);
    const memory: AuditMemory = new Map();
    await pass(site, { memory });
    await site.store.remove([verifiedKey('events', A)]);
    assert.deepEqual((await pass(site, { memory })).begun, []);
    assert.deepEqual((await pass(site)).begun, [A]);
  });

  test('goes on with other archives where one cannot be read, and ends when it is asked to', async () => {
    const site = new AuditSite({ events: {}, others: {} });
    await site.commit(A, { daysAgo: 2 });
    await site.commit(B, { archive: 'others', daysAgo: 1 });
    const stop = new AbortController();
    const onBegin = (): void => {
      stop.abort(new Error('stopped'));
    };
    const { begun, ended, failures } = await pass(site, { onBegin, signal: stop.signal });
    assert.deepEqual([begun, ended.size, failures], [[A], 0, []]);
    site.configure({ events: { destination: 'broken' }, others: {} });
    const next = await pass(site);
    assert.deepEqual([next.begun, next.failures.length], [[B], 1]);
  });
});
