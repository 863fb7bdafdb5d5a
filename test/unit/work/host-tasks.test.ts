import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { fail } from '../../../src/base/errors.ts';
import type { FailureCode } from '../../../src/base/failures.ts';
import { NEVER } from '../../../src/base/signals.ts';
import type { Binding } from '../../../src/segment/binding.ts';
import type { ObjectFacts } from '../../../src/segment/task.ts';
import type { StoreTrouble } from '../../../src/store/trouble.ts';
import { Bindings } from '../../../src/work/bindings.ts';
import { misfitOf } from '../../../src/work/hosts/fits.ts';
import { HostGenerations } from '../../../src/work/hosts/generations.ts';
import { Lease } from '../../../src/work/hosts/lease.ts';
import type { Job } from '../../../src/work/hosts/messages.ts';
import { judgeOwn, Rests } from '../../../src/work/hosts/own-trouble.ts';
import type { HostTask } from '../../../src/work/hosts/shared.ts';
import { HeardTroubles, Troubles } from '../../../src/work/hosts/troubles.ts';

const CONFIG: Binding = { sources: {}, destinations: {} };

function jobOf(coordinator: string, generation: number, generations = [generation]): Job {
  return { coordinator, generation, generations } as Job;
}

describe('the generation of its config that a host does a segment by', () => {
  const leader = randomUUID();

  test('is that by which it has done others of the same, and the one in force for all that it has not', () => {
    const bindings = new Bindings();
    const own = new HostGenerations(bindings, CONFIG);
    const first = own.of(jobOf(leader, 1));
    own.reload(CONFIG);
    const mended = own.of(jobOf(leader, 1));
    assert.notEqual(mended, first, 'what never served is no promise');
    own.served(jobOf(leader, 1), mended);
    own.reload(CONFIG);
    own.drop([]);
    assert.equal(own.of(jobOf(leader, 1)), mended);
    assert.notEqual(own.of(jobOf(leader, 2, [1, 2])), mended);
    assert.notEqual(own.of(jobOf(randomUUID(), 1)), mended);
    assert.deepEqual([bindings.generations.includes(first), bindings.generations.includes(mended)], [false, true]);
  });

  test('is kept for as long as who leads its runs goes by it, and is there', () => {
    const bindings = new Bindings();
    const own = new HostGenerations(bindings, CONFIG);
    const old = own.of(jobOf(leader, 1));
    own.served(jobOf(leader, 1), old);
    own.reload(CONFIG);
    own.served(jobOf(leader, 2), own.of(jobOf(leader, 2, [1, 2])));
    // It had waited since before the reload.
    assert.equal(own.of(jobOf(leader, 1, [1])), old);
    own.drop([]);
    assert.ok(bindings.generations.includes(old));
    own.of(jobOf(leader, 2, [2]));
    own.drop([old]);
    assert.ok(bindings.generations.includes(old), 'a segment in progress goes by it');
    own.drop([]);
    assert.ok(!bindings.generations.includes(old));
    own.reload(CONFIG);
    const [kept] = bindings.generations;
    own.forgetOthers(new Set([randomUUID()]));
    own.drop([]);
    assert.ok(!bindings.generations.includes(kept!));
    assert.equal(bindings.generations.length, 1);
  });

  test('is forgotten when there are too many, the oldest first', () => {
    const bindings = new Bindings();
    const own = new HostGenerations(bindings, CONFIG);
    for (let number = 1; number <= 50; number += 1) {
      const all = Array.from({ length: number }, (_, at) => at + 1);
      own.served(jobOf(leader, number), own.of(jobOf(leader, number, all)));
      own.reload(CONFIG);
      own.drop([]);
    }
    assert.equal(bindings.generations.length, 21);
    assert.equal(own.of(jobOf(leader, 1, [1])), bindings.generations.at(-1));
  });
});

