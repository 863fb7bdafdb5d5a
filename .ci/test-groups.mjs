/**
 * Small files of tests share a process, a folder at a time: most of what they cost is the start of it. What is reported of a
 * test names its own file, and so does the error of one that cannot be loaded.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = join(import.meta.dirname, '..');
const FOLDER = join(ROOT, 'node_modules', '.cache', 'test-groups');
const MOST_FILES = 15;

/**
 * Hooks outside of a suite would be those of all files; and what a file mocks, measures or sets in its process, or what it waits
 * for while it is loaded, is no other's business.
 */
const IS_APART =
  /^(?:before|after)(?:Each)?\(|^[^ /*].*\bawait\b|\bmock\.|\bprocess\b(?=[.,)\]])|\bWorker\(|\b(?:startPostgres|compileModule)\(|support\/cli\.ts/m;

/** The files, with one of ours in the place of those that may share a process. They are taken from the root. */
export function groupFiles(files) {
  const folders = Map.groupBy(files, folderOf);
  return [...folders].flatMap(([folder, members]) => (folder === undefined ? members : groupsOf(folder, members)));
}

/** The folder whose files may share a process with this one; undefined where it has one of its own. */
function folderOf(file) {
  const [, folder] = /^(test\/unit\/[^/]+)\//.exec(file) ?? [];
  return folder !== undefined && !IS_APART.test(readFileSync(join(ROOT, file), 'utf8')) ? folder : undefined;
}

function groupsOf(folder, members) {
  const count = Math.ceil(members.length / MOST_FILES);
  return Array.from({ length: count }, (_, at) => {
    const some = members.filter((_file, index) => index % count === at);
    return some.length === 1 ? some[0] : writeGroup(`${folder.replaceAll('/', '-')}-${at + 1}`, some);
  });
}

function writeGroup(name, files) {
  mkdirSync(FOLDER, { recursive: true });
  const path = join(FOLDER, `${name}.mjs`);
  const imports = files.map((file) => `import ${JSON.stringify(pathToFileURL(join(ROOT, file)).href)};\n`);
  // All of them are there before the first test runs, so that no hook is taken for one of a test that runs already.
  writeFileSync(path, imports.join(''));
  return path;
}
