import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BUDGET } from '../../../../src/base/memory-budget.ts';
import { LineScanner } from '../../../../src/format/jsonl/check.ts';
import { scanMemory } from '../../../../src/format/jsonl/scan/scan-memory.ts';
import { FastLineScanner } from '../../../../src/format/jsonl/scan/scanner.ts';
import { anyCharacter } from '../../../support/any-text.ts';
import { triesOf } from '../../../support/thorough.ts';

interface Scan {
  lines: number;
  problems: string[];
  first: (string | undefined)[] | undefined;
  last: (string | undefined)[] | undefined;
}

/** What the scanner in TypeScript says, once the one in WebAssembly was seen to say the same. */
function scan(bytes: Buffer, columns: string[], keys: number[] = [], sizes: readonly number[] = [bytes.length]): Scan {
  const exact = scanBy(LineScanner, bytes, columns, keys, sizes);
  assert.deepEqual(scanBy(FastLineScanner, bytes, columns, keys, sizes), exact);
  return exact;
}

/** Feeds `bytes` in pieces of the given sizes, over and over; each is gone once it was given, as chunks of a decompressor are. */
function scanBy(
  Scanner: typeof LineScanner | typeof FastLineScanner,
  bytes: Buffer,
  columns: string[],
  keys: number[],
  sizes: readonly number[],
): Scan {
  const problems: string[] = [];
  const scanner = new Scanner(columns, keys, (line, message) => problems.push(`${line}: ${message}`));
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? 1);
    const piece = Uint8Array.from(bytes.subarray(at, at + size));
    scanner.add(Buffer.from(piece.buffer));
    piece.buffer.transfer(0);
    at += size;
  }
  scanner.end();
  return { lines: scanner.lines, problems, first: scanner.firstKey, last: scanner.lastKey };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Of pieces: many a line, or all in one. */
