/**
 * Compiles the AssemblyScript of the hot loops to the modules that are shipped: a module's bytes stand in a file beside the folder of
 * its sources, as the sources are also run as they are. `npm run build` writes those files; tests compile again and compare.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const JSONL = join(import.meta.dirname, '..', 'src', 'format', 'jsonl');
/** Each has its sources in the folder `wasm` in its own; the entry is named. */
export const MODULES = {
  encoder: { folder: join(JSONL, 'write', 'binary'), entry: 'rows.ts' },
  scanner: { folder: join(JSONL, 'scan'), entry: 'lines.ts' },
};
const LINE_CHARACTERS = 114;
/** Nothing is allocated and nothing is asserted in there, and the memory is given. */
const OPTIONS = ['-O2', '--noAssert', '--runtime', 'stub', '--importMemory', '--noExportMemory', '--enable', 'simd'];

/** Resolves to the bytes of the module. */
export async function compileModule({ folder, entry }) {
  let bytes;
  const { error, stderr } = await asc.main([entry, ...OPTIONS, '--outFile', 'module.wasm'], {
    readFile: (name) => {
      try {
        return readFileSync(join(folder, 'wasm', name), 'utf8');
      } catch {
        return null;
      }
    },
    writeFile: (name, content) => {
      if (name === 'module.wasm') bytes = content;
    },
  });
  if (error !== null || bytes === undefined) throw new Error(`the compiler said: ${stderr.toString()}`);
  return bytes;
}

/** Writes the modules' bytes, where they are others than those that stand there. */
export async function writeModules() {
  for (const module of Object.values(MODULES)) {
    const base64 = Buffer.from(await compileModule(module)).toString('base64');
    const lines = base64.match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')).map((line) => `  '${line}'`);
    const text = `/** What wasm/ is compiled to. Written by \`npm run build\`; changes here are lost. */\nexport const WASM_MODULE =\n${lines.join(' +\n')};\n`;
    const file = join(module.folder, 'wasm-module.ts');
    if (readIfThere(file) !== text) writeFileSync(file, text);
  }
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

if (process.argv[1] === import.meta.filename) await writeModules();
