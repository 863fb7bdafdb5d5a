import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../../src/base/errors.ts';
import type { PassParts } from '../../../src/audit/rehearsal/rehearsal-pass.ts';
import { Rehearsals, type RehearsalsParts } from '../../../src/daemon/rehearsals.ts';
import type { RehearsalResult } from '../../../src/ledger/rehearsals.ts';
import { recordTo } from '../../support/record-log.ts';

const RUN = '20261123T021500Z';

/** Rehearsals of an archive whose first look goes on until the test ends it. */
function open() {
  const read: string[] = [];
  let hooks: PassParts['hooks'] | undefined;
  const over = Promise.withResolvers<undefined>();
  const config = { archives: { events: { name: 'events' } }, audits: { rehearse: {} } };
  const nothing = (): void => undefined;
  const rehearsals = new Rehearsals({
    generation: () => ({ number: 1, config }) as unknown as ReturnType<RehearsalsParts['generation']>,
    log: recordTo([]),
    isPaused: () => false,
    events: {
      ...{ changed: nothing, ended: nothing, different: nothing, good: nothing, failed: nothing, recovered: nothing },
      read: (archive) => read.push(`${archive} ${rehearsals.holdsPurge(archive)?.code ?? 'free'}`),
    },
    rehearsalPass: (parts) => {
      ({ hooks } = parts);
      return over.promise;
    },
  });
  rehearsals.look();
  return { rehearsals, read, hooks: hooks!, over };
}

function findings(status: RehearsalResult['status']): Parameters<PassParts['hooks']['found']>[1] {
  return { runs: [{ run: RUN }], results: [{ run: RUN, status }] } as unknown as ReturnType<typeof findings>;
}

describe('what keeps purges from an archive', () => {
  test('is a run that did not come back, and before the first look whatever may be found', () => {
    const { rehearsals, read, hooks } = open();
    assert.equal(rehearsals.holdsPurge('events')?.code, 'rehearsals-unread');
    assert.equal(rehearsals.holdsPurge('others'), undefined, 'one that is not rehearsed');
    hooks.found('events', findings('different'));
    assert.equal(rehearsals.holdsPurge('events')?.code, 'rehearsal-different');
    hooks.found('events', findings('equal'));
    assert.equal(rehearsals.holdsPurge('events'), undefined);
    assert.deepEqual(read, ['events rehearsal-different'], 'once');
  });

  test('is no look that fails, or has ended without a word', async () => {
    const failing = open();
    failing.hooks.unknown('events', fail('throttled', { stage: 'verify', message: 'slow down' }).failure);
    assert.deepEqual([failing.rehearsals.holdsPurge('events'), failing.read], [undefined, ['events free']]);
    const silent = open();
    silent.over.resolve(undefined);
    await silent.rehearsals.settled();
    assert.equal(silent.rehearsals.holdsPurge('events'), undefined);
  });
});
