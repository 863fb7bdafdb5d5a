import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spreadMs } from '../../../../src/daemon/slots/spread.ts';

test('a slot waits a second for each run in progress, for twenty at most, and a tenth of the interval', () => {
  const hour = 3_600_000;
  assert.deepEqual(
    [0, 1, 20, 500].map((running) => spreadMs(running, hour)),
    [0, 1000, 20_000, 20_000],
  );
  assert.equal(spreadMs(5, 10_000), 1000);
});
