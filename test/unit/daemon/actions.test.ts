import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createActions, type ActionParts } from '../../../src/daemon/actions.ts';

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
