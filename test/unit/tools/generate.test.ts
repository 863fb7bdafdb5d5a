import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { FAILURES } from '../../../src/base/failures.ts';
import { generate } from '../../../src/tools/generate.ts';
import { buildJsonSchema, describeOptions, type OptionSchema } from '../../../src/tools/json-schema.ts';

const ROOT = path.join(import.meta.dirname, '../../..');
const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-generate-'));
after(() => {
  rmSync(folder, { recursive: true });
});

test('the published schema and the documentation are up to date', async () => {
  assert.deepEqual(await generate(ROOT, { write: false }), [], 'npm run generate writes them anew');
});

test('a stale file is named, and written on demand', async () => {
  for (const name of ['config', 'docs']) mkdirSync(path.join(folder, name));
  copyFileSync(path.join(ROOT, 'package.json'), path.join(folder, 'package.json'));
  assert.deepEqual(await generate(folder, { write: true }), [
    'config/pgsluice.schema.json',
    'config/pgsluice.manifest.schema.json',
    'docs/commands.md',
    'docs/config.md',
    'docs/errors.md',
    'docs/metrics.md',
    'docs/s3.md',
  ]);
  appendFileSync(path.join(folder, 'docs/config.md'), 'by hand\n');
  assert.deepEqual(await generate(folder, { write: false }), ['docs/config.md']);
  assert.deepEqual(await generate(folder, { write: true }), ['docs/config.md']);
  assert.equal(
    readFileSync(path.join(folder, 'docs/config.md'), 'utf8'),
    readFileSync(path.join(ROOT, 'docs/config.md'), 'utf8'),
  );
});

test('every option has a line of help and refuses unknown keys, and the documentation has it', () => {
  const docs = readFileSync(path.join(ROOT, 'docs/config.md'), 'utf8');
  for (const [name, option] of options(describeOptions(), '')) {
    assert.match(option.description ?? '', /\.$/, name);
    if (option.properties !== undefined) assert.equal(option.additionalProperties, false, name);
    else if (typeof option.additionalProperties !== 'object') assert.ok(isDocumented(docs, name), name);
  }
});

/** An option is a row of its section's table; a list of mappings is a section of its own. */
function isDocumented(docs: string, name: string): boolean {
  const short = name.replace(/^.*\*\.|^(audits|workers|hosts|http|log)\./, '');
  return docs.includes(`| \`${short}\``) || docs.includes(`## \`${name}[]\``);
}

test('every code of a failure has an anchor of its own in the documentation', () => {
  const docs = readFileSync(path.join(ROOT, 'docs/errors.md'), 'utf8');
  const anchors = Array.from(docs.matchAll(/^#+ (.+)$/gm), ([, heading = '']) => heading.toLowerCase());
  assert.equal(new Set(anchors).size, anchors.length);
  for (const code of Object.keys(FAILURES)) assert.ok(anchors.includes(code), code);
});

test('the schema lets editors accept references, and does not publish how options are declared', () => {
  const schema = buildJsonSchema();
  assert.equal(schema['$schema'], 'https://json-schema.org/draft/2020-12/schema');
  const threads = schema.properties?.['workers']?.properties?.['threads'];
  assert.deepEqual(threads, {
    description: 'Worker threads, over all archives.',
    default: 2,
    anyOf: [{ type: 'integer', minimum: 1, maximum: 256 }, { $ref: '#/$defs/reference' }],
  });
  assert.deepEqual(schema.properties?.['drainTimeout']?.default, '60s');
  assert.doesNotMatch(JSON.stringify(schema), /"(secret|unit|defaultText)":/);
});

/** All options below a mapping, with their paths; the entries of a named section have `*` for their name. */
function options(
  { properties = {}, additionalProperties: entry }: OptionSchema,
  prefix: string,
): [string, OptionSchema][] {
  const own = Object.entries(properties).flatMap(([key, option]): [string, OptionSchema][] => [
    [prefix + key, option],
    ...options(option, `${prefix}${key}.`),
  ]);
  return typeof entry === 'object' && entry.properties !== undefined ? [...own, ...options(entry, `${prefix}*.`)] : own;
}
