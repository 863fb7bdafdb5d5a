/** A folder as a {@link Store}. */
import { constants } from 'node:fs';
import { type FileHandle, open, opendir, rmdir, stat, unlink } from 'node:fs/promises';
import type { BigIntStats, Dirent } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { fail, type FailureError } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { BUDGET } from '../../base/memory-budget.ts';
import { linkSignals, NEVER, untilAborted } from '../../base/signals.ts';
import type { Signing } from '../../base/signing.ts';
import { checkedPieces } from '../content.ts';
import { errorCode, orUndefined, toFileFailure } from './errors.ts';
import { isUploadId, newUploadId, parseTemporaryName, pathOfKey, refuseSymlinks, temporaryPath } from './paths.ts';
import { etagOf, putInPlace } from './put-in-place.ts';
import { probeStore } from '../probe.ts';
import { tellTrouble, type OnTrouble } from '../trouble.ts';
import type {
  Content,
  KeptConditions,
  PendingUpload,
  ProbeResult,
  PutOptions,
  PutResult,
  Store,
  StoredObject,
  UploadOptions,
  Written,
} from '../store.ts';

/** Bytes that are read at once. */
const READ_BYTES = BUDGET.unpack.readBytes;

/** Entries of a folder that are read at once. */
const ENTRIES_AT_ONCE = 256;

/** `remove` takes empty folders away; another writer may have just made one of them for its own file. */
const FOLDER_ATTEMPTS = 5;

/** Opens the folder; it is made when the first object is written. What hangs, as a network file system may, ends with the signal. */
export function openFileStore(
  folder: string,
  signal: AbortSignal = NEVER,
  onTrouble: OnTrouble = () => undefined,
): Store {
  return new FileStore(folder, signal, onTrouble);
}

class FileStore implements Store {
  readonly url: string;
  signing?: Signing | undefined;
  readonly #root: string;
  readonly #signal: AbortSignal;
  readonly #onTrouble: OnTrouble;

  constructor(root: string, signal: AbortSignal, onTrouble: OnTrouble) {
    this.#root = root;
    this.#onTrouble = onTrouble;
    this.#signal = signal;
    this.url = `${pathToFileURL(root).href.replace(/\/$/, '')}/`;
  }

