import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { UsageError } from '../../../src/base/errors.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { archiveNamed, destinationOf, sourceNamed, sourceOf } from '../../../src/config/resolve.ts';
import { maskSecrets } from '../../../src/config/secrets.ts';
import { ARCHIVES, DESTINATIONS, folder, load, loadArchive, MINIMAL, problemsOf, SOURCES, write } from './support.ts';

const EXAMPLE = path.join(import.meta.dirname, '../../../config/pgsluice.example.yaml');

test('a minimal config gets all defaults', () => {
  assert.deepEqual(load(MINIMAL), {
    sources: { default: { name: 'default', url: 'postgres://localhost/db' } },
    destinations: {
      default: {
        name: 'default',
        url: 's3://bucket/pg',
        forcePathStyle: false,
        partBytes: 5 * 1024 ** 2,
        partsInFlight: 'auto',
        checksums: 'when-supported',
        location: { kind: 's3', bucket: 'bucket', prefix: 'pg/' },
      },
    },
    archives: {
      a: {
        name: 'a',
        source: 'default',
        destination: 'default',
        table: 't',
        timezone: 'UTC',
        catchUp: 'last',
        segments: { by: 'auto', targetBytes: 256 * 1024 ** 2, parallel: 2, on: 'here' },
        consistency: 'snapshot',
        lines: 'exact',
        compression: { codec: 'gzip', engine: 'auto' },
        read: 'auto',
        retry: { forMs: 900_000, attempts: 20, backoffMs: 2000 },
      },
    },
    patterns: {},
    workers: { threads: 2, maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 },
    http: { hosts: [] },
    notify: [],
    log: { level: 'info', format: 'auto' },
    control: '/var/lib/pgsluice/control.sock',
    state: '/var/lib/pgsluice',
    drainTimeoutMs: 60_000,
  });
});

test('the options of a pace are parsed', () => {
  const pace =
    '{ bytesPerSecond: 50MiB, share: 12.5%, between: 22:00-06:00, maxLag: 30s, ignoreReplicas: [a], pauseWhile: SELECT true, maxSnapshotAge: 2h }';
  assert.deepEqual(loadArchive(`table: t, pace: ${pace}`).pace, {
    bytesPerSecond: 50 * 1024 ** 2,
    share: 0.125,
    between: '22:00-06:00',
    maxLagMs: 30_000,
    ignoreReplicas: ['a'],
    pauseWhile: 'SELECT true',
    maxSnapshotAgeMs: 7_200_000,
  });
});

test('the config is frozen throughout', () => {
  const config = load(MINIMAL);
  assert.ok(Object.isFrozen(config));
  assert.ok(Object.isFrozen(config.archives['a']?.retry));
  assert.ok(Object.isFrozen(config.destinations['default']?.location));
});

test('the example loads when its three variables are set', () => {
  const environment = { DATABASE_URL: 'postgres://u:p@h/d', ACCESS_KEY: 'access', SECRET_KEY: 'secret' };
  const config = loadConfig(EXAMPLE, environment);
  assert.equal(config.sources['default']?.url, 'postgres://u:p@h/d');
  assert.equal(config.destinations['minio']?.secretAccessKey, 'secret');
  assert.throws(() => loadConfig(EXAMPLE, {}), UsageError);
});

test('an archive finds its source and its destination by name', () => {
  const config = load(`
sources: { default: { url: postgres://a }, other: { url: postgres://b } }
destinations: { default: { url: s3://bucket }, folder: { url: file:///srv } }
archives:
  plain: { table: t }
  special: { table: t, source: other, destination: folder }`);
  const { plain, special } = config.archives;
  assert.ok(plain && special);
  assert.deepEqual([sourceOf(config, plain).url, sourceOf(config, special).url], ['postgres://a', 'postgres://b']);
  assert.deepEqual([destinationOf(config, plain).name, destinationOf(config, special).name], ['default', 'folder']);
});

test('sizes become bytes and durations milliseconds', () => {
  const archive = loadArchive('table: t, segments: { targetSize: 64 MiB }, retry: { backoff: 1.5m }');
  assert.equal(archive.segments.targetBytes, 64 * 1024 ** 2);
  assert.equal(archive.retry.backoffMs, 90_000);
  const config = load(`${SOURCES}\n${ARCHIVES}\ndestinations: { default: { url: s3://bucket, partSize: 6000000 } }`);
  assert.equal(config.destinations['default']?.partBytes, 6_000_000);
});

