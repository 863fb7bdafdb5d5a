import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Config } from '../../../src/config/schema.ts';
import type { RestorePlan } from '../../../src/restore/plan.ts';
import type { PlannedObject } from '../../../src/restore/objects.ts';
import type { RestoreRequest } from '../../../src/restore/request.ts';
import type { RestoreTask } from '../../../src/segment/restore/task.ts';
import { restoreTasks } from '../../../src/restore/tasks.ts';

const CONFIG = {
  archives: {},
  patterns: {},
  destinations: { default: {} },
  workers: { threads: 2, maxOldGenerationSizeMb: 64 },
} as unknown as Config;
const REQUEST = {
  archive: { name: 'events', destination: 'default' },
  source: { name: 'target' },
  into: { schema: 'public', table: 'events' },
  onConflict: 'fail',
} as unknown as RestoreRequest;
const PLAN = {
  manifest: { run: '20261123T021500Z' },
  target: { name: 'public.events' },
  columns: [],
  keys: { inside: new Set() },
  record: { table: 'book', restore: 'id' },
} as unknown as RestorePlan;

const CONTEXT = { config: CONFIG, generation: 1 };

function tasksOf(objects: readonly Partial<PlannedObject>[]): Promise<RestoreTask[]> {
  const planned = objects.map((object, index) => ({ index, key: `part-${index}.jsonl.gz`, rows: 1, ...object }));
  return Array.fromAsync(restoreTasks(CONTEXT, REQUEST, PLAN, planned as PlannedObject[], planned.length));
}

const codecOf = async (key: string): Promise<string | undefined> =>
  (await tasksOf([{ key, jsonBytes: 1 }]))[0]?.objects[0]?.codec;

test('an object is taken down by what its name says, whatever the archive is set to today', async () => {
  assert.equal(await codecOf('part-00000.jsonl.zst'), 'zstd');
  assert.equal(await codecOf('part-00000.jsonl'), 'none');
});

describe('small objects share a task', () => {
  const KIB = 1024;
  const groupsOf = async (sizes: readonly number[]): Promise<number[][]> =>
    (await tasksOf(sizes.map((jsonBytes) => ({ jsonBytes })))).map(({ segment, objects }) => {
      assert.equal(segment, objects[0]?.segment);
      return objects.map((object) => object.segment);
    });

  test('as neighbours, with work left for each thread', async () => {
    assert.deepEqual(await groupsOf([1, 1, 1, 1, 1]), [
      [0, 1, 2],
      [3, 4],
    ]);
    assert.deepEqual(await groupsOf([1]), [[0]]);
    assert.deepEqual(await groupsOf([]), []);
  });

  test('up to a number and a size', async () => {
    const many = await groupsOf(Array.from({ length: 1000 }, () => 100));
    assert.deepEqual(
      many.map((group) => group.length),
      [200, 200, 200, 200, 200],
    );
    const large = await groupsOf(Array.from({ length: 32 }, () => 256 * KIB));
    assert.deepEqual(
      large.map((group) => group.length),
      [8, 8, 8, 8],
    );
  });

  test('and large ones have one of their own', async () => {
    assert.deepEqual(await groupsOf([1, 257 * KIB, 1, 1, 300 * KIB, 2 * KIB * KIB]), [[0], [1], [2, 3], [4], [5]]);
  });
});
