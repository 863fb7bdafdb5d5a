import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { compileModule, MODULES } from '../../../../../.ci/wasm.mjs';
import { BUDGET } from '../../../../../src/base/memory-budget.ts';
import { RowEncoder } from '../../../../../src/format/jsonl/write/binary/row-encoder.ts';
import { RowPass } from '../../../../../src/format/jsonl/write/binary/row-pass.ts';
import {
  giveBuffersBack,
  lendBuffers,
  plainBuffers,
} from '../../../../../src/format/jsonl/write/binary/encode-memory.ts';
import { WASM_MODULE as SCANNER } from '../../../../../src/format/jsonl/scan/wasm-module.ts';
import { WASM_MODULE } from '../../../../../src/format/jsonl/write/binary/wasm-module.ts';
import type { Column } from '../../../../../src/postgres/columns.ts';
import { anyCharacter } from '../../../../support/any-text.ts';
import { int16, int32, row, TRAILER } from '../../../../support/copy-stream.ts';
import { message } from '../../../../support/wire.ts';

const COPY_DATA = 0x64;
const OIDS = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  json: 114,
  float4: 700,
  float8: 701,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  timetz: 1266,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
};
type TypeName = keyof typeof OIDS;

function column(name: string, oid: number, elementTypeOid: number | null = null): Column {
  const facts = { type: '', typeOid: oid, isEnum: false, nullable: true };
  return { ...facts, name, baseTypeOid: oid, elementTypeOid, encoding: elementTypeOid === null ? 'string' : 'server' };
}

/** Numbers such as people have. */
const decimals = fc
  .tuple(fc.integer(), fc.integer({ min: -25, max: 25 }))
  .map(([digits, power]) => Number(`${digits}e${power}`));

/** The bytes of a value, any that the type may have. */
const VALUES: Record<TypeName, fc.Arbitrary<Buffer>> = {
  bool: fc.constantFrom(Buffer.from([0]), Buffer.from([1])),
  bytea: bytes(70),
  int2: fc.integer({ min: 0, max: 0xffff }).map(int16),
  int4: integers(4),
  int8: integers(8),
  text: fc.oneof(
    bytes(70),
    fc
      .array(fc.constantFrom(0, 0x0a, 0x1f, 0x20, 0x22, 0x5c, 0x61, 0xc3), { maxLength: 60 })
      .map((all) => Buffer.from(all)),
    fc.string({ unit: anyCharacter, maxLength: 60 }).map((text) => Buffer.from(text.toWellFormed())),
  ),
  json: fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value, null, '\r\n '))),
  jsonb: fc.jsonValue().map((value) => Buffer.from(`\u0001${JSON.stringify(value)}`)),
  float4: fc.oneof(integers(4), floats(4, fc.float()), floats(4, decimals), floats(4, powers(-149, 127))),
  float8: fc.oneof(integers(8), floats(8, fc.double()), floats(8, decimals), floats(8, powers(-1074, 1023))),
  date: fc.oneof(days(-2_451_545n, 2_145_031_948n, 4), days(-20_000n, 20_000n, 4), infinities(4)),
  timestamp: fc.oneof(
    days(-211_813_488_000_000_000n, 9_223_371_331_199_999_999n, 8),
    days(-2_000_000_000_000_000n, 2_000_000_000_000_000n, 8),
    days(-3000n, 3000n, 8).map((all) => view(8, (data) => data.setBigInt64(0, all.readBigInt64BE() * 86_400_000_000n))),
    infinities(8),
  ),
  timestamptz: days(-211_813_488_000_000_000n, 9_223_371_331_199_999_999n, 8),
  time: days(0n, 86_400_000_000n, 8),
  timetz: fc
    .tuple(days(0n, 86_400_000_000n, 8), fc.integer({ min: -57_599, max: 57_599 }), fc.constantFrom(1, 60, 3600))
    .map(([time, zone, unit]) => Buffer.concat([time, int32(zone - (zone % unit))])),
  numeric: numerics(),
  uuid: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((all) => Buffer.from(all)),
};

