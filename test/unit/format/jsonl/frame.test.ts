import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lineFrame } from '../../../../src/format/jsonl/frame.ts';

describe('the frame of a line', () => {
  test('begins with a brace, and separates with commas', () => {
    assert.deepEqual(lineFrame(['a', 'b', 'c']), { prefixes: ['{"a":', ',"b":', ',"c":'], end: '}\n' });
  });

  test('is the whole line when there are no columns', () => {
    assert.deepEqual(lineFrame([]), { prefixes: [], end: '{}\n' });
  });

  test('escapes what a name may hold, and keeps names that are the same', () => {
    assert.deepEqual(lineFrame(['a"b\\c\n', 'é', 'é']).prefixes, ['{"a\\"b\\\\c\\n":', ',"é":', ',"é":']);
  });
});
