import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { describe, test } from 'node:test';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import type { Log } from '../../../src/base/log.ts';
import { generatePrivateKey, keyId, type Signing } from '../../../src/base/signing.ts';
import { chooseOwnRuns, type KnownRuns } from '../../../src/daemon/own-runs.ts';
import { Slots } from '../../../src/daemon/slots/slots.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { aPlan, ARCHIVE, temporaryStore } from '../../support/ledger.ts';

const SLOT = '20261101T021500Z';
const NO_SLOT = '20261101T021501Z';
const OTHER = '20261101T021502Z';

/** Slots at a quarter past two; one run that this host has begun. */
function known(begun?: string): KnownRuns {
  const slots = new Slots('15 2 * * *', 'UTC');
  return { schedule: { slotsOf: () => slots }, history: { hasStarted: (_archive, run) => run === begun } };
}

function keepLines(): { log: Log; lines: object[] } {
  const lines: object[] = [];
  return { log: { warn: (fields: object) => lines.push(fields) } as unknown as Log, lines };
}

function signingWith(key: string, trusted: string, allowUnsigned = false): Signing {
  const [own, other] = [createPrivateKey(key), createPublicKey(trusted)];
  return { key: own, trust: new Map([[keyId(other), other]]), allowUnsigned };
}

const CONFIG = { name: ARCHIVE, timezone: 'UTC' } as ArchiveConfig;

describe('of the unfinished runs of an archive', () => {
  test('those are ours that are slots, or that this host has begun; the others are named in one line', async () => {
    const { log, lines } = keepLines();
    const runs = [SLOT, NO_SLOT, OTHER];
    assert.deepEqual(await chooseOwnRuns(known(OTHER), temporaryStore(), CONFIG, runs, log), [SLOT, OTHER]);
    assert.deepEqual(lines, [{ archive: ARCHIVE, runs: [NO_SLOT], count: 1 }]);
  });

  test('none is a slot that has not come, nor one of an archive without a schedule', async () => {
    const { log, lines } = keepLines();
    assert.deepEqual(await chooseOwnRuns(known(), temporaryStore(), CONFIG, ['99991101T021500Z'], log), []);
    const unscheduled = { ...known(), schedule: { slotsOf: () => undefined } };
    assert.deepEqual(await chooseOwnRuns(unscheduled, temporaryStore(), CONFIG, [SLOT], log), []);
    assert.equal(lines.length, 2);
  });

  test('those of an archive of windows are ours that are starts of windows', async () => {
    const { log } = keepLines();
    const window = { column: 'at', every: 'day', olderThanMs: 0 };
    const config = { ...CONFIG, window, timezone: 'Europe/Berlin' } as ArchiveConfig;
    const runs = ['20261031T230000Z', '20261101T000000Z', '20261101T000000Z_2', '20261101T021500Z', '99991101T000000Z'];
    assert.deepEqual(await chooseOwnRuns(known(), temporaryStore(), config, runs, log), runs.slice(0, 3));
  });

  test('those are ours whose plan is signed by a trusted key, as the plan of that very run', async () => {
    const { log, lines } = keepLines();
    const [ours, theirs] = [generatePrivateKey(), generatePrivateKey()];
    const store = temporaryStore();
    const plan = async (run: string, key: string, named = run): Promise<void> => {
      store.signing = signingWith(key, key);
      await new RunFolder(store, ARCHIVE, run).own(aPlan({ run: named }));
    };
    await plan(NO_SLOT, ours);
    await plan(OTHER, theirs);
    // Signed by us, but as that of another run.
    await plan('20261101T021503Z', ours, NO_SLOT);
    const runs = [NO_SLOT, OTHER, '20261101T021503Z'];
    const asked = async (signing: Signing | undefined): Promise<string[]> => {
      store.signing = signing;
      return chooseOwnRuns(known(), store, CONFIG, runs, log);
    };
    assert.deepEqual(await asked(signingWith(ours, ours)), [NO_SLOT]);
    assert.deepEqual(await asked(signingWith(ours, ours, true)), [], 'where all is believed, nothing is proved');
    assert.deepEqual(await asked({ ...signingWith(ours, ours), trust: new Map() }), []);
    assert.deepEqual(await asked(undefined), []);
    assert.equal(lines.length, 4);
  });
});
