/** What crosses the thread boundary: a task to a worker, an outcome back. Plain data only, and no secrets. */
import type { Failure } from '../base/errors.ts';
import type { Reader } from '../config/reader.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import type { HeldLock } from '../postgres/held-lock.ts';
import type { Column } from '../postgres/columns.ts';
import type { ServerMark } from '../postgres/server-mark.ts';
import type { Selection, Statement } from '../postgres/select.ts';
import type { Replaces } from '../store/store.ts';
import type { CutParts, Part } from './narrow.ts';
import type { RestoredFacts, RestoreTask } from './restore/task.ts';
import type { TaskOfRun } from './task-of-run.ts';
import type { VerifiedFacts, VerifyTask } from './verify/task.ts';
import type { CompressorChoice } from '../format/compress/codec.ts';

/** One segment to be read, encoded, compressed and written as one object. */
export interface SegmentTask extends TaskOfRun {
  kind: 'archive-segment';
  /** Name of the source. */
  source: string;
  /** Id of the exported snapshot that all segments of the run read. */
  snapshot: string;
  /** The server that has exported it. */
  server: ServerMark;
  read: Reader;
  /** Gives exactly `columns`, in their order; those that the reader cannot encode as JSON text. */
  select: Statement;
  /** What `select` is made of; there where another host may make it. */
  origin?: SegmentOrigin;
  columns: readonly Column[];
  /** What is read, as the operator knows it: a table's name, or `query`. For messages. */
  subject: string;
  /** Which part of it this is, for messages. */
  range: string;
  /** Indexes into `columns` of the key, for the first and the last key of the object; empty when there is none. */
  keyColumns: readonly number[];
  /** The object's key, relative to the destination's prefix. */
  key: string;
  /** The lock of the run: asked for right before the object becomes visible. */
  lock?: HeldLock;
  /** What this attempt can be known by, in the object; see format/compress/token.ts. */
  token?: string;
  /** What may lie under the key, to be replaced; absent: whatever does. */
  replaces?: Replaces;
  compression: ArchiveConfig['compression'];
  compressor: CompressorChoice;
  contentEncoding?: string;
  /** The rows are read at a pace: so much is asked for at once, at most, before it is passed on. Absent: nothing is asked. */
  pieceBytes?: number;
  /** Whether the facts shall have a digest of the lines; it costs time. */
  wantsLineDigest?: true;
  /** By the server's word, no row is to be expected. */
  isExpectedEmpty?: true;
  /** Rows wider than this on the wire fail when they are read through a cursor; see base/memory-budget.ts. */
  maxRowBytes: number;
}

/** What the statement of a segment is made of. All but `part` is the same for all segments of a run. */
export interface SegmentOrigin {
  selection: Selection;
  cut: CutParts;
  part: Part;
}

/** What is known of a finished object. Digests are lower-case hex. */
export interface ObjectFacts {
  key: string;
  rows: number;
  /** Bytes of JSON Lines, line feeds included. */
  jsonBytes: number;
  /** Size of the object. */
  bytes: number;
  /** Of the object as stored. */
  sha256: string;
  /** Of the JSON Lines. */
  crc32: string;
  /** Names this state of the object in its destination; empty where a server gives none. */
  etag: string;
  /** Key values of the first and the last row, as they are in JSON but without quotes; null without a key or without rows. */
  firstKey: string[] | null;
  lastKey: string[] | null;
  /** Bytes of the longest line, when it is too long for COPY to bring it back; see format/jsonl/copy-line.ts. */
  longestLine?: number;
  /** See line-digest.ts; there only when it was asked for. */
  lineDigest?: string;
}

/** What a thread can be asked to do. */
export type Task = SegmentTask | RestoreTask | VerifyTask;

/** What is known when a task of that kind is done. */
export type FactsOf<T extends Task> = T extends SegmentTask
  ? ObjectFacts
  : T extends RestoreTask
    ? readonly RestoredFacts[]
    : VerifiedFacts;

export type Outcome<Facts> =
  | { ok: true; facts: Facts; peakHeapBytes: number; seconds: number }
  | { ok: false; failure: Failure; peakHeapBytes: number };

export type SegmentOutcome = Outcome<ObjectFacts>;
