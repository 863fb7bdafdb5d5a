import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER } from '../../../../src/base/signals.ts';
import type { Config } from '../../../../src/config/schema.ts';
import type { History } from '../../../../src/daemon/history/history.ts';
import { configSchema } from '../../../../src/config/schema.ts';
import { resolveConfig } from '../../../../src/config/resolve.ts';
import { RunFolder } from '../../../../src/ledger/run-folder.ts';
import { aManifest, aPlan, aReceipt, ARCHIVE, keySegments, RUN, temporaryStore } from '../../../support/ledger.ts';
import { describeRun, MOST_SHOWN, type AskedRun, type RunDetail } from '../../../../src/daemon/view/run-detail.ts';

const history = { attemptsOf: () => [], purgesOf: () => [] } as unknown as History;

test('nothing is known of a run whose archive is not in the config, nor of one that is named as every object has it', async () => {
  const config = { archives: {} } as Config;
  for (const name of ['gone', '__proto__', 'constructor'])
    assert.equal(await describeRun(config, undefined, history, asked(name), NEVER), undefined, name);
});

function asked(archive = ARCHIVE, from = 0): AskedRun {
  return { archive, run: RUN, from };
}

function configOf(url: string): Config {
  const options = configSchema.parse({
    sources: { default: { url: 'postgres://127.0.0.1/app' } },
    destinations: { default: { url: url.replace(/\/$/, '') } },
    archives: { [ARCHIVE]: { table: 'public.events' } },
  });
  return resolveConfig(options, {});
}

test('of a run of many objects, however large its manifest is, those are shown that are asked for', async () => {
  const store = temporaryStore();
  const folder = new RunFolder(store, ARCHIVE, RUN);
  await folder.commit(folder.seal(aManifest(3000)));
  const config = configOf(store.url);
  const ask = async (from: number): Promise<RunDetail> =>
    (await describeRun(config, undefined, history, asked(ARCHIVE, from), NEVER))!;
  const first = await ask(0);
  assert.deepEqual([first.status, first.segmentsTotal, first.segmentsDone], ['committed', 3000, 3000]);
  assert.equal(first.rows, 300_000);
  for (const from of [0, 1000, 19_500, 3000]) {
    const { segments, manifest } = await ask(from);
    const expected = Array.from({ length: Math.min(MOST_SHOWN, 3000 - from) }, (_, at) => from + at);
    assert.deepEqual(
      segments.map(({ index }) => index),
      expected,
    );
    assert.deepEqual(
      manifest?.objects,
      aManifest(3000).objects.slice(from, from + MOST_SHOWN),
      `the objects from ${from} on`,
    );
  }
});

test('of an unfinished run those segments are shown that are asked for, and all are counted', async () => {
  const store = temporaryStore();
  const folder = new RunFolder(store, ARCHIVE, RUN);
  await folder.own(aPlan({ segments: keySegments(2500) }));
  await folder.record([aReceipt(3), aReceipt(2200)]);
  const detail = await describeRun(configOf(store.url), undefined, history, asked(ARCHIVE, 2000), NEVER);
  assert.deepEqual([detail?.segmentsTotal, detail?.segmentsDone, detail?.segments.length], [2500, 2, 500]);
  assert.deepEqual(detail?.segments[200], { ...detail?.segments[200], index: 2200, state: 'done', rows: 100 });
});

test('one run is read at a time', async () => {
  const store = temporaryStore();
  const folder = new RunFolder(store, ARCHIVE, RUN);
  await folder.own(aPlan());
  await folder.record([aReceipt(1)]);
  let [now, most] = [0, 0];
  const { outline } = RunFolder.prototype;
  RunFolder.prototype.outline = async function () {
    now += 1;
    most = Math.max(most, now);
    const found = await outline.apply(this);
    now -= 1;
    return found;
  };
  try {
    const config = configOf(store.url);
    const answers = Array.from({ length: 6 }, () => describeRun(config, undefined, history, asked(), NEVER));
    for (const detail of await Promise.all(answers))
      assert.deepEqual(
        detail?.segments.map(({ state }) => state),
        ['waiting', 'done', 'waiting'],
      );
  } finally {
    RunFolder.prototype.outline = outline;
  }
  assert.equal(most, 1);
});
