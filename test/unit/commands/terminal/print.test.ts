import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { registerSecret } from '../../../../src/base/secrets.ts';
import { JsonList, printJson, printLines } from '../../../../src/commands/terminal/print.ts';
import type { Invocation } from '../../../../src/commands/invocation.ts';

const SECRET = 'c0rrect-horse';

let written = '';
const stdout = { write: (text: string) => (written += text) };
const invocation = { stdout } as unknown as Invocation;

describe('what is printed', () => {
  before(() => {
    registerSecret(SECRET);
  });

  test('as lines has no secret in it, though a server echoed it', () => {
    written = '';
    printLines(invocation, [`denied for ${SECRET}`, 'postgres://me:open@host/db', 'plain']);
    assert.equal(written, 'denied for ***\npostgres://me:***@host/db\nplain\n');
  });

  test('as JSON has no secret in it, at any depth, and stays JSON', () => {
    written = '';
    printJson(invocation, { problems: [{ message: `"${SECRET}"`, at: 3 }], url: 'postgres://me:open@host/db' });
    assert.deepEqual(JSON.parse(written), {
      problems: [{ message: '"***"', at: 3 }],
      url: 'postgres://me:***@host/db',
    });
  });

  test('as a list of JSON is what it is at once, though it comes in blocks', () => {
    for (const items of [[], [{ a: 1, b: SECRET, c: ['\u202e', []] }], [1, { a: [2] }, 'x\ny']]) {
      written = '';
      const list = new JsonList(invocation);
      list.add(items.slice(0, 1));
      list.add(items.slice(1));
      list.end();
      const inBlocks = written;
      written = '';
      printJson(invocation, items);
      assert.equal(inBlocks, written);
    }
  });

  test('is one line a text, with nothing that a terminal obeys', () => {
    written = '';
    printLines(invocation, ['two\nlines\u001b[2J']);
    assert.equal(written.split('\n').length, 2);
    assert.ok(!written.includes('\u001b'));
  });
});
