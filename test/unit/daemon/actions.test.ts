import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createActions, type ActionParts } from '../../../src/daemon/actions.ts';
import { recordTo } from '../../support/record-log.ts';

test('an order for an entry of several tables says so, and one for what is not there that', async () => {
  const actions = createActions({
    standings: { of: () => undefined },
    isStopping: () => false,
    isEntry: (name: string) => name === 'events',
  } as unknown as ActionParts);
  const said = async (name: string): Promise<string> => {
    const done = await actions.pause(name);
    return 'refused' in done ? `${done.refused}: ${done.message}` : 'done';
  };
  assert.match(await said('events'), /^no-such-archive: "events" stands for several tables; name the archive of one/);
  assert.equal(await said('evnts'), 'no-such-archive: there is no archive "evnts" in the config');
});

test('a run in progress can be cancelled whose archive was taken out meanwhile', async () => {
  const run = '20261123T021500Z';
  const actions = createActions({
    standings: { of: () => undefined },
    board: {
      purgeOf: () => undefined,
      entryOf: (name: string) => (name === 'event_a' ? { run, state: 'running' } : undefined),
      cancel: () => Promise.resolve(run),
    },
    log: recordTo([]),
    isStopping: () => false,
    isEntry: () => false,
  } as unknown as ActionParts);
  assert.deepEqual(await actions.cancel('event_a'), { archive: 'event_a', run });
  assert.equal('refused' in (await actions.cancel('event_b')), true);
});
