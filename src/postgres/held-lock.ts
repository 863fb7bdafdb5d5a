/** An advisory lock that a backend of the same server holds, as plain data that may cross the thread boundary. */
import type { Statement } from './select.ts';

export interface HeldLock {
  /** The backend that holds it. */
  pid: number;
  /** A signed 64-bit number in decimal. */
  number: string;
}

/** Gives one row as long as the backend holds the lock. */
export function heldLockStatement({ pid, number }: HeldLock): Statement {
  const text = `SELECT 1 FROM pg_catalog.pg_locks
     WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid = $1::pg_catalog.int4
       AND ((classid::pg_catalog.int8 << 32) | objid::pg_catalog.int8) = $2::pg_catalog.int8`;
  return { text, params: [String(pid), number] };
}