function bytes(maxLength: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ maxLength }).map((all) => Buffer.from(all));
}

function view(size: number, set: (data: DataView) => void): Buffer {
  const data = new DataView(new ArrayBuffer(size));
  set(data);
  return Buffer.from(data.buffer);
}

/** Any bits, and numbers of any size. */
function integers(size: 4 | 8): fc.Arbitrary<Buffer> {
  const limit = 1n << BigInt(8 * size - 1);
  return fc
    .tuple(fc.bigInt({ min: -limit, max: limit - 1n }), fc.integer({ min: 0, max: 8 * size - 1 }))
    .map(([value, shift]) => bigEndian(value >> BigInt(shift), size));
}

function bigEndian(value: bigint, size: number): Buffer {
  return view(8, (data) => {
    data.setBigInt64(0, value);
  }).subarray(8 - size);
}

function days(min: bigint, max: bigint, size: 4 | 8): fc.Arbitrary<Buffer> {
  return fc.bigInt({ min, max }).map((value) => bigEndian(value, size));
}

function infinities(size: 4 | 8): fc.Arbitrary<Buffer> {
  const limit = 1n << BigInt(8 * size - 1);
  return fc.constantFrom(-limit, limit - 1n).map((value) => bigEndian(value, size));
}

function floats(size: 4 | 8, values: fc.Arbitrary<number>): fc.Arbitrary<Buffer> {
  return values.map((value) =>
    view(size, (data) => {
      if (size === 4) data.setFloat32(0, value);
      else data.setFloat64(0, value);
    }),
  );
}

/** Those of two, which lie nearer to the float below than to the one above. */
function powers(min: number, max: number): fc.Arbitrary<number> {
  return fc.integer({ min, max }).map((exponent) => 2 ** exponent);
}

function numerics(): fc.Arbitrary<Buffer> {
  const digits = fc.array(fc.integer({ min: 0, max: 9999 }), { maxLength: 8 });
  const finite = fc
    .tuple(digits, fc.integer({ min: -6, max: 9 }), fc.constantFrom(0, 0x4000), fc.oneof(fc.nat(20), fc.nat(300)))
    .map(([groups, weight, sign, scale]) =>
      Buffer.concat([int16(groups.length), int16(weight & 0xffff), int16(sign), int16(scale), ...groups.map(int16)]),
    );
  const special = fc
    .constantFrom(0xc000, 0xd000, 0xf000)
    .map((sign) => Buffer.concat([int16(0), int16(0), int16(sign), int16(0)]));
  return fc.oneof({ weight: 9, arbitrary: finite }, { weight: 1, arbitrary: special });
}

/** An array of one dimension or more; Postgres's empty one has none. */
function arraysOf(element: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const sizes = fc.oneof(fc.constant([]), fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }));
  return fc.tuple(sizes, fc.array(fc.option(element), { minLength: 81, maxLength: 81 })).map(([lengths, all]) => {
    const count = lengths.length === 0 ? 0 : lengths.reduce((product, length) => product * length, 1);
    const elements = all.slice(0, count).map((value) => row(value).subarray(2));
    return Buffer.concat([
      int32(lengths.length),
      int32(0),
      int32(25),
      ...lengths.flatMap((n) => [int32(n), int32(1)]),
      ...elements,
    ]);
  });
}

const TYPES = Object.keys(OIDS) as TypeName[];
const COLUMNS = [
  ...TYPES.map((name) => column(name, OIDS[name])),
  ...TYPES.map((name) => column(`${name} "array" of a long name`, 0, OIDS[name])),
];
const FIELDS = [...TYPES.map((name) => VALUES[name]), ...TYPES.map((name) => arraysOf(VALUES[name]))];

interface Passed {
  rows: number;
  text: string;
  pass: RowPass;
}

