/** Packs the project as `npm publish` would, from a copy, as packing builds `dist` anew. */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { cp, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

export const ROOT = path.join(import.meta.dirname, '../..');

export interface Package {
  tarball: string;
  /** Paths of the files in it. */
  files: string[];
}

const NPM_TIMEOUT_MS = 90_000;
const NOT_COPIED = new Set(['.git', 'node_modules', 'dist']);

const run = promisify(execFile);

/** Packs into a folder that is removed when the process ends. */
export async function packProject(): Promise<Package> {
  const folder = await temporaryFolder();
  const copy = path.join(folder, 'copy');
  await cp(ROOT, copy, { recursive: true, filter: (file) => !NOT_COPIED.has(path.relative(ROOT, file)) });
  await symlink(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  // What an earlier build left, and what a developer has lying about, must not be in the package.
  await cp(path.join(copy, 'config'), path.join(copy, 'dist/stale'), { recursive: true });
  await writeFile(path.join(copy, 'notes.txt'), 'not for others');
  const output = await npm(['pack', '--json', '--pack-destination', folder], copy);
  const report = JSON.parse(output) as PackReport[] | Record<string, PackReport>;
  const [packed] = Object.values(report);
  if (packed === undefined) throw new Error(`npm pack has packed nothing: ${output}`);
  return { tarball: path.join(folder, packed.filename), files: packed.files.map((file) => file.path) };
}

/** An array up to npm 11.7 or so, and an object by the package's name after it. */
interface PackReport {
  filename: string;
  files: { path: string }[];
}

/** Runs npm with the Node of the tests; what it has fetched once, it does not fetch again. */
export async function npm(args: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await run('npm', ['--prefer-offline', '--no-audit', '--no-fund', ...args], {
    cwd,
    timeout: NPM_TIMEOUT_MS,
    maxBuffer: 16 * 1024 ** 2,
  });
  return stdout;
}

/** The message of an npm that could not reach its registry; undefined when it failed for another reason. */
export function registryProblem(error: unknown): string | undefined {
  const text = error instanceof Error ? error.message : String(error);
  const code = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED)\b/.exec(text)?.[1];
  return code === undefined ? undefined : `npm cannot reach its registry (${code})`;
}

/** A new folder outside of any node_modules; it is removed when the process ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pgsluice-package-'));
  folders.push(folder);
  return folder;
}

const folders: string[] = [];

// Not a hook of the test runner, which runs none for a file that fails before its first test.
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
