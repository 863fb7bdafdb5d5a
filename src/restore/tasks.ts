/** Makes the task of one object. */
import { fail } from '../base/errors.ts';
import { maxRowBytes } from '../base/memory-budget.ts';
import { codecOf, type Codec } from '../format/compress/codec.ts';
import type { RestoreTask } from '../segment/restore/task.ts';
import type { PlannedObject } from './objects.ts';
import type { RestorePlan } from './plan.ts';
import type { RestoreContext, RestoreRequest } from './request.ts';

export function restoreTask(
  { config, generation }: Pick<RestoreContext, 'config' | 'generation'>,
  request: RestoreRequest,
  plan: RestorePlan,
  object: PlannedObject,
): RestoreTask {
  const { archive, source } = request;
  const { run } = plan.manifest;
  const { index, key, rows, jsonBytes, bytes, sha256, crc32 } = object;
  return {
    kind: 'restore-object',
    archive: archive.name,
    run,
    segment: index,
    attempt: 1,
    generation,
    target: source.name,
    destination: archive.destination,
    table: plan.target.name,
    subject: `${request.into.schema}.${request.into.table}`,
    columns: plan.columns,
    ...(plan.where === undefined ? {} : { where: plan.where }),
    onConflict: request.onConflict,
    ...(plan.conflictKey === undefined ? {} : { conflictKey: plan.conflictKey }),
    record: { table: plan.record.table, restore: plan.record.restore },
    key,
    codec: requireCodec(key),
    expected: { rows, jsonBytes, bytes, sha256, crc32 },
    maxValueBytes: maxRowBytes(config.workers.maxOldGenerationSizeMb),
  };
}

/** The manifest lies in the bucket, where others may write; what it names must be something that we wrote. */
function requireCodec(key: string): Codec {
  const codec = codecOf(key);
  if (codec !== undefined) return codec;
  throw fail('bad-manifest', {
    stage: 'restore',
    message: `the manifest names the object ${key}, whose ending is none of ours`,
    hint: 'The manifest was changed or written by something else. Bring it back from a copy or an older version.',
  });
}
