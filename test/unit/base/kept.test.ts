import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import { Kept, letGoOfAll } from '../../../src/base/kept.ts';

function keeping(): { kept: Kept<string, string>; closed: string[] } {
  const closed: string[] = [];
  return { kept: new Kept((value) => void closed.push(value)), closed };
}

describe('what a thread keeps from one task for the next', () => {
  test('belongs to whoever takes it', async () => {
    const { kept, closed } = keeping();
    assert.equal(kept.take('a'), undefined);
    await kept.keep('a', 'one');
    assert.equal(kept.take('b'), undefined);
    assert.deepEqual([kept.take('a'), kept.take('a')], ['one', undefined]);
    await kept.letGo();
    assert.deepEqual(closed, []);
  });

  test('is one of each kind: the one before is closed', async () => {
    const { kept, closed } = keeping();
    await kept.keep('a', 'one');
    await kept.keep('a', 'two');
    await kept.keep('b', 'three');
    assert.deepEqual(closed, ['one']);
    await letGoOfAll();
    assert.deepEqual(closed, ['one', 'two', 'three']);
    assert.equal(kept.take('a'), undefined);
  });

  test('is handed to its closing as it was kept, a list too', async () => {
    const closed: string[][] = [];
    const kept = new Kept<string, string[]>((value) => void closed.push(value));
    await kept.keep('a', ['one', 'two']);
    await kept.letGo();
    assert.deepEqual(closed, [['one', 'two']]);
  });

  test('is closed when nobody asks for it for a while', async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    t.after(() => {
      mock.timers.reset();
    });
    const { kept, closed } = keeping();
    await kept.keep('a', 'one');
    await kept.keep('b', 'two');
    mock.timers.tick(1000);
    await kept.keep('b', kept.take('b')!);
    mock.timers.tick(1000);
    assert.deepEqual([closed, kept.take('a')], [['one'], undefined]);
    assert.equal(kept.take('b'), 'two');
    mock.timers.tick(10_000);
    assert.deepEqual(closed, ['one']);
  });
});
