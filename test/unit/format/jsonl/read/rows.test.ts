import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FailureError } from '../../../../../src/base/errors.ts';
import type { RestoreColumn } from '../../../../../src/format/jsonl/forms.ts';
import { CopyRows } from '../../../../../src/format/jsonl/read/rows.ts';

const VALUE = { kind: 'value' } as const;
const JSON_TEXT = { kind: 'json' } as const;

/** The rows of COPY for these bytes, which come in pieces of `pieceBytes`. */
function copyRows(columns: readonly RestoreColumn[], content: string, pieceBytes = Infinity): string {
  const rows = new CopyRows(columns, 1000);
  const bytes = Buffer.from(content);
  const output: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes)
    for (const some of rows.push(bytes.subarray(at, at + pieceBytes))) output.push(Buffer.from(some));
  rows.end();
  return Buffer.concat(output).toString();
}

describe('lines become rows of COPY', () => {
  const columns: RestoreColumn[] = [
    { name: 'computed' },
    { name: 'a"\\\n', form: VALUE },
    { name: 'j', form: JSON_TEXT },
    { name: 'l', form: { kind: 'array', element: VALUE, delimiter: ',', dimensions: null } },
    { name: 'computed too' },
    {
      name: 'c',
      form: {
        kind: 'composite',
        attributes: [
          { name: 'x', form: VALUE },
          { name: 'y', form: { kind: 'array', element: JSON_TEXT, delimiter: ';', dimensions: 1 } },
        ],
      },
    },
  ];
  const line = (parts: readonly string[]): string =>
    `{${columns.map(({ name }, at) => `${JSON.stringify(name)}:${parts[at] ?? ''}`).join(',')}}\n`;
  const content = [
    line(['1', '"text"', '{"a": "\\u0000}"}', '[1,"a\\tb",null]', '"}\\"{"', '{"x":"\\"","y":[[1],null,{}]}']),
    line([
      '[{"]":1}]',
      '"\\\\ \\/ \\n\\r\\t\\b\\f \\u0001 \\u00e9 \\ud83d\\ude00 \\u005c é😀"',
      ' null\t',
      '[]',
      'null',
      'null',
    ]),
    line(['null', 'null', 'null', 'null', 'null', '{"x":null,"y":null}']),
    line(['null', '-1.5e3', '"\\\\N"', '[[true],[null]]', '""', '{"x":"(,)","y":[]}']),
  ].join('');
  const expected = [
    String.raw`text	{"a": "\\u0000}"}	{"1","a\tb",NULL}	("\\"","{\\"[1]\\";NULL;\\"{}\\"}")`,
    `\\\\ / \\n\\r\\t\\b\\f \x01 é 😀 \\\\ é😀\t null\\t\t{}\t\\N`,
    String.raw`\N	\N	\N	(,)`,
    String.raw`-1.5e3	"\\\\N"	{{"true"},{NULL}}	("(,)","{}")`,
    '',
  ].join('\n');

  test('values of every form', () => {
    assert.equal(copyRows(columns, content), expected);
  });

  test('wherever the bytes are cut', () => {
    const whole = copyRows(columns, content);
    for (let bytes = 1; bytes < 40; bytes += 1)
      assert.equal(copyRows(columns, content, bytes), whole, `${bytes} bytes`);
  });

  test('with long strings, whose escapes stand anywhere in them or in those behind', () => {
    const long = [46, 47, 48, 49, 50, 200].flatMap((before) =>
      ['', '\\', '\n', '"', '\\"\t'].map((special) => `${'a'.repeat(before)}${special}${'b'.repeat(60)}`),
    );
    const two: RestoreColumn[] = [
      { name: 'a', form: VALUE },
      { name: 'b', form: VALUE },
    ];
    const lines = long.map((text, at) => `${JSON.stringify({ a: text, b: long[long.length - 1 - at] })}\n`).join('');
    const escaped = (text = ''): string =>
      text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t');
    const rows = long.map((text, at) => `${escaped(text)}\t${escaped(long[long.length - 1 - at])}\n`).join('');
    for (const bytes of [Infinity, 1, 7, 53, 100]) assert.equal(copyRows(two, lines, bytes), rows, `${bytes} bytes`);
  });

  test('with nothing in them, for a table without columns', () => {
    assert.equal(copyRows([], '{}\n{}\n'), '\n\n');
  });

  test('with the null of a column that was NOT NULL as the JSON value', () => {
    assert.equal(copyRows([{ name: 'j', form: { kind: 'json', notNull: true } }], '{"j":null}\n'), 'null\n');
  });
});

describe('lines that are not those of the archive', () => {
  const columns: RestoreColumn[] = [
    { name: 'a', form: VALUE },
    { name: 'b', form: { kind: 'array', element: VALUE, delimiter: ',', dimensions: null } },
  ];
  for (const [what, content] of Object.entries({
    'another name': '{"x":1,"b":null}\n',
    'a column less': '{"a":1}\n',
    'a column more': '{"a":1,"b":null,"c":1}\n',
    'a line break inside of a value': '{"a":{"x":\n1},"b":null}\n',
    'a line that is cut off': '{"a":1,"b":null}',
    'a string that is cut off': '{"a":"x',
    'no array where there should be one': '{"a":1,"b":{"x":1}}\n',
    'an array that does not end': '{"a":1,"b":[1}\n',
    'an escape that JSON does not have': '{"a":"\\x","b":null}\n',
    'a zero character': '{"a":"\\u0000","b":null}\n',
    'no JSON at all': 'a,b\n',
    'what only begins like null': '{"a":nul,"b":null}\n',
  })) {
    test(`are refused: ${what}`, () => {
      assert.throws(
        () => copyRows(columns, content),
        (error) => error instanceof FailureError && error.failure.code === 'bad-line' && !error.failure.transient,
      );
    });
  }

  test('an array that is too wide is refused before it is gathered', () => {
    assert.throws(
      () => copyRows(columns, `{"a":1,"b":[${'1,'.repeat(5000)}1]}\n`, 100),
      (error) => error instanceof FailureError && error.failure.code === 'value-too-wide',
    );
  });
});
