/** A year of runs, by moving the clock: what the chain and standing verification find, and when, while old data expires as it may. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { verifyPass, type AuditMemory } from '../../../src/audit/verify-pass.ts';
import type { AuditedRun } from '../../../src/audit/due.ts';
import { headKey, manifestKey } from '../../../src/ledger/names.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { formatRunId } from '../../../src/ledger/run-id.ts';
import { advanceHead, findLink } from '../../../src/run/chain-link.ts';
import { verifyChain } from '../../../src/verify/chain.ts';
import { recordTo } from '../../support/record-log.ts';
import { AuditSite } from './support.ts';

const DAY_MS = 86_400_000;
const DAYS = 365;
/** Days between two slots of audits.verify, and how old a proof and the data may be. */
const [SLOT, EVERY, EXPIRES] = [5, 60, 120] as const;
const FIRST_DAY = Date.UTC(2026, 0, 1, 5);
const JSON_TYPE = { contentType: 'application/json' };

beforeEach(() => {
  mock.timers.enable({ apis: ['Date'], now: FIRST_DAY });
});
afterEach(() => {
  mock.timers.reset();
});

/** An archive that gets runs, and is proved at each slot. */
class Year {
  readonly site = new AuditSite({ events: { mayExpireAfter: `${EXPIRES}d` } });
  readonly memory: AuditMemory = new Map();
  readonly log = recordTo([]);
  readonly runs: { run: string; day: number; isExpired: boolean }[] = [];
  /** Runs that are known to differ, and since when. */
  readonly different = new Map<string, number>();
  /** Of each slot: what was proved, in its order, and how many bytes were read. */
  readonly slots: { proved: string[]; bytes: number; known: AuditedRun[] }[] = [];
  largest = 0;

  async commit(day: number): Promise<string> {
    const { store } = this.site;
    const run = formatRunId(new Date(FIRST_DAY + day * DAY_MS));
    const folder = new RunFolder(store, 'events', run);
    const link = await findLink({ folder, log: this.log });
    let sha256 = '';
    // The head goes before the manifest; the test's commit writes both the data and that.
    const bytes = await this.site.commit(run, { daysAgo: 0, changes: link.fields }, async (sealed) => {
      ({ sha256 } = sealed);
      assert.ok(await advanceHead(folder, link, sha256));
    });
    this.largest = Math.max(this.largest, bytes);
    this.runs.push({ run, day, isExpired: false });
    return sha256;
  }

  /** As a lifecycle rule does, a day late. */
  async expire(day: number): Promise<void> {
    for (const one of this.runs)
      if (!one.isExpired && day - one.day > EXPIRES) {
        await this.site.remove(one.run, 'data');
        one.isExpired = true;
      }
  }

  async slot(atMostBytes: number): Promise<void> {
    const proved: string[] = [];
    let known: AuditedRun[] = [];
    const bytes = await verifyPass(
      {
        ...{ config: () => this.site.config, log: this.log, signal: new AbortController().signal, memory: this.memory },
        foundDifferentMs: (_archive, run) => this.different.get(run),
        hooks: {
          found: (_archive, { runs, damaged }) => {
            known = runs.map((run) => ({ ...run }));
            assert.deepEqual(damaged, []);
          },
          failed: (_archive, failure) => assert.fail(failure.message),
          begin: () => undefined,
          progress: () => undefined,
          end: ({ run }, { status }) => {
            if (status === 'different') this.different.set(run, Date.now());
            else this.different.delete(run);
            if (status === 'proved') proved.push(run);
          },
        },
      },
      { schedule: '0 5 * * *', everyMs: EVERY * DAY_MS, atMostBytes },
    );
    this.slots.push({ proved, bytes, known });
  }

  /** How long ago the runs were proved whose data is there, or committed where they never were; the oldest first, in days. */
  ages(): number[] {
    const proved = new Map([...this.memory.values()].flatMap((proofs) => [...proofs]));
    return this.runs
      .filter(({ isExpired }) => !isExpired)
      .map(({ run, day }) => (Date.now() - (proved.get(run) ?? FIRST_DAY + day * DAY_MS)) / DAY_MS)
      .sort((a, b) => b - a);
  }

  async chain(): Promise<string[]> {
    const { ok, problems } = await verifyChain(this.site.store, 'events');
    assert.equal(ok, problems.length === 0);
    return problems.map(({ kind, run }) => `${kind} ${run}`);
  }
}

