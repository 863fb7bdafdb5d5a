import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FailureError } from '../../../src/base/errors.ts';
import { parseTableName, quoteIdentifier, quoteLiteral, quoteTableName } from '../../../src/postgres/identifiers.ts';
import { anyCharacter } from '../../support/any-text.ts';

describe("a table's name", () => {
  for (const [text, schema, table] of [
    ['events', undefined, 'events'],
    ['public.events', 'public', 'events'],
    ['Public.EVENTS', 'public', 'events'],
    ['"Public"."EVENTS"', 'Public', 'EVENTS'],
    ['public."a.b"', 'public', 'a.b'],
    ['"we""ird"', undefined, 'we"ird'],
    [' public . events ', 'public', 'events'],
    ['Ärger', undefined, 'Ärger'],
    ['"with blank"', undefined, 'with blank'],
    ['a$1', undefined, 'a$1'],
  ] as const) {
    test(`is read as Postgres reads ${text}`, () => {
      assert.deepEqual(parseTableName(text), { schema, table });
    });
  }

  for (const text of ['', ' ', '.', 'a.', '.a', 'a.b.c', 'a b', '"a', 'a"', '""', '"a"b', 'a..b']) {
    test(`is not ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseTableName(text),
        (error) => error instanceof FailureError && error.failure.code === 'bad-table-name',
      );
    });
  }

  test('comes back from its quoted form, whatever it is', () => {
    const name = fc.string({ unit: anyCharacter, minLength: 1, maxLength: 63 });
    fc.assert(
      fc.property(fc.option(name, { nil: undefined }), name, (schema, table) => {
        assert.deepEqual(parseTableName(quoteTableName({ schema, table })), { schema, table });
      }),
    );
  });
});

describe('quoting', () => {
  test('doubles the quotes of an identifier', () => {
    assert.equal(quoteIdentifier('a"b'), '"a""b"');
  });

  test('doubles the quotes of a literal, and makes backslashes mean themselves under any setting', () => {
    assert.equal(quoteLiteral(`it's`), `'it''s'`);
    assert.equal(quoteLiteral(`a\\'b`), ` E'a\\\\''b'`);
  });
});
