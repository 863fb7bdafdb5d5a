/**
 * Compiles the AssemblyScript of src/format/jsonl/write/binary/wasm to the module that is shipped: its bytes stand in a file beside
 * the folder, as the sources are also run as they are. `npm run build` writes that file; a test compiles again and compares.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const FOLDER = join(import.meta.dirname, '..', 'src', 'format', 'jsonl', 'write', 'binary');
const MODULE = join(FOLDER, 'wasm-module.ts');
const LINE_CHARACTERS = 114;
/** Nothing is allocated and nothing is asserted in there, and the memory is given. */
const OPTIONS = ['-O2', '--noAssert', '--runtime', 'stub', '--importMemory', '--noExportMemory', '--enable', 'simd'];

/** Resolves to the bytes of the module. */
export async function compileModule() {
  let bytes;
  const { error, stderr } = await asc.main(['rows.ts', ...OPTIONS, '--outFile', 'rows.wasm'], {
    readFile: (name) => {
      try {
        return readFileSync(join(FOLDER, 'wasm', name), 'utf8');
      } catch {
        return null;
      }
    },
    writeFile: (name, content) => {
      if (name === 'rows.wasm') bytes = content;
    },
  });
  if (error !== null || bytes === undefined) throw new Error(`the compiler said: ${stderr.toString()}`);
  return bytes;
}

/** Writes the module's bytes, if they are others than those that stand there. */
export async function writeModule() {
  const base64 = Buffer.from(await compileModule()).toString('base64');
  const lines = base64.match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')).map((line) => `  '${line}'`);
  const text = `/** What wasm/ is compiled to. Written by \`npm run build\`; changes here are lost. */\nexport const WASM_MODULE =\n${lines.join(' +\n')};\n`;
  if (readFileSync(MODULE, 'utf8') !== text) writeFileSync(MODULE, text);
}

if (process.argv[1] === import.meta.filename) await writeModule();
