/** Run ids: a time in UTC to the second, `20261123T021500Z`. The same id always means the same keys. */
import { UsageError } from '../base/errors.ts';

const PATTERN = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/;

/** The run id of a time; fractions of a second are dropped. */
export function formatRunId(time: Date): string {
  return time
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '');
}

/** The time that a run id names. Throws UsageError when it names none. */
export function parseRunId(id: string): Date {
  const time = runIdTime(id);
  if (time === undefined)
    throw new UsageError(`"${id}" is not a run id; it must be a time in UTC such as 20261123T021500Z`);
  return time;
}

/** Whether `id` has the form of a run id and names a real time. */
export function isRunId(id: string): boolean {
  return runIdTime(id) !== undefined;
}

function runIdTime(id: string): Date | undefined {
  const match = PATTERN.exec(id);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1);
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time.getTime()) || formatRunId(time) !== id ? undefined : time;
}
