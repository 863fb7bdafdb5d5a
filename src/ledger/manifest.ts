/** The manifest: the object that says a run is done. Its presence is the commit. */
import { fail } from '../base/errors.ts';
import type { Snapshot, SourceIdentity } from '../postgres/snapshot.ts';
import type { ObjectFacts } from '../segment/task.ts';
import type { Store } from '../store/store.ts';
import { manifestKey } from './names.ts';
import type { CutBy } from './segments.ts';

export const MANIFEST_FORMAT = 'pgsluice/manifest/1';

/** A manifest of a wide table with 10,000 objects has some 5 MB. */
const MAX_MANIFEST_BYTES = 64 * 1024 ** 2;

/** An object of a run; `key` is its whole key in the bucket, or its path in the folder. */
export interface ManifestObject extends ObjectFacts {
  /** Id of the snapshot that it was read under. */
  snapshot: string;
}

export interface ManifestColumn {
  name: string;
  type: string;
  typeOid: number;
  nullable: boolean;
  encoding: string;
}

export interface Manifest {
  format: typeof MANIFEST_FORMAT;
  archive: string;
  run: string;
  /** One of the two is there. */
  table?: string;
  query?: string;
  columns: ManifestColumn[];
  /** Column names; empty without one. */
  primaryKey: string[];
  /** How the rows were cut into objects, and the columns that `firstKey` and `lastKey` are of; empty without a key. Absent in the first ones. */
  cut?: { by: CutBy; key: string[] };
  source: SourceIdentity;
  snapshot: Snapshot;
  consistency: 'single-snapshot' | 'resumed';
  /** All snapshots that objects were read under, oldest first; there only when the run was resumed. */
  snapshots?: Snapshot[];
  rows: number;
  jsonBytes: number;
  bytes: number;
  objects: ManifestObject[];
  startedAt: string;
  finishedAt: string;
  host: string;
  tool: { name: string; version: string };
}

/** Writes the manifest, create-only: this is the commit. Throws FailureError when there is one already. */
export async function commitManifest(store: Store, manifest: Manifest): Promise<void> {
  const key = manifestKey(manifest.archive, manifest.run);
  const body = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
  const { outcome } = await store.put(key, body, { contentType: 'application/json', replaces: 'nothing' });
  if (outcome === 'written') return;
  throw fail('already-committed', {
    stage: 'commit',
    message: `${store.url}${key} was written by somebody else while this run was on`,
  });
}

/** Reads the manifest of a run; undefined when the run is not committed. Throws FailureError for one that cannot be read. */
export async function readManifest(store: Store, archive: string, run: string): Promise<Manifest | undefined> {
  const key = manifestKey(archive, run);
  const found = await store.get(key, MAX_MANIFEST_BYTES);
  if (found === undefined) return undefined;
  const manifest = parseJson(found.body);
  if (isManifest(manifest)) return manifest;
  throw fail('bad-manifest', {
    stage: 'verify',
    message: `${store.url}${key} is no manifest of the format ${MANIFEST_FORMAT}`,
  });
}

function isManifest(value: unknown): value is Manifest {
  if (typeof value !== 'object' || value === null) return false;
  const { format, objects, rows, columns } = value as Partial<Manifest>;
  const isWhole = format === MANIFEST_FORMAT && Array.isArray(objects) && typeof rows === 'number';
  return isWhole && Array.isArray(columns) && objects.every(isManifestObject);
}

function isManifestObject(value: unknown): value is ManifestObject {
  if (typeof value !== 'object' || value === null) return false;
  const { key, sha256, crc32, rows, jsonBytes, bytes, firstKey, lastKey } = value as Partial<ManifestObject>;
  const isKey = (keys: unknown): boolean => keys === null || Array.isArray(keys);
  return (
    [key, sha256, crc32].every((text) => typeof text === 'string') &&
    [rows, jsonBytes, bytes].every((figure) => typeof figure === 'number') &&
    isKey(firstKey) &&
    isKey(lastKey)
  );
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
