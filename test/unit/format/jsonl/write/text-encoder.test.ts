import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Column, Encoding } from '../../../../../src/postgres/columns.ts';
import { TextEncoder, type TextRow } from '../../../../../src/format/jsonl/write/text-encoder.ts';

/** Where the encoder cuts long values. */
const PIECE_CHARS = 64 * 1024;

function columnsOf(encodings: Record<string, Encoding>): Column[] {
  const text = { type: 'text', typeOid: 25, baseTypeOid: 25, elementTypeOid: 0, isEnum: false, nullable: true };
  return Object.entries(encodings).map(([name, encoding]) => ({ ...text, name, encoding }));
}

function encode(encodings: Record<string, Encoding>, rows: readonly TextRow[]): Buffer[] {
  return [...new TextEncoder(columnsOf(encodings)).encode(rows)];
}

function textOf(encodings: Record<string, Encoding>, ...rows: TextRow[]): string {
  return Buffer.concat(encode(encodings, rows)).toString();
}

describe('the text encoder', () => {
  test('prints each encoding as row_to_json does', () => {
    for (const [encoding, text, json] of [
      ['boolean', 't', 'true'],
      ['boolean', 'f', 'false'],
      ['integer', '-9223372036854775808', '-9223372036854775808'],
      ['number', '-0.10', '-0.10'],
      ['number', '1e-300', '1e-300'],
      ['number', 'NaN', '"NaN"'],
      ['number', '-Infinity', '"-Infinity"'],
      ['string', 'a"\\\n\u0001é😀\u2028', '"a\\"\\\\\\n\\u0001é😀\u2028"'],
      ['date', '0044-03-15 BC', '"0044-03-15 BC"'],
      ['timestamp', '2024-02-29 12:00:00.5 BC', '"2024-02-29T12:00:00.5 BC"'],
      ['timestamp', 'infinity', '"infinity"'],
      ['timestamptz', '2024-02-29 12:00:00.123456+00', '"2024-02-29T12:00:00.123456+00:00"'],
      ['timestamptz', '0044-03-15 12:00:00+00 BC', '"0044-03-15T12:00:00+00:00 BC"'],
      ['timestamptz', '-infinity', '"-infinity"'],
      ['json', '{"a" :\r\n1}', '{"a" :  1}'],
      ['jsonb', '{"a": 1}', '{"a": 1}'],
      ['server', '["a\\n",\n1]', '["a\\n", 1]'],
    ] as const) {
      assert.equal(textOf({ c: encoding }, [text]), `{"c":${json}}\n`);
      assert.equal(textOf({ c: encoding }, [null]), '{"c":null}\n');
    }
  });

  test('keeps the order of the columns, names that are alike, and names that need escaping', () => {
    assert.equal(
      textOf({ b: 'integer', 'a"\n': 'string' }, ['1', 'x'], ['2', null]),
      '{"b":1,"a\\"\\n":"x"}\n{"b":2,"a\\"\\n":null}\n',
    );
    assert.equal(textOf({}, [], []), '{}\n{}\n');
  });

  test('refuses a row that has too few values', () => {
    assert.throws(() => textOf({ a: 'integer', b: 'integer' }, ['1']), /1 values/);
  });

  test('counts the rows', () => {
    const encoder = new TextEncoder(columnsOf({ a: 'integer' }));
    assert.equal([...encoder.encode([['1'], ['2']]), ...encoder.encode([['3']])].length, 2);
    assert.equal(encoder.rows, 3);
  });

  test('cuts a long value at any place of a surrogate pair without harm', () => {
    for (const before of [PIECE_CHARS - 2, PIECE_CHARS - 1, PIECE_CHARS, 2 * PIECE_CHARS - 2, 2 * PIECE_CHARS - 1]) {
      const text = `${'x'.repeat(before)}😀${'y'.repeat(PIECE_CHARS)}`;
      for (const encoding of ['string', 'text', 'json', 'jsonb', 'server'] as const) {
        const json = encoding === 'string' || encoding === 'text' ? JSON.stringify(text) : text;
        assert.ok(textOf({ c: encoding }, [text]) === `{"c":${json}}\n`, `${encoding}, after ${before}`);
      }
    }
  });

  test('prints long texts as JSON.stringify does, among other columns, in buffers of bounded size', () => {
    const unit = fc.constantFrom('x', '"', '\\', '\n', '\u0001', 'é', '日', '😀');
    const long = fc
      .tuple(fc.integer({ min: PIECE_CHARS - 3, max: 3 * PIECE_CHARS }), fc.array(unit, { minLength: 1 }))
      .map(([length, units]) => {
        const text = units.join('');
        // Cut at any code unit, so that pairs fall on every offset; a half one at the end is not what Postgres has.
        return text
          .repeat(Math.ceil(length / text.length))
          .slice(0, length)
          .toWellFormed();
      });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.option(long), fc.string()), { maxLength: 3 }), (rows) => {
        const texts = rows.map(([a, b]) => [a, b.toWellFormed()] as const);
        const buffers = encode({ a: 'string', b: 'string' }, texts);
        const expected = texts.map(([a, b]) => `${JSON.stringify({ a, b })}\n`).join('');
        assert.ok(Buffer.concat(buffers).toString() === expected, 'the text differs');
        // Six bytes for a character that becomes \u0001, and the text of short columns that is on its way.
        assert.ok(buffers.every((buffer) => buffer.length <= 7 * PIECE_CHARS));
      }),
      { numRuns: 50 },
    );
  });
});
