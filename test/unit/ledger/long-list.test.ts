import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cutList, fillList } from '../../../src/ledger/long-list.ts';

function cut(text: string): { items: string[]; rest: string } {
  const items: string[] = [];
  const rest = cutList(Buffer.from(text), 'list', (item) => items.push(item.toString().trim())).toString();
  return { items, rest };
}

describe('the long list of a document', () => {
  for (const [what, text, items, rest] of [
    ['with blanks', '{\n  "a": 1,\n  "list": [\n    {"x": 1},\n    {"x": 2}\n  ],\n  "b": 2\n}\n', 2, '"list": [],'],
    ['without blanks', '{"list":[{"x":[1,2]},[],3,"]"],"b":2}', 4, '{"list":[],"b":2}'],
    ['that is empty', '{"list": [ ]}', 0, '{"list": []}'],
    ['behind texts that look like it', '{"a":"\\"list\\":[1]","list":[{"t":"]},{\\\\"}]}', 1, '"list":[]}'],
    ['behind another one that is deeper', '{"a":{"list":[1,2]},"list":[3]}', 1, '{"a":{"list":[1,2]},"list":[]}'],
    ['behind a text of its name', '{"a":"list","list":[3]}', 1, '{"a":"list","list":[]}'],
  ] as const)
    test(`${what} is cut out, item by item`, () => {
      const found = cut(text);
      assert.equal(found.items.length, items);
      assert.ok(found.rest.includes(rest), found.rest);
      assert.deepEqual(JSON.parse(`[${found.items.join(',')}]`), (JSON.parse(text) as { list: unknown[] }).list);
    });

  for (const text of ['{"list":[1,2', '{"list":[1,"]', '{"list":7}', '[{"list":[1]}]', '{"other":[1]}', ''])
    test(`is not cut out of ${JSON.stringify(text)}`, () => {
      assert.equal(cut(text).rest, text);
    });

  test('is written an item a line, and read as it was written', () => {
    const list = [{ text: 'a "list": []\n  "list": []', é: '✓' }, { n: 1 }, []];
    const document = { before: '\n  "list": []', list: [], after: { list: [] } };
    const filled = fillList(document, 'list', list);
    assert.deepEqual(JSON.parse(filled.toString()), { ...document, list });
    assert.equal(filled.toString().split('\n').length, 12);
    assert.deepEqual(JSON.parse(fillList(document, 'list', []).toString()), document);
  });
});
