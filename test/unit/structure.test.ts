import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ROOMS } from '../../.config/layers.js';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));
/** What the browser loads is part of no room. */
const PAGE = 'daemon/http/page/';

/** Every import of ours in a file: of values, of types, of `typeof import()`, and exports of what others declare. */
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+)'/g;

const names = ROOMS.map(([name]) => name);
const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll(path.sep, '/'))
  .filter((file) => file.endsWith('.ts') && !file.startsWith(PAGE));
const imports = new Map(files.map((file) => [file, importsOf(file)]));

function read(file: string): string {
  return readFileSync(path.join(SRC, file), 'utf8');
}

function importsOf(file: string): string[] {
  return [...read(file).matchAll(IMPORT)].map(([, target = '']) => path.posix.join(path.posix.dirname(file), target));
}

function roomOf(file: string): string {
  return file.split('/', 1)[0] ?? '';
}

/** The files of one circle, in the order of their imports, the first one again at the end; undefined without any. */
function findCircle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const free = new Set<string>();
  const follow = (file: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
    if (free.has(file)) return undefined;
    for (const target of graph.get(file) ?? []) {
      const circle = follow(target, [...trail, file]);
      if (circle !== undefined) return circle;
    }
    free.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const circle = follow(file, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

describe('the files of src', () => {
  test('are there, and import each other', () => {
    assert.ok(files.length > 150, `${files.length} files`);
    const missing = [...imports].flatMap(([file, targets]) =>
      targets.filter((target) => !imports.has(target)).map((target) => `${file} imports ${target}`),
    );
    assert.deepEqual(missing, []);
  });

  test('lie each in a room of the list', () => {
    assert.deepEqual(
      files.filter((file) => !names.includes(roomOf(file))),
      [],
    );
  });

  test('import nothing from a room above their own', () => {
    const upwards = [...imports].flatMap(([file, targets]) =>
      targets
        .filter((target) => names.indexOf(roomOf(target)) < names.indexOf(roomOf(file)))
        .map((target) => `${file} imports ${target}`),
    );
    assert.deepEqual(upwards, []);
  });

  test('import each other in no circle, not even for types', () => {
    assert.equal(findCircle(imports)?.join(' -> '), undefined);
  });

  test('look up what names from outside mean in one place, which knows that `constructor` is no archive', () => {
    const bare = files.filter((file) => /\.(?:archives|sources|destinations)\[/.test(read(file)));
    assert.deepEqual(bare, []);
  });

  test('have all the rooms of the list', () => {
    assert.deepEqual(
      names.filter((name) => !files.some((file) => roomOf(file) === name)),
      [],
    );
  });
});

test('a circle of three is found, wherever one begins', () => {
  const graph = new Map([
    ['start', ['a', 'leaf']],
    ['a', ['b']],
    ['b', ['leaf', 'c']],
    ['c', ['a']],
    ['leaf', []],
  ]);
  assert.deepEqual(findCircle(graph), ['a', 'b', 'c', 'a']);
  graph.set('c', []);
  assert.equal(findCircle(graph), undefined);
});

test('the tests that the architecture names for its invariants are there', () => {
  const text = readFileSync(path.join(SRC, '../docs/architecture.md'), 'utf8');
  const named = [...text.matchAll(/`((?:unit|integration|fault|e2e)\/[\w./-]+\.test\.ts)`/g)].map(
    ([, file = '']) => file,
  );
  assert.ok(named.length > 30, `${named.length} are named`);
  const present = new Set(readdirSync(path.join(SRC, '../test'), { recursive: true, encoding: 'utf8' }));
  assert.deepEqual(
    named.filter((file) => !present.has(path.normalize(file))),
    [],
  );
});