  under(signal: AbortSignal, onTrouble = this.#onTrouble): Store {
    const store = new FileStore(this.#root, signal, onTrouble);
    store.signing = this.signing;
    return store;
  }

  async upload(key: string, body: AsyncIterable<Buffer>, options: UploadOptions): Promise<Written> {
    options.signal.throwIfAborted();
    const target = await this.#pathFor(key);
    const uploadId = newUploadId();
    const temporary = temporaryPath(target, uploadId);
    const { file } = await this.#try(`writing ${temporary}`, () => this.#openNew(temporary));
    const dropped = linkSignals([options.signal, this.#signal]);
    try {
      const etag = await this.#fill(file, body, { ...options, signal: dropped.signal }, { temporary, uploadId });
      await options.beforeLast?.();
      const outcome = await this.#try(`renaming ${temporary}`, () => putInPlace(temporary, target, options.replaces));
      if (outcome !== 'written') throw refused(target, outcome);
      await this.#try(`writing ${target}`, () => syncFolder(path.dirname(target)));
      return { etag };
    } finally {
      dropped.release();
      await unlink(temporary).catch(() => undefined);
    }
  }

  async put(key: string, body: Buffer | Content, { replaces }: PutOptions): Promise<PutResult> {
    const target = await this.#pathFor(key);
    return this.#try(`writing ${target}`, async () => {
      const temporary = temporaryPath(target, newUploadId());
      const { file, made } = await this.#openNew(temporary);
      let isWritten = false;
      try {
        const etag = await writeAndClose(file, body);
        const outcome = await putInPlace(temporary, target, replaces);
        if (outcome !== 'written') return { outcome };
        isWritten = true;
        await syncFolder(path.dirname(target));
        return { outcome, etag };
      } finally {
        await unlink(temporary).catch(() => undefined);
        if (!isWritten && made !== undefined) await removeEmpty(path.dirname(target), made);
      }
    });
  }

  async get(key: string, limitBytes: number): Promise<{ body: Buffer; etag: string } | undefined> {
    return this.#withFile(key, async (file, found, target) => {
      if (found.size > limitBytes) throw tooLarge(target, limitBytes);
      return { body: await readBytes(file, 0, Number(found.size)), etag: etagOf(found) };
    });
  }

  async getPart(key: string, from: number, bytes: number): Promise<Buffer | undefined> {
    return this.#withFile(key, (file, { size }) => readBytes(file, from, Math.min(bytes, Number(size) - from)));
  }

  async scan(key: string, limitBytes: number, onPiece: (piece: Buffer) => void): Promise<{ etag: string } | undefined> {
    return this.#withFile(key, async (file, found, target) => {
      if (found.size > limitBytes) throw tooLarge(target, limitBytes);
      const bytes = Number(found.size);
      for (let at = 0; at < bytes; at += READ_BYTES)
        onPiece(await readBytes(file, at, Math.min(READ_BYTES, bytes - at)));
      return { etag: etagOf(found) };
    });
  }

  async *read(key: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    signal.throwIfAborted();
    const target = await this.#pathFor(key);
    const file = await this.#try(`reading ${target}`, () => openExisting(target));
    if (file === undefined) throw missing(target);
    try {
      for (;;) {
        const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
        const { bytesRead } = await this.#try(`reading ${target}`, () => file.read(buffer));
        signal.throwIfAborted();
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
        signal.throwIfAborted();
      }
    } finally {
      await file.close();
    }
  }

  hold(): Promise<'none'> {
    return Promise.resolve('none');
  }

  async head(key: string): Promise<StoredObject | undefined> {
    const target = await this.#pathFor(key);
    return this.#try(`looking at ${target}`, async () => {
      const found = await orUndefined(stat(target, { bigint: true }));
      return found?.isFile() === true ? describe(key, found) : undefined;
    });
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, undefined> {
    for await (const key of this.#walk(folderOf(prefix), prefix)) {
      if (parseTemporaryName(path.basename(key)) !== undefined) continue;
      const target = path.join(this.#root, key);
      const found = await this.#try(`looking at ${key}`, () => orUndefined(stat(target, { bigint: true })));
      // It may have been removed since its folder was read.
      if (found !== undefined) yield describe(key, found);
    }
  }

  async *listFolders(prefix: string): AsyncGenerator<string, void, undefined> {
    for await (const entry of this.#read(await this.#folderPath(prefix))) if (entry.isDirectory()) yield entry.name;
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const target = await this.#pathFor(key);
      await this.#try(`removing ${target}`, () => orUndefined(unlink(target)));
      await this.#pruneFolders(path.dirname(target));
    }
  }

  async listUploads(prefix: string): Promise<PendingUpload[]> {
    const found: PendingUpload[] = [];
    for await (const name of this.#walk(folderOf(prefix), folderOf(prefix))) {
      const temporary = parseTemporaryName(path.basename(name));
      if (temporary === undefined) continue;
      const key = `${folderOf(name)}${temporary.name}`;
      if (!key.startsWith(prefix)) continue;
      found.push({ key, uploadId: temporary.uploadId, startedAt: temporary.startedAt });
    }
    return found;
  }

  async abortUpload(key: string, uploadId: string): Promise<void> {
    const target = await this.#pathFor(key);
    if (!isUploadId(uploadId)) return;
    const temporary = temporaryPath(target, uploadId);
    await this.#try(`removing ${temporary}`, () => orUndefined(unlink(temporary)));
    await this.#pruneFolders(path.dirname(temporary));
  }

  /** A folder that is not there yet is not there afterwards either. */
  async probe(tell?: (found: Partial<ProbeResult>) => void, limitMs?: number): Promise<ProbeResult> {
    const missing = await missingFolders(this.#root);
    const conditions = async (key: string, body: Buffer): Promise<KeptConditions> => {
      const { outcome } = await this.put(key, body, { contentType: 'text/plain', replaces: 'nothing' });
      return { put: outcome === 'exists', complete: outcome === 'exists' };
    };
    try {
      return await probeStore(this, { conditions, clockSkewMs: () => undefined, facts: [] }, tell, limitMs);
    } finally {
      // One that holds something by now stays.
      for (const folder of missing) await rmdir(folder).catch(() => undefined);
    }
  }

  close(): void {
    // Nothing stays open between calls.
  }

  /** What `read` makes of a file; undefined when there is none. */
  async #withFile<T>(
    key: string,
    read: (file: FileHandle, found: BigIntStats, target: string) => Promise<T>,
  ): Promise<T | undefined> {
    const target = await this.#pathFor(key);
    return this.#try(`reading ${target}`, async () => {
      const file = await openExisting(target);
      if (file === undefined) return undefined;
      try {
        return await read(file, await file.stat({ bigint: true }), target);
      } finally {
        await file.close();
      }
    });
  }

  async #pathFor(key: string): Promise<string> {
    const target = pathOfKey(this.#root, key);
    await this.#try(`looking at ${target}`, () => refuseSymlinks(this.#root, target));
    return target;
  }

  /** A new file that only we have; its folders are made, and made durable, on the way. */
  async #openNew(temporary: string): Promise<{ file: FileHandle; made: string | undefined }> {
    for (let attempt = 1; ; attempt += 1) {
      const made = await makeFolder(path.dirname(temporary));
      try {
        const file = await open(temporary, 'wx', 0o640);
        if (made !== undefined) await syncFolders(path.dirname(made), path.dirname(temporary));
        return { file, made };
      } catch (error) {
        if (errorCode(error) !== 'ENOENT' || attempt === FOLDER_ATTEMPTS) throw error;
      }
    }
  }

  /** Writes the body and makes it durable. What `body` throws comes out as it is; what the disk throws is classified. */
  async #fill(
    file: FileHandle,
    body: AsyncIterable<Buffer>,
    { signal, onUploadStarted }: UploadOptions,
    { temporary, uploadId }: { temporary: string; uploadId: string },
  ): Promise<string> {
    try {
      onUploadStarted?.(uploadId);
      for await (const buffer of buffersUntilAborted(body, signal)) {
        await this.#try(`writing ${temporary}`, () => file.writeFile(buffer));
      }
      return await this.#try(`writing ${temporary}`, () => syncFile(file));
    } finally {
      await file.close();
    }
  }

  /** Paths of all files below a folder, in the order of their bytes; only those below `prefix` are looked at. */
  async *#walk(folder: string, prefix: string): AsyncGenerator<string, void, undefined> {
    for (const name of await this.#names(folder)) {
      const key = `${folder}${name}`;
      if (name.endsWith('/')) {
        if (mayHold(key, prefix)) yield* this.#walk(key, prefix);
      } else if (key.startsWith(prefix)) {
        yield key;
      }
    }
  }

  /** Names of the files and folders in a folder. S3 compares whole keys, in which a folder's name is followed by `/`. */
  async #names(folder: string): Promise<string[]> {
    const names: string[] = [];
    for await (const entry of this.#read(await this.#folderPath(folder))) {
      if (entry.isDirectory()) names.push(`${entry.name}/`);
      else if (entry.isFile()) names.push(entry.name);
    }
    return names.sort(compareBytes);
  }

  async #folderPath(folder: string): Promise<string> {
    return folder === '' ? this.#root : this.#pathFor(folder.slice(0, -1));
  }

  /** What lies in a folder, as the system gives it: there may be a million entries. Nothing, where there is no folder. */
  async *#read(target: string): AsyncGenerator<Dirent, void, undefined> {
    const doing = `reading ${target}`;
    const folder = await this.#try(doing, () => orUndefined(opendir(target, { bufferSize: ENTRIES_AT_ONCE })));
    if (folder === undefined) return;
    try {
      for (;;) {
        const entry = await this.#try(doing, () => folder.read());
        if (entry === null) return;
        yield entry;
      }
    } finally {
      await folder.close();
    }
  }

  /** S3 has no empty folders, so that none is left here either. */
  async #pruneFolders(folder: string): Promise<void> {
    for (let at = folder; at !== this.#root && at.startsWith(this.#root); at = path.dirname(at)) {
      try {
        await rmdir(at);
      } catch {
        // It is not empty, or another one removed it first.
        return;
      }
    }
  }

  async #try<T>(doing: string, work: () => Promise<T>): Promise<T> {
    this.#signal.throwIfAborted();
    try {
      return await tellTrouble(doing, this.#onTrouble, () => untilAborted(work(), this.#signal));
    } catch (error) {
      this.#signal.throwIfAborted();
      throw toFileFailure(error, doing);
    }
  }
}

