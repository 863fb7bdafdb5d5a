/** What crosses the thread boundary to bring objects back into a table, and what comes back. Plain data only, and no secrets. */
import type { Codec } from '../../format/compress/codec.ts';
import type { RestoreColumn } from '../../format/jsonl/forms.ts';
import type { TaskOfRun } from '../task-of-run.ts';

/** An object to be read, proved and written into the target, all of it or nothing. */
export interface ObjectToRestore {
  /** Its index in the manifest. */
  segment: number;
  /** Its key, relative to the destination's prefix. */
  key: string;
  codec: Codec;
  /** What the manifest says of it. */
  expected: { rows: number; jsonBytes: number; bytes: number; sha256: string; crc32: string };
  /** Whether a row of it may be too long for COPY's text form. */
  isTooLong?: true;
  /** Only rows that meet this SQL condition on the target's columns; absent for all. */
  where?: string;
}

/** One object; or several small ones, which share a connection and a transaction. */
export interface RestoreTask extends TaskOfRun {
  kind: 'restore-object';
  /** Name of the source whose database is restored into. */
  target: string;
  /** The table that is filled, quoted. */
  table: string;
  /** The same, as the operator knows it. */
  subject: string;
  /** The archive's columns, in the order of the lines. */
  columns: readonly RestoreColumn[];
  /** What happens to a row whose key is there already. */
  onConflict: ConflictRule;
  /** What rows that are there already are told by; there with `skip` alone. */
  conflictKey?: ConflictKey;
  /** Where the restore records what is done. */
  record: { table: string; restore: string };
  /** At least one. */
  objects: readonly ObjectToRestore[];
  /** Arrays and composites longer than this fail. */
  maxValueBytes: number;
  /** What a decompressor may take for its window. */
  windowBytes: number;
  /** The lines are read at a pace: so much is asked for at once, at most, before it goes on to the server. Absent: nothing is asked. */
  pieceBytes?: number;
  /** Whether the facts shall have a digest of the lines; it costs time. */
  wantsLineDigest?: true;
}

/** What is to be done with one of its objects. */
export type ObjectTask = Omit<RestoreTask, 'objects'> & ObjectToRestore;

export type ConflictRule = 'fail' | 'skip';

/** The columns of a unique index, each with the operator by which its values are equal, as SQL, and whether NULL is one of them. */
export type ConflictKey = readonly { name: string; equals: string; nullable: boolean }[];

/** What became of an object's rows. */
export interface RestoredFacts {
  /** Rows that are in the table because of this object. */
  rows: number;
  /** Rows that were there already, by their key. */
  skipped: number;
  /** Of the object: bytes of JSON Lines, and its size. */
  jsonBytes: number;
  bytes: number;
  /** See format/digest.ts; there only when it was asked for. */
  lineDigest?: string;
}
