import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FrameFollower } from '../../../../src/segment/source/row-guard.ts';

interface Frame {
  type: number;
  body: Uint8Array;
}

function encode({ type, body }: Frame): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(type);
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

/** Type and size on the wire of each frame that is seen when the stream comes in these pieces. */
function follow(pieces: readonly Buffer[]): [number, number][] {
  const seen: [number, number][] = [];
  const follower = new FrameFollower((type, bytes) => seen.push([type, bytes]));
  for (const piece of pieces) follower.push(piece);
  return seen;
}

// Bodies are full of what looks like headers.
const frames: Frame[] = [
  { type: 0x44, body: Buffer.from('D\0\0\0\x05DD\0\0\0\x04') },
  { type: 0x5a, body: Buffer.alloc(0) },
  { type: 0x44, body: Buffer.alloc(300, 'D') },
  { type: 0x43, body: Buffer.from('SELECT 2\0') },
];
const stream = Buffer.concat(frames.map(encode));
const expected = frames.map(({ type, body }) => [type, body.length + 5]);

describe('the follower of frames', () => {
  test('sees each message once, when the stream comes whole', () => {
    assert.deepEqual(follow([stream]), expected);
  });

  test('sees the same when the stream is cut at any byte', () => {
    for (let at = 0; at <= stream.length; at += 1)
      assert.deepEqual(follow([stream.subarray(0, at), stream.subarray(at)]), expected, `cut at ${at}`);
  });

  test('sees the same when the stream comes byte by byte', () => {
    assert.deepEqual(follow([...stream].map((byte) => Buffer.of(byte))), expected);
  });

  test('sees the same for any frames, cut anywhere', () => {
    const frame = fc.record({ type: fc.integer({ min: 0, max: 255 }), body: fc.uint8Array({ maxLength: 40 }) });
    fc.assert(
      fc.property(fc.array(frame), fc.array(fc.nat(20)), (some, steps) => {
        let rest = Buffer.concat(some.map(encode));
        const pieces: Buffer[] = [];
        for (const step of steps) {
          pieces.push(rest.subarray(0, step));
          rest = rest.subarray(step);
        }
        assert.deepEqual(
          follow([...pieces, rest]),
          some.map(({ type, body }) => [type, body.length + 5]),
        );
      }),
    );
  });

  test('tells the size of a message as soon as its header is in, long before its end', () => {
    assert.deepEqual(follow([Buffer.from([0x44, 0x7f, 0xff, 0xff, 0xff])]), [[0x44, 2 ** 31]]);
    assert.deepEqual(follow([Buffer.from([0x44, 0x7f, 0xff, 0xff])]), []);
  });
});
