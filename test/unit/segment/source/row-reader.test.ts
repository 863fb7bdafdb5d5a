import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FailureError } from '../../../../src/base/errors.ts';
import { BUDGET } from '../../../../src/base/memory-budget.ts';
import type { Column } from '../../../../src/postgres/columns.ts';
import { RowEncoder } from '../../../../src/format/jsonl/write/binary/row-encoder.ts';
import { giveBuffersBack, lendBuffers } from '../../../../src/format/jsonl/write/binary/encode-memory.ts';
import { RowReader } from '../../../../src/segment/source/row-reader.ts';
import { COPY_FORM, QUERY_FORM } from '../../../../src/segment/source/server-messages.ts';
import type { KeySpan, ReadCount } from '../../../../src/segment/source/read-count.ts';
import {
  copyMessages,
  int16,
  int32,
  queryMessages,
  row,
  SIGNATURE,
  sliced,
  TRAILER,
} from '../../../support/copy-stream.ts';
import { commandComplete, message } from '../../../support/wire.ts';

const COLUMNS: Column[] = [
  { name: 'id', baseTypeOid: 23, encoding: 'integer' as const },
  { name: 't', baseTypeOid: 25, encoding: 'string' as const },
].map((column) => ({ type: '', typeOid: 0, elementTypeOid: null, isEnum: false, nullable: true, ...column }));

interface Outcome {
  text: string;
  count: ReadCount;
  keys: KeySpan;
}

async function read(stream: Buffer, sizes: readonly number[] = [stream.length], form = COPY_FORM): Promise<Outcome> {
  const count = { rows: 0 };
  const keys: KeySpan = { first: null, last: null };
  const buffers = lendBuffers();
  try {
    const encoding = { encoder: new RowEncoder(COLUMNS), buffers, subject: 't', keyColumns: [0] };
    const pieces: Buffer[] = [];
    for await (const piece of new RowReader(sliced(stream, sizes), form, encoding, count, keys).read())
      pieces.push(Buffer.from(piece));
    return { text: Buffer.concat(pieces).toString(), count, keys };
  } finally {
    giveBuffersBack(buffers);
  }
}

function rowOf(id: number, text: string | null): Buffer {
  return row(int32(id), text === null ? null : Buffer.from(text));
}

function linesOf(rows: readonly [number, string | null][]): string {
  return rows.map(([id, t]) => `${JSON.stringify({ id, t })}\n`).join('');
}

/** Rows of all sorts: short ones, one as wide as the window, one wider, one whose line is far longer than itself. */
const ROWS: [number, string | null][] = [
  [1, 'a "quoted" é\n'],
  [2, null],
  [3, 'w'.repeat(BUDGET.read.windowBytes - 40)],
  [4, ''],
  [5, 'x'.repeat(BUDGET.read.windowBytes * 3)],
  [6, '\u0001'.repeat(BUDGET.read.windowBytes / 2)],
  [7, 'end'],
];
const MESSAGES = copyMessages(ROWS.map(([id, t]) => rowOf(id, t)));
const WHOLE = Buffer.concat(MESSAGES);
const SHORT = copyMessages([rowOf(1, 'one'), rowOf(2, 'two')]);

function without(index: number): Buffer {
  return Buffer.concat(SHORT.filter((_, at) => at !== index));
}

describe('the reader of a COPY', () => {
  test('gives each row as its line, counts them, and knows the first and the last key', async () => {
    const { text, count, keys } = await read(WHOLE);
    assert.ok(text === linesOf(ROWS), 'the lines differ');
    assert.equal(count.rows, ROWS.length);
    assert.deepEqual(keys, { first: ['1'], last: ['7'] });
  });

  test('gives the same, wherever the network cuts the stream', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, async (slices) => {
        // With small slices alone, the wide rows would take the whole of the test's time.
        const { text, count, keys } = await read(WHOLE, [...slices, 300_000]);
        assert.ok(text === linesOf(ROWS), 'the lines differ');
        assert.equal(count.rows, ROWS.length);
        assert.deepEqual(keys, { first: ['1'], last: ['7'] });
      }),
      { numRuns: 30 },
    );
  });

  test('gives the same, byte by byte', async () => {
    const { text } = await read(Buffer.concat(SHORT), [1]);
    assert.equal(text, '{"id":1,"t":"one"}\n{"id":2,"t":"two"}\n');
  });

  test('takes a wide row as the very first, behind the signature', async () => {
    const rows: [number, string][] = [[9, 'y'.repeat(400_000)]];
    const { text, keys } = await read(Buffer.concat(copyMessages(rows.map(([id, t]) => rowOf(id, t)))), [70_000]);
    assert.ok(text === linesOf(rows), 'the lines differ');
    assert.deepEqual(keys, { first: ['9'], last: ['9'] });
  });

  test('takes a signature in a message of its own, and one without a row', async () => {
    const [open, , ...rest] = copyMessages([]);
    const alone = Buffer.concat([open!, message('d', SIGNATURE), message('d', TRAILER), ...rest]);
    for (const stream of [Buffer.concat(copyMessages([])), alone]) {
      assert.deepEqual(await read(stream, [3]), { text: '', count: { rows: 0 }, keys: { first: null, last: null } });
    }
  });

  test('passes over notices of any length, between rows too', async () => {
    const notice = message('N', Buffer.alloc(500_000, 'n'));
    const { text } = await read(Buffer.concat(SHORT.flatMap((bytes) => [notice, bytes])), [90_000]);
    assert.equal(text, '{"id":1,"t":"one"}\n{"id":2,"t":"two"}\n');
  });
});

