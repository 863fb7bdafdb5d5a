import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail } from '../../../src/base/errors.ts';
import type { Config } from '../../../src/config/schema.ts';
import { archiveOfTable } from '../../../src/config/tables.ts';
import { TableSlots } from '../../../src/daemon/slots/table-slots.ts';
import { Tables } from '../../../src/daemon/tables.ts';
import type { Expanded } from '../../../src/run/expand.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';
import { folder, load, SOURCES } from '../config/support.ts';

const CONFIG = `${SOURCES}
destinations: { default: { url: "file://${folder}/none" } }
archives: { plain: { table: plain }, events: { tables: "public.event_*", schedule: "0 2 * * *" } }`;

/** What the source says: these tables, or that it does not answer. */
function answering(config: Config, answer: () => string[] | undefined): { tables: Tables; log: LogLine[] } {
  const log: LogLine[] = [];
  const { events: entry } = config.patterns;
  assert.ok(entry);
  const ask = (): Promise<Expanded[]> => {
    const names = answer();
    const code = names === undefined ? 'connection-lost' : 'no-such-tables';
    const { failure } = fail(code, { stage: 'plan', message: 'so it is' });
    const archives = (names ?? []).map((table) => archiveOfTable(entry, { schema: 'public', table }));
    return Promise.resolve([
      { entry, archives, isAnswered: names !== undefined, failures: archives.length === 0 ? [failure] : [] },
    ]);
  };
  const tables = new Tables({ log: recordTo(log), signal: new AbortController().signal, ask });
  return { tables, log };
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
  assert.equal(tables.isAnswered, true);
  assert.deepEqual(await namesAfter(undefined), ['plain', 'event_b', 'event_c']);
  assert.equal(tables.isAnswered, false);
  assert.deepEqual(await namesAfter([]), ['plain', 'event_b', 'event_c']);
  assert.deepEqual(
    log.map(({ message, fields }) => [message.slice(0, 18), fields['archives']]),
    [
      ['tables were found:', ['event_a', 'event_b']],
      ['tables were found:', ['event_c']],
      ['tables are gone: t', ['event_a']],
      ['the source does no', undefined],
    ],
  );
});

test('without an answer at the start, nothing but what the destination has is known', async () => {
  const config = load(CONFIG);
  const { tables } = answering(config, () => undefined);
  assert.deepEqual(Object.keys((await tables.expand(config)).archives), ['plain']);
});

test('at a slot, all wait for one look: new archives have that slot, and archives of the config wait for none', async () => {
  const told: string[] = [];
  let looks = 0;
  const answer = Promise.withResolvers<{ name: string; entry: string }[]>();
  const slots = new TableSlots({
    entryOf: (archive) => (archive === 'plain' ? undefined : 'events'),
    look: () => {
      looks += 1;
      return answer.promise;
    },
    come: (archive, [slot]) => told.push(`${archive} ${slot?.toISOString() ?? ''}`),
  });
  const at = [new Date(Date.UTC(2026, 0, 1))];
  slots.archive('event_a', at);
  slots.entry('events', at);
  slots.entry('others', at);
  slots.archive('plain', at);
  assert.deepEqual(told, ['plain 2026-01-01T00:00:00.000Z']);
  answer.resolve([{ name: 'event_b', entry: 'events' }]);
  await answer.promise;
  await Promise.resolve();
  assert.deepEqual(told.slice(1), ['event_a 2026-01-01T00:00:00.000Z', 'event_b 2026-01-01T00:00:00.000Z']);
  assert.equal(looks, 1);
});
