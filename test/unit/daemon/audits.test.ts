/** When the daemon verifies, what it keeps of differences, and who hears of them. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { verifyPass, type PassParts } from '../../../src/audit/verify-pass.ts';
import type { NotifyConfig } from '../../../src/config/schema.ts';
import { Alarms } from '../../../src/daemon/alarms/alarms.ts';
import type { Deliveries, Delivery } from '../../../src/daemon/alarms/deliveries.ts';
import { NEVER_AGAIN_MS } from '../../../src/audit/due.ts';
import { Audits } from '../../../src/daemon/audits.ts';
import { openHistory, type History } from '../../../src/daemon/history/history.ts';
import { describeProofs } from '../../../src/daemon/view/proof-state.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';
import { AuditSite } from '../audit/support.ts';

const [A, B] = ['20260101T000000Z', '20260102T000000Z'] as const;

let site: AuditSite;
let log: LogLine[];
let history: History;
let told: { event: string; run: string; text: string }[];
let purges: string[];

beforeEach(async () => {
  site = new AuditSite({ events: {} }, { every: '1s' });
  log = [];
  told = [];
  purges = [];
  history = await openHistory(`${site.folder}/_state`, recordTo(log));
});

afterEach(() => {
  history.close();
});

/** A daemon's audits over the same history. `pass` resolves once a pass is over. */
function open(): { audits: Audits; pass: () => Promise<void> } {
  const notify = [{ url: 'https://a', on: ['failure', 'recovery'], format: 'json' }] as unknown as NotifyConfig[];
  const send = ({ body }: Delivery): void => void told.push(JSON.parse(body) as (typeof told)[number]);
  const alarms = new Alarms({ send } as unknown as Deliveries, () => ({ ...site.config, notify }));
  let over = Promise.withResolvers<undefined>();
  const audits = new Audits({
    ...{ config: () => site.config, log: recordTo(log), history },
    verifyPass: (parts: PassParts, audit) =>
      verifyPass(parts, audit).finally(() => {
        over.resolve(undefined);
      }),
    events: {
      changed: () => undefined,
      proved: () => undefined,
      different: (run, isNew) => {
        if (isNew) alarms.different(run);
        purges.push(`hold ${run.archive}`);
      },
      good: (run) => {
        alarms.good(run);
        purges.push(`offer ${run.archive}`);
      },
    },
  });
  const pass = async (): Promise<void> => {
    over = Promise.withResolvers();
    audits.come();
    await over.promise;
    // What follows the pass.
    await new Promise(setImmediate);
  };
  return { audits, pass };
}

const stateOf = (audits: Audits) => describeProofs(audits.of('events'), audits.currentOf('events'), 1000, new Date());

