/**
 * Where this machine has memory to spare, what tests write for a moment goes there: databases, objects, configs. Else thousands
 * of files that come and go cost the file system a tenth of the CPU of all tests, and waits for the disk.
 */
import { chmodSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';

const MEMORY = '/dev/shm';
const NAME = /^pgsluice-(\d+)-/;
/** More than twice what all tests had there at once. */
const NEEDED_BYTES = 6 * 1024 ** 3;

let folder: string | undefined;

/** Makes it the TMPDIR of this process and those that it starts, unless somebody has named one. */
export function makeFolderInMemory(): void {
  if (process.env['TMPDIR'] !== undefined || !hasMemoryToSpare()) return;
  removeForgotten();
  folder = mkdtempSync(path.join(MEMORY, `pgsluice-${process.pid}-`));
  // As /tmp is: servers of tests run as other users.
  chmodSync(folder, 0o1777);
  if (!canExecuteIn(folder)) {
    removeFolderInMemory();
    return;
  }
  process.env['TMPDIR'] = folder;
}

export function removeFolderInMemory(): void {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

function hasMemoryToSpare(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return Math.min(bavail * bsize, os.freemem(), process.availableMemory()) >= NEEDED_BYTES;
  } catch {
    return false;
  }
}

/** Tests run programs that they have copied or written; containers often forbid it there. */
function canExecuteIn(place: string): boolean {
  const file = path.join(place, 'probe');
  writeFileSync(file, '#!/bin/sh\n');
  chmodSync(file, 0o755);
  const { status } = spawnSync(file);
  rmSync(file);
  return status === 0;
}

/** What runs have left that were killed. */
function removeForgotten(): void {
  for (const name of readdirSync(MEMORY)) {
    const [, pid] = NAME.exec(name) ?? [];
    if (pid === undefined || isAlive(Number(pid))) continue;
    try {
      rmSync(path.join(MEMORY, name), { recursive: true, force: true });
    } catch {
      // Another user has left it.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // That of another user is there as well.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