const sizes = fc.oneof(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }), fc.constant([10_000]));
/** The first line is left to TypeScript. */
const FIRST = '{"a":0}\n';
const json = fc.oneof(
  fc.json(),
  fc.jsonValue().map((value) => JSON.stringify(value, null, 1).replaceAll('\n', ' ')),
  fc.string({ unit: anyCharacter }).map((text) => JSON.stringify(text)),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
);
/** Texts made of what JSON is made of, most of them wrong. */
const almostJson = fc
  .array(
    fc.constantFrom(...'{}[]:,"\\/-+.0123eEtruefalsn u\t\r'.split(''), '"a"', 'true', 'null', '\\u00e', '1.5', 'é'),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

describe('the line scanner', () => {
  test('takes every value that JSON.parse takes, in pieces of any size', () => {
    fc.assert(
      fc.property(json, json, sizes, (a, b, pieces) => {
        const bytes = Buffer.from(`{"a":${a},"b \\"é\\"":${b}}\n`.repeat(2));
        assert.deepEqual(scan(bytes, ['a', 'b "é"'], [], pieces).problems, []);
      }),
      { numRuns: triesOf(500, 2000) },
    );
  });

  test('refuses every value that JSON.parse refuses', () => {
    fc.assert(
      fc.property(almostJson, sizes, (value, pieces) => {
        const { problems, lines } = scan(Buffer.from(`${FIRST}{"a":${value}}\n`), ['a'], [], pieces);
        assert.equal(problems.length === 0, isJson(value), `${value}: ${problems.join()}`);
        assert.equal(lines, 2);
      }),
      { numRuns: triesOf(1500, 5000) },
    );
  });

  test('takes the numbers and words that JSON.parse takes, and no others', () => {
    const signs = ['', '-', '+', '--'];
    const digits = ['', '0', '00', '01', '7', '10', 'x1'];
    const tails = ['', '.', '.5', '.50', '.5.', 'e', 'e5', 'E+5', 'e-', 'e-0', '.5e7', 'e5.5', 'e5e5', ' ', 'x'];
    const numbers = signs.flatMap((sign) => digits.flatMap((some) => tails.map((tail) => sign + some + tail)));
    const words = ['true', 'tru', 'truex', 'True', 'null', 'nul', 'false', 'NaN', 'Infinity', '-Infinity', 'undefined'];
    for (const value of [...numbers, ...words]) {
      for (const pieces of [[1], [1000]]) {
        const { problems } = scan(Buffer.from(`${FIRST}{"a":${value}}\n`), ['a'], [], pieces);
        assert.equal(problems.length === 0, isJson(value), value);
      }
    }
  });

  test('refuses every byte that is no UTF-8, and takes all others', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 5, min: 0x7e }), sizes, (raw, pieces) => {
        const bytes = Buffer.concat([Buffer.from(`${FIRST}{"a":"`), raw, Buffer.from('"}\n')]);
        const valid = Buffer.from(raw.buffer, raw.byteOffset, raw.length);
        assert.equal(scan(bytes, ['a'], [], pieces).problems.length === 0, Buffer.from(valid.toString()).equals(valid));
      }),
      { numRuns: triesOf(1500, 5000) },
    );
  });

  test('takes the characters that are valid, for each first and second byte', () => {
    const lines: Buffer[] = [Buffer.from(FIRST)];
    const valid: boolean[] = [];
    for (let first = 0x80; first <= 0xff; first += 1)
      for (let second = 0x7f; second <= 0xc1; second += 1)
        for (let rest = 0; rest <= 2; rest += 1) {
          const character = Buffer.from([first, second, 0x80, 0xbf].slice(0, 2 + rest));
          valid.push(Buffer.from(character.toString()).equals(character));
          lines.push(Buffer.concat([Buffer.from('{"a":"'), character, Buffer.from('"}\n')]));
        }
    const bad = new Set(scan(Buffer.concat(lines), ['a']).problems.map((problem) => problem.split(':')[0]));
    assert.deepEqual(
      valid,
      valid.map((_, at) => !bad.has(String(at + 2))),
    );
  });

  test('names each bad line once, and goes on with the next', () => {
    const good = '{"id":1,"v":[1, {"x":"y"}]}\n';
    const bad = [
      '{"id":1}\n',
      '{"id":1,"v":2,"w":3}\n',
      '{"v":1,"id":2}\n',
      '{"id":1,"v":"a\n',
      '\n',
      '{"id":1,"v":2} \n',
      '{"id":01,"v":1}\n',
      '{"id":1,"v":[1}]}\n',
    ];
    for (const line of bad) {
      for (const pieces of [[1], [3], [1000]]) {
        const { problems, lines } = scan(Buffer.from(good + line + good + line + good), ['id', 'v'], [], pieces);
        assert.deepEqual(
          problems.map((problem) => problem.split(':')[0]),
          ['2', '4'],
          line,
        );
        assert.equal(lines, 5);
      }
    }
  });

  test('says at which byte, what stands there and what should', () => {
    const [problem] = scan(Buffer.from('{"id":1,"v":2}\n{"id":7,"w":2}\n'), ['id', 'v'], [], [5]).problems;
    assert.equal(problem, '2: at byte 10 comes w, not ,"v":');
    assert.match(scan(Buffer.from('{"id":1'), ['id']).problems.join(), /^1: the last line has no end$/);
    for (const [rest, told] of [
      [Buffer.from('\u0001'), 'byte 8 comes 0x01, not the rest of a text in quotes'],
      [Buffer.from('a\n'), 'byte 9 comes the end of the line, not the rest of a text in quotes'],
      [Buffer.from([0xff]), 'byte 8 comes 0xff, not a character in UTF-8'],
      [Buffer.from([0xc3, 0x0a]), 'byte 9 comes the end of the line, not the rest of a character in UTF-8'],
    ] as const) {
      const line = Buffer.concat([Buffer.from('{"id":"'), rest]);
      assert.ok(scan(line, ['id']).problems[0]?.endsWith(told), told);
    }
  });

  test('keeps the keys of the first and the last line, wherever the pieces end', () => {
    const texts = ['a', 'é"\\', 'x'.repeat(50), '😀', '', 'last'];
    const lines = texts.map((text, at) => `{"n":${at * 11},"skip":[{"n":0}],"k":${JSON.stringify(text)}}\n`);
    for (let size = 1; size < 60; size += 1) {
      for (let count = 1; count <= lines.length; count += 1) {
        const bytes = Buffer.from(lines.slice(0, count).join(''));
        const { first, last } = scan(bytes, ['n', 'skip', 'k'], [2, 0], [size]);
        const keys = texts.slice(0, count).map((text, at) => [JSON.stringify(text), String(at * 11)]);
        assert.deepEqual(first, keys[0]);
        assert.deepEqual(last, keys.at(-1));
      }
    }
  });

  test('tells a key without the blanks beside it, wherever the pieces end', () => {
    const values = ['1 ', '"a" ', ' true', '[1 ]  ', ' {} '];
    for (const value of values) {
      const bytes = Buffer.from(`{"k":${value},"v":2}\n`);
      for (let size = 1; size <= bytes.length; size += 1)
        assert.deepEqual(scan(bytes, ['k', 'v'], [0], [size]).last, [value.trim()]);
    }
  });

  test('leaves a key undecided that is too long, and that of a bad line', () => {
    const long = Buffer.from(`{"k":"${'x'.repeat(2 * 1024 ** 2)}"}\n{"k":1}\n{"k":\n`);
    const { first, last } = scan(long, ['k'], [0], [64 * 1024]);
    assert.deepEqual(first, [undefined]);
    assert.equal(last, undefined);
  });

  test('follows deep nesting, and refuses what is deeper than any server prints', () => {
    const nested = (depth: number): Buffer => Buffer.from(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}\n`);
    assert.deepEqual(scan(nested(50_000), ['a']).problems, []);
    const mixed = Buffer.from(`{"a":${'[{"b":'.repeat(500)}1${'}]'.repeat(500)}}\n`);
    assert.deepEqual(scan(mixed, ['a']).problems, []);
    assert.match(scan(nested(200_000), ['a']).problems.join(), /no more than 100000 levels/);
  });

  test('takes lines without columns as empty objects', () => {
    assert.deepEqual(scan(Buffer.from('{}\n{}\n'), []).problems, []);
    assert.equal(scan(Buffer.from('{}\n{"a":1}\n'), []).problems.length, 1);
  });

  test('says the same of damaged lines in WebAssembly as in TypeScript', () => {
    const line = fc.tuple(json, fc.oneof({ weight: 3, arbitrary: json }, almostJson));
    const damage = fc.record({ at: fc.nat(), byte: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.array(line, { minLength: 2, maxLength: 12 }),
        fc.array(damage, { maxLength: 3 }),
        fc.array(fc.integer({ min: 20, max: 600 }), { minLength: 1, maxLength: 3 }),
        (lines, damages, pieces) => {
          const bytes = Buffer.from(lines.map(([a, b]) => `{"a":${a},"long name \u{1f600} of it":${b}}\n`).join(''));
          for (const { at, byte } of damages) bytes[at % bytes.length] = byte;
          scan(bytes, ['a', 'long name \u{1f600} of it'], [1, 0], pieces);
        },
      ),
      { numRuns: triesOf(250, 1000) },
    );
  });

  test('says the same of a line with each of its bytes changed, and cut at each', () => {
    const line = Buffer.from('{"id":-1.5e+7,"v":{"a":[true, null,"é\\u00e9\\n"],"ü":{}, "b":[]} }\n');
    for (let at = 0; at < line.length; at += 1) {
      const damaged = Array.from({ length: 256 }, (_, byte) => {
        const copy = Buffer.from(line);
        copy[at] = byte;
        return copy;
      });
      scan(Buffer.concat([line, ...damaged]), ['id', 'v'], [0]);
      scan(Buffer.concat([line, line.subarray(0, at)]), ['id', 'v'], [0]);
    }
  });

  test('takes lines longer than what WebAssembly sees at once', () => {
    const long = Buffer.from(`{"k":1}\n{"k":"${'x'.repeat(BUDGET.scan.contentBytes)}"}\n`);
    const short = Buffer.from(Array.from({ length: 40_000 }, (_, at) => `{"k":${at}}\n`).join(''));
    const { lines, last } = scan(Buffer.concat([long, short]), ['k'], [0]);
    assert.deepEqual([lines, last], [40_002, ['39999']]);
    assert.equal(scan(Buffer.concat([long, short, long]), ['k'], [0]).lines, 40_004);
  });

  test('takes columns of which it has no room in WebAssembly', () => {
    const columns = Array.from({ length: 1600 }, (_, at) => `${at} ${'c'.repeat(58)}`);
    const line = `${JSON.stringify(Object.fromEntries(columns.map((name) => [name, 1])))}\n`;
    assert.deepEqual(scan(Buffer.from(line.repeat(3)), columns).problems, []);
  });
});

test('most lines go through WebAssembly', (t) => {
  const memory = scanMemory();
  assert.ok(memory !== undefined, 'there is no WebAssembly with SIMD here');
  let passes = 0;
  const { scanLines } = memory;
  t.after(() => {
    memory.scanLines = scanLines;
  });
  memory.scanLines = (...given) => {
    passes += 1;
    scanLines(...given);
  };
  const { add } = LineScanner.prototype;
  const seen: string[] = [];
  t.mock.method(LineScanner.prototype, 'add', function add_(this: LineScanner, chunk: Buffer) {
    seen.push(chunk.toString());
    add.call(this, chunk);
  });
  const lines = ['{"a":1}\n', '{"a":"é"}\n', '{"a":[{"b":1.5}]}\n', '{"a":', 'tru', 'e}\n', '{"a":null}\n'];
  const scanner = new FastLineScanner(['a'], [0], (_, message) => assert.fail(message));
  for (const piece of [lines.slice(0, 4).join(''), lines[4]!, lines.slice(5).join('')]) scanner.add(Buffer.from(piece));
  scanner.end();
  assert.deepEqual(seen, [lines[0], '{"a":', 'tru', 'e}\n']);
  assert.deepEqual([passes, scanner.lines, scanner.lastKey], [2, 5, ['null']]);
});
