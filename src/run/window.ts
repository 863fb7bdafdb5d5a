/** The window that a run of a windowed archive is of: a function of the run's id, the config, and the type of the column. */
import { fail } from '../base/errors.ts';
import { nearestName } from '../base/suggest.ts';
import { WindowCalendar, type Calendar, type ColumnKind, type Stretch } from '../calendar/windows.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { formatRunId } from '../ledger/run-id.ts';
import type { Column } from '../postgres/columns.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';

/** As the manifest has it: bounds as Postgres reads them. */
export interface RunWindow {
  column: string;
  /** The first point of it. */
  from: string;
  /** The first point after it. */
  to: string;
}

export type WindowOption = NonNullable<ArchiveConfig['window']>;

const KINDS: Readonly<Record<number, ColumnKind>> = { 1082: 'date', 1114: 'timestamp', 1184: 'timestamptz' };

/** The column of the windows and the calendar of its type. Throws FailureError `window-column`. */
export function openCalendar(
  { window, timezone }: { window: WindowOption; timezone: string },
  columns: readonly Column[],
): { column: Column; kind: ColumnKind; calendar: Calendar } {
  const { column, kind } = timeColumn({ window }, columns);
  const { every } = window;
  if (every === 'partition') throw badColumn('every: partition takes a table that is partitioned by range');
  if (kind === 'date' && every === 'hour') throw badColumn(`"${column.name}" is a date, which has no hours`);
  return { column, kind, calendar: new WindowCalendar(kind, every, timezone) };
}

/** The column of the windows. Throws FailureError `window-column`. */
export function timeColumn(
  { window }: { window: WindowOption },
  columns: readonly Column[],
): { column: Column; kind: ColumnKind } {
  const column = columns.find(({ name }) => name === window.column);
  if (column === undefined) throw badColumn(`there is no column "${window.column}"${near(columns, window.column)}`);
  const kind = KINDS[column.baseTypeOid];
  if (kind === undefined) throw badColumn(`"${column.name}" is of type ${column.type}`);
  return { column, kind };
}

/** The window of a column that begins at the time of a run id. Throws FailureError `no-window`. */
export function windowOf(
  archive: Pick<ArchiveConfig, 'name'>,
  { column, kind, calendar }: { column: Column; kind: ColumnKind; calendar: Calendar },
  start: Date,
): RunWindow & { kind: ColumnKind; stretch: Stretch; endsAt: Date } {
  const stretch = calendar.startingAt(start.getTime());
  if (stretch !== undefined) {
    const { fromMs, toMs } = stretch;
    const endsAt = new Date(calendar.instantOf(toMs));
    return { column: column.name, kind, stretch, endsAt, from: calendar.format(fromMs), to: calendar.format(toMs) };
  }
  const around = calendar.holding(start.getTime());
  throw fail('no-window', {
    stage: 'plan',
    message: `no window of ${archive.name} begins at ${formatRunId(start)}`,
    ...(around === undefined
      ? {}
      : { hint: `The run of the window that holds this time is ${formatRunId(new Date(around.fromMs))}.` }),
  });
}

/**
 * A window is archived once: rows that come into one which was named before its end would be in no archive. Throws FailureError
 * `window-open`.
 */
export function requireWindowOver(
  { name }: Pick<ArchiveConfig, 'name'>,
  { window, windowEndsAt }: { window?: RunWindow; windowEndsAt?: Date },
  { takenAt }: { takenAt: string },
): void {
  if (window === undefined || windowEndsAt === undefined || windowEndsAt.getTime() <= Date.parse(takenAt)) return;
  throw fail('window-open', {
    stage: 'plan',
    message: `the window of ${name} from ${window.from} to ${window.to} is not over: it ends at ${windowEndsAt.toISOString()}, and by the clock of the source it is ${takenAt}`,
  });
}

/** A point of a column as SQL of ours; the text is one that a calendar has made. */
export function pointLiteral(kind: ColumnKind, point: string): string {
  return `(${quoteLiteral(point)}::pg_catalog.${kind})`;
}

/** The condition that a row lies in the window. */
export function withinWindow({ column, kind, from, to }: RunWindow & { kind: ColumnKind }): string {
  return liesBetween(quoteIdentifier(column), pointLiteral(kind, from), pointLiteral(kind, to));
}

/** The condition that what SQL refers to lies in a half-open range. */
export function liesBetween(reference: string, from: string, to: string): string {
  return `${reference} OPERATOR(pg_catalog.>=) ${from} AND ${reference} OPERATOR(pg_catalog.<) ${to}`;
}

function badColumn(why: string): Error {
  return fail('window-column', { stage: 'plan', message: `window.column: ${why}` });
}

function near(columns: readonly Column[], name: string): string {
  const found = nearestName(
    name,
    columns.map((column) => column.name),
  );
  return found === undefined ? '' : `; did you mean "${found}"?`;
}
