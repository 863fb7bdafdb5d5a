/** Compiles src to dist from scratch, so that nothing of an older state is left, and makes the program executable. */
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
const { status } = spawnSync(process.execPath, [TSC, '--project', join(ROOT, '.config', 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status === 0) chmodSync(join(ROOT, 'dist', 'cli.js'), 0o755);
process.exitCode = status ?? 1;
