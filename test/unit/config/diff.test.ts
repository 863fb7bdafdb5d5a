import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeChanges } from '../../../src/config/diff.ts';
import { maskSecrets, secretValues } from '../../../src/config/secrets.ts';
import { configWarnings } from '../../../src/config/warnings.ts';
import { DESTINATIONS, load, MINIMAL, SOURCES } from './support.ts';

const BEFORE = `
sources: { default: { url: "postgres://user:hunter2@h/d" } }
destinations: { default: { url: s3://bucket/pg, accessKeyId: AKIA1, secretAccessKey: shhh1, tags: { name: x } } }
archives:
  fetch_queue: { table: t, schedule: "15 2 * * *", columns: [a] }
  gone: { table: t }`;

const AFTER = `
sources: { default: { url: "postgres://user:hunter3@h/d" } }
destinations: { default: { url: s3://bucket/other, accessKeyId: AKIA2, secretAccessKey: shhh1, tags: { name: y } } }
archives:
  fetch_queue: { table: t, schedule: "30 2 * * *", columns: [a, b], where: "${'x'.repeat(200)}" }
  new: { table: t }
drainTimeout: 2m`;

test('each changed option is one line, and secrets are masked', () => {
  assert.deepEqual(describeChanges(load(BEFORE), load(AFTER)), [
    'sources.default.url: *** -> ***',
    'destinations.default.url: "s3://bucket/pg" -> "s3://bucket/other"',
    'destinations.default.accessKeyId: *** -> ***',
    'destinations.default.tags.name: "x" -> "y"',
    'archives.fetch_queue.columns: ["a"] -> ["a","b"]',
    'archives.fetch_queue.schedule: "15 2 * * *" -> "30 2 * * *"',
    `archives.fetch_queue.where: absent -> "${'x'.repeat(119)}…`,
    'archives.gone: present -> absent',
    'archives.new: absent -> present',
    'drainTimeout: 60000 -> 120000',
  ]);
});

test('the same config has no changes', () => {
  assert.deepEqual(describeChanges(load(BEFORE), load(BEFORE)), []);
});

test('the masked config has no secret, and all the rest', () => {
  const text = JSON.stringify(maskSecrets(load(BEFORE)));
  for (const secret of ['hunter2', 'AKIA1', 'shhh1']) assert.ok(!text.includes(secret), secret);
  assert.ok(text.includes('s3://bucket/pg') && text.includes('"15 2 * * *"'));
});

test('the secrets are the values of secret options, and the passwords in them as written and as meant', () => {
  const url = 'postgres://user:p%40ss@h/d?password=q%2Fr';
  const config = load(BEFORE.replace('postgres://user:hunter2@h/d', url));
  assert.deepEqual(secretValues(config), [url, 'p%40ss', 'p@ss', 'q/r', 'AKIA1', 'shhh1']);
});

test('a filter on the clock is worth a warning', () => {
  const warn = (options: string) => configWarnings(load(MINIMAL.replace('table: t', options)));
  const advice = 'differs between the segments of a run, and when it resumes; use :slot';
  assert.deepEqual(warn('table: t, where: "at < NOW () - interval \'1 day\'"'), [`archives.a.where: now() ${advice}`]);
  assert.deepEqual(warn('query: select * from t where d < current_date'), [`archives.a.query: current_date ${advice}`]);
  assert.deepEqual(warn('table: t, where: known and at < :slot'), []);
});

test('a pace that may lose what moves, or that nothing goes by, is worth a warning', () => {
  const warn = (options: string) => configWarnings(load(MINIMAL.replace('table: t', `table: t, ${options}`)));
  assert.match(
    warn('partitionBy: [a], pace: { maxSnapshotAge: 2h }').join(),
    /^archives\.a\.pace\.maxSnapshotAge: with /,
  );
  assert.deepEqual(warn('pace: { maxSnapshotAge: 2h }'), []);
  assert.match(warn('pace: { share: 50% }').join(), /^archives\.a\.pace\.share: is for purges/);
  assert.deepEqual(warn('pace: { share: 50% }, purge: { after: 1d }'), []);
});

test('a purge beside another archive of the table is worth a warning', () => {
  const warn = (other: string) => {
    const archives = `archives: { a: { table: t, purge: { after: 1d } }, b: { ${other} } }`;
    return configWarnings(load([SOURCES, DESTINATIONS, archives].join('\n')));
  };
  assert.match(warn('table: public."t"').join(), /^archives\.a\.purge: "b" is of the same table/);
  assert.deepEqual(warn('table: other.t'), []);
  assert.deepEqual(warn('table: a.b.t'), [], 'no such name: who reads it says so');
  assert.deepEqual(warn('query: select 1'), []);
});

test('archives that differ in case only are worth a warning in a folder, and none in a bucket', () => {
  const text = (url: string) =>
    `${MINIMAL.split('\n')[0] ?? ''}\ndestinations: { default: { url: "${url}" } }\narchives: { a: { table: t }, A: { table: t } }`;
  assert.deepEqual(configWarnings(load(text('file:///srv'))), [
    'archives.A: differs from archive "a" in case only, and some file systems ignore case',
  ]);
  assert.deepEqual(configWarnings(load(text('s3://bucket'))), []);
});

test('data that may expire before its hold ends is worth a warning', () => {
  const warn = (retain: string) =>
    configWarnings(
      load(
        MINIMAL.replace('table: t', 'table: t, mayExpireAfter: 30d').replace(
          'url: "s3:',
          `objectLock: { mode: GOVERNANCE, retain: ${retain} }, url: "s3:`,
        ),
      ),
    );
  assert.match(
    warn('31d').join(),
    /^archives\.a\.mayExpireAfter: is shorter than destinations\.default\.objectLock\.retain/,
  );
  assert.deepEqual(warn('30d'), []);
});
