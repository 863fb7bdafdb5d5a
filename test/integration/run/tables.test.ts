import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { listCommand } from '../../../src/commands/list.ts';
import { planCommand } from '../../../src/commands/plan.ts';
import { runCommand } from '../../../src/commands/run.ts';
import { verifyCommand } from '../../../src/commands/verify.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { expandEntries } from '../../../src/run/expand.ts';
import { commandOfFile } from '../../support/in-process.ts';
import { testDatabase } from '../../support/postgres.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-tables-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const database = await testDatabase();
await database.client.query(`
CREATE TABLE event_a (id int PRIMARY KEY);
CREATE TABLE event_b (id int PRIMARY KEY);
CREATE TABLE "Event_C" (id int PRIMARY KEY);
CREATE TABLE "event d/e" (id int PRIMARY KEY);
CREATE TABLE event_x (id int PRIMARY KEY);
CREATE VIEW event_view AS SELECT 1;
CREATE TABLE event_old (id int PRIMARY KEY);
CREATE TABLE event_old_1 () INHERITS (event_old);
CREATE TABLE event_part (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE event_part_1 PARTITION OF event_part FOR VALUES FROM (0) TO (10);
CREATE TABLE evening (id int);
CREATE SCHEMA other;
CREATE TABLE other.event_a (id int PRIMARY KEY);
CREATE TABLE other."event_a.b" (id int PRIMARY KEY);
CREATE SCHEMA "other.event_a";
CREATE TABLE "other.event_a".b (id int PRIMARY KEY);
CREATE TABLE evenings (id int);
CREATE TABLE pgsluice_restore_12345 (id int);
CREATE TABLE pgsluice_restore_x (id int);
CREATE SCHEMA pgsluice_rehearsal;
CREATE TABLE pgsluice_rehearsal.event_r (id int);
INSERT INTO event_a VALUES (1), (2)`);

function write(archives: string, more = ''): string {
  const file = path.join(folder, 'pgsluice.yaml');
  const text = `sources: { default: { url: "${database.url}" }, gone: { url: "postgres://nobody@127.0.0.1:1/nowhere" } }
destinations: { default: { url: "file://${folder}/archive" } }
archives: ${archives}
${more}`;
  writeFileSync(file, text);
  return file;
}

/** Of each entry: its archives with their tables, and what is told against the rest. */
async function expand(archives: string, more?: string) {
  const expanded = await expandEntries(loadConfig(write(archives, more), {}));
  return expanded.map(({ archives: found, failures }) => ({
    found: found.map(({ name, table }) => `${name} ${table ?? ''}`),
    codes: failures.map(({ code }) => code),
    told: failures.map(({ message, hint }) => `${message} ${hint}`),
  }));
}

test('each table of a pattern is an archive that is named after it: no view, partition or child, and none of a bad name', async () => {
  const [events] = await expand('{ events: { tables: public.event*, exceptTables: event_x, where: "id > 0" } }');
  assert.deepEqual(events?.found, [
    'event_a public.event_a',
    'event_b public.event_b',
    'event_old public.event_old',
    'event_part public.event_part',
  ]);
  assert.deepEqual(events.codes, ['table-not-taken']);
  assert.match(events.told[0] ?? '', /^table public\."event d\/e" of tables: public\.event\* cannot give/);
});

test('quotes take the meaning of wildcards and of capitals away, and ? is one character', async () => {
  const [quoted, one] = await expand(
    '{ q: { tables: \'public."Event"_*\' }, o: { tables: [public.event_?, event_ol?] } }',
  );
  assert.deepEqual(quoted?.found, ['Event_C public."Event_C"']);
  assert.deepEqual(one?.found, [
    'event_a public.event_a',
    'event_b public.event_b',
    'event_old public.event_old',
    'event_x public.event_x',
  ]);
});

test('archives of tables in other schemas have the schema in their names; two of one name are not taken', async () => {
  const [all] = await expand('{ all: { tables: "*.event_a*" }, b: { tables: "other?event_a.b" } }');
  assert.deepEqual(all?.found, ['other.event_a other.event_a', 'event_a public.event_a']);
  assert.match(all.told[0] ?? '', /would be the archive other\.event_a\.b, as "other\.event_a"\.b would/);
});