describe('rows in WebAssembly', () => {
  const buffers = lendBuffers();
  const lines = buffers.lines[0]!;
  after(() => {
    giveBuffersBack(buffers);
  });

  /** Puts messages into the window, and makes one pass over them. */
  function passOver(
    columns: readonly Column[],
    stream: Buffer,
    { at = 0, to = 0, full = BUDGET.lines.fullBytes } = {},
  ): Passed {
    const pass = RowPass.open(new RowEncoder(columns), buffers, COPY_DATA);
    assert.ok(pass !== undefined, 'this machine has no WebAssembly with SIMD');
    buffers.window.set(stream, at);
    const rows = pass.run(at, at + stream.length, lines, to, full);
    return { rows, text: Buffer.from(lines.subarray(to, pass.length)).toString('latin1'), pass };
  }

  /** The same by the encoders in TypeScript, outside of the memory. */
  function expected(columns: readonly Column[], rows: readonly Buffer[]): string {
    const encoder = new RowEncoder(columns);
    const out = new Uint8Array(BUDGET.lines.bytes);
    let length = 0;
    for (const bytes_ of rows) length = encoder.encode(bytes_, 0, bytes_.length, out, length);
    return Buffer.from(out.subarray(0, length)).toString('latin1');
  }

  function assertSame(columns: readonly Column[], rows: readonly Buffer[], at = 0, to = 0): void {
    const found = passOver(columns, Buffer.concat(rows.map((bytes_) => message('d', bytes_))), { at, to });
    assert.equal(found.text, expected(columns, rows));
    assert.equal(found.rows, rows.length);
  }

  test('are those of the encoders in TypeScript: for any values of every type, and arrays of them', () => {
    const fields = fc.tuple(...FIELDS.map((field) => fc.option(field)));
    fc.assert(
      fc.property(fc.array(fields, { minLength: 1, maxLength: 3 }), fc.nat(40), fc.nat(40), (rows, at, to) => {
        assertSame(
          COLUMNS,
          rows.map((all) => row(...all)),
          at,
          to,
        );
      }),
      { numRuns: 40 },
    );
  });

  for (const name of TYPES)
    test(`are those of the encoders in TypeScript: for any ${name}`, () => {
      const columns = [column('a', OIDS[name])];
      fc.assert(
        fc.property(fc.array(VALUES[name], { minLength: 1, maxLength: 40 }), (values) => {
          assertSame(
            columns,
            values.map((value) => row(value)),
          );
        }),
        { numRuns: 30 },
      );
    });

  test('stop before what is no whole row of these columns, which is left as it is', () => {
    const columns = [column('a', OIDS.int4), column('b', OIDS.text)];
    const good = message('d', row(int32(7), Buffer.from('x')));
    const others = {
      'another message': message('N', Buffer.alloc(20)),
      'the trailer': message('d', TRAILER),
      'an empty message': message('d'),
      'a row of one field': message('d', row(int32(7))),
      'a row of three fields': message('d', row(int32(7), Buffer.from('x'), null)),
      'an int4 of two bytes': message('d', row(int16(7), Buffer.from('x'))),
      'a row that is longer than its fields': message('d', row(int32(7), Buffer.from('x')), Buffer.from('y')),
      'a field that is longer than its row': message('d', int16(2), int32(4), int32(7), int32(2), Buffer.from('x')),
      'a field of two gigabytes': message('d', int16(2), int32(4), int32(7), int32(0x7fffffff), Buffer.from('x')),
      'a message of less than its header': Buffer.concat([Buffer.from('d'), int32(3), Buffer.alloc(20)]),
      'a message of four gigabytes': Buffer.concat([Buffer.from('d'), int32(-1), Buffer.alloc(20)]),
    };
    for (const [what, other] of Object.entries(others)) {
      const { rows, text, pass } = passOver(columns, Buffer.concat([good, good, other, good]));
      assert.deepEqual([rows, text], [2, '{"a":7,"b":"x"}\n'.repeat(2)], what);
      assert.deepEqual([pass.stop, pass.first, pass.last], [2 * good.length, 5, good.length + 5], what);
    }
    for (let end = 0; end < good.length; end += 1) {
      const { rows, pass } = passOver(columns, Buffer.concat([good, good.subarray(0, end)]));
      assert.deepEqual([rows, pass.stop], [1, good.length], `${end} bytes of a row`);
    }
  });

  test('leave values alone that are not as they are sent, and which the encoders in TypeScript refuse', () => {
    const array = (...parts: Buffer[]): Buffer => Buffer.concat([int32(1), int32(0), int32(23), ...parts]);
    const numeric = (...digits: number[]): Buffer => Buffer.concat(digits.map(int16));
    const wrong: [number, number | null, Buffer][] = [
      [OIDS.bool, null, Buffer.alloc(2)],
      [OIDS.float4, null, Buffer.alloc(8)],
      [OIDS.float8, null, Buffer.alloc(4)],
      [OIDS.date, null, Buffer.alloc(8)],
      [OIDS.timestamp, null, Buffer.alloc(4)],
      [OIDS.time, null, Buffer.alloc(12)],
      [OIDS.time, null, bigEndian(86_400_000_001n, 8)],
      [OIDS.timetz, null, Buffer.alloc(8)],
      [OIDS.timetz, null, Buffer.concat([Buffer.alloc(8), int32(86_400)])],
      [OIDS.uuid, null, Buffer.alloc(15)],
      [OIDS.int2, null, Buffer.alloc(4)],
      [OIDS.int4, null, Buffer.alloc(8)],
      [OIDS.int8, null, Buffer.alloc(4)],
      [OIDS.jsonb, null, Buffer.alloc(0)],
      [OIDS.jsonb, null, Buffer.from('\x02{}')],
      [OIDS.numeric, null, Buffer.alloc(7)],
      [OIDS.numeric, null, numeric(2, 0, 0, 0, 1)],
      [OIDS.numeric, null, numeric(1, 0, 0, 0, 10_000)],
      [OIDS.numeric, null, numeric(0, 0, 0xe000, 0)],
      [OIDS.numeric, null, numeric(1, 0, 0x0001, 0, 1)],
      [0, OIDS.int4, Buffer.alloc(11)],
      [0, OIDS.int4, Buffer.concat([int32(7), Buffer.alloc(80)])],
      [0, OIDS.int4, array(int32(2), int32(1), row(int32(7)).subarray(2))],
      [0, OIDS.int4, array(int32(0x7fffffff), int32(1), row(int32(7)).subarray(2))],
      [0, OIDS.int4, array(int32(1), int32(1), int32(9), int32(7))],
      [0, OIDS.int4, array(int32(1), int32(1), row(int32(7)).subarray(2), int32(0))],
      [0, OIDS.int4, array(int32(1), int32(1), int32(-2))],
    ];
    for (const [oid, element, value] of wrong) {
      const { rows } = passOver([column('a', oid, element)], message('d', row(value)));
      assert.equal(rows, 0, `${oid} ${element ?? ''}: ${value.toString('hex')}`);
      assert.throws(
        () => expected([column('a', oid, element)], [row(value)]),
        /an? .* (?:has|is|says) /,
        `${oid} ${element ?? ''}: ${value.toString('hex')}`,
      );
    }
  });

  test('end with the row: fields that lie behind it are none of it, and nothing is written beyond the lines', () => {
    const columns = Array.from({ length: 1600 }, (_, index) => column(`c${index}`, OIDS.int4));
    const names = columns.reduce((sum, { name }) => sum + name.length + '"":,'.length, 0);
    const [, next] = buffers.lines;
    next!.fill(0xee);
    const only = message('d', int16(columns.length));
    const { rows } = passOver(columns, Buffer.concat([only, Buffer.alloc(7000, 0xff)]), {
      to: lines.length - names - 200,
      full: lines.length,
    });
    assert.equal(rows, 0);
    assert.ok(
      next!.every((byte) => byte === 0xee),
      'the next buffer of lines was written to',
    );
    for (const bytes of [-2, -0x80000000, 5, 0x7fffffff]) {
      const one = Buffer.concat([int16(1), int32(bytes), int32(7)]);
      assert.equal(passOver([column('a', OIDS.int4)], message('d', one)).rows, 0);
      assert.throws(() => expected([column('a', OIDS.int4)], [one]), /a field says that it has/);
    }
  });

  test('stop once the lines are full, and begin no row that may have no room: nothing is written beyond', () => {
    const [, next] = buffers.lines;
    const text = Buffer.alloc(300, 1);
    const widest = row(...TYPES.map((name) => (name === 'text' ? text : Buffer.alloc(8, 0xff))));
    const columns = TYPES.map((name) => column(name, name === 'text' ? OIDS.text : OIDS.bytea));
    const line = expected(columns, [widest]).length;
    for (let room = 0; room < 4 * line; room += 7) {
      next!.fill(0xee, 0, 64);
      const to = lines.length - room;
      const stream = Buffer.concat(Array.from({ length: 4 }, () => message('d', widest)));
      const { rows, text: found } = passOver(columns, stream, { to, full: lines.length });
      assert.equal(found.length, rows * line);
      assert.ok(rows * line <= room && room < (rows + 4) * line, `${rows} rows in ${room} bytes`);
      assert.ok(
        next!.subarray(0, 64).every((byte) => byte === 0xee),
        `with room for ${room} bytes`,
      );
    }
    const short = [column('a', OIDS.int4)];
    const stream = Buffer.concat(Array.from({ length: 9 }, () => message('d', row(int32(7)))));
    assert.equal(passOver(short, stream, { full: 17 }).text, '{"a":7}\n'.repeat(3));
    assert.equal(passOver(short, stream, { to: 17, full: 17 }).rows, 0);
  });

  test('take a numeric that is far longer as text where there is room, and leave it alone where there is not', () => {
    const columns = [column('n', OIDS.numeric), column('m', OIDS.numeric)];
    const long = Buffer.concat([int16(1), int16(8000), int16(0), int16(16_000), int16(1)]);
    const line = expected(columns, [row(long, long)]).length;
    assert.ok(line > 96_000);
    assertSame(columns, [row(long, long)]);
    for (const to of [0, 1000, 5000])
      assert.equal(passOver(columns, message('d', row(long, long)), { to: lines.length - line + to }).rows, 0);
  });

  test('know their columns again when other columns were in between, and take no more of them than there is room for', () => {
    const one = RowPass.open(new RowEncoder([column('a', OIDS.int4)]), buffers, COPY_DATA)!;
    const other = RowPass.open(new RowEncoder([column('b', OIDS.int4)]), buffers, COPY_DATA)!;
    const stream = message('d', row(int32(7)));
    buffers.window.set(stream);
    for (const [pass, text] of [
      [one, '{"a":7}\n'],
      [other, '{"b":7}\n'],
      [one, '{"a":7}\n'],
    ] as const) {
      pass.run(0, stream.length, lines, 0, 100);
      assert.equal(Buffer.from(lines.subarray(0, pass.length)).toString(), text);
    }
    const many = Array.from({ length: 1600 }, (_, index) => column(`${index}`.repeat(15), OIDS.int4));
    assert.equal(RowPass.open(new RowEncoder(many), buffers, COPY_DATA), undefined);
    assert.equal(RowPass.open(new RowEncoder([]), buffers, COPY_DATA), undefined);
    assert.equal(RowPass.open(new RowEncoder(many.slice(0, 9)), plainBuffers(), COPY_DATA), undefined);
    assert.equal(one.run(0, stream.length, new Uint8Array(100), 0, 100), 0);
  });
});

test('the modules are what wasm/ compiles to', async () => {
  assert.equal(WASM_MODULE, Buffer.from(await compileModule(MODULES.encoder)).toString('base64'));
  assert.equal(SCANNER, Buffer.from(await compileModule(MODULES.scanner)).toString('base64'));
});
