/** Messages of the Postgres protocol: a byte of type, four of length, then the body. */

export function message(type: string, ...body: Buffer[]): Buffer {
  const bytes = Buffer.concat(body);
  const header = Buffer.alloc(5);
  header.write(type, 'latin1');
  header.writeInt32BE(bytes.length + 4, 1);
  return Buffer.concat([header, bytes]);
}

/** CommandComplete, with a tag such as `COPY 12`. */
export function commandComplete(tag: string): Buffer {
  return message('C', Buffer.from(`${tag}\0`));
}
