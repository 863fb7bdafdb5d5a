import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineKeys } from '../../../src/purge/line-keys.ts';
import { anyCharacter } from '../../support/any-text.ts';

const NAMES = ['a:,"{[', 'k', 'b', 'l'];

/** Reads such lines in pieces of that size. */
function read(lines: readonly string[], places: readonly number[], size: number, mostBytes = 1e6): LineKeys {
  const keys = new LineKeys(places, lines.length, mostBytes);
  for (const line of lines) {
    const bytes = Buffer.from(line);
    keys.beginLine();
    for (let at = 0; at < bytes.length; at += size) keys.add(bytes, at, Math.min(bytes.length, at + size));
  }
  return keys;
}

/** As Postgres takes an array apart. */
function elementsOf(array: string): (string | null)[] {
  const elements = array.slice(1, -1).match(/"(?:[^"\\]|\\.)*"|[^,]+/gsu) ?? [];
  return elements.map((element) => {
    if (element.startsWith('"')) return element.slice(1, -1).replaceAll(/\\(.)/gsu, '$1');
    return element === 'null' ? null : element;
  });
}

const scalar = fc.oneof(fc.string({ unit: anyCharacter }), fc.integer(), fc.boolean(), fc.constant(null));

test('values of the key are an array as Postgres reads it, whatever stands beside them and wherever the pieces end', () => {
  const row = fc.tuple(fc.json(), scalar, fc.json(), scalar);
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 40 }), (rows, size) => {
      const lines = rows.map(([a, k, b, l]) => {
        const values = [a, JSON.stringify(k), b, JSON.stringify(l)];
        return `{${NAMES.map((name, at) => `${JSON.stringify(name)}:${values[at]}`).join(',')}}`;
      });
      const keys = read(lines, [3, 1], size);
      for (const [part, place] of [3, 1].entries()) {
        const wanted = rows.map((values) => (values[place] === null ? null : String(values[place])));
        assert.deepEqual(elementsOf(keys.values[part]!.slice(0, rows.length)), wanted);
      }
    }),
  );
});

test('of what does not fit, no line is given', () => {
  const lines = Array.from({ length: 100 }, (_, at) => `{"k":"${at}\\n","l":${at}}`);
  const keys = read(lines, [0, 1], 7, 200);
  assert.equal(keys.isFull, true);
  assert.ok(keys.count > 5 && keys.count < 30, `${keys.count} lines`);
  assert.equal(keys.values[1]!.slice(4, 6), '{4,5}');
  assert.deepEqual(elementsOf(keys.values[0]!.slice(4, 6)), ['4\n', '5\n']);
  assert.throws(() => keys.values[0]!.slice(0, 100), RangeError);
});
