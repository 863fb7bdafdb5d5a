import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import type { Config } from '../../../src/config/schema.ts';
import type { RestorePlan } from '../../../src/restore/plan.ts';
import type { PlannedObject } from '../../../src/restore/objects.ts';
import type { RestoreRequest } from '../../../src/restore/request.ts';
import { restoreTasks } from '../../../src/restore/tasks.ts';

const CONFIG = {
  archives: {},
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

function tasksOf(objects: readonly Partial<PlannedObject>[]): ReturnType<typeof restoreTasks> {
  const planned = objects.map((object, index) => ({ index, key: `part-${index}.jsonl.gz`, rows: 1, ...object }));
  return restoreTasks(CONTEXT, REQUEST, PLAN, planned as PlannedObject[]);
}

const codecOf = (key: string): string | undefined => tasksOf([{ key, jsonBytes: 1 }])[0]?.objects[0]?.codec;

test('an object is taken down by what its name says, whatever the archive is set to today', () => {
  assert.equal(codecOf('part-00000.jsonl.zst'), 'zstd');
  assert.equal(codecOf('part-00000.jsonl'), 'none');
});

test('a manifest that names something else is refused, and nothing is read', () => {
  assert.throws(
    () => codecOf('part-00000.parquet'),
    (error) => error instanceof FailureError && error.failure.code === 'bad-manifest' && !error.failure.transient,
  );
});

describe('small objects share a task', () => {
  const KIB = 1024;
  const groupsOf = (sizes: readonly number[]): number[][] =>
    tasksOf(sizes.map((jsonBytes) => ({ jsonBytes }))).map(({ segment, objects }) => {
      assert.equal(segment, objects[0]?.segment);
      return objects.map((object) => object.segment);
    });

  test('as neighbours, with work left for each thread', () => {
    assert.deepEqual(groupsOf([1, 1, 1, 1, 1]), [
      [0, 1, 2],
      [3, 4],
    ]);
    assert.deepEqual(groupsOf([1]), [[0]]);
    assert.deepEqual(groupsOf([]), []);
  });

  test('up to a number and a size', () => {
    const many = groupsOf(Array.from({ length: 1000 }, () => 100));
    assert.deepEqual(
      many.map((group) => group.length),
      [200, 200, 200, 200, 200],
    );
    const large = groupsOf(Array.from({ length: 32 }, () => 256 * KIB));
    assert.deepEqual(
      large.map((group) => group.length),
      [8, 8, 8, 8],
    );
  });

  test('and large ones have one of their own', () => {
    assert.deepEqual(groupsOf([1, 257 * KIB, 1, 1, 300 * KIB, 2 * KIB * KIB]), [[0], [1], [2, 3], [4], [5]]);
  });
});
