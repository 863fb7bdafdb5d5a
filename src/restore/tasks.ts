/** Makes the tasks of a restore from its objects. */
import { fail } from '../base/errors.ts';
import { maxRowBytes } from '../base/memory-budget.ts';
import { readableWindowBytes } from '../config/memory-sum.ts';
import { codecOf, type Codec } from '../format/compress/codec.ts';
import type { ObjectToRestore, RestoreTask } from '../segment/restore/task.ts';
import type { PlannedObject } from './objects.ts';
import type { RestorePlan } from './plan.ts';
import type { RestoreContext, RestoreRequest } from './request.ts';

/** An object is small up to so many bytes of JSON Lines: then its connection and its commit take longer than its rows. */
const SMALL_BYTES = 256 * 1024;
/** What small objects of one transaction have together at most. A kill loses no more than that. */
const TOGETHER_BYTES = 2 * 1024 * 1024;
const MOST_TOGETHER = 200;

/** The tasks of these objects, in their order: one for each, or for small neighbours that share a transaction. */
export function restoreTasks(
  context: Pick<RestoreContext, 'config' | 'generation'>,
  request: RestoreRequest,
  plan: RestorePlan,
  objects: readonly PlannedObject[],
): RestoreTask[] {
  return gather(objects, context.config.workers.threads).map((some) => restoreTask(context, request, plan, some));
}

/** There is work for all threads before anything is gathered. */
function gather(objects: readonly PlannedObject[], threads: number): PlannedObject[][] {
  const most = Math.min(MOST_TOGETHER, Math.ceil(objects.length / threads));
  const groups: PlannedObject[][] = [];
  let bytes = TOGETHER_BYTES;
  for (const object of objects) {
    const group = groups.at(-1);
    const isSmall = object.jsonBytes <= SMALL_BYTES;
    bytes += object.jsonBytes;
    if (group !== undefined && isSmall && group.length < most && bytes <= TOGETHER_BYTES) group.push(object);
    else {
      groups.push([object]);
      bytes = isSmall ? object.jsonBytes : TOGETHER_BYTES;
    }
  }
  return groups;
}

function restoreTask(
  { config, generation }: Pick<RestoreContext, 'config' | 'generation'>,
  request: RestoreRequest,
  plan: RestorePlan,
  objects: readonly PlannedObject[],
): RestoreTask {
  const { archive, source } = request;
  const { run } = plan.manifest;
  return {
    kind: 'restore-object',
    archive: archive.name,
    run,
    segment: objects[0]?.index ?? 0,
    attempt: 1,
    generation,
    target: source.name,
    destination: archive.destination,
    table: plan.target.name,
    subject: `${request.into.schema}.${request.into.table}`,
    columns: plan.columns,
    onConflict: request.onConflict,
    ...(plan.conflictKey === undefined ? {} : { conflictKey: plan.conflictKey }),
    record: { table: plan.record.table, restore: plan.record.restore },
    objects: objects.map((object) => toRestore(object, plan)),
    maxValueBytes: maxRowBytes(config.workers.maxOldGenerationSizeMb),
    windowBytes: readableWindowBytes(config),
  };
}

/** An object that lies inside of the range goes in as it is. */
function toRestore(object: PlannedObject, { where, keys }: RestorePlan): ObjectToRestore {
  const { index, key, rows, jsonBytes, bytes, sha256, crc32, longestLine } = object;
  const expected = { rows, jsonBytes, bytes, sha256, crc32 };
  const condition = where === undefined || keys.inside.has(index) ? {} : { where };
  const length = longestLine === undefined ? {} : { isTooLong: true as const };
  return { segment: index, key, codec: requireCodec(key), expected, ...length, ...condition };
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
