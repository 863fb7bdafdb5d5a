/** Makes up what a server sends for a binary COPY or a query, byte by byte, and a source that gives it out in slices of any size. */
import type { ByteSource } from '../../src/segment/source/byte-window.ts';
import { commandComplete, message } from './wire.ts';

/** A field as it is on the wire; null is NULL. */
export type Field = Buffer | null;

export const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
export const TRAILER = Buffer.from([0xff, 0xff]);

export function row(...fields: Field[]): Buffer {
  const parts = fields.map((field) => (field === null ? int32(-1) : Buffer.concat([int32(field.length), field])));
  return Buffer.concat([int16(fields.length), ...parts]);
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** Messages of a whole COPY, in their order: the first row comes in one message with the signature, as Postgres sends it. */
export function copyMessages(rows: readonly Buffer[]): Buffer[] {
  const [first, ...rest] = [...rows, TRAILER];
  return [
    message('H', Buffer.from([1]), int16(0)),
    message('d', SIGNATURE, first),
    ...rest.map((bytes) => message('d', bytes)),
    message('c'),
    commandComplete(`COPY ${rows.length}`),
    message('Z', Buffer.from('T')),
  ];
}

/** Messages of the answer to a query whose result is in binary form: it was parsed and bound before. */
export function queryMessages(rows: readonly Buffer[]): Buffer[] {
  return [
    message('1'),
    message('2'),
    ...rows.map((bytes) => message('D', bytes)),
    commandComplete(`SELECT ${rows.length}`),
    message('Z', Buffer.from('T')),
  ];
}

/** Gives `bytes` out in slices, whose sizes come in turn; the memory of a slice is overwritten when the next is asked for. */
export function sliced(bytes: Buffer, sizes: readonly number[]): ByteSource {
  let at = 0;
  let turn = 0;
  let lent = Buffer.alloc(0);
  return {
    next: async () => {
      lent.fill(0xee);
      if (at === bytes.length) throw new Error('the stream has ended');
      const size = sizes[turn % sizes.length] ?? bytes.length;
      lent = Buffer.from(bytes.subarray(at, at + size));
      at += lent.length;
      turn += 1;
      return lent;
    },
  };
}
