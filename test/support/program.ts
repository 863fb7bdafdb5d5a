/** The program that tests start: the bundles of the sources as they are now. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundleForTests } from '../../.ci/test-bundle.mjs';

/** The runner has made them for all files; who runs one file alone has them made here, unless they are there. */
const FOLDER = process.env['PGSLUICE_TEST_BUNDLE'] ?? (await bundleForTests());

export const PROGRAM = path.join(FOLDER, 'bin.js');

/** What NODE_OPTIONS needs to load a module of test/support into the program, as a part of its bundles. */
export function importIntoProgram(hook: 'as-host' | 'lose-a-row'): string {
  return `--import=${pathToFileURL(path.join(FOLDER, `test/${hook}.js`)).href}`;
}
