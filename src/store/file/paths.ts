/** Where a key lives in a folder, and which names are ours while a file is unfinished. */
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { fail } from '../../base/errors.ts';
import { errorCode } from './errors.ts';

const TEMPORARY = /^\.(.+)\.(([0-9a-z]+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.tmp$/;

/** An id that tells when it was made, as not every file system keeps the time of a file's birth. */
export function newUploadId(): string {
  return `${Date.now().toString(36)}-${randomUUID()}`;
}

/** `.<name>.<upload id>.tmp` beside the object, so that the rename stays within one file system. */
export function temporaryPath(objectPath: string, uploadId: string): string {
  return path.join(path.dirname(objectPath), `.${path.basename(objectPath)}.${uploadId}.tmp`);
}

/** What a temporary file's name says; undefined when the name is not one. */
export function parseTemporaryName(name: string): { name: string; uploadId: string; startedAt: Date } | undefined {
  const [, object, uploadId, time] = TEMPORARY.exec(name) ?? [];
  if (object === undefined || uploadId === undefined || time === undefined) return undefined;
  return { name: object, uploadId, startedAt: new Date(parseInt(time, 36)) };
}

/** Whether an upload's id has the form that {@link newUploadId} gives it; it becomes part of a path. */
export function isUploadId(uploadId: string): boolean {
  return parseTemporaryName(`.x.${uploadId}.tmp`) !== undefined;
}

/** The path of a key below `root`. Refuses what would lead elsewhere, or hide among the unfinished files. */
export function pathOfKey(root: string, key: string): string {
  const parts = key.split('/');
  const bad = parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'));
  if (bad || parseTemporaryName(parts.at(-1) ?? '') !== undefined) {
    throw fail('key-refused', {
      stage: 'upload',
      message: `the key ${JSON.stringify(key)} cannot be the name of a file`,
    });
  }
  return path.join(root, ...parts);
}

/** Refuses symbolic links between `root` and `target`, as they may lead out of the folder. What is absent is no link. */
export async function refuseSymlinks(root: string, target: string): Promise<void> {
  let at = root;
  for (const part of path.relative(root, target).split(path.sep)) {
    at = path.join(at, part);
    if (await isSymlink(at)) throw fail('symlink-refused', { stage: 'upload', message: `${at} is a symbolic link` });
  }
}

async function isSymlink(target: string): Promise<boolean> {
  try {
    return (await lstat(target)).isSymbolicLink();
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return false;
    throw error;
  }
}
