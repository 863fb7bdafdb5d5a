/** An advisory lock that a backend of the same server holds, as plain data that may cross the thread boundary. */
import type { Statement } from './select.ts';

export interface HeldLock {
  /** The backend that holds it. */
  pid: number;
  /** A signed 64-bit number in decimal. */
  number: string;
}

/** A row of pg_locks that is of an advisory lock which somebody holds. */
export const IS_ADVISORY =
  "locktype OPERATOR(pg_catalog.=) 'advisory' AND granted AND objsubid OPERATOR(pg_catalog.=) 1";

/** The OID of the database of this session, which rows of pg_locks have in `database`. */
export const THIS_DATABASE = `(SELECT d.oid FROM pg_catalog.pg_database d
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())`;

/** A row of pg_locks that is of the lock with this number, which is SQL. */
export function isLockOf(number: string): string {
  return `(classid::pg_catalog.int8 OPERATOR(pg_catalog.<<) 32 OPERATOR(pg_catalog.|) objid::pg_catalog.int8)
    OPERATOR(pg_catalog.=) ${number}::pg_catalog.int8`;
}

/** Gives one row as long as the backend holds the lock. */
export function heldLockStatement({ pid, number }: HeldLock): Statement {
  const text = `SELECT 1 FROM pg_catalog.pg_locks
     WHERE ${IS_ADVISORY} AND pid OPERATOR(pg_catalog.=) $1::pg_catalog.int4 AND ${isLockOf('$2')}`;
  return { text, params: [String(pid), number] };
}
