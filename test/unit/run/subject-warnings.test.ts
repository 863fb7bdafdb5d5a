import assert from 'node:assert/strict';
import { test } from 'node:test';
import { warnOfNames } from '../../../src/run/subject-warnings.ts';

const warn = (...names: string[]): string[] => warnOfNames(names.map((name) => ({ name })));

test('columns whose names other readers take for themselves are not warned of', () => {
  assert.deepEqual(warn('id', 'runs', 'run_id', 'key'), []);
});

test('a column of the name that the folders of runs have is warned of, in whatever case', () => {
  for (const name of ['run', 'Run', 'RUN']) {
    const [warning, ...others] = warn('id', name);
    assert.match(warning ?? '', new RegExp(`^column ${name}: readers that take run=… .* docs/format\\.md`));
    assert.deepEqual(others, []);
  }
});

test('columns whose names differ in case only are warned of together', () => {
  const readers = 'many readers ignore case, and take one for the other';
  assert.deepEqual(warn('id', 'ID', 'url', 'Id'), [`columns id, ID, Id: ${readers}`]);
  const [first, second] = warn('run', 'Run');
  assert.match(first ?? '', /^column run, Run: readers that take run=…/);
  assert.equal(second, `columns run, Run: ${readers}`);
});
