import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mostSegments } from '../../../src/commands/check.ts';
import type { OnlineFinding } from '../../../src/run/check-online.ts';

test('the memory is stated for the largest run that was planned, and for no fewer segments than a plan may have', () => {
  const found = (segments?: number): OnlineFinding => ({
    ...{ level: 'ok', subject: 'archives.a', message: '' },
    ...(segments === undefined ? {} : { segments }),
  });
  assert.equal(mostSegments([found(7), found(25_000), found()]), 25_000);
  assert.equal(mostSegments([found(7)]), 10_000);
  assert.equal(mostSegments([]), 10_000);
});
