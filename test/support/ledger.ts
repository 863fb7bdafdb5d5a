/** Documents of a run as we write them, small and whole, and a folder to put them into. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import type { Failure } from '../../src/base/errors.ts';
import type { PlanDocument } from '../../src/ledger/journal.ts';
import type { Manifest, ManifestObject } from '../../src/ledger/manifest.ts';
import type { Receipt } from '../../src/ledger/receipts.ts';
import { RunFolder } from '../../src/ledger/run-folder.ts';
import type { PlannedSegment } from '../../src/ledger/segments.ts';
import { openFileStore } from '../../src/store/file/file.ts';
import type { Content, Store } from '../../src/store/store.ts';

export const ARCHIVE = 'events';
export const RUN = '20261123T021500Z';
export const FINGERPRINT = 'f'.repeat(64);
export const INSTANCE = { systemIdentifier: '7442', postmasterStart: '2026-11-01T00:00:00.000Z', database: 'app' };
export const SNAPSHOT = { id: '00000003-0000001B-1', lsn: '0/1A2B3C', takenAt: '2026-11-23T02:15:01.000Z' };

const folders: string[] = [];

after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A store in a folder of its own, which goes when the file's tests are done. */
export function temporaryStore(): Store {
  const folder = mkdtempSync(path.join(tmpdir(), 'pgsluice-ledger-'));
  folders.push(folder);
  return openFileStore(folder);
}

/** The store, but for some of its methods. */
export function changed(store: Store, methods: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name: keyof Store) {
      if (name === 'under') return (signal: AbortSignal) => changed(target.under(signal), methods);
      const value = methods[name] ?? target[name];
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

export function temporaryRunFolder(): RunFolder {
  return new RunFolder(temporaryStore(), ARCHIVE, RUN);
}

/** Ranges of a key of one column, together all rows. */
export function keySegments(count: number): PlannedSegment[] {
  const bound = (at: number): string[] | null => (at === 0 || at === count ? null : [String(at * 100)]);
  return Array.from({ length: count }, (_, index) => ({
    index,
    range: { lower: bound(index), upper: bound(index + 1) },
  }));
}

export function aPlan(changes: Partial<PlanDocument> = {}): PlanDocument {
  return {
    format: 'pgsluice/plan/2',
    archive: ARCHIVE,
    run: RUN,
    fingerprint: FINGERPRINT,
    by: 'key',
    why: 'segments.by is key',
    segments: keySegments(3),
    extension: 'jsonl.gz',
    formerKeys: [],
    snapshot: SNAPSHOT,
    instance: INSTANCE,
    estimatedRows: 300,
    startedAt: '2026-11-23T02:15:00.000Z',
    host: 'db1',
    owner: '0b87e0fe-34ab-4d57-a0ff-6b6b2e1a1c11',
    tool: { name: 'pgsluice', version: '0.1.0' },
    ...changes,
  };
}

function facts(segment: number): Omit<ManifestObject, 'key' | 'snapshot'> {
  return {
    rows: 100,
    jsonBytes: 1000,
    bytes: 4,
    sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    crc32: '0123abcd',
    firstKey: [String(segment * 100)],
    lastKey: [String(segment * 100 + 99)],
  };
}

/** The receipts of a plan, by their segments; those of empty segments; and why others cannot be believed. */
export async function receiptsOf(
  folder: RunFolder,
  fingerprint?: string,
): Promise<{ receipts: Receipt[]; empties: Receipt[]; unreadable: Failure[] }> {
  const found = { receipts: [] as Receipt[], empties: [] as Receipt[], unreadable: [] as Failure[] };
  await folder.eachReceipt(fingerprint === undefined ? undefined : { fingerprint }, {
    receipt: (receipt) => found.receipts.push(receipt),
    empty: (receipt) => found.empties.push(receipt),
    unreadable: ({ failure }) => found.unreadable.push(failure),
  });
  found.receipts.sort((a, b) => a.segment - b.segment);
  return found;
}

/** Of an object that holds the four bytes `test`. */
export function aReceipt(segment: number, changes: Partial<Receipt> = {}): Receipt {
  return {
    fingerprint: FINGERPRINT,
    segment,
    key: `${ARCHIVE}/run=${RUN}/${partName(segment)}`,
    ...facts(segment),
    snapshot: SNAPSHOT,
    ...changes,
  };
}

export function aManifest(objects = 3, changes: Partial<Manifest> = {}): Manifest {
  return {
    format: 'pgsluice/manifest/1',
    archive: ARCHIVE,
    run: RUN,
    table: 'public.events',
    columns: [{ name: 'id', type: 'bigint', typeOid: 20, nullable: false, encoding: 'integer' }],
    primaryKey: ['id'],
    cut: { by: 'key', key: ['id'] },
    source: { database: 'app', serverVersion: '18.0', systemIdentifier: '7442' },
    snapshot: SNAPSHOT,
    consistency: 'single-snapshot',
    rows: 100 * objects,
    jsonBytes: 1000 * objects,
    bytes: 4 * objects,
    objects: Array.from({ length: objects }, (_, at) => ({
      key: `pg/${ARCHIVE}/run=${RUN}/${partName(at)}`,
      ...facts(at),
      snapshot: SNAPSHOT.id,
    })),
    startedAt: '2026-11-23T02:15:00.000Z',
    finishedAt: '2026-11-23T02:16:00.000Z',
    host: 'db1',
    tool: { name: 'pgsluice', version: '0.1.0' },
    ...changes,
  };
}

/** All bytes of what is written. */
export async function bytesOf(content: Buffer | Content): Promise<Buffer> {
  return Buffer.isBuffer(content) ? content : Buffer.concat(await Array.fromAsync(content.pieces()));
}

/** The manifest of a run with all its objects, as it was written; undefined when the run is not committed. */
export async function wholeManifest(folder: RunFolder): Promise<Manifest | undefined> {
  const manifest = await folder.manifest();
  return manifest && { ...manifest, objects: await Array.fromAsync(manifest.objects) };
}

function partName(segment: number): string {
  return `part-${String(segment).padStart(5, '0')}.jsonl.gz`;
}
