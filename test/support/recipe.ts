/** The recipes of docs/format.md, as they stand there. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const FORMAT = readFileSync(path.join(import.meta.dirname, '../../docs/format.md'), 'utf8');

export function recipe(name: string): string {
  const [, text] = new RegExp(`<!-- recipe: ${name} -->\\s+\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(FORMAT) ?? [];
  assert.ok(text !== undefined, `docs/format.md has no recipe ${name}`);
  return text;
}
