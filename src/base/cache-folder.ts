/**
 * Where V8's compiled code is kept from one start to the next. It is run as it is found, so whoever can write it could have us
 * run anything: only a folder is used that no other user can write, replace or even enter.
 */
import { lstatSync, realpathSync, type Stats } from 'node:fs';
import path from 'node:path';
import { makeFolderSync } from './make-folder.ts';

/** Write permissions of the group and of all others. */
const WRITABLE = 0o022;
const ANY_ACCESS = 0o077;
const STICKY = 0o1000;

/** The folder that systemd has made, or one below that of the user's caches; undefined when none is fit. */
export function makeCacheFolder(environment: NodeJS.ProcessEnv, user: number): string | undefined {
  const wanted = folderOf(environment);
  if (wanted === undefined) return undefined;
  try {
    // Nothing is made where another user could have put a link.
    if (!isSafe(nearestThere(wanted), user)) return undefined;
    makeFolderSync(wanted, 0o700);
    const folder = realpathSync(wanted);
    const { uid, mode } = lstatSync(folder);
    return uid === user && (mode & ANY_ACCESS) === 0 && isSafe(folder, user) ? folder : undefined;
  } catch {
    // It cannot be written, and a start takes a little longer.
    return undefined;
  }
}

function folderOf(environment: NodeJS.ProcessEnv): string | undefined {
  const { CACHE_DIRECTORY: ofService, XDG_CACHE_HOME: ofUser, HOME: home } = environment;
  const [folder] = ofService?.split(':') ?? [];
  if (folder !== undefined && path.isAbsolute(folder)) return folder;
  if (ofUser !== undefined && path.isAbsolute(ofUser)) return path.join(ofUser, 'pgsluice');
  return home !== undefined && path.isAbsolute(home) ? path.join(home, '.cache', 'pgsluice') : undefined;
}

function nearestThere(folder: string): string {
  for (let at = folder; ; at = path.dirname(at)) {
    try {
      return realpathSync(at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || at === path.dirname(at)) throw error;
    }
  }
}

/** Whether no other user, root aside, can put another folder in the place of this one or of one above it. */
function isSafe(folder: string, user: number): boolean {
  const parent = path.dirname(folder);
  return keepsItsEntries(lstatSync(folder), user) && (parent === folder || isSafe(parent, user));
}

/** In a sticky folder, such as /tmp, each user can move his own entries alone. */
function keepsItsEntries({ uid, mode }: Stats, user: number): boolean {
  return (uid === 0 || uid === user) && ((mode & WRITABLE) === 0 || (mode & STICKY) !== 0);
}
