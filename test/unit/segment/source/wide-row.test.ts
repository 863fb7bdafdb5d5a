import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LineBuffer } from '../../../../src/format/jsonl/line-buffer.ts';
import { RowEncoder } from '../../../../src/format/jsonl/write/binary/row-encoder.ts';
import { plainBuffers } from '../../../../src/format/jsonl/write/binary/encode-memory.ts';
import type { Column } from '../../../../src/postgres/columns.ts';
import { ByteWindow } from '../../../../src/segment/source/byte-window.ts';
import { encodeWideRow } from '../../../../src/segment/source/wide-row.ts';
import { type Field, int32, row, sliced } from '../../../support/copy-stream.ts';

/** Above this, a value passes in pieces. */
const WHOLE_BYTES = 64 * 1024;

const TEXT = 25;
const COLUMNS: Column[] = [
  { name: 'id', baseTypeOid: 23, elementTypeOid: null },
  { name: 'text', baseTypeOid: TEXT, elementTypeOid: null },
  { name: 'bytes', baseTypeOid: 17, elementTypeOid: null },
  { name: 'json', baseTypeOid: 114, elementTypeOid: null },
  { name: 'jsonb', baseTypeOid: 3802, elementTypeOid: null },
  { name: 'texts', baseTypeOid: 1009, elementTypeOid: TEXT },
].map((column) => ({ type: '', typeOid: 0, isEnum: false, nullable: true, encoding: 'string' as const, ...column }));
const ENCODER = new RowEncoder(COLUMNS);

/** An array of these dimensions; its elements come one row after the other. */
function array(dimensions: readonly number[], elements: readonly Field[]): Buffer {
  const header = [int32(dimensions.length), int32(0), int32(TEXT)];
  const sizes = dimensions.flatMap((length) => [int32(length), int32(1)]);
  return Buffer.concat([
    ...header,
    ...sizes,
    ...elements.map((field) => (field === null ? int32(-1) : lengthAnd(field))),
  ]);
}

function lengthAnd(field: Buffer): Buffer {
  return Buffer.concat([int32(field.length), field]);
}

/** What the encoder of whole rows makes of it, given all the room that it takes. */
function encodeWhole(bytes: Buffer): string {
  const needed = ENCODER.encode(bytes, 0, bytes.length, new Uint8Array(0), 0);
  const out = new Uint8Array(needed);
  ENCODER.encode(bytes, 0, bytes.length, out, 0);
  return Buffer.from(out).toString();
}

async function encodeInPieces(
  bytes: Buffer,
  sizes: readonly number[],
): Promise<{ line: string; short: Map<number, string> }> {
  const { window: room, lines: buffers } = plainBuffers();
  const window = new ByteWindow(sliced(bytes, sizes), room);
  const lines = new LineBuffer(buffers);
  const short = new Map<number, string>();
  const passage = { window, lines, onShortValue: (column: number, json: Buffer) => short.set(column, json.toString()) };
  const pieces: Buffer[] = [];
  for await (const piece of encodeWideRow(passage, ENCODER, bytes.length)) pieces.push(Buffer.from(piece));
  assert.equal(window.length, 0, 'bytes of the row are left');
  return { line: Buffer.concat([...pieces, lines.take()]).toString(), short };
}

async function assertSame(fields: Field[], sizes: readonly number[] = [100_000]): Promise<void> {
  const bytes = row(...fields);
  const { line } = await encodeInPieces(bytes, sizes);
  assert.ok(line === encodeWhole(bytes), 'the lines differ');
}

const NULLS: Field[] = COLUMNS.map(() => null);
const at = (column: number, field: Field): Field[] => NULLS.map((empty, index) => (index === column ? field : empty));

describe('a row that is encoded in pieces', () => {
  const long = 'é"\\\n\u0001日😀'.repeat(40_000);
  for (const [what, fields] of [
    ['of nothing but NULL', NULLS],
    ['with a long text', at(1, Buffer.from(long))],
    ['with a text of control characters as long as what is encoded whole', at(1, Buffer.alloc(WHOLE_BYTES, 1))],
    ['with a text one byte above that', at(1, Buffer.alloc(WHOLE_BYTES + 1, 1))],
    ['with a long bytea', at(2, Buffer.alloc(500_000, 0xa5))],
    ['with a long json', at(3, Buffer.from(`[${'1,\n'.repeat(100_000)}2]`))],
    ['with a long jsonb', at(4, Buffer.concat([Buffer.of(1), Buffer.from(`"${'x'.repeat(300_000)}"`)]))],
    ['with an empty array', at(5, array([], []))],
    ['with an array of long and short elements', at(5, array([3], [Buffer.from(long), null, Buffer.from('short')]))],
    [
      'with many elements',
      at(
        5,
        array(
          [50_000],
          Array.from({ length: 50_000 }, (_, index) => Buffer.from(`${index}`)),
        ),
      ),
    ],
    [
      'with dimensions',
      at(
        5,
        array(
          [2, 3],
          ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) => Buffer.from(letter)),
        ),
      ),
    ],
    [
      'with everything',
      [int32(7), ...Array.from({ length: 2 }, () => Buffer.from(long)), Buffer.from('{}'), null, null],
    ],
  ] as [string, Field[]][])
    test(`is the same line, ${what}`, () => assertSame(fields));

  test('is the same line, wherever the network cuts it', async () => {
    const field = fc.option(fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)));
    const dimensions = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 });
    const texts = dimensions.chain((lengths) => {
      const count = lengths.reduce((product, length) => product * length, 1);
      return fc.array(field, { minLength: count, maxLength: count }).map((elements) => array(lengths, elements));
    });
    const fields = fc.tuple(fc.constant(int32(1)), field, field, field, fc.constant(null), fc.option(texts));
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 });
    await fc.assert(fc.asyncProperty(fields, sizes, (some, slices) => assertSame(some, slices)));
  });

  test('tells the values that are not long, for the key', async () => {
    const { short } = await encodeInPieces(
      row(int32(7), Buffer.from(long), null, Buffer.from('{}'), null, array([], [])),
      [9999],
    );
    assert.deepEqual(
      [...short],
      [
        [0, '7'],
        [2, 'null'],
        [3, '{}'],
        [4, 'null'],
      ],
    );
  });
});

describe('a row that is no row', () => {
  test('of other columns is refused', async () => {
    await assert.rejects(encodeInPieces(row(int32(1)), [50]), /other columns/);
  });

  test('whose field is longer than itself is refused, before the field is waited for', async () => {
    const bytes = Buffer.concat([row(...NULLS).subarray(0, 2), int32(1_000_000)]);
    await assert.rejects(encodeInPieces(bytes, [50]), /longer fields than itself/);
  });

  test('that is longer than its fields is refused', async () => {
    await assert.rejects(encodeInPieces(Buffer.concat([row(...NULLS), Buffer.from('x')]), [50]), /has fields of/);
  });
});
