import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import type { Client } from '../../../src/postgres/connect.ts';
import { Batches } from '../../../src/purge/batches.ts';
import type { Stretch } from '../../../src/purge/proof.ts';
import { noLines, plus } from '../../../src/purge/tally.ts';

const PREPARED = { statements: { remove: 'remove', look: 'look' }, bounds: [], oid: 1, hazards: 'same' };

/** Lines whose keys are their numbers. */
function stretchOf(lines: number, size = 10): Stretch {
  const keys = [
    { slice: (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at).join() },
  ];
  return { keys, digests: Buffer.alloc(lines * 32), sizes: new Uint32Array(lines).fill(size) };
}

/** A server that deletes all, but for what it says of a batch with these keys; and what it was asked. */
function serverThat(fails: (keys: number[], tries: number) => string | undefined, hazards = () => 'same') {
  const asked: string[] = [];
  const batches: number[][] = [];
  const query = async (text: string, params: unknown[] = []): Promise<{ rows: unknown[] }> => {
    asked.push(text.split(' ')[0] ?? '');
    if (text.includes('jsonb_build_object')) return { rows: [{ hazards: hazards() }] };
    if (text !== 'remove') return { rows: [] };
    const keys = String(params[0]).split(',').map(Number);
    batches.push(keys);
    const code = fails(keys, batches.filter((batch) => batch.join() === keys.join()).length);
    if (code !== undefined) throw Object.assign(new Error(`it says ${code}`), { code });
    return { rows: [{ locked: keys.length, deleted: keys.length, kept: null }] };
  };
  return { client: { query } as unknown as Client, asked, batches };
}

async function run(client: Client, stretch: Stretch, hazards = PREPARED.hazards) {
  let totals = noLines();
  for await (const batch of new Batches(client, { ...PREPARED, hazards }, true).goThrough(stretch))
    totals = plus(totals, batch.totals);
  return totals;
}

test('a row that somebody refers to since is found by halves, after the batch was tried again', async () => {
  const { client, batches } = serverThat((keys) => (keys.includes(6) ? '23503' : undefined));
  assert.deepEqual(await run(client, stretchOf(10)), { ...noLines(), deleted: 9, referenced: 1 });
  assert.deepEqual(
    batches.slice(0, 3).map((batch) => batch.length),
    [10, 10, 5],
  );
  // Who has rolled back meanwhile costs one more try.
  const other = serverThat((_keys, tries) => (tries === 1 ? '23503' : undefined));
  assert.deepEqual(await run(other.client, stretchOf(10)), { ...noLines(), deleted: 10 });
  assert.equal(other.batches.length, 2);
});

test('a row that a trigger changes while another one of the batch goes is kept, and the others go', async () => {
  const { client } = serverThat((keys) => (keys.includes(3) ? '27000' : undefined));
  assert.deepEqual(await run(client, stretchOf(10)), { ...noLines(), deleted: 9, kept: 1 });
});

test('a row that was locked and did not go was kept by a trigger, where one can do that; else somebody has updated it meanwhile', async () => {
  // FOR EACH ROW is 1, BEFORE 2, DELETE 8.
  for (const [triggers, outcome] of [
    [null, 'locked'],
    [[[7, 9]], 'locked'],
    [[[7, 10]], 'locked'],
    [
      [
        [7, 9],
        [8, 11],
      ],
      'kept',
    ],
  ] as const) {
    const hazards = JSON.stringify({ triggers });
    const query = async (text: string): Promise<{ rows: unknown[] }> => {
      if (text.includes('jsonb_build_object')) return { rows: [{ hazards }] };
      return { rows: text === 'remove' ? [{ locked: 4, deleted: 3, kept: '{2}' }] : [] };
    };
    const totals = await run({ query } as unknown as Client, stretchOf(4), hazards);
    assert.deepEqual(totals, { ...noLines(), deleted: 3, [outcome]: 1 });
  }
});

test('a lock on the table that does not come is waited for three times; then the rows are locked', async () => {
  for (const code of ['55P03', '40P01', '40001']) {
    const { client, batches } = serverThat((_keys, tries) => (tries < 3 ? code : undefined));
    assert.deepEqual(await run(client, stretchOf(4)), { ...noLines(), deleted: 4 });
    assert.equal(batches.length, 3);
  }
  const { client, batches, asked } = serverThat(() => '55P03');
  assert.deepEqual(await run(client, stretchOf(4)), { ...noLines(), locked: 4 });
  assert.equal(batches.length, 3);
  assert.equal(asked.filter((word) => word === 'ROLLBACK').length, 3);
});

test('what it does not know ends the purge, and so does a cancel that is none of its own time limit', async () => {
  for (const code of ['42501', '57014']) {
    const { client, asked } = serverThat(() => code);
    await assert.rejects(run(client, stretchOf(4)), FailureError);
    assert.equal(asked.at(-1), 'ROLLBACK');
  }
});

test('a batch that takes longer than its time limit is taken apart, down to a row that does so alone', async () => {
  let ms = 0;
  const now = mock.method(performance, 'now', () => ms);
  try {
    const slow = (keys: number[]): string | undefined => {
      ms += keys.length > 1 ? 60_000 : 1;
      return keys.length > 1 ? '57014' : undefined;
    };
    assert.deepEqual(await run(serverThat(slow).client, stretchOf(4)), { ...noLines(), deleted: 4 });
    const alone = serverThat(() => {
      ms += 60_000;
      return '57014';
    });
    await assert.rejects(run(alone.client, stretchOf(1)), FailureError);
  } finally {
    now.mock.restore();
  }
});

test('a batch is bounded by the bytes of its lines, but has one line at least', async () => {
  const { client, batches } = serverThat(() => undefined);
  await run(client, stretchOf(7, 3 * 1024 ** 2));
  assert.deepEqual(
    batches.map((batch) => batch.length),
    [2, 2, 2, 1],
  );
  const wide = serverThat(() => undefined);
  await run(wide.client, stretchOf(2, 100 * 1024 ** 2));
  assert.deepEqual(
    wide.batches.map((batch) => batch.length),
    [1, 1],
  );
});

test('the settings of a batch are set before what compares, and the table is looked at before the COMMIT', async () => {
  const { client, asked } = serverThat(() => undefined);
  await run(client, stretchOf(4));
  const order = ['BEGIN', 'SELECT', 'SET', 'remove', '\nWITH', 'COMMIT'];
  assert.deepEqual(asked, order);
  const other = serverThat(
    () => undefined,
    () => 'another',
  );
  await assert.rejects(
    run(other.client, stretchOf(4)),
    (error) => error instanceof FailureError && error.failure.code === 'purge-table-changed',
  );
  assert.ok(!other.asked.includes('COMMIT'));
});
