import assert from 'node:assert/strict';
import { test } from 'node:test';
import { warnOfFolderKeys, warnOfNames, warnOfPseudoTypes } from '../../../src/run/subject-warnings.ts';

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

test('columns of types that no table can have are warned of, as no restore brings them back', () => {
  const columns = [
    { name: 'id', type: 'integer', typeOid: 23 },
    { name: 'pair', type: 'record', typeOid: 2249 },
  ];
  const [warning, ...others] = warnOfPseudoTypes(columns);
  assert.match(warning ?? '', /^column pair is of type record, which no table can have, .*cast it in the query/);
  assert.deepEqual(others, []);
});

test('columns whose values readers take from the folders of partitionBy are warned of, where these may be others', () => {
  const columns = [
    { name: 'day', baseTypeOid: 1082 },
    { name: 'Day', baseTypeOid: 23 },
    { name: 'code', baseTypeOid: 25 },
    { name: 'note', baseTypeOid: 25 },
  ];
  assert.deepEqual(warnOfFolderKeys(columns, []), []);
  const [day, code, ...others] = warnOfFolderKeys(columns, ['day', 'code']);
  assert.match(
    day ?? '',
    /^column Day: readers that take day=… .*replace its values by those of day; docs\/format\.md/,
  );
  assert.match(code ?? '', /^column code: readers that take code=… .*042 for 42 .* docs\/format\.md/);
  assert.deepEqual(others, []);
});
