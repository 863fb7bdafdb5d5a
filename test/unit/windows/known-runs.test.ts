import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { generatePrivateKey, publicKeyText } from '../../../src/base/signing.ts';
import type { ArchiveConfig, Config, DestinationConfig } from '../../../src/config/schema.ts';
import type { CommittedRun } from '../../../src/windows/committed.ts';
import { openKnownRuns } from '../../../src/windows/known-runs.ts';

const COMMITTED: CommittedRun = {
  run: '20240101T000000Z',
  window: { column: 'at', from: '2024-01-01', to: '2024-02-01' },
  ...{ rows: 1, objects: 1, jsonBytes: 1, bytes: 1, finishedAt: '2024-02-02T00:00:00.000Z', filter: 'f' },
};
const ARCHIVE = { name: 'it', destination: 'default' } as ArchiveConfig;

describe('what is kept of manifests that were read', () => {
  test('is for those who would believe them: not where another key is trusted, or none was asked for', (t) => {
    const state = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-known-'));
    t.after(() => rmSync(state, { recursive: true }));
    const [one, other] = [newKey(), newKey()];
    const known = (destination: Partial<DestinationConfig>) => {
      const destinations = { default: { name: 'default', url: 'file:///a', ...destination } };
      return openKnownRuns({ state, destinations } as unknown as Config, ARCHIVE);
    };
    const knows = (destination: Partial<DestinationConfig>): boolean =>
      known(destination).get(COMMITTED.run) !== undefined;
    const keep = (destination: Partial<DestinationConfig>): void => {
      const runs = known(destination);
      runs.set(COMMITTED.run, COMMITTED);
      runs.save();
    };

    keep({});
    assert.ok(knows({}));
    assert.ok(!knows({ signing: { trust: [one] } }));

    keep({ signing: { trust: [one] }, allowUnsigned: true });
    assert.ok(!knows({ signing: { trust: [one] } }));

    keep({ signing: { trust: [one, other] } });
    assert.ok(knows({ signing: { trust: [other, one] } }));
    assert.ok(!knows({ signing: { trust: [one] } }));
  });
});

test('a window without times that there are is no window: its manifest is read again', (t) => {
  const state = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-known-'));
  t.after(() => rmSync(state, { recursive: true }));
  const config = { state, destinations: { default: { name: 'default', url: 'file:///a' } } } as unknown as Config;
  const runs = openKnownRuns(config, ARCHIVE);
  runs.set(COMMITTED.run, { ...COMMITTED, window: { column: 'at', from: '2024-01-01', to: '2024-01-99' } });
  runs.save();
  assert.equal(openKnownRuns(config, ARCHIVE).get(COMMITTED.run), undefined);
});

function newKey(): string {
  return publicKeyText(createPublicKey(createPrivateKey(generatePrivateKey())));
}
