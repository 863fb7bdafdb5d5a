import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseTypeName, writeTypeName } from '../../../src/restore/types.ts';

describe('the name of a type', () => {
  for (const [text, element, modifier, array] of [
    ['integer', 'integer', '', ''],
    ['integer[]', 'integer', '', '[]'],
    ['numeric(12,2)', 'numeric', '(12,2)', ''],
    ['numeric(3,-2)[]', 'numeric', '(3,-2)', '[]'],
    ['character varying(20)', 'character varying', '(20)', ''],
    ['double precision[]', 'double precision', '', '[]'],
    ['bit varying(8)', 'bit varying', '(8)', ''],
    ['timestamp(3) with time zone', 'timestamp with time zone', '(3)', ''],
    ['time without time zone[]', 'time without time zone', '', '[]'],
    ['interval day to second(3)', 'interval', ' day to second(3)', ''],
    ['interval(0)[]', 'interval', '(0)', '[]'],
    ['"char"', '"char"', '', ''],
    ['"bit"', '"bit"', '', ''],
    ['audit.level', 'audit.level', '', ''],
    ['"my Schema"."we""ird;--"(3)[]', '"my Schema"."we""ird;--"', '(3)', '[]'],
    ['public.geometry(PointZ,4326)', 'public.geometry', '(PointZ,4326)', ''],
    ['größe', 'größe', '', ''],
  ] as const) {
    test(`${text} is taken apart, and put together as it was`, () => {
      const parts = parseTypeName(text);
      assert.deepEqual(parts, { element, modifier, array });
      assert.equal(writeTypeName(element, { modifier, array }), text);
    });
  }

  test('that Postgres never prints is none', () => {
    for (const text of [
      '',
      'integer --',
      'integer; DROP TABLE t',
      'integer); DROP TABLE t; --',
      'integer /* */',
      'integer\n',
      'integer[3]',
      'integer[][]',
      'int DEFAULT pg_sleep(9)',
      'int CHECK (true)',
      'text COLLATE "C"',
      'numeric(pg_sleep(9))',
      "numeric('1')",
      'numeric(1,2',
      'a.b.c',
      'a..b',
      '"a',
      '"a"b',
      'setof integer',
      't%ROWTYPE',
      'timestamp(3) with time zone; SELECT 1',
      'interval day to second(3) --',
      `"${'x'.repeat(700)}"`,
    ])
      assert.equal(parseTypeName(text), undefined, text);
  });
});
