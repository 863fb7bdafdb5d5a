import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from '../../../../src/config/schema.ts';
import type { History } from '../../../../src/daemon/history/history.ts';
import { describeRun } from '../../../../src/daemon/view/run-detail.ts';

const history = { attemptsOf: () => [] } as unknown as History;

test('nothing is known of a run whose archive is not in the config, nor of one that is named as every object has it', async () => {
  const config = { archives: {} } as Config;
  for (const name of ['gone', '__proto__', 'constructor'])
    assert.equal(await describeRun(config, undefined, history, name, '20261123T021500Z'), undefined, name);
});
