/** Makes the tasks of a restore from its objects. */
import { maxRowBytes } from '../base/memory-budget.ts';
import { readableWindowBytes } from '../config/memory-sum.ts';
import type { ObjectToRestore, RestoreTask } from '../segment/restore/task.ts';
import { requireCodec, type PlannedObject, type PlannedObjects } from './objects.ts';
import type { RestorePlan } from './plan.ts';
import type { RestoreContext, RestoreRequest } from './request.ts';

/** An object is small up to so many bytes of JSON Lines: then its connection and its commit take longer than its rows. */
const SMALL_BYTES = 256 * 1024;
/** What small objects of one transaction have together at most. A kill loses no more than that. */
const TOGETHER_BYTES = 2 * 1024 * 1024;
const MOST_TOGETHER = 200;

/**
 * The tasks of objects, in their order: one for each, or for small neighbours that share a transaction. `count` is how many
 * objects there are. Each is made when it is asked for.
 */
export async function* restoreTasks(
  context: Pick<RestoreContext, 'config' | 'generation' | 'pace'>,
  request: RestoreRequest,
  plan: RestorePlan,
  objects: PlannedObjects,
  count: number,
): AsyncGenerator<RestoreTask, undefined> {
  for await (const some of gather(objects, count, context.config.workers.threads))
    yield restoreTask(context, request, plan, some);
  return undefined;
}

/** There is work for all threads before anything is gathered. */
async function* gather(
  objects: PlannedObjects,
  count: number,
  threads: number,
): AsyncGenerator<PlannedObject[], undefined> {
  const most = Math.min(MOST_TOGETHER, Math.ceil(count / threads));
  let group: PlannedObject[] = [];
  let bytes = TOGETHER_BYTES;
  for await (const object of objects) {
    const isSmall = object.jsonBytes <= SMALL_BYTES;
    bytes += object.jsonBytes;
    if (group.length > 0 && isSmall && group.length < most && bytes <= TOGETHER_BYTES) group.push(object);
    else {
      if (group.length > 0) yield group;
      group = [object];
      bytes = isSmall ? object.jsonBytes : TOGETHER_BYTES;
    }
  }
  if (group.length > 0) yield group;
  return undefined;
}

function restoreTask(
  { config, generation, pace }: Pick<RestoreContext, 'config' | 'generation' | 'pace'>,
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
    ...(pace?.pieceBytes === undefined ? {} : { pieceBytes: pace.pieceBytes }),
    ...(request.scratch === undefined ? {} : { wantsLineDigest: true as const }),
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
