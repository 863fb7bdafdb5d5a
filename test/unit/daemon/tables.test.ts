import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { fail, type Failure } from '../../../src/base/errors.ts';
import type { ArchiveConfig, Config } from '../../../src/config/schema.ts';
import { archiveOfTable } from '../../../src/config/tables.ts';
import { TableSlots } from '../../../src/daemon/slots/table-slots.ts';
import { Tables, type FailingEntry } from '../../../src/daemon/tables.ts';
import type { Expanded } from '../../../src/run/expand.ts';
import { eventually } from '../../support/cli.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';
import { folder, load, SOURCES } from '../config/support.ts';

const CONFIG = `${SOURCES}
destinations: { default: { url: "file://${folder}/none" } }
archives: { plain: { table: plain }, events: { tables: "public.event_*", schedule: "0 2 * * *" } }`;

/** What the source says: these tables, or that it does not answer. */
function answering(config: Config, answer: () => string[] | undefined, more: () => Failure[] = () => []) {
  const log: LogLine[] = [];
  const told: string[] = [];
  const { events: entry } = config.patterns;
  assert.ok(entry);
  const ask = (): Promise<Expanded[]> => {
    const names = answer();
    const code = names === undefined ? 'connection-lost' : 'no-such-tables';
    const { failure } = fail(code, { stage: 'plan', message: 'so it is' });
    const archives = (names ?? []).map((table) => archiveOfTable(entry, { schema: 'public', table }));
    return Promise.resolve([
      {
        entry,
        archives,
        isAnswered: names !== undefined,
        failures: [...(archives.length === 0 ? [failure] : []), ...more()],
      },
    ]);
  };
  const events = {
    failing: ({ name }: FailingEntry) => told.push(`${name} fails`),
    well: (name: string, isGone: boolean) => told.push(`${name} is ${isGone ? 'gone' : 'well'}`),
    changed: () => told.push('changed'),
  };
  const tables = new Tables({ log: recordTo(log), signal: new AbortController().signal, ask, events });
  return { tables, log, told };
}

test('tables that come and go are told, and what a source does not say, or says of none, stays as it was', async () => {
  const config = load(CONFIG);
  let says: string[] | undefined = ['event_a', 'event_b'];
  const { tables, log } = answering(config, () => says);
  const namesAfter = async (next: string[] | undefined, before = config): Promise<string[]> => {
    says = next;
    return Object.keys((await tables.expand(before)).archives);
  };
  assert.deepEqual(await namesAfter(says), ['plain', 'event_a', 'event_b']);
  const expanded = await tables.expand(config);
  assert.deepEqual(await namesAfter(['event_b', 'event_c'], expanded), ['plain', 'event_b', 'event_c']);
  assert.equal(tables.failing.length, 0);
  assert.deepEqual(await namesAfter(undefined), ['plain', 'event_b', 'event_c']);
  assert.deepEqual(
    tables.failing.map(({ failures }) => failures[0]?.code),
    ['connection-lost'],
  );
  assert.deepEqual(await namesAfter([]), ['plain', 'event_b', 'event_c']);
  assert.deepEqual(
    log.map(({ message, fields }) => [message.slice(0, 18), fields['archives']]),
    [
      ['tables were found:', ['event_a', 'event_b']],
      ['tables were found:', ['event_c']],
      ['tables are gone: t', ['event_a']],
      ['the source does no', undefined],
      ['an entry finds no ', undefined],
    ],
  );
});

test('an entry that fails is told once, in the log once for each kind, and once when it is well or gone', async () => {
  const config = load(CONFIG);
  let says: string[] | undefined = ['event_a'];
  let attempt = 0;
  let refused: string[] = [];
  const more = (): Failure[] => refused.map((message) => fail('table-not-taken', { stage: 'plan', message }).failure);
  const { tables, log, told } = answering(config, () => says, more);
  const look = async (next: string[] | undefined, bad: string[] = [], of = config): Promise<string[]> => {
    [says, refused, attempt] = [next, bad, attempt + 1];
    log.length = 0;
    told.length = 0;
    await tables.expand(of);
    return [...told, ...log.map(({ message }) => message.slice(0, 12))];
  };
  await look(says);
  assert.deepEqual(await look(undefined), ['events fails', 'the source d']);
  const since = tables.failing[0]?.since;
  assert.deepEqual(await look(undefined), []);
  assert.deepEqual(await look([]), ['changed', 'an entry fin']);
  assert.deepEqual(await look([]), []);
  assert.deepEqual(await look(['event_a'], ['a', 'b']), ['changed', 'tables are l']);
  assert.deepEqual(log[0]?.fields['further'], ['b']);
  assert.deepEqual(await look(['event_a'], ['a', 'b']), []);
  assert.equal(tables.failing[0]?.since, since);
  assert.deepEqual(await look(['event_a']), ['events is well', 'an entry wit']);
  assert.deepEqual(await look(['event_a'], Array.from({ length: 1000 }, String)), ['events fails', 'tables are l']);
  assert.deepEqual([tables.failing[0]?.failures.length, tables.failing[0]?.count], [5, 1000]);
  const without = load(CONFIG.replace(/, events: .*/, ' }'));
  assert.deepEqual(await look(undefined, [], without), ['events is gone']);
  assert.equal(tables.failing.length, 0);
});