describe('standing verification in the daemon', () => {
  test('tells of a difference once, with object and line, keeps it over a restart, and holds purges until it is proved good', async () => {
    await site.commit(A, { daysAgo: 2 });
    await site.commit(B, { daysAgo: 1 });
    const whole = await site.flipBit(A);
    const first = open();
    await first.pass();
    assert.deepEqual(
      told.map(({ event, run }) => [event, run]),
      [['failure', A]],
    );
    assert.ok(told[0]?.text.includes(site.keyOf(A)), told[0]?.text);
    assert.equal(first.audits.holdsPurge('events')?.code, 'archive-different');
    const shown = stateOf(first.audits);
    assert.deepEqual([shown?.differentRuns, shown?.different[0]?.run, shown?.due], [1, A, 1]);
    const [{ key, message } = { key: '', message: '' }] = shown?.different[0]?.differences ?? [];
    assert.equal(key, site.keyOf(A));
    assert.notEqual(message, '');

    const { audits, pass } = open();
    assert.equal(audits.holdsPurge('events')?.code, 'archive-different');
    assert.equal(stateOf(audits)?.differentRuns, 1);
    await pass();
    assert.equal(told.length, 1, 'it differs as it did');
    await site.store.put(site.keyOf(A), whole, { contentType: 'application/gzip' });
    await pass();
    assert.deepEqual(
      told.slice(1).map(({ event, run }) => [event, run]),
      [['recovery', A]],
    );
    assert.equal(audits.holdsPurge('events'), undefined);
    assert.deepEqual([stateOf(audits)?.differentRuns, purges.at(-1)], [0, 'offer events']);
    assert.equal(open().audits.holdsPurge('events'), undefined);
  });

  test('names the line of an object where it is known', async () => {
    await site.commit(A);
    const lines = Array.from({ length: 10 }, (_, id) => (id === 2 ? '{"id":2,"run"\n' : `{"id":${id},"run":"${A}"}\n`));
    await site.store.put(site.keyOf(A), gzipSync(lines.join('')), { contentType: 'application/gzip' });
    const { audits, pass } = open();
    await pass();
    const [first] = stateOf(audits)?.different[0]?.differences ?? [];
    assert.deepEqual([first?.key, first?.line], [site.keyOf(A), 3]);
    assert.match(told[0]?.text ?? '', /line 3: /);
  });

  test('shows the oldest proof, what is due and what was never proved', async () => {
    site.configure({ events: {} }, { every: '30d' });
    await site.commit(A, { daysAgo: 90 });
    await site.commit(B, { daysAgo: 80 });
    await site.prove(A, 20);
    const { audits, pass } = open();
    assert.equal(stateOf(audits)?.runs, null);
    await pass();
    const everyMs = 30 * 86_400_000;
    const shown = describeProofs(audits.of('events'), undefined, everyMs, new Date());
    assert.deepEqual([shown?.runs, shown?.due, shown?.unproved], [2, 0, 0]);
    assert.deepEqual([shown?.oldest?.run, shown?.oldest?.isProved, shown?.last?.run], [A, true, B]);
    assert.deepEqual(shown?.oldestUnproved, null);
  });

  test('reads how the proofs stand when it starts, and proves nothing before the first slot', async () => {
    site.configure({ events: {}, others: { destination: 'broken' } }, { every: '30d' });
    await site.commit(A, { daysAgo: 90 });
    await site.commit(B, { daysAgo: 80 });
    await site.prove(A, 20);
    const { audits, pass } = open();
    await audits.look();
    const everyMs = 30 * 86_400_000;
    const shown = () => describeProofs(audits.of('events'), undefined, everyMs, new Date());
    assert.deepEqual([shown()?.runs, shown()?.due, shown()?.unproved, shown()?.last?.run], [2, 1, 1, A]);
    assert.equal(await site.provedAt(B), undefined);
    assert.equal(audits.of('others')?.failure?.code, 'folder-missing');
    await pass();
    assert.deepEqual([shown()?.due, shown()?.last?.run], [0, B]);
    const before = site.config;
    await site.commit(A, { archive: 'added' });
    site.configure({ events: {}, added: {} }, { every: '30d' });
    audits.reloaded(before);
    await audits.look();
    assert.equal(audits.of('added')?.runs?.length, 1);
  });

  test('ends the look of the start when a slot comes meanwhile, and looks at nothing once it is closed', async () => {
    await site.commit(A);
    const { audits, pass } = open();
    const look = audits.look();
    await pass();
    await look;
    assert.equal(stateOf(audits)?.last?.run, A);
    assert.deepEqual(
      log.filter(({ fields }) => 'failure' in fields),
      [],
    );
    const closed = open().audits;
    closed.close();
    await closed.look();
    assert.equal(stateOf(closed)?.runs, null);
  });

  test('tells by what the runs are trusted: the last proof of any host, the oldest run without one, and the share of each', () => {
    const now = Date.now();
    const at = (daysAgo: number): number => now - daysAgo * 86_400_000;
    const run = (name: string, committed: number, proved?: number) => ({
      ...{ run: name, bytes: 1, committedMs: at(committed), provedMs: proved === undefined ? undefined : at(proved) },
    });
    const runs = [run('a', 90, 40), run('b', 80, 5), run('c', 9), run('d', 12), run('e', 99, 2)];
    const gone = { ...run('f', 400), provedMs: NEVER_AGAIN_MS };
    const different = ['c', 'not-readable'].map((name) => ({
      ...{ archive: 'events', run: name, foundAt: '', seenAt: '', destination: '', differences: [], more: 0 },
    }));
    const rest = { last: undefined, unreadable: new Set<string>(), failure: undefined };
    const shown = describeProofs(
      { runs: [...runs, gone], different, ...rest },
      undefined,
      30 * 86_400_000,
      new Date(now),
    );
    assert.deepEqual(shown?.last, { run: 'e', at: new Date(at(2)).toISOString() });
    assert.deepEqual(shown.oldestUnproved, { run: 'd', at: new Date(at(12)).toISOString() });
    assert.deepEqual(shown.shares, { proved: 2, old: 1, unproved: 1, different: 2 });
  });

  test('says nothing of an archive that was taken out of the config, or lies elsewhere by now', async () => {
    await site.commit(A);
    await site.flipBit(A);
    const { audits, pass } = open();
    await pass();
    site.configure({ others: {} });
    assert.deepEqual([audits.of('events'), audits.holdsPurge('events')], [undefined, undefined]);
    site.configure({ events: { destination: 'broken' } });
    assert.equal(audits.holdsPurge('events'), undefined);
  });

  test('forgets a run that differed and is not there any more', async () => {
    await site.commit(A);
    await site.flipBit(A);
    const { audits, pass } = open();
    await pass();
    await site.remove(A, 'data');
    await site.remove(A, 'manifest');
    await pass();
    assert.equal(audits.holdsPurge('events'), undefined);
    assert.equal(told.length, 1);
  });

  test('leaves a slot out that comes while a pass goes on, and begins none once it is closed', async () => {
    await site.commit(A);
    const { audits, pass } = open();
    const over = pass();
    audits.come();
    await over;
    assert.equal(log.filter(({ message }) => message.includes('is left out')).length, 1);
    audits.close();
    audits.come();
    assert.equal(log.filter(({ message }) => message === 'standing verification begins').length, 1);
  });
});
