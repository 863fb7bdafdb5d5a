/** Says what an error of Postgres means for a restore, where it means something else than for reading. */
import { FailureError } from '../../base/errors.ts';
import type { FailureCode } from '../../base/failures.ts';
import { postgresFailure } from '../../postgres/errors.ts';

interface Meaning {
  code: FailureCode;
  hint: string;
}

const BY_STATE: Record<string, Meaning> = {
  '23505': {
    code: 'row-exists',
    hint: 'Rows with these keys are in the table already: restore into an empty one, or pass over them with --on-conflict skip.',
  },
  '42501': {
    code: 'permission-denied',
    hint: 'GRANT SELECT, INSERT on the table, and USAGE, CREATE on its schema, to the role of this source.',
  },
  '25006': { code: 'read-only', hint: 'This server takes no writes, such as a standby: restore into the primary.' },
  '53100': { code: 'target-disk-full', hint: 'The disk of the database server is full.' },
};

const BY_CLASS: Record<string, Meaning> = {
  '22': {
    code: 'bad-value',
    hint: 'The table takes other values than the archived one did. Restore into a table with the types of the manifest (--create).',
  },
  '23': {
    code: 'constraint-violated',
    hint: 'The table has a constraint that these rows break. Drop it for the restore, or restore into another table (--create).',
  },
};

/** Wraps an error of the driver; one that is a FailureError already is passed on. */
export function restoreFailure(error: unknown, doing: string): FailureError {
  const base = postgresFailure(error, 'restore', doing);
  if (error instanceof FailureError) return base;
  const state = textOf(error, 'code') ?? '';
  const meaning = BY_STATE[state] ?? (state.length === 5 ? BY_CLASS[state.slice(0, 2)] : undefined);
  const message = [base.failure.message, placeOf(textOf(error, 'where'))]
    .filter((part) => part !== undefined)
    .join(', ');
  return new FailureError({ ...base.failure, ...meaning, message }, { cause: error });
}

/** `line 5, column x` of COPY's context, without the value that follows. */
function placeOf(context: string | undefined): string | undefined {
  return /^COPY .*?, (line \d+(?:, column (?:"(?:[^"]|"")*"|[^\s:]+))?)/.exec(context ?? '')?.[1];
}

function textOf(error: unknown, name: string): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' ? value : undefined;
}
