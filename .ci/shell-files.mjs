/** The man page and the completions, made by src/tools/shell-files.ts from the table of commands. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { ROOT } from './bundle.mjs';

/** What the commands do is not needed: only how they are typed. */
const COMMANDS_LEFT_OUT = {
  name: 'commands-left-out',
  setup({ onResolve }) {
    onResolve({ filter: /./ }, ({ kind, path }) => (kind === 'dynamic-import' ? { path, external: true } : undefined));
  },
};

/** Writes them into `folder`. The Node that builds may be too old to load the sources as they are. */
export async function writeShellFiles(folder) {
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/tools/shell-files.ts'],
    bundle: true,
    outfile: join(folder, 'shell-files.mjs'),
    platform: 'node',
    format: 'esm',
    target: 'node20',
    plugins: [COMMANDS_LEFT_OUT],
  });
  const { buildShellFiles } = await import(pathToFileURL(join(folder, 'shell-files.mjs')));
  rmSync(join(folder, 'shell-files.mjs'));
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const [path, text] of buildShellFiles(version)) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}
