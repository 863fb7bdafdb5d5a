/** Puts the manifest of a finished run together. */
import os from 'node:os';
import { TOOL } from '../base/tool.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import type { ItemsOf } from '../ledger/documents.ts';
import type { Receipt } from '../ledger/receipts.ts';
import {
  completeManifest,
  MANIFEST_FORMAT,
  type ListedManifest,
  type ManifestColumn,
  type ManifestHead,
  type ManifestObject,
} from '../ledger/manifest.ts';
import { partitionOf } from '../ledger/partitions.ts';
import type { Column } from '../postgres/columns.ts';
import type { RangePartition } from '../postgres/range-partitions.ts';
import { isSameSnapshot, type Snapshot, type SourceIdentity } from '../postgres/snapshot.ts';
import type { RunPlan } from './plan.ts';
import { hasHeirs } from './subject-warnings.ts';

export interface ManifestInput {
  archive: string;
  run: string;
  consistency: ArchiveConfig['consistency'];
  /** Columns of the layout; absent without one. */
  partitionBy?: readonly string[] | undefined;
  plan: RunPlan;
  source: SourceIdentity;
  /** What its session sees, for a run that has read nothing. */
  snapshot: Snapshot;
  /** One for each segment, in the order of the plan. */
  receipts: ItemsOf<Receipt>;
  /** Those of empty segments, which stand under keys of earlier plans. */
  empties: ItemsOf<Receipt>;
  fullKey: (key: string) => string;
  startedAt: string;
}

/** Puts the manifest of a finished run together; its objects are made of the receipts whenever they are asked for. */
export function buildManifest(input: ManifestInput): ListedManifest {
  const { receipts, empties } = input;
  const head = describeRun(input);
  return completeManifest(head, {
    length: receipts.length + empties.length,
    [Symbol.iterator]: () => describeObjects(input, head.snapshot),
  });
}

function* describeObjects(
  { receipts, empties, fullKey, plan, partitionBy }: ManifestInput,
  snapshot: Snapshot,
): Generator<ManifestObject, undefined> {
  let at = 0;
  for (const receipt of receipts) {
    const object = describeObject(receipt, fullKey);
    const values = partitionBy === undefined ? undefined : (plan.segments.at(at)?.partition ?? []);
    yield values === undefined ? object : { ...object, partition: partitionOf(partitionBy ?? [], values) };
    at += 1;
  }
  // They have no rows: under which snapshot none was read is the same for all.
  for (const receipt of empties) yield describeObject({ ...receipt, snapshot }, fullKey);
  return undefined;
}

/** All but the objects. */
function describeRun(input: ManifestInput): ManifestHead {
  const { archive, run, plan, partitionBy } = input;
  const { selection, relation, name, window, partition, where, types = [] } = plan.subject;
  return {
    format: MANIFEST_FORMAT,
    archive,
    run,
    ...(selection.kind === 'query' ? { query: selection.sql } : { table: name }),
    ...(where === undefined ? {} : { where }),
    ...(window === undefined ? {} : { window }),
    ...(partition === undefined ? {} : { partition: describePartition(partition) }),
    columns: selection.columns.map(describeColumn),
    types: [...types],
    ...(partitionBy === undefined ? {} : { partitionBy: [...partitionBy] }),
    primaryKey: relation?.primaryKey ?? [],
    ...(hasHeirs(relation) ? { inherited: true } : {}),
    cut: { by: plan.cut.name, key: [...plan.subject.key] },
    source: input.source,
    ...describeSnapshots(input),
    ...sumUp(input),
    startedAt: input.startedAt,
    finishedAt: new Date().toISOString(),
    host: os.hostname(),
    tool: TOOL,
  };
}

/** Under how many snapshots the rows were read, and which: by the receipts alone, whoever wrote them. */
function describeSnapshots({
  receipts,
  snapshot,
  consistency: asked,
}: ManifestInput): Pick<ManifestHead, 'snapshot' | 'consistency' | 'snapshots'> {
  const snapshots = distinctSnapshots(receipts);
  const latest = snapshots.at(-1) ?? snapshot;
  const isResumed = snapshots.length > 1;
  const seen = isResumed ? 'resumed' : 'single-snapshot';
  return { snapshot: latest, consistency: asked === 'none' ? 'none' : seen, ...(isResumed ? { snapshots } : {}) };
}

function describeObject(receipt: Receipt, fullKey: (key: string) => string): ManifestObject {
  const { rows, jsonBytes, bytes, sha256, crc32, firstKey, lastKey, longestLine, etag, snapshot } = receipt;
  return {
    key: fullKey(receipt.key),
    ...{ rows, jsonBytes, bytes, sha256, crc32, firstKey, lastKey },
    ...(longestLine === undefined ? {} : { longestLine }),
    ...(etag === undefined || etag === '' ? {} : { etag }),
    snapshot: snapshot.id,
  };
}

/** Oldest first. */
function distinctSnapshots(receipts: Iterable<Receipt>): Snapshot[] {
  const distinct: Snapshot[] = [];
  let last: Snapshot | undefined;
  for (const { snapshot } of receipts) {
    if (snapshot === last) continue;
    last = snapshot;
    if (!distinct.some((known) => isSameSnapshot(known, snapshot))) distinct.push(snapshot);
  }
  return distinct.sort((a, b) => a.takenAt.localeCompare(b.takenAt));
}

function describePartition({ oid, schema, name, bound }: RangePartition): NonNullable<ManifestHead['partition']> {
  return { name: `${schema}.${name}`, oid, bound };
}

function describeColumn({ name, type, typeOid, nullable, encoding }: Column): ManifestColumn {
  return { name, type, typeOid, nullable, encoding };
}

function sumUp({ receipts, empties }: ManifestInput): Pick<ManifestHead, 'rows' | 'jsonBytes' | 'bytes'> {
  const sums = { rows: 0, jsonBytes: 0, bytes: 0 };
  for (const items of [receipts, empties])
    for (const { rows, jsonBytes, bytes } of items) {
      sums.rows += rows;
      sums.jsonBytes += jsonBytes;
      sums.bytes += bytes;
    }
  return sums;
}
