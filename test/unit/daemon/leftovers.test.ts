import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { NEVER } from '../../../src/base/signals.ts';
import { destinationOf, resolveConfig } from '../../../src/config/resolve.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { findLeftovers } from '../../../src/daemon/leftovers.ts';
import { manifestKey } from '../../../src/ledger/names.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { openStore } from '../../../src/store/open.ts';
import { aManifest, aPlan, ARCHIVE } from '../../support/ledger.ts';
import { type LogLine, recordTo } from '../../support/record-log.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-leftovers-'));
after(() => {
  rmSync(folder, { recursive: true });
});

test('the journal of a run whose process was killed right after its commit is removed, and no other', async () => {
  const config = resolveConfig(
    configSchema.parse({
      // Nobody answers there: what needs the lock is left to the next run.
      sources: { default: { url: 'postgres://127.0.0.1:1/none' } },
      destinations: { default: { url: `file://${folder}` } },
      archives: { [ARCHIVE]: { table: 'public.events' } },
    }),
    {},
  );
  const archive = config.archives[ARCHIVE]!;
  const store = openStore(destinationOf(config, archive), NEVER);
  const at = (minute: number): RunFolder => new RunFolder(store, ARCHIVE, `20261101T00${10 + minute}00Z`);
  const ready = async (minute: number, commit: (run: RunFolder) => Promise<unknown>): Promise<void> => {
    await at(minute).own(aPlan({ run: at(minute).run }));
    await commit(at(minute));
  };
  const committed = (run: RunFolder): Promise<unknown> => run.commit(run.seal(aManifest(0, { run: run.run })));
  await ready(0, committed);
  await ready(1, (run) =>
    store.put(manifestKey(ARCHIVE, run.run), Buffer.from('{'), {
      contentType: 'application/json',
      replaces: 'nothing',
    }),
  );
  await ready(2, committed);
  await ready(3, async () => undefined);
  const log: LogLine[] = [];
  const known = { schedule: { slotsOf: () => undefined }, history: { hasStarted: () => true } };
  const found = await findLeftovers(config, archive, known, recordTo(log), NEVER);
  assert.deepEqual(found.unfinished, [at(3).run]);
  const haveJournals = [];
  for (const minute of [0, 1, 2, 3]) haveJournals.push(await at(minute).hasJournal());
  assert.deepEqual(haveJournals, [false, true, false, true]);
  const removed = log.filter(({ message }) => message.startsWith('removed the journal'));
  assert.deepEqual(
    removed.map(({ fields }) => fields['run']),
    [at(0).run, at(2).run],
  );
});
