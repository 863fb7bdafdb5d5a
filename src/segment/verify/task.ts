/** What crosses the thread boundary to have an object read again, and what comes back. Plain data only. */
import type { TaskOfRun } from '../task-of-run.ts';
import type { Problem } from './problems.ts';

/** As its manifest says. Digests are lower-case hex. */
export interface ExpectedObject {
  rows: number;
  /** Bytes of JSON Lines. */
  jsonBytes: number;
  /** Size of the object. */
  bytes: number;
  sha256: string;
  crc32: string;
  /** Values of the key columns in the first and the last line; null without a key or without rows. */
  firstKey: readonly string[] | null;
  lastKey: readonly string[] | null;
}

/** An object to be read whole, and compared with what its manifest says. No secrets. */
export interface VerifyTask extends TaskOfRun {
  kind: 'verify-object';
  /** Name of the archive's source, which is not connected to. */
  source: string;
  /** Relative to the destination's prefix. */
  key: string;
  object: ExpectedObject;
  columns: readonly { name: string }[];
  keyColumns: readonly string[];
  windowBytes: number;
}

/** What an object is like that was read. */
export interface VerifiedFacts {
  /** Of the object, that were read. */
  bytes: number;
  problems: readonly Problem[];
  /** How many more there are. */
  furtherProblems: number;
}
