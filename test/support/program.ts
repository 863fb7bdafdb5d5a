/** The program that tests start: the bundles of the sources as they are now. */
import path from 'node:path';
import { bundleForTests } from '../../.ci/test-bundle.mjs';

/** The runner has made them for all files; who runs one file alone has them made here, unless they are there. */
const FOLDER = process.env['PGSLUICE_TEST_BUNDLE'] ?? (await bundleForTests());

export const PROGRAM = path.join(FOLDER, 'bin.js');

/** The program with a module of test/support in it. */
export function programWith(hook: 'as-host' | 'lose-a-row'): string {
  return path.join(FOLDER, '..', hook, 'dist/bin.js');
}
