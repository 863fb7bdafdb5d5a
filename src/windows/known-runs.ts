/** Keeps what was read of manifests, which cannot change, so that finding what is missing costs one listing. */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeFolderSync } from '../base/make-folder.ts';
import { keyId, readPublicKey } from '../base/signing.ts';
import { destinationOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config, DestinationConfig } from '../config/schema.ts';
import { runPartition, runWindow } from '../ledger/manifest.ts';
import { isRunId } from '../ledger/run-id.ts';
import type { CommittedRun, KnownRuns } from './committed.ts';

const FORMAT = 3;
const MOST_BYTES = 64 * 1024 ** 2;

/** A file in `state` for an archive in its destination. Whatever is wrong with it, manifests are read again. */
export function openKnownRuns(config: Config, archive: ArchiveConfig): KnownRuns {
  const folder = path.join(config.state, 'windows');
  const place = placeOf(destinationOf(config, archive), archive.name);
  const file = path.join(
    folder,
    `${archive.name}-${createHash('sha256').update(place).digest('hex').slice(0, 16)}.json`,
  );
  const known = read(file, place);
  let isChanged = false;
  return {
    get: (run) => known.get(run),
    set: (run, committed) => {
      isChanged ||= !known.has(run);
      known.set(run, committed);
    },
    save: () => {
      if (isChanged) write(folder, file, place, known);
      isChanged = false;
    },
  };
}

/** Whose manifests were believed is a part of it: what nobody had to sign then counts for nothing once somebody has to. */
function placeOf({ url, signing, allowUnsigned = false }: DestinationConfig, archive: string): string {
  const trust = signing?.trust ?? [];
  const believed = trust.length === 0 ? [] : [...trust.map((key) => keyId(readPublicKey(key))).sort(), allowUnsigned];
  return [url, archive, ...believed].join(' ');
}

function read(file: string, place: string): Map<string, CommittedRun> {
  try {
    const text = readFileSync(file, 'utf8');
    const content: unknown = text.length > MOST_BYTES ? undefined : JSON.parse(text);
    if (typeof content !== 'object' || content === null) return new Map();
    const { format, place: of, runs } = content as Record<string, unknown>;
    if (format !== FORMAT || of !== place || !Array.isArray(runs)) return new Map();
    return new Map(runs.filter(isCommittedRun).map((run) => [run.run, run]));
  } catch {
    return new Map();
  }
}

/** It is a cache: a folder that cannot be written costs requests, and nothing else. */
function write(folder: string, file: string, place: string, known: ReadonlyMap<string, CommittedRun>): void {
  try {
    makeFolderSync(folder, 0o700);
    const next = `${file}.${process.pid}`;
    writeFileSync(next, JSON.stringify({ format: FORMAT, place, runs: [...known.values()] }), { mode: 0o600 });
    renameSync(next, file);
  } catch {
    return;
  }
}

function isCommittedRun(value: unknown): value is CommittedRun {
  if (typeof value !== 'object' || value === null) return false;
  const { run, table, window, partition, rows, objects, jsonBytes, bytes, finishedAt, filter } = value as Record<
    string,
    unknown
  >;
  const isPartition = partition === undefined || runPartition.safeParse(partition).success;
  const isWindow = isPartition && (window === undefined || runWindow.safeParse(window).success);
  const isCounted = [rows, objects, jsonBytes, bytes].every((count) => Number.isSafeInteger(count));
  return (
    typeof run === 'string' &&
    isRunId(run) &&
    (table === undefined || typeof table === 'string') &&
    isWindow &&
    isCounted &&
    [finishedAt, filter].every((text) => typeof text === 'string')
  );
}
