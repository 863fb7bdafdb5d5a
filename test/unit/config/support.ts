/** Loads configs from text. In texts of bad configs, each `▸` marks the position of one expected problem. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { UsageError } from '../../../src/base/errors.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';

export const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-config-'));
after(() => {
  rmSync(folder, { recursive: true });
});

/** The least that a config needs, section by section. */
export const SOURCES = 'sources: { default: { url: "postgres://localhost/db" } }';
export const DESTINATIONS = 'destinations: { default: { url: "s3://bucket/pg" } }';
export const ARCHIVES = 'archives: { a: { table: t } }';
export const MINIMAL = [SOURCES, DESTINATIONS, ARCHIVES].join('\n');

export function load(text: string, environment: NodeJS.ProcessEnv = {}): Config {
  return loadConfig(write(text), environment);
}

/** A config with this one archive, written in flow style. */
export function loadArchive(options: string) {
  const archive = load(`${SOURCES}\n${DESTINATIONS}\narchives: { a: { ${options} } }`).archives['a'];
  assert.ok(archive);
  return archive;
}

/** All problems as `line:column: message`. */
export function problemsOf(text: string | Buffer, environment: NodeJS.ProcessEnv = {}): string[] {
  const file = write(text);
  try {
    loadConfig(file, environment);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems.map((line) => {
      assert.ok(line.startsWith(`${file}:`), line);
      return line.slice(file.length + 1);
    });
  }
  return [];
}

/** Asserts that a config has exactly these problems, each at its mark. */
export function assertProblems(marked: string, messages: readonly string[], environment: NodeJS.ProcessEnv = {}): void {
  const positions: string[] = [];
  let line = 1;
  let column = 1;
  let text = '';
  for (const char of marked) {
    if (char === '▸') {
      positions.push(`${line}:${column}`);
      continue;
    }
    text += char;
    column = char === '\n' ? 1 : column + 1;
    line += char === '\n' ? 1 : 0;
  }
  assert.equal(positions.length, messages.length, 'the text must have one mark a message');
  const expected = messages.map((message, index) => `${positions[index] ?? ''}: ${message}`);
  // That a value is shown has tests of its own: here, only where it is expected.
  const bare = (problem: string, index: number): string =>
    messages[index]?.includes('(it is ') === true ? problem : problem.replace(/ \(it is [^()]*\)$/, '');
  assert.deepEqual(problemsOf(text, environment).map(bare), expected);
}

export function write(text: string | Buffer, name = 'config.yaml'): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}
