/** What crosses the thread boundary: a task to a worker, messages both ways while it runs, an outcome back. Plain data only. */
import type { MessagePort } from 'node:worker_threads';
import type { Failure } from '../base/errors.ts';
import type { ArchiveConfig, DestinationConfig } from '../config/schema.ts';
import type { Column } from '../postgres/columns.ts';
import type { ConnectionTarget } from '../postgres/connect.ts';
import type { Statement } from '../postgres/select.ts';

/** One segment to be read, encoded, compressed and written as one object. */
export interface SegmentTask {
  archive: string;
  run: string;
  /** Index in the run's plan, from 0. */
  segment: number;
  /** Which try this is, from 1. */
  attempt: number;
  source: ConnectionTarget;
  /** Id of the exported snapshot that all segments of the run read. */
  snapshot: string;
  /** Gives exactly `columns`, in their order; those with encoding `server` as JSON text. */
  select: Statement;
  columns: readonly Column[];
  /** What is read, as the operator knows it: a table's name, or `query`. For messages. */
  subject: string;
  /** Indexes into `columns` of the key, for the first and the last key of the object; empty when there is none. */
  keyColumns: readonly number[];
  destination: DestinationConfig;
  /** The object's key, relative to the destination's prefix. */
  key: string;
  compression: ArchiveConfig['compression'];
  contentEncoding?: string;
  /** Rows wider than this on the wire fail; see base/memory.ts. */
  maxRowBytes: number;
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
  /** Key values of the first and the last row as Postgres prints them; null without a key or without rows. */
  firstKey: string[] | null;
  lastKey: string[] | null;
}

export type SegmentOutcome =
  | { ok: true; facts: ObjectFacts; peakHeapBytes: number; seconds: number }
  | { ok: false; failure: Failure; peakHeapBytes: number };

/** What a worker says while it runs. */
export type WorkerMessage =
  | { kind: 'backend'; pid: number }
  | { kind: 'upload'; uploadId: string }
  | { kind: 'progress'; rows: number; jsonBytes: number; bytes: number; heapBytes: number };

/** What the control plane says to a worker that runs: drop the segment cleanly. */
export interface AbortMessage {
  kind: 'abort';
  /** Why, for the failure record. */
  reason: string;
}

/** What is handed to the thread: the task, and the port for the messages. */
export interface WorkerInput {
  task: SegmentTask;
  port: MessagePort;
}
