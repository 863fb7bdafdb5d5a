/** A folder as a {@link Store}. */
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises';
import type { Dirent } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { FailureError } from '../../base/errors.ts';
import { errorCode, toFileFailure } from './errors.ts';
import { freeNow } from '../free-now.ts';
import { isUploadId, newUploadId, parseTemporaryName, pathOfKey, refuseSymlinks, temporaryPath } from './paths.ts';
import { probeStore } from '../probe.ts';
import type { PendingUpload, ProbeResult, PutOptions, Store, StoredObject, UploadOptions } from '../store.ts';

/** Bytes that are read at once. */
const READ_BYTES = 256 * 1024;

/** `remove` takes empty folders away; another writer may have just made one of them for its own file. */
const FOLDER_ATTEMPTS = 5;

/** Opens the folder; it is made when the first object is written. */
export function openFileStore(folder: string): Store {
  return new FileStore(folder);
}

class FileStore implements Store {
  readonly url: string;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.url = `${pathToFileURL(root).href.replace(/\/$/, '')}/`;
  }

  async upload(key: string, body: AsyncIterable<Buffer>, options: UploadOptions): Promise<void> {
    options.signal.throwIfAborted();
    const target = await this.#pathFor(key);
    const uploadId = newUploadId();
    const temporary = temporaryPath(target, uploadId);
    const file = await this.#try(`writing ${temporary}`, () => this.#openNew(temporary));
    try {
      await this.#fill(file, body, options, { temporary, uploadId });
      await this.#try(`renaming ${temporary}`, () => rename(temporary, target));
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
    await this.#try(`writing ${target}`, () => syncFolder(path.dirname(target)));
  }

  async put(key: string, body: Buffer, { createOnly }: PutOptions): Promise<'created' | 'exists'> {
    const target = await this.#pathFor(key);
    return this.#try(`writing ${target}`, async () => {
      const temporary = temporaryPath(target, newUploadId());
      const file = await this.#openNew(temporary);
      try {
        await writeAndClose(file, body);
        // link(2) fails when the name is taken, which rename(2) does not; both show the file whole or not at all.
        await (createOnly ? link(temporary, target) : rename(temporary, target));
      } catch (error) {
        if (createOnly && errorCode(error) === 'EEXIST') return 'exists';
        throw noLinks(error);
      } finally {
        await unlink(temporary).catch(() => undefined);
      }
      await syncFolder(path.dirname(target));
      return 'created';
    });
  }

  async get(key: string, limitBytes: number): Promise<Buffer | undefined> {
    const target = await this.#pathFor(key);
    return this.#try(`reading ${target}`, async () => {
      const file = await openExisting(target);
      if (file === undefined) return undefined;
      try {
        const { size } = await file.stat();
        if (size > limitBytes) throw tooLarge(target, limitBytes);
        return await file.readFile();
      } finally {
        await file.close();
      }
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

  async head(key: string): Promise<StoredObject | undefined> {
    const target = await this.#pathFor(key);
    return this.#try(`looking at ${target}`, async () => {
      const found = await orUndefined(stat(target));
      return found?.isFile() === true ? { key, bytes: found.size } : undefined;
    });
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, undefined> {
    for await (const key of this.#walk(folderOf(prefix), prefix)) {
      if (parseTemporaryName(path.basename(key)) !== undefined) continue;
      const found = await this.#try(`looking at ${key}`, () => orUndefined(stat(path.join(this.#root, key))));
      // It may have been removed since its folder was read.
      if (found !== undefined) yield { key, bytes: found.size };
    }
  }

  async *listFolders(prefix: string): AsyncGenerator<string, void, undefined> {
    for (const entry of await this.#entries(prefix)) {
      if (!entry.isDirectory()) continue;
      for await (const object of this.list(`${prefix}${entry.name}/`)) {
        if (object.bytes >= 0) yield entry.name;
        break;
      }
    }
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

  async probe(): Promise<ProbeResult> {
    const findings = await probeStore(this, async (key, body) => {
      const answer = await this.put(key, body, { contentType: 'text/plain', createOnly: true });
      return answer === 'exists';
    });
    return { ...findings, clockSkewMs: undefined };
  }

  close(): void {
    // Nothing stays open between calls.
  }

  async #pathFor(key: string): Promise<string> {
    const target = pathOfKey(this.#root, key);
    await this.#try(`looking at ${target}`, () => refuseSymlinks(this.#root, target));
    return target;
  }

  /** A new file that only we have; its folders are made, and made durable, on the way. */
  async #openNew(temporary: string): Promise<FileHandle> {
    for (let attempt = 1; ; attempt += 1) {
      const made = await mkdir(path.dirname(temporary), { recursive: true });
      try {
        const file = await open(temporary, 'wx', 0o640);
        if (made !== undefined) await syncFolders(path.dirname(made), path.dirname(temporary));
        return file;
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
  ): Promise<void> {
    try {
      onUploadStarted?.(uploadId);
      for await (const buffer of untilAborted(body, signal)) {
        await this.#try(`writing ${temporary}`, () => file.writeFile(buffer));
        freeNow(buffer);
      }
      await this.#try(`writing ${temporary}`, () => file.sync());
    } finally {
      await file.close();
    }
  }

  /** Paths of all files below a folder, in the order of their bytes; only those below `prefix` are looked at. */
  async *#walk(folder: string, prefix: string): AsyncGenerator<string, void, undefined> {
    for (const entry of await this.#entries(folder)) {
      const name = `${folder}${entry.name}`;
      if (entry.isDirectory()) {
        if (mayHold(`${name}/`, prefix)) yield* this.#walk(`${name}/`, prefix);
      } else if (entry.isFile() && name.startsWith(prefix)) {
        yield name;
      }
    }
  }

  /** S3 compares whole keys, in which a folder's name is followed by `/`. */
  async #entries(folder: string): Promise<Dirent[]> {
    const target = folder === '' ? this.#root : await this.#pathFor(folder.slice(0, -1));
    const entries = await this.#try(`reading ${target}`, () => orUndefined(readdir(target, { withFileTypes: true })));
    const named = (entries ?? []).map((entry) => ({
      entry,
      bytes: Buffer.from(entry.isDirectory() ? `${entry.name}/` : entry.name),
    }));
    return named.sort((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ entry }) => entry);
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
    try {
      return await work();
    } catch (error) {
      throw toFileFailure(error, doing);
    }
  }
}

