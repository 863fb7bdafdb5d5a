import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import type { Snapshot } from '../../../src/postgres/snapshot.ts';
import { buildManifest } from '../../../src/run/build-manifest.ts';
import { FakeSource } from '../../support/fake-run.ts';
import { aReceipt, ARCHIVE, RUN, SNAPSHOT } from '../../support/ledger.ts';

/** The manifest of segments that were read under these snapshots. */
function manifestOf(...snapshots: Snapshot[]): Promise<Manifest> {
  return manifestWith('snapshot', snapshots);
}

async function manifestWith(
  consistency: ArchiveConfig['consistency'],
  snapshots: readonly Snapshot[],
): Promise<Manifest> {
  const source = new FakeSource();
  const manifest = buildManifest({
    archive: ARCHIVE,
    run: RUN,
    consistency,
    plan: await source.view.plan({} as never, new Date()),
    source: source.identity,
    snapshot: SNAPSHOT,
    receipts: snapshots.map((snapshot, segment) => aReceipt(segment, { snapshot })),
    empties: [],
    fullKey: (key) => `pg/${key}`,
    startedAt: '2026-11-23T02:15:00.000Z',
  });
  return { ...manifest, objects: [...manifest.objects] };
}

describe('the manifest of a run', () => {
  test('whose segments were read under one snapshot says so', async () => {
    const { consistency, snapshots } = await manifestOf(SNAPSHOT, { ...SNAPSHOT }, { ...SNAPSHOT });
    assert.deepEqual([consistency, snapshots], ['single-snapshot', undefined]);
  });

  const other = { id: '00000004-00000002-1', lsn: '0/2B3C4D', takenAt: '2026-11-23T02:20:00.000Z' };
  for (const [situation, changes] of [
    ['at another time', other],
    ['at the same time, as a clock was set back', { id: other.id, lsn: other.lsn }],
    ['with the same id, as the server was restarted', { takenAt: other.takenAt }],
    ['at another place of the log', { lsn: other.lsn }],
  ] as const) {
    test(`names both snapshots when one was taken ${situation}`, async () => {
      const second = { ...SNAPSHOT, ...changes };
      const { consistency, snapshots } = await manifestOf(SNAPSHOT, second, SNAPSHOT, second);
      assert.equal(consistency, 'resumed');
      assert.deepEqual(snapshots, [SNAPSHOT, second]);
    });
  }

  test('says of an object that it has a line which COPY does not take', async () => {
    const source = new FakeSource();
    const { objects } = buildManifest({
      archive: ARCHIVE,
      run: RUN,
      consistency: 'snapshot',
      plan: await source.view.plan({} as never, new Date()),
      source: source.identity,
      snapshot: SNAPSHOT,
      receipts: [aReceipt(0), aReceipt(1, { longestLine: 2 ** 30 })],
      empties: [],
      fullKey: (key) => key,
      startedAt: '2026-11-23T02:15:00.000Z',
    });
    assert.deepEqual(
      Array.from(objects, (object) => object.longestLine),
      [undefined, 2 ** 30],
    );
  });

  test('that no snapshot covers says so, resumed or not', async () => {
    const once = await manifestWith('none', [SNAPSHOT, SNAPSHOT]);
    assert.deepEqual([once.consistency, once.snapshots], ['none', undefined]);
    const second = { ...SNAPSHOT, ...other };
    const resumed = await manifestWith('none', [SNAPSHOT, second]);
    assert.deepEqual([resumed.consistency, resumed.snapshots], ['none', [SNAPSHOT, second]]);
  });

  test('names the snapshots from the oldest to the latest, and adds its segments up', async () => {
    const manifest = await manifestOf({ ...SNAPSHOT, ...other }, SNAPSHOT);
    assert.deepEqual(manifest.snapshots, [SNAPSHOT, other]);
    // The latest one, whatever segment was read under it.
    assert.deepEqual(manifest.snapshot, other);
    assert.deepEqual([manifest.rows, manifest.jsonBytes, manifest.bytes], [200, 2000, 8]);
    assert.deepEqual(
      manifest.objects.map(({ key, snapshot }) => [key, snapshot]),
      [
        [`pg/${ARCHIVE}/run=${RUN}/part-00000.jsonl.gz`, other.id],
        [`pg/${ARCHIVE}/run=${RUN}/part-00001.jsonl.gz`, SNAPSHOT.id],
      ],
    );
  });
});
