/** A job as the task that this host does: its statement is made here, of the job's bounds and of what the run's segments share. */
import { fail, toFailure } from '../../base/errors.ts';
import { chooseCompressor } from '../../format/compress/codec.ts';
import type { SharedTask } from '../../ledger/shared-task.ts';
import { selectPart } from '../../segment/narrow.ts';
import type { SegmentTask } from '../../segment/task.ts';
import type { Job } from './messages.ts';
import { plainParts } from './shared.ts';

/** What of a task is this host's own. */
interface OwnParts {
  /** Of its own config. */
  generation: number;
  maxRowBytes: number;
}

/** Throws FailureError `bad-job` for a part that the table has not. */
export function taskOfJob(job: Job, shared: SharedTask, { generation, maxRowBytes }: OwnParts): SegmentTask {
  const { ends, snapshot, server, lock, read, subject, keyColumns, compression, contentEncoding } = shared;
  return {
    kind: 'archive-segment',
    ...{ archive: job.archive, run: job.run, segment: job.part.index, attempt: job.attempt, generation },
    ...{
      source: ends.source,
      destination: ends.destination,
      snapshot,
      server,
      read,
      subject,
      keyColumns,
      compression,
    },
    ...(lock === undefined ? {} : { lock }),
    select: selectOf(job, shared),
    columns: shared.selection.columns,
    range: `segment ${job.part.index}`,
    key: job.key,
    ...(job.token === undefined ? {} : { token: job.token }),
    ...(job.replaces === undefined ? {} : { replaces: job.replaces }),
    compressor: chooseCompressor(compression),
    ...(contentEncoding === undefined ? {} : { contentEncoding }),
    ...(shared.pieceBytes === undefined ? {} : { pieceBytes: shared.pieceBytes }),
    ...(shared.wantsLineDigest === true ? { wantsLineDigest: true } : {}),
    maxRowBytes,
  };
}

function selectOf(job: Job, shared: SharedTask): SegmentTask['select'] {
  const { selection, cut } = plainParts(shared);
  try {
    return selectPart(selection, cut, job.part, shared.read);
  } catch (error) {
    throw fail('bad-job', { stage: 'worker', message: toFailure(error, 'worker').message });
  }
}
