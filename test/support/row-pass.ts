/** Values as WebAssembly encodes them, without a server: one column, a row for each. */
import assert from 'node:assert/strict';
import { RowEncoder } from '../../src/format/jsonl/write/binary/row-encoder.ts';
import { RowPass } from '../../src/format/jsonl/write/binary/row-pass.ts';
import { giveBuffersBack, lendBuffers } from '../../src/format/jsonl/write/binary/encode-memory.ts';
import type { Column } from '../../src/postgres/columns.ts';
import { row } from './copy-stream.ts';
import { message } from './wire.ts';

/** So many lines of short values fit into a buffer, and so many rows into the window. */
const ROWS_AT_ONCE = 4000;

/** The JSON of each value, in latin1. */
export function encodeByPass(column: Column, values: readonly Buffer[]): string[] {
  const buffers = lendBuffers();
  try {
    const pass = RowPass.open(new RowEncoder([column]), buffers, 0x64);
    assert.ok(pass !== undefined, 'there is no WebAssembly with SIMD here');
    const frame = JSON.stringify({ [column.name]: '' }).indexOf('""');
    const found: string[] = [];
    for (let first = 0; first < values.length; first += ROWS_AT_ONCE) {
      const rows = values.slice(first, first + ROWS_AT_ONCE).map((value) => message('d', row(value)));
      const stream = Buffer.concat(rows);
      buffers.window.set(stream);
      const [lines] = buffers.lines;
      assert.equal(pass.run(0, stream.length, lines!, 0, lines!.length), rows.length);
      const text = Buffer.from(lines!.subarray(0, pass.length)).toString('latin1');
      found.push(
        ...text
          .trimEnd()
          .split('\n')
          .map((line) => line.slice(frame, -1)),
      );
    }
    return found;
  } finally {
    giveBuffersBack(buffers);
  }
}