test('tables of restores, rehearsals and of the server are found by no pattern', async () => {
  const [records] = await expand('{ all: { tables: "public.pgsluice*" } }');
  assert.deepEqual(records?.found, ['pgsluice_restore_x public.pgsluice_restore_x']);
  const more = 'audits: { rehearse: { schedule: "0 5 * * *", source: gone } }';
  const [all] = await expand('{ all: { tables: ["*.event_r", "*.pg_class"] } }', more);
  assert.deepEqual(all?.found, []);
});

test('an archive that the config names stands; of another table, it keeps its name', async () => {
  const [events] = await expand(
    '{ events: { tables: "public.event_?" }, event_a: { table: event_a, purge: { after: 1d } }, event_b: { table: evening } }',
  );
  assert.deepEqual(events?.found, ['event_x public.event_x']);
  assert.deepEqual(
    events.told.map((text) => text.slice(0, 58)),
    ['table public.event_b of tables: public.event_? would be th'],
  );
});

test('a pattern that finds nothing is told with what is near, or that it finds partitions alone', async () => {
  const [near, schema, parts, gone] = await expand(
    '{ n: { tables: public.evnt_* }, s: { tables: publik.event_a }, p: { tables: public.event_part_* }, g: { tables: a.b, source: gone } }',
  );
  assert.deepEqual(near?.codes, ['no-such-tables']);
  assert.match(near.told.join(), /^tables: public\.evnt_\* finds no table Did you mean public\.event_a, /);
  assert.match(schema?.told.join() ?? '', /Did you mean public\.event_a, /);
  const [fits] = await expand('{ f: { tables: publik.evening? } }');
  assert.match(fits?.told.join() ?? '', /Did you mean public\.evenings, /);
  assert.match(parts?.told.join() ?? '', /finds 1 partition and no table Name the partitioned table/);
  assert.match(gone?.told.join() ?? '', /^connecting to /);
});

const RUN = '20261123T021500Z';
const of = async (command: Parameters<typeof commandOfFile>[2]): Promise<{ code: number; json: unknown }> => {
  const file = write('{ events: { tables: "public.event_?" } }', 'workers: { threads: 1 }\nlog: { level: silent }');
  const { code, stdout } = await commandOfFile(file, {}, command);
  return { code, json: JSON.parse(stdout) };
};
const names = (json: unknown): string[] => (json as { archive: string }[]).map(({ archive }) => archive);

test('plan shows all archives of an entry, run makes one, and list and verify find it without asking the source', async () => {
  const plan = await of((invocation) => planCommand(invocation, ['events'], {}));
  assert.deepEqual([plan.code, names(plan.json)], [0, ['event_a', 'event_b', 'event_x']]);
  assert.deepEqual(names((await of((invocation) => planCommand(invocation, [], {}))).json), names(plan.json));
  const run = await of((invocation) => runCommand(invocation, ['event_a'], { all: false, runId: RUN }));
  assert.deepEqual([run.code, names(run.json)], [0, ['event_a']]);
  await database.client.query('DROP TABLE event_a');
  const list = await of((invocation) => listCommand(invocation, undefined));
  assert.deepEqual(names(list.json), ['event_a']);
  const verified = await of((invocation) => verifyCommand(invocation, 'event_a', {}));
  assert.equal(verified.code, 0);
  const gone = await of((invocation) => runCommand(invocation, ['event_a'], { all: false, runId: RUN }));
  assert.equal(gone.code, 1);
  assert.match(JSON.stringify(gone.json), /no-such-tables.*events finds no table for an archive event_a/);
});

test('a run that is committed of another table is no run of this one', async () => {
  const run = async (table: string) => {
    const file = write(`{ a: { table: ${table} } }`, 'workers: { threads: 1 }\nlog: { level: silent }');
    const { code, stdout } = await commandOfFile(file, {}, (invocation) =>
      runCommand(invocation, ['a'], { all: false, runId: RUN }),
    );
    const [{ status, error }] = JSON.parse(stdout) as [{ status: string; error?: { code: string } }];
    return [code, status, error?.code];
  };
  assert.deepEqual(await run('public.event_b'), [0, 'committed', undefined]);
  assert.deepEqual(await run('event_b'), [0, 'already-committed', undefined]);
  assert.deepEqual(await run('public.evening'), [1, 'failed', 'other-table']);
  assert.deepEqual(await run('"Event_C"'), [1, 'failed', 'other-table']);
});