describe('the reader of a query', () => {
  const rowsOf = (rows: [number, string | null][]): Buffer[] => queryMessages(rows.map(([id, t]) => rowOf(id, t)));

  test('gives each row as its line, wherever the network cuts the stream', async () => {
    const stream = Buffer.concat(rowsOf(ROWS));
    for (const sizes of [[stream.length], [1, 7, 90_000], [300_000, 5, 65_536]]) {
      const { text, count, keys } = await read(stream, [...sizes, 300_000], QUERY_FORM);
      assert.ok(text === linesOf(ROWS), 'the lines differ');
      assert.equal(count.rows, ROWS.length);
      assert.deepEqual(keys, { first: ['1'], last: ['7'] });
    }
  });

  test('takes one without a row', async () => {
    assert.deepEqual(await read(Buffer.concat(rowsOf([])), [3], QUERY_FORM), {
      text: '',
      count: { rows: 0 },
      keys: { first: null, last: null },
    });
  });

  test('finds by the count of the server that a row, or its word for the end, is missing', async () => {
    const messages = rowsOf([
      [1, 'one'],
      [2, 'two'],
    ]);
    const [, , , , complete, ready] = messages;
    const rest = messages.slice(0, 4);
    for (const stream of [
      messages.filter((_, at) => at !== 3),
      messages.filter((bytes) => bytes !== complete),
      [...rest, commandComplete('SELECT 3'), ready!],
      [...rest, commandComplete('COPY 2'), ready!],
      [...rest, message('s'), ready!],
    ])
      await assert.rejects(
        read(Buffer.concat(stream), undefined, QUERY_FORM),
        (error) =>
          error instanceof FailureError && error.failure.code === 'row-count-mismatch' && error.failure.transient,
      );
  });

  test('refuses a row behind its end, and one whose count of fields is a trailer of COPY', async () => {
    const messages = rowsOf([[1, 'one']]);
    const late = [...messages.slice(0, 4), message('D', rowOf(2, 'two')), ...messages.slice(4)];
    await assert.rejects(read(Buffer.concat(late), undefined, QUERY_FORM), /behind its end/);
    const trailer = [...messages.slice(0, 3), message('D', TRAILER), ...messages.slice(3)];
    await assert.rejects(read(Buffer.concat(trailer), undefined, QUERY_FORM), /65535 fields, not 2/);
  });
});

describe('a COPY that is cut short', () => {
  async function assertMismatch(stream: Buffer): Promise<void> {
    await assert.rejects(
      read(stream),
      (error) =>
        error instanceof FailureError && error.failure.code === 'row-count-mismatch' && error.failure.transient,
    );
  }

  test('by a row is found by the count of the server', () => assertMismatch(without(2)));

  test('by the end that the server declares is found, though all rows came', () => assertMismatch(without(5)));

  test('in the count is found', () =>
    assertMismatch(Buffer.concat([...SHORT.slice(0, 5), commandComplete('COPY 3'), SHORT[6]!])));

  test('with another word in place of the count is found', () =>
    assertMismatch(Buffer.concat([...SHORT.slice(0, 5), commandComplete('SELECT 2'), SHORT[6]!])));

  test('by its trailer is found', async () => {
    await assert.rejects(read(without(3)), /without the trailer/);
    await assertMismatch(Buffer.concat(SHORT.filter((_, at) => at !== 3 && at !== 4)));
  });

  test('by all that follows the rows is the end of the stream', async () => {
    for (let end = 1; end < SHORT.length; end += 1)
      await assert.rejects(read(Buffer.concat(SHORT.slice(0, end))), /the stream has ended/, `${end} messages`);
  });
});

describe('a stream that is no binary COPY', () => {
  for (const [what, stream, message_] of [
    [
      'without the signature',
      Buffer.concat([message('H', Buffer.from([1]), int16(0)), message('d', rowOf(1, 'one'))]),
      /does not begin/,
    ],
    ['with another signature', message('d', Buffer.from(SIGNATURE).fill(0x20, 6, 8), TRAILER), /does not begin/],
    ['in text form', message('H', Buffer.from([0]), int16(0)), /binary form/],
    [
      'with a row of other columns',
      Buffer.concat([message('d', SIGNATURE), message('d', row(int32(1)))]),
      /1 fields, not 2/,
    ],
    [
      'with a row that is longer than its fields',
      message('d', SIGNATURE, rowOf(1, 'one'), Buffer.from('x')),
      /fields of/,
    ],
    [
      'with data behind the trailer',
      Buffer.concat([message('d', SIGNATURE, TRAILER), message('d', rowOf(1, 'x'))]),
      /behind its end/,
    ],
    ['with a message shorter than its header', Buffer.from('S\0\0\0\x01'), /says that it has 2 bytes/],
  ] as const)
    test(`${what} is refused`, async () => {
      await assert.rejects(read(stream), message_);
    });

  test("passes the server's own error on, with its code", async () => {
    const error = message('E', Buffer.from('SERROR\0C57014\0Mcanceled\0Hask\0\0'));
    await assert.rejects(read(Buffer.concat([...SHORT.slice(0, 3), error])), {
      code: '57014',
      message: 'canceled',
      hint: 'ask',
    });
  });
});
