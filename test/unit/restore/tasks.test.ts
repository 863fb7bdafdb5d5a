import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import type { Config } from '../../../src/config/schema.ts';
import type { RestorePlan } from '../../../src/restore/plan.ts';
import type { PlannedObject } from '../../../src/restore/objects.ts';
import type { RestoreRequest } from '../../../src/restore/request.ts';
import { restoreTask } from '../../../src/restore/tasks.ts';

const CONFIG = { destinations: { default: {} }, workers: { maxOldGenerationSizeMb: 64 } } as unknown as Config;
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
  record: { table: 'book', restore: 'id' },
} as unknown as RestorePlan;

function taskOf(key: string): ReturnType<typeof restoreTask> {
  return restoreTask({ config: CONFIG, generation: 1 }, REQUEST, PLAN, { index: 0, key, rows: 1 } as PlannedObject);
}

test('an object is taken down by what its name says, whatever the archive is set to today', () => {
  assert.equal(taskOf('part-00000.jsonl.zst').codec, 'zstd');
  assert.equal(taskOf('part-00000.jsonl').codec, 'none');
});

test('a manifest that names something else is refused, and nothing is read', () => {
  assert.throws(
    () => taskOf('part-00000.parquet'),
    (error) => error instanceof FailureError && error.failure.code === 'bad-manifest' && !error.failure.transient,
  );
});
