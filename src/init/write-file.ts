/** Writes a file so that it is complete or not there. */
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import path from 'node:path';

export interface WriteOptions {
  /** Whether a file that is there is replaced, which keeps its owner, and its mode but for what `mode` closes. */
  replace: boolean;
  mode: number;
  /** Looks at the finished file before it has its name; what it throws keeps it from getting that. */
  prove?: (temporary: string) => void;
}

/** Throws the system's error; EEXIST where the file is there, and is not to be replaced. */
export function writeWhole(file: string, text: string, { replace, mode, prove }: WriteOptions): void {
  const target = replace ? realTarget(file) : file;
  const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${randomUUID()}`);
  try {
    fill(temporary, text, mode);
    const former = replace ? statOf(target) : undefined;
    if (former !== undefined) takeAfter(temporary, former, mode);
    prove?.(temporary);
    if (replace) renameSync(temporary, target);
    else nameNew(temporary, target);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** A link, unlike a rename, does not replace what has come there meanwhile; some file systems have none. */
function nameNew(temporary: string, target: string): void {
  try {
    linkSync(temporary, target);
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    if (code === 'EEXIST' || statOf(target) !== undefined) throw error;
    renameSync(temporary, target);
  }
}

/** A link stays one. */
function realTarget(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

function fill(temporary: string, text: string, mode: number): void {
  const descriptor = openSync(temporary, 'wx', mode);
  try {
    writeFileSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  // The umask of root's shell must not keep the service from reading its config.
  chmodSync(temporary, mode);
}

function statOf(file: string): Stats | undefined {
  return statSync(file, { throwIfNoEntry: false });
}

function takeAfter(temporary: string, former: Stats, mode: number): void {
  if (process.getuid?.() === 0) chownSync(temporary, former.uid, former.gid);
  chmodSync(temporary, former.mode & mode & 0o777);
}
