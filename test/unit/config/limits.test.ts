import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRuntime } from '../../../src/config/limits.ts';
import { formatBytes } from '../../../src/base/units.ts';
import { memorySum } from '../../../src/config/memory-sum.ts';
import { load, MINIMAL } from './support.ts';

const MIB = 1024 ** 2;
const QUIET = { nodeOptions: undefined, execArgv: [], memoryLimitBytes: undefined };

test('a runtime without heap flags and with enough memory has no problems', () => {
  const config = load(MINIMAL);
  const { totalBytes } = memorySum(config);
  assert.deepEqual(checkRuntime(config, QUIET), []);
  assert.deepEqual(checkRuntime(config, { ...QUIET, memoryLimitBytes: totalBytes }), []);
});

test('a limit below the sum is refused with both numbers and the remedy', () => {
  const config = load(MINIMAL);
  const sum = formatBytes(memorySum(config).totalBytes);
  assert.deepEqual(checkRuntime(config, { ...QUIET, memoryLimitBytes: 256 * MIB }), [
    `the config may need ${sum} of memory, but the limit is 256.0 MiB; lower workers.threads, ` +
      'workers.maxOldGenerationSizeMb, partSize or partsInFlight, or raise the limit (MemoryMax= in the unit)',
  ]);
});

const FLAGS: [options: string, flag: string][] = [
  ['--max-old-space-size=4096', '--max-old-space-size'],
  ['--max_old_space_size=4096', '--max-old-space-size'],
  ['--max-old-space-size 4096', '--max-old-space-size'],
  ['-max-old-space-size=4096', '--max-old-space-size'],
  ['--enable-source-maps "--max_old-space_size=1"', '--max-old-space-size'],
  ['--max-old-space-size-percentage=50', '--max-old-space-size-percentage'],
  ['--max-semi-space-size=64', '--max-semi-space-size'],
  ['--max_semi_space_size=64', '--max-semi-space-size'],
  ['--max-heap-size=64', '--max-heap-size'],
];

for (const [options, flag] of FLAGS) {
  test(`${options} is refused wherever it stands`, () => {
    const config = load(MINIMAL);
    const expected = (where: string) => [
      `${flag} in ${where} overrides the heap limits of the worker threads, so memory would have no bound; ` +
        'remove it, and set workers.maxOldGenerationSizeMb and workers.maxYoungGenerationSizeMb',
    ];
    assert.deepEqual(checkRuntime(config, { ...QUIET, nodeOptions: options }), expected('NODE_OPTIONS'));
    assert.deepEqual(checkRuntime(config, { ...QUIET, execArgv: options.split(' ') }), expected('the command line'));
  });
}

test('other flags are let through', () => {
  const nodeOptions =
    '--enable-source-maps --max-http-header-size=1 --import /opt/max-old-space-size.js --import /opt/x--max-old-space-size.js --max-old-space-sizes=1';
  assert.deepEqual(checkRuntime(load(MINIMAL), { ...QUIET, nodeOptions }), []);
});

test('every problem is reported at once', () => {
  const runtime = { nodeOptions: '--max-old-space-size=1 --max-semi-space-size=1', execArgv: [], memoryLimitBytes: 1 };
  assert.equal(checkRuntime(load(MINIMAL), runtime).length, 3);
});
