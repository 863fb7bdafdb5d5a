/** Says what is wrong with a cron expression. Beside daemon/slots/, the only importer of node-cron. */
import { createTask, validateDetailed } from 'node-cron';

/** What is wrong with a cron expression of 5 fields, or 6 with seconds; undefined when it is right. Never echoes it. */
export function describeCronProblem(expression: string): string | undefined {
  const { valid, fields, errors } = validateDetailed(expression);
  if (!valid || fields === undefined) return describeErrors(errors);
  // Only tokens such as 31W and MON#5 can contradict each other beyond what node-cron's own validation finds.
  const hasToken = [...fields.dayOfMonth, ...fields.dayOfWeek].some((value) => typeof value === 'string');
  return hasToken && !hasNextRun(expression) ? NEVER : undefined;
}

const NEVER = 'can never fire, as no date has that day';

const FIELD_WORDS: Record<string, string> = { dayOfMonth: 'day of month', dayOfWeek: 'day of week' };

function describeErrors(errors: readonly { field: string; message: string }[]): string {
  if (errors.some(({ message }) => message.includes('impossible day'))) return NEVER;
  const known = ['second', 'minute', 'hour', 'dayOfMonth', 'month', 'dayOfWeek'];
  const fields = errors.map(({ field }) => field).filter((field) => known.includes(field));
  const form = 'must be a cron expression of 5 fields, or 6 with seconds first, such as "15 2 * * *"';
  if (fields.length === 0) return form;
  return `${form}; wrong here: ${fields.map((field) => FIELD_WORDS[field] ?? field).join(', ')}`;
}

/** Asks node-cron itself, which searches some decades ahead and throws when it finds nothing. */
function hasNextRun(expression: string): boolean {
  const task = createTask(expression, () => undefined, { timezone: 'UTC' });
  try {
    void task.start();
    return task.getNextRun() !== null;
  } catch {
    return false;
  } finally {
    void task.destroy();
  }
}
