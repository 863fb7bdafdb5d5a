import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BUDGET, type Budget } from '../../../src/base/memory-budget.ts';
import { memorySum, workerMemorySum, type MemorySum } from '../../../src/config/memory-sum.ts';
import { DESTINATIONS, load, MINIMAL, SOURCES } from './support.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** A config of these archives, all of one table. */
function configOf(archives: Record<string, string>, rest = DESTINATIONS): ReturnType<typeof load> {
  const lines = Object.entries(archives).map(([name, options]) => `  ${name}: { table: t, ${options} }`);
  return load([SOURCES, rest, 'archives:', ...lines].join('\n'));
}

function bytesOf(config: ReturnType<typeof load>, term: string): number | undefined {
  return memorySum(config).terms.find(({ name }) => name.replace(/^\d+ x /, '').startsWith(term))?.bytes;
}

describe('the memory sum', () => {
  test('is the main process, and for each thread its heap, its buffers and its parts', () => {
    const { terms, totalBytes } = memorySum(load(`${MINIMAL}\nworkers: { threads: 3 }`));
    assert.deepEqual(
      terms.map(({ name, bytes }) => [name, bytes / KIB]),
      [
        ['main process', 110 * KIB],
        ['run of 10,000 segments', (10_000 * 600) / KIB],
        ['3 x old generation of the heap', 3 * 64 * KIB],
        ['3 x young generation of the heap', 3 * 16 * KIB],
        ['3 x rows on their way', 3 * (128 + 256 + 128 + 256 + 16 + 64 + 3 * (576 + 512 + 640))],
        ['3 x compressor', 3 * 3 * (384 + 512 + 640 + 128)],
        ['3 x parts in flight, 7 x 5.0 MiB', 3 * 7 * 5 * KIB],
        ['3 x parts encrypted for TLS, 6 x 5.0 MiB', 3 * 6 * 5 * KIB],
      ],
    );
    assert.equal(
      terms.reduce((total, { bytes }) => total + bytes, 0),
      totalBytes,
    );
  });

  test('has the lines of a purge where an archive is purged', () => {
    assert.equal(bytesOf(configOf({ a: '' }), 'a purge'), undefined);
    assert.equal(
      bytesOf(configOf({ a: 'purge: { after: 7d }' }), 'a purge'),
      750_000 * 40 + 2 * 16 * MIB + 3 * 448 * 1024,
    );
  });

  test('has the objects of a proof where the daemon verifies', () => {
    const audits = "audits: { verify: { schedule: '0 5 * * *' } }";
    assert.equal(bytesOf(configOf({ a: '' }), 'a proof'), undefined);
    const config = configOf({ a: '' }, `${DESTINATIONS}\n${audits}`);
    assert.equal(bytesOf(config, 'a proof'), 2 * (256 * KIB + 8 * 128 * KIB + 8 * MIB));
  });

  test('has the largest part of the destinations in use', () => {
    const destinations =
      'destinations: { default: { url: s3://bucket, partSize: 16MiB }, big: { url: s3://bigger, partSize: 20MiB }, unused: { url: s3://other, partSize: 1GiB } }';
    const config = configOf({ a: 'key: id', b: 'destination: big' }, destinations);
    assert.equal(bytesOf(config, 'parts in flight'), 2 * 7 * 20 * MIB);
  });

  test('has as many parts as the config lets go at once', () => {
    const config = configOf({ a: '' }, 'destinations: { default: { url: s3://bucket, partsInFlight: 12 } }');
    assert.equal(bytesOf(config, 'parts in flight, 13 x 5.0 MiB'), 2 * 13 * 5 * MIB);
    assert.equal(bytesOf(config, 'parts encrypted for TLS, 12 x 5.0 MiB'), 2 * 12 * 5 * MIB);
  });

  test('has encrypted parts only where the endpoint speaks TLS', () => {
    const plain = 'destinations: { default: { url: s3://bucket, endpoint: "http://127.0.0.1:9000" } }';
    assert.equal(bytesOf(configOf({ a: '' }, plain), 'parts encrypted'), undefined);
    assert.equal(bytesOf(configOf({ a: '' }, plain.replace('http:', 'https:')), 'parts encrypted'), 2 * 6 * 5 * MIB);
  });

  test('has no parts for a folder', () => {
    const config = configOf({ a: '' }, 'destinations: { default: { url: file:///srv/archive } }');
    assert.equal(bytesOf(config, 'parts in flight'), undefined);
  });

  test('has what the hungriest compressor of all archives takes', () => {
    const none = configOf({ a: 'compression: { codec: none }' });
    const both = configOf({ a: 'compression: { codec: none }', b: 'compression: { codec: zstd, level: 19 }' });
    assert.equal(bytesOf(none, 'compressor'), 0);
    // 89 MiB were measured for level 19, 3 for level 3.
    assert.ok(bytesOf(both, 'compressor')! > 2 * 88 * MIB);
    const byDefault = configOf({ a: 'compression: { codec: zstd }' });
    assert.equal(
      bytesOf(byDefault, 'compressor'),
      bytesOf(configOf({ a: 'compression: { codec: zstd, level: 1 }' }), 'compressor'),
    );
  });

  test('has the widest row of a cursor, in a buffer that is grown, and the buffers of its text', () => {
    const rows = bytesOf(configOf({ a: 'read: cursor' }), 'rows')! - bytesOf(configOf({ a: '' }), 'rows')!;
    assert.equal(rows, 2 * (64 + 16) * MIB);
  });

  test('has what a restore takes beyond that, when its values may be wider than all the rest', () => {
    const small = 'destinations: { default: { url: file:///srv/archive } }';
    const config = configOf({ a: '' }, `${small}\nworkers: { threads: 1, maxOldGenerationSizeMb: 512 }`);
    const { terms } = memorySum(config);
    const buffers = terms.slice(4).reduce((sum, { bytes }) => sum + bytes, 0);
    assert.equal(terms.at(-1)?.name, '1 x a restore, beyond that');
    assert.equal(buffers, 2 * (256 * KIB + 8 * 128 * KIB + 8 * MIB) + 2 * 128 * MIB);
  });
});

