/** Makes the task of a segment: plain data, by names, that any place can run. */
import { maxRowBytes } from '../base/memory-budget.ts';
import { readerOf } from '../config/reader.ts';
import { chooseCompressor, CODEC_FILES } from '../format/compress/codec.ts';
import { folderOf, type PlannedSegment } from '../ledger/segments.ts';
import type { SegmentTask } from '../segment/task.ts';
import type { Attempt } from './attempt.ts';
import { segmentSelect, type RunPlan } from './plan.ts';
import type { Run } from './run.ts';

export function segmentTask(run: Run, { session, plan }: Attempt, segment: PlannedSegment): SegmentTask {
  const { archive, id } = run;
  const { subject } = plan;
  const reader = readerOf(archive);
  return {
    kind: 'archive-segment',
    archive: archive.name,
    run: id,
    segment: segment.index,
    attempt: 1,
    generation: run.generation,
    source: archive.source,
    destination: archive.destination,
    snapshot: session.snapshot.id,
    server: session.mark,
    ...(session.lock === undefined ? {} : { lock: session.lock }),
    read: reader,
    select: segmentSelect(plan, segment, reader),
    ...(archive.segments.on === 'hosts'
      ? { origin: { selection: subject.selection, cut: plan.cut.parts, part: segment } }
      : {}),
    columns: subject.selection.columns,
    subject: subject.name,
    range: plan.cut.describe(segment),
    keyColumns: keyColumnIndexes(plan),
    key: dataKeyIn(run, segment),
    compression: archive.compression,
    compressor: chooseCompressor(archive.compression),
    ...(archive.contentEncoding === undefined ? {} : { contentEncoding: archive.contentEncoding }),
    ...(run.pace.pieceBytes === undefined ? {} : { pieceBytes: run.pace.pieceBytes }),
    ...(run.verifySource ? { wantsLineDigest: true } : {}),
    ...(plan.isExpectedEmpty === true ? { isExpectedEmpty: true } : {}),
    maxRowBytes: maxRowBytes(run.config.workers.maxOldGenerationSizeMb),
  };
}

/** The key of a segment's object. */
export function dataKeyIn({ archive, folder }: Run, segment: PlannedSegment): string {
  const { extension } = CODEC_FILES[archive.compression.codec];
  return folder.dataKey(segment.index, extension, folderOf(archive.partitionBy, segment));
}

/** Where the key's columns stand among those that are read; none when a part of the key is left out. */
function keyColumnIndexes({ subject }: RunPlan): number[] {
  const indexes = subject.key.map((name) => subject.selection.columns.findIndex((column) => column.name === name));
  return indexes.includes(-1) ? [] : indexes;
}
