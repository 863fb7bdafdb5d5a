/** Counts and digests that prove an object: taken from the bytes themselves, apart from the stages that made them. */
import { createHash } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { formatCount } from '../base/units.ts';
import { crc32Of } from './compress/isal.ts';

const LINE_FEED = 0x0a;

/** Size and CRC-32 of the JSON Lines. */
export class ContentSum {
  bytes = 0;
  checksum = 0;

  add(content: Buffer): void {
    this.addSummed(content.length, crc32Of(content, this.checksum));
  }

  /** Content of which `checksum` is the sum, with all that came before. */
  addSummed(bytes: number, checksum: number): void {
    this.bytes += bytes;
    this.checksum = checksum;
  }

  /** Eight hex digits. */
  get crc32(): string {
    return this.checksum.toString(16).padStart(8, '0');
  }
}

/** What the JSON Lines are: counted behind the encoder, from its bytes. */
export class ContentProof extends ContentSum {
  lines = 0;
  /** Bytes of the longest line, without its line feed. */
  longestLine = 0;
  /** Where the line begins that is not at its end yet. */
  #lineStart = 0;

  override add(content: Buffer): void {
    for (let at = content.indexOf(LINE_FEED); at >= 0; at = content.indexOf(LINE_FEED, at + 1)) {
      this.lines += 1;
      const end = this.bytes + at;
      if (end - this.#lineStart > this.longestLine) this.longestLine = end - this.#lineStart;
      this.#lineStart = end + 1;
    }
    super.add(content);
  }
}

/** What the stored object is: counted behind the compressor. */
export class ObjectProof {
  bytes = 0;
  readonly #sha256 = createHash('sha256');

  add(content: Buffer): void {
    this.bytes += content.length;
    this.#sha256.update(content);
  }

  /** 64 hex digits; to be called once, at the end. */
  digest(): string {
    return this.#sha256.digest('hex');
  }
}

/** Throws unless rows read = rows encoded = lines in the object. Called before an upload is completed. */
export function checkRowCounts(subject: string, counts: { read: number; encoded: number; lines: number }): void {
  if (counts.read === counts.encoded && counts.encoded === counts.lines) return;
  throw fail(
    { code: 'row-count-mismatch', transient: false },
    {
      stage: 'encode',
      message:
        `${subject}: ${formatCount(counts.read)} rows were read, ${formatCount(counts.encoded)} encoded, ` +
        `and the object has ${formatCount(counts.lines)} lines; nothing was stored`,
      hint: 'This is a defect in pgsluice. Please report it, with the table definition.',
    },
  );
}
