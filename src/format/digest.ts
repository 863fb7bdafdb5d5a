/** A digest of lines that does not depend on their order, and that the server can compute of its rows as well. */
import { createHash, hash, type Hash } from 'node:crypto';

const LINE_FEED = 0x0a;

/** The sum, modulo 2^64, of the first eight bytes of the MD5 of each line, without its line feed. Not against forgery. */
export class LineDigest {
  #sum = 0n;
  /** Of the line that the last buffer broke off in. */
  #begun: Hash | undefined;

  /** Buffers may end anywhere, and may be used again afterwards. */
  add(content: Buffer): void {
    let start = 0;
    for (let end = content.indexOf(LINE_FEED); end >= 0; end = content.indexOf(LINE_FEED, start)) {
      this.#addLine(content.subarray(start, end));
      start = end + 1;
    }
    if (start < content.length) this.#begun = (this.#begun ?? createHash('md5')).update(content.subarray(start));
  }

  /** An unsigned number in decimal. */
  get value(): string {
    return BigInt.asUintN(64, this.#sum).toString();
  }

  #addLine(end: Buffer): void {
    const md5 = this.#begun === undefined ? hash('md5', end, 'buffer') : this.#begun.update(end).digest();
    this.#begun = undefined;
    this.#sum += md5.readBigUInt64BE(0);
  }
}

/** Passes the lines on, and adds them to `digest`. */
export async function* digestLines(
  lines: AsyncIterable<Buffer>,
  digest: LineDigest,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const buffer of lines) {
    digest.add(buffer);
    yield buffer;
  }
}