/** Passes `body` on; once the signal aborts it throws the reason at once, even when `body` is stalled. */
async function* buffersUntilAborted(
  body: AsyncIterable<Buffer>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(signal.reason as Error);
  };
  aborted.catch(() => undefined);
  signal.addEventListener('abort', onAbort, { once: true });
  const buffers = body[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const next = await Promise.race([buffers.next(), aborted]);
      ended = next.done === true;
      if (next.done === true) return;
      yield next.value;
      signal.throwIfAborted();
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // A stalled body answers only when it wakes up; nothing may wait for that.
    if (!ended) buffers.return?.().catch(() => undefined);
  }
}

async function writeAndClose(file: FileHandle, body: Buffer | Content): Promise<string> {
  try {
    if (Buffer.isBuffer(body)) await file.writeFile(body);
    else for await (const piece of checkedPieces(body)) await file.writeFile(piece);
    return await syncFile(file);
  } finally {
    await file.close();
  }
}

/** Makes what was written durable, and gives the ETag of the whole file. */
async function syncFile(file: FileHandle): Promise<string> {
  await file.sync();
  return etagOf(await file.stat({ bigint: true }));
}

function describe(key: string, found: BigIntStats): StoredObject {
  return { key, bytes: Number(found.size), etag: etagOf(found) };
}

