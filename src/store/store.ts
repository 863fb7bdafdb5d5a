/** The one narrow interface that both kinds of destination implement: S3 (`s3.ts`) and a folder (`file.ts`). */
import type { Failure } from '../base/errors.ts';
import type { Signing } from '../base/signing.ts';
import type { OnTrouble } from './trouble.ts';

/** A finished object. */
export interface StoredObject {
  key: string;
  /** Size in bytes. */
  bytes: number;
  /** Names this state of the object, without quotes; empty where a server gives none. A copy elsewhere has another one. */
  etag: string;
}

/**
 * What a write may put itself in the place of: `'nothing'`, so that the key must be free, or the ETag of the object that must
 * be there. Absent: whatever is there.
 */
export type Replaces = 'nothing' | (string & Record<never, never>);

/** The state of an object that was just written. */
export interface Written {
  etag: string;
}

/** How a put ended. `exists`: the key was to be free. `changed`: it was to hold another object, or one at all. */
export type PutResult = ({ outcome: 'written' } & Written) | { outcome: 'exists' } | { outcome: 'changed' };

/** Called as soon as a multipart upload (or a temporary file) exists, with the id by which it can be aborted. */
export type OnUploadStarted = (uploadId: string) => void;

export interface UploadOptions {
  contentType: string;
  contentEncoding?: string;
  /** The CRC-32 of bytes, where there is a faster way to it than the store's own. */
  crc32?: (bytes: Buffer) => number;
  /** Refused, the upload fails with `precondition-failed`. */
  replaces?: Replaces;
  /** Whether it is held where the destination has an Object Lock. What is written again, or removed, never is. */
  isHeld?: boolean;
  onUploadStarted?: OnUploadStarted;
  /** Awaited right before the request that makes the object visible; when it rejects, the upload fails with its reason. */
  beforeLast?: () => Promise<void>;
  /**
   * Aborting stops the upload, as the signal of the store does; it then rejects with the signal's reason once nothing is in flight any more. An upload
   * whose last request was already sent may still resolve. A `body` that waits for its own source is not waited for, and
   * a server that does not answer only for a moment: then what was begun is left for a sweep.
   */
  signal: AbortSignal;
}

/**
 * Bytes of which it is known beforehand how many they are, and their digests; they are made anew, a piece at a time, whenever
 * they are asked for.
 */
export interface Content {
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
  readonly crc32: number;
  pieces(): Iterable<Buffer> | AsyncIterable<Buffer>;
}

export interface PutOptions {
  contentType: string;
  /** Refused, what is there is left as it is, and the result says so. */
  replaces?: Replaces;
  /** See {@link UploadOptions.isHeld}. */
  isHeld?: boolean;
  /**
   * Whoever asks has just seen that what it replaces is there: a server that ignores conditions is not asked once more right
   * before.
   */
  hasLooked?: boolean;
}

/** Until when nobody can remove or change a version of an object; in `GOVERNANCE`, nobody without a right of its own. */
export interface Hold {
  mode: 'GOVERNANCE' | 'COMPLIANCE';
  until: Date;
}

/** An upload that was started and neither completed nor aborted. */
export interface PendingUpload {
  key: string;
  uploadId: string;
  startedAt: Date;
}

/** Of writes whole and of uploads in parts: where a condition is ignored, the later of two writers wins, however late. */
export interface KeptConditions {
  put: boolean;
  complete: boolean;
}

/** Facts of a bucket in which one overwrite of an object is final. */
export const NO_VERSIONS = 'it keeps no versions';
export const NO_LOCK = 'it has no Object Lock';
/** With the rule's name behind it, part of a fact of a bucket that will forget what was archived. */
export const ERASES_MANIFESTS = 'manifests are erased by the lifecycle rule ';

