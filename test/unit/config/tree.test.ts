import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entriesOf, replaceAt, valueAt } from '../../../src/config/tree.ts';

test('inherited names are not found', () => {
  assert.equal(valueAt({ a: {} }, ['a', 'constructor']), undefined);
  assert.equal(valueAt({}, ['toString', 'name']), undefined);
});

test('a value is found and replaced by its path', () => {
  const tree = { a: [{ b: 1 }] };
  assert.equal(valueAt(tree, ['a', 0, 'b']), 1);
  replaceAt(tree, ['a', 0, 'b'], 2);
  assert.deepEqual(tree, { a: [{ b: 2 }] });
});

test('entries that are no mappings are left out', () => {
  assert.deepEqual(entriesOf({ a: { x: {}, y: null, z: [] } }, 'a'), [['x', {}]]);
  assert.deepEqual(entriesOf({ a: 1 }, 'a'), []);
});
