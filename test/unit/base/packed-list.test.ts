import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PackedList } from '../../../src/base/packed-list.ts';

test('a packed list gives its texts back, short and long, of whatever characters', () => {
  const texts = [
    '',
    'a',
    'é✓😀\n"',
    'x'.repeat(3_000_000),
    ...Array.from({ length: 5000 }, (_, at) => `text ${at}`),
    'end',
  ];
  const list = new PackedList();
  for (const [at, text] of texts.entries()) assert.equal(list.add(text), at);
  assert.equal(list.length, texts.length);
  assert.ok([...list].every((text, at) => text === texts[at]));
  for (const at of [3, 0, 5004, 1024, 2]) assert.ok(list.at(at) === texts[at], String(at));
  for (const at of [-1, texts.length, NaN, 0.5 + texts.length]) assert.equal(list.at(at), undefined);
});

test('a packed list takes little more than the bytes of its texts', () => {
  const list = new PackedList();
  for (let at = 0; at < 20_000; at += 1) list.add('x'.repeat(100));
  const overhead = list.heldBytes / 20_000 - 100;
  assert.ok(overhead >= 12 && overhead < 70, `${overhead} bytes besides`);
  const small = new PackedList();
  small.add('x');
  assert.ok(small.heldBytes < 16 * 1024);
});