describe('what a host says of an object', () => {
  const id = { name: 'id', encoding: 'integer', typeOid: 20 };
  const at = { name: 'at', encoding: 'timestamptz', typeOid: 1184 };
  const name = { name: 'name', encoding: 'string', typeOid: 25 };
  const task = (columns: object[], lower: string[] | null, upper: string[] | null): HostTask =>
    ({
      key: 'part-00001.jsonl.gz',
      columns,
      keyColumns: columns.map((_, index) => index),
      compression: { codec: 'gzip' },
      origin: { part: { range: { lower, upper } } },
    }) as unknown as HostTask;
  const facts = (firstKey: string[] | null, lastKey: string[] | null, changes: object = {}): ObjectFacts =>
    ({ key: 'part-00001.jsonl.gz', rows: 5, jsonBytes: 500, bytes: 100, firstKey, lastKey, ...changes }) as ObjectFacts;

  test('fits the bounds of its segment', () => {
    const ranged = task([id], ['10'], ['20']);
    assert.equal(misfitOf(ranged, facts(['10'], ['19'])), undefined);
    assert.equal(misfitOf(ranged, facts(null, null, { rows: 0, jsonBytes: 0 })), undefined);
    assert.match(misfitOf(ranged, facts(['9'], ['19'])) ?? '', /first key \(9\) lies below/);
    assert.match(misfitOf(ranged, facts(['10'], ['20'])) ?? '', /last key \(20\) lies above/);
    assert.match(misfitOf(ranged, facts(['15'], ['12'])) ?? '', /first key \(15\) lies above its last/);
    assert.equal(misfitOf(task([id], null, null), facts(['-5'], ['99'])), undefined);
    const twice = task([id, at], ['1', '2026-01-01 00:00:00+00'], ['1', '2026-02-01 00:00:00+00']);
    const [january, february] = ['2026-01-01T00:00:00+00:00', '2026-02-01T00:00:00+00:00'];
    assert.equal(misfitOf(twice, facts(['1', january], ['1', '2026-01-31T23:59:59.999999+00:00'])), undefined);
    assert.match(misfitOf(twice, facts(['1', january], ['1', february])) ?? '', /lies above/);
    assert.match(misfitOf(twice, facts(['0', january], ['1', january])) ?? '', /lies below/);
    // Only Postgres knows the order of text, and where NULL stands.
    assert.equal(misfitOf(task([name], ['b'], ['c']), facts(['B'], ['ä'])), undefined);
    assert.equal(misfitOf(ranged, facts([''], ['19'])), undefined);
  });

  test('is of its object, and of numbers that can be', () => {
    const ranged = task([id], null, null);
    for (const [wrong, why] of [
      [facts(['1'], ['2'], { key: 'part-00002.jsonl.gz' }), /of the object part-00002/],
      [facts(['1'], ['2'], { jsonBytes: 14 }), /5 rows cannot have 14 bytes/],
      [facts(['1'], ['2'], { rows: 0, jsonBytes: 0 }), /0 rows cannot have the key \(1\)/],
      [facts(null, null), /5 rows cannot have no key/],
      [facts(['1', '2'], ['2', '3']), /cannot have the key \(1, 2\)/],
    ] as const)
      assert.match(misfitOf(ranged, wrong) ?? '', why);
    const plain = { ...ranged, compression: { codec: 'none' } } as HostTask;
    assert.match(misfitOf(plain, facts(['1'], ['2'])) ?? '', /100 bytes cannot have 500 bytes of lines/);
    assert.match(misfitOf({ ...ranged, wantsLineDigest: true }, facts(['1'], ['2'])) ?? '', /no digest/);
  });
});

describe('what a segment on another host may pass on', () => {
  test('is asked for in portions, and waited for; what is said twice, late or never changes nothing', async () => {
    const asked: number[] = [];
    const lease: Lease = new Lease(100, () => asked.push(lease.state.wanted));
    const passed: string[] = [];
    const take = (bytes: number): Promise<unknown> => lease.take(bytes, NEVER).then(() => passed.push(`${bytes}`));
    const first = take(30);
    lease.grant(100);
    await first;
    await take(70);
    const third = take(250);
    lease.grant(40);
    lease.grant(100);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(passed, ['30', '70']);
    lease.grant(350);
    await third;
    assert.deepEqual(asked, [100, 350]);
    assert.deepEqual(lease.state, { wanted: 350, granted: 350 });
  });

  test('is waited for no more once its segment has ended', async () => {
    const over = new AbortController();
    const lease = new Lease(100, () => undefined);
    const waiting = assert.rejects(lease.take(1, over.signal), /ended/);
    over.abort(new Error('ended'));
    await waiting;
    lease.grant(100);
  });
});