/** What {@link Store.probe} found out about a destination that can be used. */
export interface ProbeResult {
  /** How far this machine's clock is ahead of the server's, to a second; undefined when the server does not tell. */
  clockSkewMs: number | undefined;
  /** Which writes the server itself refuses when they do not find what they are to replace. */
  keeps: KeptConditions;
  /** Whether unfinished uploads can be found; otherwise a lifecycle rule of the bucket has to remove them. */
  listsUploads: boolean;
  /** What else the destination says of itself. */
  facts?: string[];
  /** The probe object, when it could not be removed. */
  left?: { key: string; failure: Failure };
}

/**
 * A destination. All keys are relative to the destination's prefix, with `/` between their parts and none in front.
 * Every method throws a FailureError whose `transient` says whether a retry may help; `upload` also passes on what `body`
 * threw. A store is opened under a signal: once that aborts, whatever is under way ends, and rejects with its reason.
 */
export interface Store {
  /** The destination as the operator wrote it, without secrets: `s3://bucket/prefix/` or `file:///srv/archive/`. */
  readonly url: string;
  /** How documents are signed there, and whose are believed; the store itself writes and reads what it is given. */
  signing?: Signing | undefined;
  /** The same destination under another signal, to be closed with this one; without `onTrouble`, the same one is told. */
  under(signal: AbortSignal, onTrouble?: OnTrouble): Store;
  /**
   * Streams `body` into one object that is visible only when whole. Resolves once it is; rejects with the first cause. A buffer
   * of `body` may be written over once the next one is asked for.
   */
  upload(key: string, body: AsyncIterable<Buffer>, options: UploadOptions): Promise<Written>;
  /**
   * Writes a small object whole, or one whose content is known and need not be held, in one request. With `replaces`, after a
   * failure that left it open whether the object was written, it looks, and resolves to 'written' when what is there is its own.
   */
  put(key: string, body: Buffer | Content, options: PutOptions): Promise<PutResult>;
  /** Reads a small object whole; undefined when it is absent. Throws when it is larger than `limitBytes`. */
  get(key: string, limitBytes: number): Promise<{ body: Buffer; etag: string } | undefined>;
  /** Reads `bytes` of an object from `from` on, or as many as there are; undefined when it is absent. */
  getPart(key: string, from: number, bytes: number): Promise<Buffer | undefined>;
  /**
   * Reads an object of any size piece by piece, once, and resolves to its ETag; undefined when it is absent. Throws when it is
   * larger than `limitBytes`, and what `onPiece` throws.
   */
  scan(key: string, limitBytes: number, onPiece: (piece: Buffer) => void): Promise<{ etag: string } | undefined>;
  /** Streams an object; throws when it is absent. */
  read(key: string, signal: AbortSignal): AsyncIterable<Buffer>;
  /** The object's size and ETag, or undefined when it is absent. */
  head(key: string): Promise<StoredObject | undefined>;
  /** How an object is held now; `none` also when it is absent, `unknown` where we may not know. */
  hold(key: string): Promise<Hold | 'none' | 'unknown'>;
  /** All objects whose key starts with `prefix`, in the order of their keys' bytes (in UTF-8). */
  list(prefix: string): AsyncIterable<StoredObject>;
  /**
   * Names directly below `prefix` (which ends in `/`) that are folders, without the trailing `/`. In any order, so that none
   * need be held. In a folder, one may be among them in which nothing lies yet, or any more: there may be a million, and none
   * is looked into.
   */
  listFolders(prefix: string): AsyncIterable<string>;
  /** Removes objects; those that are absent already are no error. */
  remove(keys: readonly string[]): Promise<void>;
  /** Unfinished uploads whose key starts with `prefix`, or why there is no list: the server has none, or does not let us. */
  listUploads(prefix: string): Promise<PendingUpload[] | 'unsupported' | 'forbidden'>;
  /** Aborts an unfinished upload; one that is gone already is no error. */
  abortUpload(key: string, uploadId: string): Promise<void>;
  /**
   * Proves that the destination can be used: writes, reads, lists and removes a small object. Throws when it cannot, or when
   * one of its steps takes longer than `limitMs`. `tell` gets each thing as soon as it is found out.
   */
  probe(tell?: (found: Partial<ProbeResult>) => void, limitMs?: number): Promise<ProbeResult>;
  close(): void;
}
