import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { transformSync } from 'esbuild';
import { stackOf } from '../../../src/base/stack.ts';

/** The line of `throw` is the fourth, and the ninth column is that of `new`. */
const SOURCE = `interface Gone { whenever: string }
const gone: Gone[] = [];
export function stumble(): void {
  throw new Error(\`stumbled over \${gone.length} (x:1:2)\`);
}
`;

test('a stack names the places in the sources, for bundles with a map, and leaves all else', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice stäck-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const { code, map } = transformSync(SOURCE, { loader: 'ts', sourcemap: true, sourcefile: 'stumble.ts' });
  const file = path.join(folder, 'bundle.js');
  const module = path.join(folder, 'package.json');
  writeFileSync(module, '{"type":"module"}');
  writeFileSync(file, code);
  const { stumble } = (await import(pathToFileURL(file).href)) as { stumble: () => void };
  const stacks = ['', map].map((text) => {
    if (text !== '') writeFileSync(`${file}.map`, text);
    try {
      stumble();
    } catch (error) {
      return stackOf(error as Error)?.split('\n') ?? [];
    }
    return [];
  });
  const [without = [], mapped = []] = stacks;
  assert.equal(mapped[0], 'Error: stumbled over 0 (x:1:2)');
  assert.match(without[1] ?? '', /bundle\.js:\d+:\d+\)$/);
  assert.match(mapped[1] ?? '', /^ {4}at stumble \(.*pgsluice stäck-.*\/stumble\.ts:4:9\)$/);
  assert.deepEqual(mapped.slice(3), without.slice(3));
});
