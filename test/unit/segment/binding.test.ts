import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bindTask, type Binding } from '../../../src/segment/binding.ts';
import { bindingOf } from '../../../src/segment/known-bindings.ts';
import type { Task } from '../../../src/segment/task.ts';

const BINDING = {
  sources: { app: { name: 'app', url: 'postgres://app' }, copy: { name: 'copy', url: 'postgres://copy' } },
  destinations: { s3: { name: 's3', url: 's3://bucket' } },
} as unknown as Binding;
const COMMON = { archive: 'events', run: '20261123T021500Z', segment: 7, generation: 1, destination: 's3' };

describe('the names in a task', () => {
  test('of a segment stand for the source that is read, and the connection says which segment it is', () => {
    const ends = bindTask({ ...COMMON, kind: 'archive-segment', source: 'app' } as Task, BINDING);
    assert.deepEqual(ends, {
      database: { url: 'postgres://app', applicationName: 'pgsluice events/20261123T021500Z/7' },
      destination: BINDING.destinations['s3'],
    });
  });

  test('of a restored object stand for the source that is restored into', () => {
    const { database } = bindTask({ ...COMMON, kind: 'restore-object', target: 'copy' } as Task, BINDING);
    assert.deepEqual(database, {
      url: 'postgres://copy',
      applicationName: 'pgsluice restore events/20261123T021500Z/7',
    });
  });

  test('are told when they stand for nothing', () => {
    const segment = { ...COMMON, kind: 'archive-segment', source: 'app' };
    assert.throws(() => bindTask({ ...segment, source: 'gone' } as Task, BINDING), /generation 1 .* "gone"/);
    assert.throws(() => bindTask({ ...segment, destination: 'lost' } as Task, BINDING), /generation 1 .* "lost"/);
  });
});

describe('a thread', () => {
  const asked: number[] = [];
  const ask = (generation: number) => async (): Promise<Binding> => {
    asked.push(generation);
    return { ...BINDING, sources: { generation } } as unknown as Binding;
  };
  const learn = async (generation: number, live: number[]): Promise<unknown> =>
    (await bindingOf(generation, live, ask(generation))).sources['generation'];

  test('asks once for each generation, also for an old one after a new one, and forgets those that nobody needs', async () => {
    assert.equal(await learn(2, [1, 2]), 2);
    assert.equal(await learn(1, [1, 2]), 1);
    assert.equal(await learn(2, [1, 2]), 2);
    assert.deepEqual(asked, [2, 1]);
    assert.equal(await learn(2, [2, 3]), 2);
    assert.deepEqual(asked, [2, 1]);
    // That 1 was forgotten shows when it is asked for again.
    assert.equal(await learn(1, [1, 2]), 1);
    assert.deepEqual(asked, [2, 1, 1]);
  });
});
