/** The Chromium that comes as a package, unpacked into a folder that belongs to this user alone. */
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';

const PACKAGE = '@sparticuz/chromium';
const require = createRequire(import.meta.url);

export interface UnpackedChromium {
  executable: string;
  /** Shared libraries for a system that lacks them. */
  libraries: string;
  /** A configuration of fonts for a system that has none. */
  fonts: string;
}

/** Unpacks it, once for all later runs. */
export async function unpackChromium(): Promise<UnpackedChromium> {
  const folder = path.join(privateFolder(), versionOf(PACKAGE));
  if (!existsSync(folder)) await unpackInto(folder);
  return {
    executable: path.join(folder, 'chromium'),
    libraries: path.join(folder, 'al2023/lib'),
    fonts: path.join(folder, 'fonts'),
  };
}

/** Not what another user of the machine has put in its place: a program is run from it. */
function privateFolder(): string {
  const folder = path.join(os.tmpdir(), `pgsluice-chromium-${os.userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid } = lstatSync(folder);
  if (uid !== os.userInfo().uid) throw new Error(`${folder} belongs to another user; remove it, or set TMPDIR`);
  chmodSync(folder, 0o700);
  return folder;
}

/** Several test files may do this at once: what is there under its name is whole. */
async function unpackInto(folder: string): Promise<void> {
  const { default: packaged, inflate } = await import('@sparticuz/chromium');
  const unfinished = mkdtempSync(`${folder}.`);
  const temporary = process.env['TMPDIR'];
  // The package knows no other way to be told where.
  process.env['TMPDIR'] = unfinished;
  try {
    await packaged.executablePath();
    await inflate(path.join(packageFolder(PACKAGE), 'bin/al2023.tar.br'));
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    // Another one was faster.
    if (!existsSync(folder)) throw error;
  } finally {
    if (temporary === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = temporary;
  }
}

function packageFolder(name: string): string {
  return path.join(import.meta.dirname, '../../node_modules', name);
}

function versionOf(name: string): string {
  return (require(path.join(packageFolder(name), 'package.json')) as { version: string }).version;
}
