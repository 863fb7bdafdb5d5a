/** Makes a folder and those above it. Node's own way never ends where the system will not make one, as below /proc. */
import { mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';

/** Throws the system's error. */
export function makeFolderSync(folder: string, mode: number): void {
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && statSync(folder).isDirectory()) return;
    if (codeOf(error) !== 'ENOENT' || path.dirname(folder) === folder) throw error;
    makeFolderSync(path.dirname(folder), mode);
    mkdirSync(folder, { mode });
  }
}

/** Resolves to the uppermost folder that was made; undefined when all were there. Rejects with the system's error. */
export async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    await mkdir(folder);
    return folder;
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && (await stat(folder)).isDirectory()) return undefined;
    if (codeOf(error) !== 'ENOENT' || path.dirname(folder) === folder) throw error;
    const made = await makeFolder(path.dirname(folder));
    return (await makeOne(folder)) ? (made ?? folder) : made;
  }
}

/** Whether it was not there yet: another writer may be making the same ones. */
async function makeOne(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined;
}