test('without an answer at the start, nothing but what the destination has is known', async () => {
  const config = load(CONFIG);
  const { tables } = answering(config, () => undefined);
  assert.deepEqual(Object.keys((await tables.expand(config)).archives), ['plain']);
});

test('what is kept of an entry goes before what another source has by the same name, and patterns that changed count', async () => {
  const other = CONFIG.replace('archives: {', 'archives: { more: { tables: "public.*_a", source: other },').replace(
    'sources: {',
    'sources: { other: { url: "postgres://localhost/other" },',
  );
  const config = load(other);
  const { events, more } = config.patterns;
  assert.ok(events && more);
  const archiveIn = (entry: ArchiveConfig, table: string) => archiveOfTable(entry, { schema: 'public', table });
  const { failure } = fail('connection-lost', { stage: 'plan', message: 'gone' });
  const of = (entry: ArchiveConfig, tables: string[] | undefined): Expanded => ({
    entry,
    archives: (tables ?? []).map((table) => archiveIn(entry, table)),
    isAnswered: tables !== undefined,
    failures: tables === undefined ? [failure] : [],
  });
  let answers = [of(more, ['x_a']), of(events, ['event_a', 'event_b'])];
  const noted = { failing: () => undefined, well: () => undefined, changed: () => undefined };
  const [log, signal] = [recordTo([]), new AbortController().signal];
  const tables = new Tables({ log, signal, events: noted, ask: () => Promise.resolve(answers) });
  await tables.expand(config);
  answers = [of(more, ['x_a', 'event_a']), of(events, undefined)];
  const { archives } = await tables.expand(config);
  assert.deepEqual(
    Object.values(archives).map(({ name, entry }) => `${name} ${entry ?? ''}`),
    ['plain ', 'x_a more', 'event_a events', 'event_b events'],
  );
  assert.deepEqual(
    tables.failing.map(({ name, failures }) => [name, failures.map(({ code }) => code)]),
    [
      ['more', ['table-not-taken']],
      ['events', ['connection-lost']],
    ],
  );
  const narrow = load(other.replace('public.event_*', 'public.event_b'));
  const entry = narrow.patterns['events'];
  assert.ok(entry);
  answers = [of(more, ['x_a', 'event_a']), of(entry, undefined)];
  assert.deepEqual(
    Object.values((await tables.expand(narrow)).archives).map((one) => `${one.name} ${one.entry ?? ''}`),
    ['plain ', 'x_a more', 'event_a more', 'event_b events'],
  );
});

/** Slots of an entry `events`, by looks that the test ends. */
function slotsOfTables(longestWaitMs?: number) {
  const told: string[] = [];
  const known = ['event_a'];
  const looks: PromiseWithResolvers<undefined>[] = [];
  const slots = new TableSlots({
    entryOf: (archive) => (archive === 'plain' ? undefined : 'events'),
    archivesOf: (entry) => (entry === 'events' ? [...known] : []),
    look: () => {
      const look = Promise.withResolvers<undefined>();
      looks.push(look);
      return look.promise.then(() => undefined);
    },
    come: (archive, [slot]) => told.push(`${archive} ${slot?.toISOString() ?? ''}`),
    ...(longestWaitMs !== undefined && { longestWaitMs }),
  });
  return { slots, told, known, looks };
}

const AT = new Date(Date.UTC(2026, 0, 1));

test('at a slot, all wait for one look: new archives have that slot, and archives of the config wait for none', async () => {
  const { slots, told, known, looks } = slotsOfTables();
  slots.archive('event_a', [AT]);
  slots.entry('events', [AT]);
  slots.entry('others', [AT]);
  slots.archive('plain', [AT]);
  assert.deepEqual(told, ['plain 2026-01-01T00:00:00.000Z']);
  known.push('event_b');
  looks[0]?.resolve(undefined);
  await setImmediate();
  assert.deepEqual(told.slice(1).sort(), ['event_a 2026-01-01T00:00:00.000Z', 'event_b 2026-01-01T00:00:00.000Z']);
  assert.equal(looks.length, 1);
});

test('a source that hangs does not keep archives that are known from their slot; what is new has it once it answers', async () => {
  const { slots, told, known, looks } = slotsOfTables(1);
  slots.archive('event_a', [AT]);
  slots.entry('events', [AT]);
  await eventually('the slot comes', () => Promise.resolve(told.length === 1));
  assert.deepEqual(told, ['event_a 2026-01-01T00:00:00.000Z']);
  known.push('event_b');
  looks[0]?.resolve(undefined);
  await setImmediate();
  assert.deepEqual(told.slice(1), ['event_b 2026-01-01T00:00:00.000Z']);
});
