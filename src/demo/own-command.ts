/** How the program is called from a shell in this folder, and what else can be called there. */
import { accessSync, constants, realpathSync } from 'node:fs';
import path from 'node:path';
import { shellWord } from '../base/shell-word.ts';

/** `pgsluice` where a shell finds this very program under that name, else `node` with its file. */
export function ownCommand(searched: string | undefined, script = process.argv[1] ?? ''): string {
  const found = findCommand('pgsluice', searched);
  if (found !== undefined && isSameFile(found, script)) return 'pgsluice';
  return `${shellWord(nodeCommand(searched))} ${shellWord(script)}`;
}

/** The Node that runs this; a shell may have an older one, or none. */
function nodeCommand(searched: string | undefined): string {
  const found = findCommand('node', searched);
  return found !== undefined && isSameFile(found, process.execPath) ? 'node' : process.execPath;
}

export function isInstalled(name: string, searched: string | undefined): boolean {
  return findCommand(name, searched) !== undefined;
}

function findCommand(name: string, searched = ''): string | undefined {
  // What npm adds for its own scripts, no other terminal has.
  const folders = searched.split(path.delimiter).filter((folder) => folder !== '' && !folder.includes('node_modules'));
  return folders.map((folder) => path.join(folder, name)).find(isExecutable);
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isSameFile(one: string, other: string): boolean {
  try {
    return realpathSync(one) === realpathSync(other);
  } catch {
    return false;
  }
}
