/**
 * The program that tests start: the bundles of the sources as they are now, made once and kept by their content, so that a
 * start costs what it costs a user.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const FOLDER = join(ROOT, 'node_modules', '.cache', 'pgsluice-bundles');
/** Modules of tests that reach into the program's: each goes into bundles of its own. */
const HOOKS = { 'as-host': 'test/support/as-host.ts', 'lose-a-row': 'test/support/lose-a-row.ts' };
const MADE_OF = ['package.json', 'package-lock.json', '.ci/bundle.mjs', '.ci/test-bundle.mjs', ...Object.values(HOOKS)];
/** Bundles of other sources are kept that long: a run of all tests may still start them. */
const KEPT_MS = 24 * 3600_000;

/** Resolves to the folder of the bundles. Those with a hook are in `../as-host/dist` and `../lose-a-row/dist`. */
export async function bundleForTests() {
  const made = join(FOLDER, contentOfSources());
  if (!existsSync(made)) await make(made);
  return join(made, 'dist');
}

function contentOfSources() {
  const hash = createHash('sha256');
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const file of [...sources.sort(), ...MADE_OF.map((name) => join(ROOT, name))]) {
    const content = readFileSync(file);
    hash.update(`${file} ${content.length}\n`).update(content);
  }
  return hash.digest('hex').slice(0, 32);
}

/** Several processes may make it at once, and none sees a half of it. */
async function make(made) {
  const unfinished = `${made}.${process.pid}`;
  const { bundle } = await import('./bundle.mjs');
  const folders = { '.': undefined, ...HOOKS };
  for (const [name, hook] of Object.entries(folders)) {
    const folder = join(unfinished, name);
    await bundle(join(folder, 'dist'), hook);
    copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  }
  try {
    renameSync(unfinished, made);
  } catch (error) {
    rmSync(unfinished, { recursive: true });
    if (!existsSync(made)) throw error;
  }
  for (const name of readdirSync(FOLDER)) removeOld(join(FOLDER, name));
}

function removeOld(folder) {
  const { mtimeMs } = statSync(folder, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
  if (Date.now() - mtimeMs > KEPT_MS) rmSync(folder, { recursive: true, force: true });
}
