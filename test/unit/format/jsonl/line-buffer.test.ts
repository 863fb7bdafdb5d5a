import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { plainBuffers } from '../../../../src/format/jsonl/write/binary/encode-memory.ts';
import { LINE_BUFFERS, LineBuffer } from '../../../../src/format/jsonl/line-buffer.ts';

describe('line buffer', () => {
  const open = (): LineBuffer => new LineBuffer(plainBuffers().lines);

  it('keeps what was taken while as many others are filled as there are buffers besides', () => {
    const lines = open();
    const taken: Buffer[] = [];
    for (let turn = 0; turn < LINE_BUFFERS; turn += 1) {
      lines.add(Buffer.alloc(10, 0x61 + turn));
      taken.push(lines.take());
    }
    assert.deepEqual(
      taken.map((buffer) => buffer.toString()),
      ['aaaaaaaaaa', 'bbbbbbbbbb', 'cccccccccc'],
    );
  });

  it('makes room for a line that is longer than a buffer, and goes back to the buffers behind it', () => {
    const { lines: buffers } = plainBuffers();
    const lines = new LineBuffer(buffers);
    lines.add(Buffer.from('before '));
    lines.add(Buffer.alloc(600_000, 0x78));
    const wide = lines.take();
    assert.equal(wide.length, 600_007);
    assert.equal(wide.toString('utf8', 0, 9), 'before xx');
    assert.equal(lines.bytes, buffers[1]);
    lines.add(Buffer.from('next'));
    assert.equal(lines.take().toString(), 'next');
    assert.equal(wide.toString('utf8', 0, 9), 'before xx');
  });

  it('is full before there is no room for another line', () => {
    const lines = open();
    while (!lines.isFull) lines.add(Buffer.alloc(1000));
    assert.ok(lines.length < lines.bytes.length);
  });
});
