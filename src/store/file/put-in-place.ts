/** Gives a finished temporary file the name of its object, if what has that name may be replaced. */
import type { BigIntStats } from 'node:fs';
import { link, rename, stat } from 'node:fs/promises';
import type { PutResult, Replaces } from '../store.ts';
import { errorCode, orUndefined } from './errors.ts';

/** Names the state of a file. Each of our writes makes a new file, so that the inode differs even where all else is equal. */
export function etagOf({ ino, size, mtimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs].map((figure) => figure.toString(16)).join('-');
}

/**
 * Shows the file whole or not at all. Where it is to replace a certain file, another process may write between the look and
 * the rename, as a file system has no rename with a condition: the later of the two stays.
 */
export async function putInPlace(
  temporary: string,
  target: string,
  replaces: Replaces | undefined,
): Promise<PutResult['outcome']> {
  if (replaces === 'nothing') return linkTo(temporary, target);
  if (replaces !== undefined) {
    const found = await orUndefined(stat(target, { bigint: true }));
    if (found === undefined || etagOf(found) !== replaces) return 'changed';
  }
  await rename(temporary, target);
  return 'written';
}

/** link(2) fails when the name is taken, which rename(2) does not. */
async function linkTo(temporary: string, target: string): Promise<'written' | 'exists'> {
  try {
    await link(temporary, target);
    return 'written';
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw noLinks(error);
    // On a network file system the answer to a first call may be lost: then our own file has the name already.
    return (await isSameFile(temporary, target)) ? 'written' : 'exists';
  }
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map((file) => orUndefined(stat(file, { bigint: true }))));
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
}

/** Linux says EPERM when a file system has no hard links, which is not about permissions. */
function noLinks(error: unknown): unknown {
  return errorCode(error) === 'EPERM' ? Object.assign(new Error('no hard links'), { code: 'ENOTSUP' }) : error;
}