describe('requests in trouble on another host', () => {
  const { failure } = fail('timeout', { stage: 'upload', message: 'no answer' });
  const request = 'PutObject of a';

  test('are told as they are where the run is led, though what comes first is lost, or comes twice', () => {
    const troubles = new Troubles(2);
    const heard = new HeardTroubles();
    const told: string[] = [];
    const hear = (): void => {
      const list = [...troubles.list];
      heard.hear(list, (trouble: StoreTrouble) => {
        told.push(trouble.what === 'retried' ? `retried ${trouble.tries}` : trouble.what);
      });
      troubles.told(list);
    };
    troubles.note({ what: 'slow', request });
    hear();
    hear();
    assert.deepEqual(told.splice(0), ['slow']);
    troubles.note({ what: 'retried', request, tries: 1, failure });
    troubles.note({ what: 'retried', request, tries: 2, failure });
    hear();
    assert.deepEqual(told.splice(0), ['retried 1', 'retried 2']);
    troubles.note({ what: 'over', request });
    hear();
    hear();
    assert.deepEqual(told.splice(0), ['over']);
    // All of it between two messages, and another one of that name after it.
    for (let again = 0; again < 2; again += 1) {
      troubles.note({ what: 'retried', request, tries: 1, failure });
      troubles.note({ what: 'over', request });
    }
    hear();
    assert.deepEqual(told.splice(0), ['retried 1', 'over', 'retried 1', 'over']);
    assert.deepEqual(troubles.list, []);
  });

  test('are no more than a message takes', () => {
    const troubles = new Troubles(2);
    for (const name of ['a', 'b', 'c']) troubles.note({ what: 'slow', request: name });
    assert.deepEqual(
      troubles.list.map((trouble) => trouble.request),
      ['b', 'c'],
    );
  });
});

describe('a failure on a host', () => {
  test('that may be of this host alone is tried again elsewhere', () => {
    const judged = (code: FailureCode): [string, boolean] => {
      const { failure } = fail('access-denied', { stage: 'upload', segment: 3, message: 'no' });
      const { code: as, transient, segment } = judgeOwn({ ...failure, code, transient: false });
      assert.equal(segment, 3);
      return [as, transient];
    };
    assert.deepEqual(judged('access-denied'), ['access-denied', true]);
    assert.deepEqual(judged('login-refused'), ['login-refused', true]);
    assert.deepEqual(judged('several-servers'), ['host-differs', true]);
    assert.deepEqual(judged('row-count-mismatch'), ['row-count-mismatch', false]);
  });

  test('has it rest, longer each time, until a segment is done there', () => {
    let now = 0;
    const rests = new Rests(undefined, () => now);
    const rest = (): number => {
      rests.failed();
      const since = now;
      while (rests.isResting) now += 1000;
      return now - since;
    };
    assert.equal(rests.isResting, false);
    rests.failed();
    // A second one that it had begun before.
    now = 1000;
    rests.failed();
    now = 2000;
    assert.equal(rests.isResting, false);
    assert.deepEqual([rest(), rest(), rest(), rest(), rest()], [4000, 8000, 16_000, 32_000, 60_000]);
    rests.failed();
    rests.done();
    assert.equal(rests.isResting, false);
    assert.equal(rest(), 2000);
  });

  test('has it look after its pause whether it can work, before it takes another segment', async () => {
    let now = 0;
    let isCut = true;
    const rests = new Rests(undefined, () => now);
    rests.failed(() => (isCut ? Promise.reject(new Error('cut off')) : Promise.resolve()));
    assert.equal(await rests.mayWork(), false);
    now = 2000;
    assert.equal(await rests.mayWork(), false);
    assert.equal(rests.isResting, true, 'the look has failed as well');
    isCut = false;
    assert.equal(await rests.mayWork(), false);
    now = 6000;
    assert.equal(await rests.mayWork(), true);
  });

  test('has it look no longer than ten minutes, as other segments may need nothing of what is away', async () => {
    let now = 0;
    const said: number[] = [];
    const rests = new Rests(
      (pauseMs, error) => said.push(error === undefined ? -pauseMs : pauseMs),
      () => now,
    );
    rests.failed(() => Promise.reject(new Error('gone for good')));
    for (; now < 600_000; now += 1000) assert.equal(await rests.mayWork(), false);
    assert.deepEqual(said.slice(0, 6), [-2000, 4000, 8000, 16_000, 32_000, 60_000]);
    while (rests.isResting) now += 1000;
    assert.equal(await rests.mayWork(), true);
  });
});
