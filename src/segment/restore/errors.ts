/** Says what an error of Postgres means for a restore, where it means something else than for reading. */
import { fail, FailureError, type FailureKind } from '../../base/errors.ts';
import { ownEntry } from '../../base/own.ts';
import { postgresFailure } from '../../postgres/errors.ts';

const BY_STATE: Readonly<Record<string, FailureKind>> = {
  '23503': {
    code: 'constraint-violated',
    hint: 'A row refers to one that is not there. Restore first what it refers to; where that is in the same table, --self-references later goes on with what is missing.',
  },
  '23505': { code: 'row-exists' },
  '25006': { code: 'read-only', hint: 'This server takes no writes, such as a standby: restore into the primary.' },
  '42501': {
    code: 'permission-denied',
    hint: 'GRANT SELECT, INSERT on the table, and USAGE, CREATE on its schema, to the role of this source.',
  },
  '23P01': {
    code: 'constraint-violated',
    hint: 'An exclusion constraint keeps rows out that meet others, which are there or in the archive. Drop it for the restore, look which rows meet (a self join by its operators), and add it again.',
  },
  '54000': { code: 'line-too-long' },
  '53100': { code: 'target-disk-full' },
};

const BY_CLASS: Readonly<Record<string, FailureKind>> = {
  '22': {
    code: 'bad-value',
    hint: 'The table takes other values than the archived one did. Restore into a table with the types of the manifest (--create).',
  },
  '23': { code: 'constraint-violated' },
};

/** A row that goes nowhere has the SQLSTATE of a CHECK. */
const NO_PARTITION: FailureKind = {
  code: 'constraint-violated',
  hint: 'The table has no partition for this row: create it, or a DEFAULT one, then restore again; it goes on with what is missing.',
};

/** Wraps an error of the driver; one that is a FailureError already is passed on. */
export function restoreFailure(error: unknown, doing: string): FailureError {
  const base = postgresFailure(error, 'restore', doing);
  if (error instanceof FailureError) return base;
  const where = describeWhere(textOf(error, 'where'));
  const message = where === undefined ? base.failure.message : `${base.failure.message}, ${where}`;
  const kind = textOf(error, 'routine') === 'ExecFindPartition' ? NO_PARTITION : kindOf(textOf(error, 'code') ?? '');
  if (kind === undefined) return new FailureError({ ...base.failure, message }, { cause: error });
  return fail(kind, { stage: 'restore', message, cause: base.failure.cause }, { cause: error });
}

function kindOf(code: string): FailureKind | undefined {
  return ownEntry(BY_STATE, code) ?? (code.length === 5 ? ownEntry(BY_CLASS, code.slice(0, 2)) : undefined);
}

/** `line 5, column x` of COPY's context, without the value that follows. */
function describeWhere(context: string | undefined): string | undefined {
  return /^COPY .*?, (line \d+(?:, column (?:"(?:[^"]|"")*"|[^\s:]+))?)/.exec(context ?? '')?.[1];
}

function textOf(error: unknown, name: string): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' ? value : undefined;
}