/** The queue of other hosts. */
const QUEUE = `${DESTINATIONS}\nhosts: { url: "postgres://queue.example.com/pgsluice" }`;

test('a process whose segments are all done elsewhere has no thread in its sum, and a worker nothing but threads and the queue', () => {
  const config = configOf({ a: 'segments: { on: hosts }' }, QUEUE);
  const names = ({ terms }: MemorySum): string[] => terms.map(({ name }) => name);
  assert.deepEqual(
    names(memorySum(config)).filter((name) => name.startsWith('2 x')),
    [],
  );
  assert.ok(names(memorySum(config)).includes('client of the queue'));
  const worker = names(workerMemorySum(config));
  assert.deepEqual(
    worker.filter((name) => !name.startsWith('2 x')),
    ['main process', 'client of the queue'],
  );
  assert.ok(worker.includes('2 x old generation of the heap'));
  const here = configOf({ a: '', b: 'segments: { on: hosts }' }, QUEUE);
  assert.ok(names(memorySum(here)).includes('2 x old generation of the heap'));
});

describe('each number of the budget', () => {
  const tiny = 'destinations: { default: { url: file:///srv/archive } }\nworkers: { maxOldGenerationSizeMb: 1024 }';
  const configs = [
    load(MINIMAL),
    configOf({ a: 'compression: { codec: zstd }' }),
    configOf({ a: 'compression: { engine: isal }' }),
    configOf({ a: 'compression: { codec: none }' }, tiny),
    configOf({ a: 'partitionBy: [tenant]' }),
    configOf({ a: 'purge: { after: 7d }' }),
    configOf({ a: 'segments: { on: hosts }' }, QUEUE),
  ];

  for (const [stage, numbers] of Object.entries(BUDGET))
    for (const [name, value] of Object.entries<number>(numbers))
      test(`${stage}.${name} changes the sum`, () => {
        const changed = { ...BUDGET, [stage]: { ...numbers, [name]: value + 1 } } as Budget;
        const grown = configs.filter((config) => memorySum(config, changed).totalBytes > memorySum(config).totalBytes);
        assert.ok(grown.length > 0, `${stage}.${name} is in no sum`);
      });
});
