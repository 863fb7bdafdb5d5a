/** Adds up the most memory that a config can need, from the very numbers that the stages allocate by. */
import { BUDGET, maxRowBytes, mostPartsOnTheWay, widestLinesBytes, type Budget } from '../base/memory-budget.ts';
import { formatBytes, formatCount } from '../base/units.ts';
import { zstdTableBytes, zstdWindowBytes } from '../base/zstd-levels.ts';
import { readerOf } from './reader.ts';
import { destinationOf } from './resolve.ts';
import type { ArchiveConfig, Config, DestinationConfig } from './schema.ts';
import { allEntries } from './tables.ts';

/** One line of the sum. */
export interface MemoryTerm {
  name: string;
  bytes: number;
}

export interface MemorySum {
  terms: readonly MemoryTerm[];
  totalBytes: number;
}

/**
 * The most memory that the config can need, term by term. A thread does one task at a time: the largest of each kind
 * counts. `segments` is how many the largest run has, where it is known.
 */
export function memorySum(
  config: Config,
  budget: Budget = BUDGET,
  segments: number = mostSegments(config, budget),
): MemorySum {
  const terms = [
    { name: 'main process', bytes: budget.main.bytes },
    ...queueTerms(config, budget),
    { name: `run of ${formatCount(segments)} segments`, bytes: segments * budget.segments.bytes },
    ...purgeTerms(config, budget),
    ...auditTerms(config, budget),
    ...(allEntries(config).some(({ segments: { on } }) => on === 'here') ? threadTerms(config, budget) : []),
  ];
  return { terms, totalBytes: total(terms) };
}

/** The most memory of a `pgsluice worker`, which leads no run, purges and proves nothing. */
export function workerMemorySum(config: Config, budget: Budget = BUDGET): MemorySum {
  const terms = [
    { name: 'main process', bytes: budget.main.bytes },
    ...queueTerms(config, budget),
    ...threadTerms(config, budget),
  ];
  return { terms, totalBytes: total(terms) };
}

function threadTerms(config: Config, budget: Budget): MemoryTerm[] {
  const { threads, maxOldGenerationSizeMb, maxYoungGenerationSizeMb } = config.workers;
  const perThread: MemoryTerm[] = [
    { name: 'old generation of the heap', bytes: maxOldGenerationSizeMb * 1024 ** 2 },
    { name: 'young generation of the heap', bytes: maxYoungGenerationSizeMb * 1024 ** 2 },
    ...bufferTerms(config, budget),
  ];
  return perThread.map(({ name, bytes }) => ({ name: `${threads} x ${name}`, bytes: threads * bytes }));
}

function queueTerms({ hosts }: Config, { queue }: Budget): MemoryTerm[] {
  return hosts === undefined ? [] : [{ name: 'client of the queue', bytes: queue.bytes }];
}

/** The daemon purges in its main process, one run at a time. */
function purgeTerms(config: Config, { purge, scan, inflate }: Budget): MemoryTerm[] {
  const isUsed = allEntries(config).some((archive) => archive.purge !== undefined);
  const linesBytes = purge.lines * purge.lineBytes + 2 * purge.keyBytes;
  const proofBytes = scan.contentBytes + scan.tableBytes + inflate.objects * inflateBytes(inflate);
  return isUsed ? [{ name: 'a purge', bytes: linesBytes + proofBytes }] : [];
}

function inflateBytes({ stateBytes, inputBytes, outputBytes }: Budget['inflate']): number {
  return stateBytes + inputBytes + outputBytes;
}

/** The daemon proves runs again in its main process, one at a time. */
function auditTerms(config: Config, budget: Budget): MemoryTerm[] {
  const isUsed = config.audits?.verify !== undefined;
  return isUsed ? [{ name: 'a proof', bytes: budget.unpack.readings * readingBytes(config, budget) }] : [];
}

/** What the largest run may have. */
function mostSegments(config: Config, { segments }: Budget): number {
  const isByValue = allEntries(config).some(({ partitionBy }) => partitionBy !== undefined);
  return segments.planned + (isByValue ? segments.values : 0);
}