/**
 * Opening a FIFO waits for a writer, in a thread of libuv that no signal ends, and reading a device may never end: so nothing
 * is waited for, and only a regular file is read.
 */
async function openExisting(target: string): Promise<FileHandle | undefined> {
  const file = await orUndefined(open(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
  if (file === undefined || (await file.stat()).isFile()) return file;
  await file.close();
  throw notAFile(target);
}

/** So many bytes of a file, or all when it has become shorter. */
async function readBytes(file: FileHandle, from: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(Math.max(0, bytes));
  let filled = 0;
  while (filled < bytes) {
    const { bytesRead } = await file.read(buffer, filled, bytes - filled, from + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** Makes the folders durable from `top`, in which the first new one stands, down to `bottom`. */
async function syncFolders(top: string, bottom: string): Promise<void> {
  for (let at = bottom; ; at = path.dirname(at)) {
    await syncFolder(at);
    if (at === top || at === path.dirname(at)) return;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The part of a prefix, or of a key, up to its last `/`. */
function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

/** The order of the texts' bytes in UTF-8, without making them: there, what JavaScript writes as a pair comes last. */
function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const [unit, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (unit === other) continue;
    const [isHalf, isOtherHalf] = [isHalfOfPair(unit), isHalfOfPair(other)];
    return isHalf === isOtherHalf ? unit - other : Number(isHalf) - Number(isOtherHalf);
  }
  return a.length - b.length;
}

function isHalfOfPair(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

function mayHold(folder: string, prefix: string): boolean {
  return folder.startsWith(prefix) || prefix.startsWith(folder);
}

function tooLarge(target: string, limitBytes: number): FailureError {
  return fail('object-too-large', {
    stage: 'upload',
    message: `${target} is larger than ${limitBytes} bytes, which is the most that is read at once`,
    hint: 'This file was not written by pgsluice, or was changed since: look at it, and remove it if it is not needed.',
  });
}

function notAFile(target: string): FailureError {
  return toFileFailure(Object.assign(new Error('it is no regular file'), { code: 'ENXIO' }), `reading ${target}`);
}

function refused(target: string, outcome: 'exists' | 'changed'): FailureError {
  return fail('precondition-failed', {
    stage: 'upload',
    message: `${target} ${outcome === 'exists' ? 'exists already' : 'is not the file that was to be replaced'}`,
  });
}

function missing(target: string): FailureError {
  return fail('object-missing', {
    stage: 'upload',
    message: `${target} does not exist`,
    hint: 'The file was removed, or never written: look at the folder of the destination.',
  });
}

/** From a folder up to one above it. What holds something by now stays. */
async function removeEmpty(from: string, to: string): Promise<void> {
  try {
    for (let at = from; at.startsWith(to); at = path.dirname(at)) await rmdir(at);
  } catch {
    // Another one has written there, or removed it.
  }
}

/** The folder and those above it that are not there, innermost first. */
async function missingFolders(folder: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = folder; at !== path.dirname(at); at = path.dirname(at)) {
    try {
      await stat(at);
      break;
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') break;
      missing.push(at);
    }
  }
  return missing;
}