test('all is proved within its time by a budget that is enough, the oldest first; a flipped bit is found; the chain tells each manipulation', async () => {
  const year = new Year();
  const { store } = year.site;
  // At a slot are due: the run that was committed since the last one, and those that were proved EVERY days ago: of all whose data is there.
  const perSlot = 1 + EXPIRES / EVERY;
  let oldest = 0;
  let flipped: { run: string; day: number; whole: Buffer } | undefined;
  let foundAfter = Infinity;
  for (let day = 0; day < DAYS; day += SLOT) {
    mock.timers.setTime(FIRST_DAY + day * DAY_MS);
    await year.commit(day);
    await year.expire(day);
    if (day === 40 * SLOT) {
      const run = year.runs[30]?.run ?? '';
      flipped = { run, day, whole: await year.site.flipBit(run) };
    }
    await year.slot(perSlot * year.largest);
    if (flipped !== undefined && year.different.has(flipped.run) && foundAfter === Infinity) {
      foundAfter = day - flipped.day;
      await store.put(year.site.keyOf(flipped.run), flipped.whole, { contentType: 'application/gzip' });
    }
    oldest = Math.max(oldest, year.ages()[0] ?? 0);
  }
  for (const { proved, bytes, known } of year.slots) {
    assert.ok(bytes <= perSlot * year.largest, 'no slot reads more than it may');
    const since = new Map(known.map((run) => [run.run, run.provedMs ?? run.committedMs]));
    const order = proved.filter((run) => run !== flipped?.run).map((run) => since.get(run) ?? 0);
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
      'the oldest comes first',
    );
  }
  assert.ok(oldest <= EVERY + SLOT, `nothing is older than it may be at a slot, and one slot: ${oldest} days`);
  assert.ok(foundAfter <= EVERY + SLOT, `a flipped bit is found after ${foundAfter} days`);
  assert.deepEqual([...year.different], [], 'and is good again, once the object is whole');
  const gone = year.runs.filter(({ isExpired }) => isExpired).length;
  assert.ok(gone > 40);

  assert.deepEqual(await year.chain(), [], 'what has expired is in the chain');
  const manifestOf = (at: number): string => manifestKey('events', year.runs.at(at)?.run ?? '');
  const bodyOf = async (key: string): Promise<Buffer> => (await store.get(key, 1e6))?.body ?? assert.fail(key);
  const [newest, middle] = [year.runs.at(-1)?.run ?? '', year.runs[60]?.run ?? ''];
  for (const [at, run] of [
    [-1, newest],
    [60, middle],
  ] as const) {
    const body = await bodyOf(manifestOf(at));
    await store.remove([manifestOf(at)]);
    assert.deepEqual(await year.chain(), [`removed ${run}`]);
    await store.put(manifestOf(at), body, JSON_TYPE);
  }
  const head = await bodyOf(headKey('events'));
  const stray = formatRunId(new Date(FIRST_DAY + 400 * DAY_MS));
  const original = await bodyOf(manifestOf(60));
  const copy = JSON.parse(original.toString()) as object;
  const nothing = { objects: [], rows: 0, jsonBytes: 0, bytes: 0 };
  const put = (changes: object): Promise<unknown> =>
    store.put(
      manifestKey('events', stray),
      Buffer.from(JSON.stringify({ ...copy, ...nothing, run: stray, ...changes })),
      JSON_TYPE,
    );
  await put({});
  assert.deepEqual(await year.chain(), [`forked ${stray}`]);
  await put({ previous: { run: stray, sha256: 'a'.repeat(64) } });
  assert.deepEqual(await year.chain(), [`inserted ${stray}`]);
  await store.remove([manifestKey('events', stray)]);
  await store.put(manifestOf(60), Buffer.from(`${JSON.stringify({ ...copy, rows: 11 })}\n`), JSON_TYPE);
  assert.deepEqual(await year.chain(), [`replaced ${middle}`]);
  await store.put(manifestOf(60), original, JSON_TYPE);
  assert.deepEqual(await bodyOf(headKey('events')), head);
  assert.deepEqual(await year.chain(), []);
});

test('a budget that is not enough leaves runs without a proof, the latest ones, and ever more', async () => {
  const year = new Year();
  for (let day = 0; day < 30; day += 1) {
    mock.timers.setTime(FIRST_DAY + day * DAY_MS);
    await year.commit(day);
    // One more run comes between two slots than are proved at one.
    if (day % SLOT === 0) await year.slot((SLOT - 1) * year.largest);
  }
  const proved = year.slots.flatMap((slot) => slot.proved);
  // The first slot has found one run alone.
  assert.deepEqual(
    proved,
    year.runs.slice(0, 1 + 5 * (SLOT - 1)).map(({ run }) => run),
  );
});
