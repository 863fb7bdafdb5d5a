/**
 * Makes dist from scratch, so that nothing of an older state is left: the bundles, the page, the man page, what
 * shells complete, and what is shipped under which licences. A licence that is not allowed fails the build.
 */
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bundle, ROOT } from './bundle.mjs';
import { makeBillOfMaterials } from './licenses.mjs';
import { writeShellFiles } from './shell-files.mjs';
import { writeModules } from './wasm.mjs';

const DIST = join(ROOT, 'dist');

await writeModules();
rmSync(DIST, { recursive: true, force: true });
const packages = await bundle(DIST);
chmodSync(join(DIST, 'bin.js'), 0o755);
await writeShellFiles(DIST);
const { problems } = makeBillOfMaterials(DIST, packages);
for (const problem of problems) console.error(`licenses: ${problem}`);
if (problems.length > 0) process.exitCode = 1;
