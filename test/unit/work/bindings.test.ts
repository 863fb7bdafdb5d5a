import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Binding } from '../../../src/segment/binding.ts';
import { Bindings } from '../../../src/work/bindings.ts';

const config = (name: string): Binding & { http: object } =>
  ({ sources: { [name]: {} }, destinations: {}, http: { token: 'not to be kept' } }) as unknown as ReturnType<
    typeof config
  >;

test('each config is a generation of its own, of which sources and destinations are kept until it is dropped', () => {
  const bindings = new Bindings();
  const first = bindings.add(config('a'));
  const second = bindings.add(config('a'));
  assert.notEqual(first, second);
  assert.deepEqual(bindings.of(first), { sources: { a: {} }, destinations: {} });
  bindings.drop(first);
  assert.deepEqual(bindings.generations, [second]);
  assert.throws(() => bindings.of(first), /has been dropped/);
  assert.ok(bindings.add(config('b')) > second, 'a number is not used twice');
});