/** Passes `body` on; once the signal aborts it throws the reason at once, even when `body` is stalled. */
async function* untilAborted(
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

async function writeAndClose(file: FileHandle, body: Buffer): Promise<void> {
  try {
    await file.writeFile(body);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function openExisting(target: string): Promise<FileHandle | undefined> {
  return orUndefined(open(target, constants.O_RDONLY | constants.O_NOFOLLOW));
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

async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The part of a prefix, or of a key, up to its last `/`. */
function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

function mayHold(folder: string, prefix: string): boolean {
  return folder.startsWith(prefix) || prefix.startsWith(folder);
}

/** Linux says EPERM when a file system has no hard links, which is not about permissions. */
function noLinks(error: unknown): unknown {
  const { syscall } = error as { syscall?: string };
  return syscall === 'link' && errorCode(error) === 'EPERM'
    ? Object.assign(new Error('no hard links'), { code: 'ENOTSUP' })
    : error;
}

function tooLarge(target: string, limitBytes: number): FailureError {
  return new FailureError({
    code: 'object-too-large',
    stage: 'upload',
    transient: false,
    message: `${target} is larger than ${limitBytes} bytes, which is the most that is read at once`,
    hint: 'This file was not written by pgsluice, or was changed since: look at it, and remove it if it is not needed.',
  });
}

function missing(target: string): FailureError {
  return new FailureError({
    code: 'object-missing',
    stage: 'upload',
    transient: false,
    message: `${target} does not exist`,
    hint: 'The file was removed, or never written: look at the folder of the destination.',
  });
}
