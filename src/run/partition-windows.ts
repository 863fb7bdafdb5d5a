/** The windows of `every: partition`: the partitions of a table that is partitioned by range over the column of the windows. */
import { fail } from '../base/errors.ts';
import { PartitionCalendar } from '../calendar/partitions.ts';
import { FIRST_MS, LAST_MS, type Calendar, type ColumnKind, type Stretch } from '../calendar/windows.ts';
import type { Column } from '../postgres/columns.ts';
import type { Client } from '../postgres/connect.ts';
import { findRangePartitions, whyNotByRange, type RangePartition } from '../postgres/range-partitions.ts';
import type { Relation } from '../postgres/relation.ts';
import { openCalendar, pointLiteral, timeColumn, type WindowOption } from './window.ts';

/** A partition that is a window. */
export interface PartitionWindow extends Stretch {
  partition: RangePartition;
}

/** What an archive's windows are, and where their rows lie. */
export interface OpenWindows {
  column: Column;
  kind: ColumnKind;
  calendar: Calendar;
  /** Of `every: partition`: the partitions that are windows, and those that are none. */
  partitions?: { windows: readonly PartitionWindow[]; others: readonly RangePartition[] };
}

/** Throws FailureError `window-column`, or `window-partition`. */
export async function openWindows(
  client: Client,
  archive: { name: string; window: WindowOption; timezone: string },
  relation: Relation,
): Promise<OpenWindows> {
  if (archive.window.every !== 'partition') return openCalendar(archive, relation.columns);
  const { column, kind } = timeColumn(archive, relation.columns);
  const why = await whyNotByRange(client, relation.oid, column.name);
  const name = `${relation.schema}.${relation.name}`;
  if (why !== undefined) throw badPartitions(`the partitions of ${name} are no windows of "${column.name}": ${why}`);
  const partitions = splitPartitions(await findRangePartitions(client, relation.oid));
  const calendar = new PartitionCalendar(kind, archive.timezone, partitions.windows);
  return { column, kind, calendar, partitions };
}

/** The partition of a window that was found in the calendar of these. */
export function partitionAt({ partitions }: OpenWindows, { fromMs }: Stretch): RangePartition | undefined {
  return partitions?.windows.find((window) => window.fromMs === fromMs)?.partition;
}

function splitPartitions(all: readonly RangePartition[]): NonNullable<OpenWindows['partitions']> {
  const windows: PartitionWindow[] = [];
  const others: RangePartition[] = [];
  for (const partition of all) {
    const [fromMs, toMs] = [parsePoint(partition, partition.from), parsePoint(partition, partition.to)];
    if (fromMs === undefined || toMs === undefined) others.push(partition);
    else windows.push({ fromMs, toMs, partition });
  }
  return { windows, others };
}

const POINT = /^(\d{4}-\d\d-\d\d)(?: (\d\d:\d\d:\d\d)(\.\d+)?(?:\+00)?)?$/;

/** Undefined for what is no end of a window: nothing, infinity, and years before 1 and after 9999. */
function parsePoint({ schema, name }: RangePartition, point: string | undefined): number | undefined {
  const [, date, time = '00:00:00', fraction] = POINT.exec(point ?? '') ?? [];
  if (date === undefined) return undefined;
  if (fraction !== undefined)
    throw badPartitions(`the partition ${schema}.${name} has the bound ${point ?? ''}, and a run id has whole seconds`);
  const ms = Date.parse(`${date}T${time}Z`);
  return ms >= FIRST_MS && ms < LAST_MS ? ms : undefined;
}

function badPartitions(message: string): Error {
  return fail('window-partition', { stage: 'plan', message: `window.every: ${message}` });
}

/** The bounds of a window as SQL of ours. */
export function boundLiterals(
  { kind, calendar }: OpenWindows,
  { fromMs, toMs }: Stretch,
): { from: string; to: string } {
  return {
    from: pointLiteral(kind, calendar.format(fromMs)),
    to: pointLiteral(kind, calendar.format(toMs)),
  };
}
