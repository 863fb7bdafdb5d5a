import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cutAtList, ListCutter, listLines } from '../../../src/ledger/long-list.ts';

/** The document comes in pieces of so many bytes. */
function cut(text: string, pieceBytes = 1000): { items: string[]; rest: string } {
  const items: string[] = [];
  let rest = '';
  const document = Buffer.from(text);
  const cutter = new ListCutter('list', {
    rest: (bytes) => (rest += bytes.toString('latin1')),
    item: (bytes, from) => {
      assert.ok(document.subarray(from, from + bytes.length).equals(bytes), 'the item stands where it is said to');
      items.push(bytes.toString().trim());
    },
  });
  for (let at = 0; at < document.length; at += pieceBytes) cutter.write(document.subarray(at, at + pieceBytes));
  return { items, rest: Buffer.from(rest, 'latin1').toString() };
}

function fill(document: object, list: readonly unknown[]): Buffer {
  const [before, after] = cutAtList(document, 'list', list.length === 0);
  return Buffer.concat([before, ...listLines(list), after]);
}

describe('the long list of a document', () => {
  for (const [what, text, items, rest] of [
    ['with blanks', '{\n  "a": 1,\n  "list": [\n    {"x": 1},\n    {"x": 2}\n  ],\n  "b": 2\n}\n', 2, '"list": [],'],
    ['without blanks', '{"list":[{"x":[1,2]},[],3,"]"],"b":2}', 4, '{"list":[],"b":2}'],
    ['that is empty', '{"list": [ ]}', 0, '{"list": []}'],
    ['behind texts that look like it', '{"a":"\\"list\\":[1]","list":[{"t":"]},{\\\\"}]}', 1, '"list":[]}'],
    ['behind another one that is deeper', '{"a":{"list":[1,2]},"list":[3]}', 1, '{"a":{"list":[1,2]},"list":[]}'],
    ['behind a text of its name', '{"a":"list","list":[3]}', 1, '{"a":"list","list":[]}'],
    ['behind a longer name', '{"lists":[1],"a list":[2],"list":[3,"é✓"]}', 2, '{"lists":[1],"a list":[2],"list":[]}'],
  ] as const)
    test(`${what} is cut out, item by item, wherever the pieces of the document end`, () => {
      const whole = cut(text);
      assert.equal(whole.items.length, items);
      assert.ok(whole.rest.includes(rest), whole.rest);
      assert.deepEqual(JSON.parse(`[${whole.items.join(',')}]`), (JSON.parse(text) as { list: unknown[] }).list);
      for (let bytes = 1; bytes < text.length; bytes += 1) assert.deepEqual(cut(text, bytes), whole, `${bytes} bytes`);
    });

  for (const text of ['{"list":7}', '[{"list":[1]}]', '{"other":[1]}', ''])
    test(`is not cut out of ${JSON.stringify(text)}`, () => {
      assert.equal(cut(text).rest, text);
    });

  for (const text of ['{"list":[1,2', '{"list":[1,"]'])
    test(`that does not end leaves no JSON of ${JSON.stringify(text)}`, () => {
      assert.equal(cut(text).rest, '{"list":[');
    });

  test('is written an item a line, and read as it was written', () => {
    const list = [{ text: 'a "list": []\n  "list": []', é: '✓' }, { n: 1 }, []];
    const document = { before: '\n  "list": []', list: [], after: { list: [] } };
    const filled = fill(document, list);
    assert.deepEqual(JSON.parse(filled.toString()), { ...document, list });
    assert.equal(filled.toString().split('\n').length, 12);
    assert.deepEqual(JSON.parse(fill(document, []).toString()), document);
  });
});
