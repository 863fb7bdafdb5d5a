import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER } from '../../../../src/base/signals.ts';
import type { Config } from '../../../../src/config/schema.ts';
import type { History } from '../../../../src/daemon/history/history.ts';
import { configSchema } from '../../../../src/config/schema.ts';
import { resolveConfig } from '../../../../src/config/resolve.ts';
import { RunFolder } from '../../../../src/ledger/run-folder.ts';
import { manifestKey } from '../../../../src/ledger/names.ts';
import { aManifest, aPlan, aReceipt, ARCHIVE, RUN, temporaryStore } from '../../../support/ledger.ts';
import { describeRun } from '../../../../src/daemon/view/run-detail.ts';

const history = { attemptsOf: () => [] } as unknown as History;

test('nothing is known of a run whose archive is not in the config, nor of one that is named as every object has it', async () => {
  const config = { archives: {} } as Config;
  for (const name of ['gone', '__proto__', 'constructor'])
    assert.equal(await describeRun(config, undefined, history, name, '20261123T021500Z', NEVER), undefined, name);
});

function configOf(url: string): Config {
  const options = configSchema.parse({
    sources: { default: { url: 'postgres://127.0.0.1/app' } },
    destinations: { default: { url: url.replace(/\/$/, '') } },
    archives: { [ARCHIVE]: { table: 'public.events' } },
  });
  return resolveConfig(options, {});
}

test('a manifest that is too large for the page is not read, and its run is committed all the same', async () => {
  const store = temporaryStore();
  const folder = new RunFolder(store, ARCHIVE, RUN);
  await folder.commit(folder.seal(aManifest(40_000)));
  const bytes = (await store.head(manifestKey(ARCHIVE, RUN)))?.bytes ?? 0;
  assert.ok(bytes > 8 * 1024 ** 2, `${bytes} bytes`);
  assert.ok((await folder.manifest()) !== undefined, 'every command reads it');
  const detail = await describeRun(configOf(store.url), undefined, history, ARCHIVE, RUN, NEVER);
  assert.equal(detail?.status, 'committed');
  assert.ok(detail.manifest === null, 'it has no manifest');
  assert.match(detail.destinationError ?? '', /more than 8(\.0)? MiB, which is not shown here/);
});

test('one run is read at a time', async () => {
  const store = temporaryStore();
  const folder = new RunFolder(store, ARCHIVE, RUN);
  await folder.own(aPlan());
  await folder.record([aReceipt(1)]);
  let [now, most] = [0, 0];
  const { plan } = RunFolder.prototype;
  RunFolder.prototype.plan = async function (...parts) {
    now += 1;
    most = Math.max(most, now);
    const found = await plan.apply(this, parts);
    now -= 1;
    return found;
  };
  try {
    const config = configOf(store.url);
    const asked = Array.from({ length: 6 }, () => describeRun(config, undefined, history, ARCHIVE, RUN, NEVER));
    for (const detail of await Promise.all(asked))
      assert.deepEqual(
        detail?.segments.map(({ state }) => state),
        ['waiting', 'done', 'waiting'],
      );
  } finally {
    RunFolder.prototype.plan = plan;
  }
  assert.equal(most, 1);
});
