/** The manifest: the object that says a run is done. Its presence is the commit. */
import os from 'node:os';
import { FailureError } from '../base/errors.ts';
import { TOOL } from '../base/tool.ts';
import type { Column } from '../postgres/columns.ts';
import type { Snapshot, SourceIdentity } from '../postgres/snapshot.ts';
import type { ObjectFacts } from '../segment/task.ts';
import type { Store } from '../store/store.ts';
import { manifestKey } from './names.ts';
import type { Receipt } from './journal.ts';
import type { CutBy, RunPlan } from '../run/plan.ts';

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

export interface ManifestInput {
  archive: string;
  run: string;
  plan: RunPlan;
  source: SourceIdentity;
  snapshot: Snapshot;
  /** One for each segment, in the order of the plan. */
  receipts: readonly Receipt[];
  fullKey: (key: string) => string;
  startedAt: string;
}

/** Puts the manifest of a finished run together. */
export function buildManifest(input: ManifestInput): Manifest {
  const { archive, run, plan, receipts } = input;
  const objects = receipts.map((receipt) => describeObject(receipt, input.fullKey));
  const snapshots = distinctSnapshots(receipts);
  const { source, relation, name } = plan.subject;
  return {
    format: MANIFEST_FORMAT,
    archive,
    run,
    ...(source.kind === 'query' ? { query: source.sql } : { table: name }),
    columns: source.columns.map(describeColumn),
    primaryKey: relation?.primaryKey ?? [],
    cut: { by: plan.by, key: [...plan.subject.key] },
    source: input.source,
    snapshot: input.snapshot,
    ...(snapshots.length > 1 ? { consistency: 'resumed', snapshots } : { consistency: 'single-snapshot' }),
    rows: sum(objects, (object) => object.rows),
    jsonBytes: sum(objects, (object) => object.jsonBytes),
    bytes: sum(objects, (object) => object.bytes),
    objects,
    startedAt: input.startedAt,
    finishedAt: new Date().toISOString(),
    host: os.hostname(),
    tool: TOOL,
  };
}

/** Writes the manifest, create-only: this is the commit. Throws FailureError when there is one already. */
export async function commitManifest(store: Store, manifest: Manifest): Promise<void> {
  const key = manifestKey(manifest.archive, manifest.run);
  const body = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
  const result = await store.put(key, body, { contentType: 'application/json', createOnly: true });
  if (result === 'created') return;
  throw new FailureError({
    code: 'already-committed',
    stage: 'commit',
    transient: false,
    message: `${store.url}${key} was written by somebody else while this run was on`,
    hint: 'Two configs seem to write to the same place with different source databases. Give each its own prefix.',
  });
}

/** Reads the manifest of a run; undefined when the run is not committed. Throws FailureError for one that cannot be read. */
export async function readManifest(store: Store, archive: string, run: string): Promise<Manifest | undefined> {
  const key = manifestKey(archive, run);
  const body = await store.get(key, MAX_MANIFEST_BYTES);
  if (body === undefined) return undefined;
  const manifest = parseJson(body);
  if (isManifest(manifest)) return manifest;
  throw new FailureError({
    code: 'bad-manifest',
    stage: 'verify',
    transient: false,
    message: `${store.url}${key} is no manifest of the format ${MANIFEST_FORMAT}`,
    hint: 'The object was damaged, or written by a newer version of pgsluice.',
  });
}

function describeObject(receipt: Receipt, fullKey: (key: string) => string): ManifestObject {
  const { rows, jsonBytes, bytes, sha256, crc32, firstKey, lastKey, snapshot } = receipt;
  return { key: fullKey(receipt.key), rows, jsonBytes, bytes, sha256, crc32, firstKey, lastKey, snapshot: snapshot.id };
}

/** Ids may repeat after a restart of the server; the time does not. */
function distinctSnapshots(receipts: readonly Receipt[]): Snapshot[] {
  const byTime = new Map(receipts.map(({ snapshot }) => [snapshot.takenAt, snapshot]));
  return [...byTime.values()].sort((a, b) => a.takenAt.localeCompare(b.takenAt));
}

function describeColumn({ name, type, typeOid, nullable, encoding }: Column): ManifestColumn {
  return { name, type, typeOid, nullable, encoding };
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

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
