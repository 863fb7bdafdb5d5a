import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import { commitRun } from '../../../src/run/commit.ts';
import type { Work } from '../../../src/run/resume.ts';

test('a run with a receipt too few is not committed, and its destination not touched', async () => {
  const work = {
    plan: { segments: [{ index: 0 }, { index: 1 }, { index: 2 }] },
    done: new Map([
      [0, {}],
      [2, {}],
    ]),
  } as unknown as Work;
  const untouchable = new Proxy(
    {},
    {
      get: (_target, name) => {
        throw new Error(`the destination was asked for ${String(name)}`);
      },
    },
  );
  await assert.rejects(commitRun({ store: untouchable } as never, {} as never, work), (error) => {
    assert.ok(error instanceof FailureError, String(error));
    assert.deepEqual([error.failure.code, error.failure.transient], ['segment-missing', false]);
    assert.match(error.message, /2 of 3 segments/);
    return true;
  });
});
