/** Makes the task of one object. */
import { maxRowBytes } from '../base/memory.ts';
import { destinationOf } from '../config/resolve.ts';
import type { Config } from '../config/schema.ts';
import { CODEC_FILES, type Codec } from '../format/compress/codec.ts';
import type { RestoreTask } from '../segment/restore/task.ts';
import type { PlannedObject, RestorePlan } from './plan.ts';
import type { RestoreRequest } from './request.ts';

export function restoreTask(
  config: Config,
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
    target: { url: source.url, applicationName: `pgsluice restore ${archive.name}/${run}/${index}` },
    table: plan.target.name,
    subject: `${request.into.schema}.${request.into.table}`,
    columns: plan.columns,
    ...(plan.where === undefined ? {} : { where: plan.where }),
    onConflict: request.onConflict,
    journal: { table: plan.journal.table, restore: plan.journal.restore },
    destination: destinationOf(config, archive),
    key,
    codec: codecOf(key),
    expected: { rows, jsonBytes, bytes, sha256, crc32 },
    maxValueBytes: maxRowBytes(config.workers.maxOldGenerationSizeMb),
  };
}

/** By the name: the archive's config may have changed since. */
function codecOf(key: string): Codec {
  const codecs = Object.keys(CODEC_FILES) as Codec[];
  return codecs.find((codec) => key.endsWith(`.${CODEC_FILES[codec].extension}`)) ?? 'none';
}