test('a name that every object has is none of the config, unless the file has it', () => {
  const config = load(MINIMAL);
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    assert.equal(archiveNamed(config, name), undefined, name);
    assert.equal(sourceNamed(config, name), undefined, name);
  }
  assert.equal(archiveNamed(load(MINIMAL.replace('a:', 'constructor:')), 'constructor')?.table, 't');
});

test('what a user names like an option keeps its name, and options with a unit are shown as they are written', () => {
  const config = load(`
sources: { default: { url: postgres://a } }
destinations: { default: { url: s3://bucket, tags: { partSize: x } } }
archives: { backoff: { table: t, lateAfter: 1h } }`);
  assert.deepEqual(config.destinations['default']?.tags, { partSize: 'x' });
  assert.equal(config.archives['backoff']?.lateAfterMs, 3_600_000);
  const shown = maskSecrets(config) as { archives: object; destinations: object };
  assert.deepEqual(Object.keys(shown.archives), ['backoff']);
  const text = JSON.stringify(shown);
  for (const written of [
    '"lateAfter":3600000',
    '"backoff":2000',
    '"partSize":5242880',
    '"partSize":"x"',
    '"targetSize":',
  ])
    assert.ok(text.includes(written), `${written} in ${text}`);
  assert.doesNotMatch(text, /Ms"|Bytes"/);
});

test('a key is a list, also when it is written as one column', () => {
  assert.deepEqual(loadArchive('table: t, key: id').key, ['id']);
  assert.deepEqual(loadArchive('query: select 1, key: [a, b]').key, ['a', 'b']);
});

test('params keep their types', () => {
  const archive = loadArchive('query: select 1, params: [42, "42", true, null, 1.5]');
  assert.deepEqual(archive.params, [42, '42', true, null, 1.5]);
});

test('the folder for the history comes from the config, then STATE_DIRECTORY, then the default', () => {
  const environment = { STATE_DIRECTORY: '/run/one:/run/two' };
  assert.equal(load(`${MINIMAL}\nstate: /srv/state`, environment).state, '/srv/state');
  assert.equal(load(MINIMAL, environment).state, '/run/one');
  assert.equal(load(MINIMAL, { STATE_DIRECTORY: '' }).state, '/var/lib/pgsluice');
});

test('aliases and merge keys share options', () => {
  const config = load(`${SOURCES}
${DESTINATIONS}
archives:
  a: &base { table: t, schedule: &at "15 2 * * *", retry: { attempts: 3 } }
  b: { <<: *base, table: u }
  c: { table: v, schedule: *at }`);
  assert.equal(config.archives['b']?.retry.attempts, 3);
  assert.equal(config.archives['b'].table, 'u');
  assert.equal(config.archives['c']?.schedule, '15 2 * * *');
});

test('a byte order mark and Windows line ends change neither values nor positions', () => {
  assert.equal(load(`\uFEFF${MINIMAL.replaceAll('\n', '\r\n')}\r\n`).archives['a']?.table, 't');
  assert.deepEqual(problemsOf(`\uFEFFlag: 1\r\n${MINIMAL.replaceAll('\n', '\r\n')}\r\nlog: { level: 1 }`), [
    '1:1: lag: unknown key; did you mean "log"?',
    '5:15: log.level: must be trace, debug, info, warn, error, fatal or silent (it is 1)',
  ]);
});

test('a file that cannot be read is named with the remedy', () => {
  mkdirSync(path.join(folder, 'folder'));
  // Opened in the usual way, a pipe that nobody writes to would hold the process up for ever.
  execFileSync('mkfifo', [path.join(folder, 'pipe')]);
  const remedy = 'name the config with --config or $PGSLUICE_CONFIG';
  const cases = [
    [path.join(folder, 'absent.yaml'), 'it does not exist'],
    [path.join(folder, 'folder'), 'it is a folder'],
    [path.join(folder, 'pipe'), 'it is a pipe or a device, not a file'],
    ['/dev/null', 'it is a pipe or a device, not a file'],
    [write(Buffer.from([0xff, 0xfe, 0x61]), 'utf16.yaml'), 'it is not UTF-8 text'],
    [write(`${MINIMAL}\n#${'x'.repeat(1024 ** 2)}`, 'huge.yaml'), 'it is larger than 1 MiB'],
  ];
  for (const [file = '', reason = ''] of cases) {
    assert.throws(() => loadConfig(file, {}), new UsageError(`${file}: cannot be read: ${reason}; ${remedy}`));
  }
});

test('a file of exactly 1 MiB loads', () => {
  const text = `${MINIMAL}\n#`;
  assert.ok(load(text + 'x'.repeat(1024 ** 2 - text.length)));
});
