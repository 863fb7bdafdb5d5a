import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFloat4, formatFloat8 } from '../../../src/format/jsonl/write/binary/floats.ts';
import type { Column } from '../../../src/postgres/columns.ts';
import { testDatabase } from '../../support/postgres.ts';
import { encodeByPass } from '../../support/row-pass.ts';
import { triesOf } from '../../support/thorough.ts';

const COUNT = triesOf(15_000, 80_000);

/** Bit patterns that random ones seldom meet: powers of two, ten and five, their neighbours, and exact ties. */
function hardFloat8s(): number[] {
  const values = [
    0.1,
    0.3,
    1e23,
    9.5e22,
    5e-324,
    2 ** -1022,
    Number.MAX_VALUE,
    1e15,
    1e16,
    123456789012345680,
    0.0001,
    0.00001,
  ];
  for (let exponent = -1074; exponent < 1024; exponent += 1) values.push(2 ** exponent, 3 * 2 ** exponent);
  for (let exponent = -300; exponent < 300; exponent += 1)
    values.push(Number(`1e${exponent}`), Number(`9.5e${exponent}`));
  for (let whole = 2 ** 45; whole < 2 ** 50; whole *= 2)
    values.push(whole + 0.125, whole + 0.375, whole + 0.5, whole + 1.625);
  for (let power = 5; power < 1e22; power *= 5) values.push(power, power * 2, power * 8, power + 1);
  return values.filter(Number.isFinite).flatMap((value) => [value, -value, next(value, 1), next(value, -1)]);
}

function next(value: number, step: 1 | -1): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  view.setBigInt64(0, view.getBigInt64(0) + BigInt(step));
  const neighbour = view.getFloat64(0);
  return Number.isFinite(neighbour) ? neighbour : value;
}

/** A generator with a fixed seed, as the failing value must come again. */
function* randomBits(seed: number): Generator<number, never, undefined> {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    yield (state ^ (state >>> 15)) >>> 0;
  }
}

/** The texts of floats of so many bytes as WebAssembly has them, without the quotes around what is no number. */
function passed(bytes: 4 | 8, values: readonly number[]): string[] {
  const oid = bytes === 8 ? 701 : 700;
  const facts = { type: '', typeOid: oid, elementTypeOid: null, isEnum: false, nullable: true };
  const column: Column = { name: 'f', baseTypeOid: oid, encoding: 'number', ...facts };
  const fields = values.map((value) => {
    const field = Buffer.alloc(bytes);
    if (bytes === 8) field.writeDoubleBE(value);
    else field.writeFloatBE(value);
    return field;
  });
  return encodeByPass(column, fields).map((json) => json.replaceAll('"', ''));
}

function firstDifferences(found: readonly string[], expected: readonly string[]): unknown[] {
  return expected.flatMap((text, index) => (text === found[index] ? [] : [[found[index], text]])).slice(0, 10);
}

test('a float8 is printed as Postgres prints it, for random bits and hard cases', async (t) => {
  const { client } = await testDatabase(t);
  const bits = randomBits(7);
  const view = new DataView(new ArrayBuffer(8));
  const values = hardFloat8s();
  for (let index = 0; index < COUNT; index += 1) {
    view.setUint32(0, bits.next().value);
    view.setUint32(4, bits.next().value);
    values.push(view.getFloat64(0));
  }
  // Numbers of every size that people have: decimals, and what binary makes of them.
  for (let index = 0; index < COUNT; index += 1)
    values.push(bits.next().value / 10 ** (index % 14), bits.next().value / 2 ** (index % 40));
  const { rows } = await client.query<[string]>({
    text: 'SELECT v::text FROM unnest($1::float8[]) WITH ORDINALITY AS t(v, n) ORDER BY n',
    values: [values.map((value) => (Object.is(value, -0) ? '-0' : String(value)))],
    rowMode: 'array',
  });
  const expected = rows.map(([text]) => text);
  assert.deepEqual(firstDifferences(values.map(formatFloat8), expected), []);
  assert.deepEqual(firstDifferences(passed(8, values), expected), [], 'in WebAssembly');
});

test('a float4 is printed as Postgres prints it, for random bits, ties and powers of two', async (t) => {
  const { client } = await testDatabase(t);
  const bits = randomBits(11);
  const view = new DataView(new ArrayBuffer(4));
  const values: number[] = [];
  for (let index = 0; index < COUNT; index += 1) {
    view.setUint32(0, bits.next().value);
    values.push(view.getFloat32(0));
  }
  for (let exponent = -149; exponent < 128; exponent += 1)
    values.push(2 ** exponent, -(2 ** exponent), Math.fround(3 * 2 ** exponent));
  for (let index = 0; index < COUNT; index += 1) {
    const value = bits.next().value;
    values.push(Math.fround((value % 8_000_000) / 8), Math.fround(value / 10 ** (index % 12)));
  }
  const { rows } = await client.query<[string]>({
    text: 'SELECT v::float4::text FROM unnest($1::float8[]) WITH ORDINALITY AS t(v, n) ORDER BY n',
    values: [values.map((value) => (Object.is(value, -0) ? '-0' : String(value)))],
    rowMode: 'array',
  });
  const expected = rows.map(([text]) => text);
  assert.deepEqual(firstDifferences(values.map(formatFloat4), expected), []);
  assert.deepEqual(firstDifferences(passed(4, values), expected), [], 'in WebAssembly');
});