/** What a thread needs besides its heap to archive; or to restore, where that is more. */
function bufferTerms(config: Config, budget: Budget): MemoryTerm[] {
  const archives = allEntries(config);
  const terms = [
    { name: 'rows on their way', bytes: rowsBytes(budget) + cursorBytes(config) },
    {
      name: 'compressor',
      bytes: Math.max(0, ...archives.map(({ compression }) => compressorBytes(compression, budget))),
    },
    ...largest(archives.map((archive) => uploadTerms(destinationOf(config, archive), budget))),
  ];
  const restoring = restoreBytes(config, budget) - total(terms);
  return restoring > 0 ? [...terms, { name: 'a restore, beyond that', bytes: restoring }] : terms;
}

/** From the socket to the compressor. Each buffer of lines has a wider one in reserve. */
function rowsBytes(budget: Budget): number {
  const { socketBytes, waitingBytes, surplusBytes, windowBytes } = budget.read;
  const lineBytes = budget.lines.buffers * (budget.lines.bytes + widestLinesBytes(budget));
  const encodeBytes = budget.encode.tableBytes + budget.encode.programBytes;
  return socketBytes + waitingBytes + surplusBytes + windowBytes + encodeBytes + lineBytes;
}

/**
 * Through a cursor, the driver holds a row whole, in a buffer that grows by doubling while the one before is copied. And
 * the text of rows is made into buffers that are collected with it: they come to no more than the young generation.
 */
function cursorBytes(config: Config): number {
  const { workers } = config;
  const isUsed = allEntries(config).some((archive) => readerOf(archive) === 'cursor');
  if (!isUsed) return 0;
  return 4 * maxRowBytes(workers.maxOldGenerationSizeMb) + workers.maxYoungGenerationSizeMb * 1024 ** 2;
}

function compressorBytes({ codec, engine, level }: ArchiveConfig['compression'], budget: Budget): number {
  // Text that cannot be compressed stays as long as it is.
  const madeBytes = budget.lines.buffers * (widestLinesBytes(budget) + budget.slice.bytes);
  const isalBytes = budget.isal.streamBytes + budget.isal.levelBytes + budget.isal.inputBytes + budget.slice.bytes;
  const zlibBytes = budget.lines.buffers * budget.deflate.stateBytes + madeBytes;
  switch (codec) {
    case 'none':
      return 0;
    case 'zstd':
      return budget.zstd.stateBytes + zstdWindowBytes(level) + zstdTableBytes(level) + madeBytes;
    case 'gzip':
      if (engine === 'isal') return isalBytes;
      return engine === 'zlib' ? zlibBytes : Math.max(isalBytes, zlibBytes);
  }
}

/** From the compressor to the destination. */
function uploadTerms(destination: DestinationConfig, budget: Budget): MemoryTerm[] {
  const { location, endpoint, partBytes, partsInFlight } = destination;
  // What the compressor has made is written before it makes more.
  if (location.kind === 'file') return [];
  const onTheWay = mostPartsOnTheWay(partsInFlight, budget);
  const parts = onTheWay + budget.parts.inTheMaking;
  const size = formatBytes(partBytes);
  const isEncrypted = !/^http:/i.test(endpoint ?? '');
  return [
    { name: `parts in flight, ${parts} x ${size}`, bytes: parts * partBytes },
    ...(isEncrypted ? [{ name: `parts encrypted for TLS, ${onTheWay} x ${size}`, bytes: onTheWay * partBytes }] : []),
  ];
}

/** From an object to the rows of a COPY. */
function restoreBytes(config: Config, budget: Budget): number {
  const { unpack } = budget;
  const valueBytes = unpack.valueCopies * maxRowBytes(config.workers.maxOldGenerationSizeMb);
  return unpack.readings * readingBytes(config, budget) + valueBytes;
}

/** Of one object that is read. */
function readingBytes(config: Config, budget: Budget): number {
  const { unpack } = budget;
  return unpack.readBytes + unpack.waiting * unpack.contentBytes + readableWindowBytes(config, budget);
}

/**
 * The largest window that a decompressor is given. An object says itself how much it wants: so it gets what the archives of
 * the config are written with, or what all but the highest levels take.
 */
export function readableWindowBytes(config: Config, { unpack }: Budget = BUDGET): number {
  const windows = allEntries(config).map(({ compression: { codec, level } }) =>
    codec === 'zstd' ? zstdWindowBytes(level) : 0,
  );
  return Math.max(unpack.windowBytes, ...windows);
}

function largest(choices: readonly MemoryTerm[][]): MemoryTerm[] {
  return choices.reduce((most, terms) => (total(terms) > total(most) ? terms : most), []);
}

function total(terms: readonly MemoryTerm[]): number {
  return terms.reduce((sum, { bytes }) => sum + bytes, 0);
}
