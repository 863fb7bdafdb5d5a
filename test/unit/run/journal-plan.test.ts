import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import type { PlannedSegment } from '../../../src/ledger/segments.ts';
import { fingerprintOf } from '../../../src/run/journal-plan.ts';
import { CUTS, FakeSource } from '../../support/fake-run.ts';

interface Parts {
  archive: ArchiveConfig;
  source: FakeSource;
  segments: PlannedSegment[] | undefined;
}

/** The fingerprint of a plan, after a change. */
async function fingerprint(change: (parts: Parts) => void = () => undefined): Promise<string> {
  const archive = {
    compression: { codec: 'gzip', engine: 'auto' },
    retry: { attempts: 3 },
  } as unknown as ArchiveConfig;
  const parts: Parts = { archive, source: new FakeSource(), segments: undefined };
  change(parts);
  const plan = await parts.source.view.plan(parts.archive, new Date());
  return fingerprintOf(parts.archive, { ...plan, segments: parts.segments ?? plan.segments }, parts.source.identity);
}

describe('the fingerprint of a plan', () => {
  test('is what it was in earlier versions, so that their runs are gone on with', async () => {
    assert.equal(await fingerprint(), '25e84f5eeb58d0dde188cf2d1e28664850603ce7d46c89bc1e9c30fa73ced5fc');
    const layout = ({ archive }: Parts): unknown => Object.assign(archive, { partitionBy: ['k'], consistency: 'none' });
    assert.equal(await fingerprint(layout), '43e4fca4bb14f915f90c313bfdcce37d70be01fd9b8d5273c84115f93d479a7b');
  });

  for (const [what, change] of [
    ['database', ({ source }: Parts) => (source.identity = { ...source.identity, database: 'other' })],
    ['server', ({ source }: Parts) => (source.identity = { ...source.identity, systemIdentifier: '7443' })],
    ['columns', ({ source }: Parts) => source.columns.push({ ...source.columns[0]!, name: 'more' })],
    ['type of a column', ({ source }: Parts) => (source.columns = [{ ...source.columns[0]!, type: 'integer' }])],
    ['form of a column', ({ source }: Parts) => (source.columns = [{ ...source.columns[0]!, encoding: 'server' }])],
    ['cut', ({ source }: Parts) => (source.cut = CUTS.pages)],
    ['segments', (parts: Parts) => (parts.segments = [{ index: 0, range: { lower: null, upper: null } }])],
    [
      'codec',
      (parts: Parts) =>
        (parts.archive = { ...parts.archive, compression: { ...parts.archive.compression, codec: 'zstd' } }),
    ],
    ['consistency', (parts: Parts) => (parts.archive = { ...parts.archive, consistency: 'none' })],
    ['content encoding', (parts: Parts) => (parts.archive = { ...parts.archive, contentEncoding: 'gzip' })],
  ] as const) {
    test(`is another one for another ${what}`, async () => {
      assert.notEqual(await fingerprint(change), await fingerprint());
    });
  }

  for (const [what, change] of [
    ['version of the server', ({ source }: Parts) => (source.identity = { ...source.identity, serverVersion: '18.1' })],
    [
      'number of retries',
      (parts: Parts) => (parts.archive = { ...parts.archive, retry: { ...parts.archive.retry, attempts: 9 } }),
    ],
    [
      'engine',
      (parts: Parts) =>
        (parts.archive = { ...parts.archive, compression: { ...parts.archive.compression, engine: 'zlib' } }),
    ],
  ] as const) {
    test(`is the same for another ${what}, which changes no row`, async () => {
      assert.equal(await fingerprint(change), await fingerprint());
    });
  }
});
