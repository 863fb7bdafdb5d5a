/**
 * Compiles src to dist from scratch, so that nothing of an older state is left, copies the files of the page beside the
 * code that serves them, and makes the program executable.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
/** The status page: the browser takes it as it is. */
const PAGE = join('daemon', 'http', 'page');
const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
const { status } = spawnSync(process.execPath, [TSC, '--project', join(ROOT, '.config', 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status === 0) {
  // Its types are for those who change it.
  const filter = (file) => !file.endsWith('.d.ts');
  cpSync(join(ROOT, 'src', PAGE), join(ROOT, 'dist', PAGE), { recursive: true, filter });
  chmodSync(join(ROOT, 'dist', 'cli.js'), 0o755);
}
process.exitCode = status === 0 ? makeBillOfMaterials() : (status ?? 1);

/** What is shipped, and under which licences; a licence that is not allowed fails the build. */
function makeBillOfMaterials() {
  return spawnSync(process.execPath, [join(ROOT, '.ci', 'licenses.mjs'), '--quiet'], { stdio: 'inherit' }).status ?? 1;
}
