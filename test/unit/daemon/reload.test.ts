import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { UsageError } from '../../../src/base/errors.ts';
import type { Config } from '../../../src/config/schema.ts';
import { Reload, type ReloadParts } from '../../../src/daemon/reload.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';

const CONFIG = {
  sources: {},
  destinations: {},
  archives: {},
  patterns: {},
  log: { level: 'info' },
} as unknown as Config;

/** A daemon whose parts only note that a config is put in force, or that somebody is told. */
function partsOf(readConfig: () => Config): { parts: ReloadParts; log: LogLine[]; done: string[] } {
  const log: LogLine[] = [];
  const done: string[] = [];
  const notes = (what: string) => () => void done.push(what);
  const parts = {
    readConfig,
    generations: { current: { config: CONFIG }, advance: notes('generation'), refuse: notes('refused') },
    tables: { failing: [], expand: async (config: Config) => config },
    board: { settled: async () => undefined, dropSlots: notes('slots dropped') },
    schedule: { set: notes('schedule') },
    entrySchedule: { set: notes('schedule of entries') },
    auditSchedule: { set: notes('schedule of audits') },
    rehearsals: { settled: async () => undefined, reloaded: notes('rehearsals') },
    standings: { set: notes('standings') },
    audits: { reloaded: notes('audits') },
    former: { look: async () => undefined },
    purges: { reloaded: notes('purges') },
    lookAround: { lookAt: async () => undefined },
    listeners: { apply: async () => void done.push('listeners') },
    notify: { reloading: notes('reloading'), ready: notes('ready') },
    log: recordTo(log),
    isStopping: () => false,
    statusLine: () => 'idle',
    changed: notes('changed'),
  } as unknown as ReloadParts;
  return { parts, log, done };
}

function daemon(readConfig: () => Config): { reload: Reload; log: LogLine[]; done: string[] } {
  const { parts, log, done } = partsOf(readConfig);
  return { reload: new Reload(parts), log, done };
}

describe('a reload', () => {
  test('that is asked for while a source is asked at the start comes after it, and looks that wait are one', async () => {
    const answer = Promise.withResolvers<undefined>();
    const asked: Config[] = [];
    const patterned = { ...CONFIG, patterns: { events: {} } } as unknown as Config;
    const { parts, done } = partsOf(() => CONFIG);
    const generations = { ...(parts.generations as object), current: { config: patterned } };
    const expand = async (config: Config): Promise<Config> => {
      asked.push(config);
      await answer.promise;
      return config;
    };
    const reload = new Reload({ ...parts, generations, tables: { failing: [], expand } } as unknown as ReloadParts);
    const begun = reload.begin();
    const all = [begun, reload.run(), reload.lookForTables(), reload.lookForTables(), reload.lookForTables()];
    await setImmediate();
    assert.deepEqual([asked.length, done], [1, []]);
    answer.resolve(undefined);
    await Promise.all(all);
    assert.deepEqual(asked, [patterned, CONFIG, patterned]);
    assert.deepEqual(done.slice(0, 3), ['generation', 'reloading', 'generation']);
  });

  test('puts nothing of a bad config in force, tells all that is wrong with it, and systemd that it is over', async () => {
    const problems = ['pgsluice.yaml:3:1: unknown option', 'pgsluice.yaml:9:5: not a size'];
    const { reload, log, done } = daemon(() => {
      throw new UsageError(problems);
    });
    await reload.run();
    assert.deepEqual(done, ['reloading', 'refused', 'changed', 'ready']);
    const message = 'the new config is bad; the old one stays in force';
    assert.deepEqual(log, [{ level: 'error', message, fields: { problems } }]);
  });

  test('is no matter for a look at tables that finds the same; another entry that finds one by the same name is', async () => {
    const { parts, done } = partsOf(() => CONFIG);
    const foundBy = (entry: string): Config =>
      ({ ...CONFIG, archives: { event_a: { name: 'event_a', entry } } }) as unknown as Config;
    const generations = { ...(parts.generations as object), current: { config: foundBy('events') } };
    let answer = 'events';
    const tables = { failing: [], expand: () => Promise.resolve(foundBy(answer)) };
    const reload = new Reload({ ...parts, generations, tables } as unknown as ReloadParts);
    await reload.lookForTables();
    assert.equal(done.length, 0);
    answer = 'more';
    await reload.lookForTables();
    assert.equal(done.includes('generation'), true);
  });

  test('puts the next good one in force after a bad one', async () => {
    let isBad = true;
    const { reload, log, done } = daemon(() => {
      if (isBad) throw new UsageError('pgsluice.yaml:3:1: unknown option');
      return CONFIG;
    });
    await reload.run();
    isBad = false;
    await reload.run();
    assert.deepEqual(
      log.map(({ message }) => message),
      ['the new config is bad; the old one stays in force', 'config reloaded, nothing has changed'],
    );
    assert.deepEqual(done.slice(4), [
      'reloading',
      'generation',
      'standings',
      'schedule',
      'schedule of entries',
      'schedule of audits',
      'purges',
      'rehearsals',
      'audits',
      'listeners',
      'changed',
      'ready',
    ]);
  });
});
