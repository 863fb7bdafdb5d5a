import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
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
function daemon(readConfig: () => Config): { reload: Reload; log: LogLine[]; done: string[] } {
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
  return { reload: new Reload(parts), log, done };
}

describe('a reload', () => {
  test('puts nothing of a bad config in force, tells all that is wrong with it, and systemd that it is over', async () => {
    const problems = ['pgsluice.yaml:3:1: unknown option', 'pgsluice.yaml:9:5: not a size'];
    const { reload, log, done } = daemon(() => {
      throw new UsageError(problems);
    });
    await reload.run();
    assert.deepEqual(done, ['reloading', 'refused', 'changed', 'ready']);
    assert.deepEqual(log, [{ message: 'the new config is bad; the old one stays in force', fields: { problems } }]);
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
