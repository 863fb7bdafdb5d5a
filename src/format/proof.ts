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

/** The line feeds of some content. The offsets are those of the content, and mean nothing where there are none. */
export interface LineEnds {
  lines: number;
  first: number;
  behindLast: number;
  /** Bytes of the longest line between two of them. */
  longest: number;
}

/** What the JSON Lines are: counted behind the encoder, from its bytes. */
export class ContentProof extends ContentSum {
  lines = 0;
  /** Bytes of the longest line, without its line feed. */
  longestLine = 0;
  /** Where the line begins that is not at its end yet. */
  #lineStart = 0;
  readonly #lookAt: (content: Buffer) => LineEnds | undefined;

  /** `lookAt` is a faster way to find line ends, for content that it knows. */
  constructor(lookAt: (content: Buffer) => LineEnds | undefined = () => undefined) {
    super();
    this.#lookAt = lookAt;
  }

  override add(content: Buffer): void {
    const { lines, first, behindLast, longest } = this.#lookAt(content) ?? lineEndsOf(content);
    if (lines > 0) {
      this.lines += lines;
      this.longestLine = Math.max(this.longestLine, this.bytes + first - this.#lineStart, longest);
      this.#lineStart = this.bytes + behindLast;
    }
    super.add(content);
  }
}

function lineEndsOf(content: Buffer): LineEnds {
  const first = content.indexOf(LINE_FEED);
  let [lines, behindLast, longest] = [0, first + 1, 0];
  for (let at = first; at >= 0; at = content.indexOf(LINE_FEED, behindLast)) {
    if (lines > 0 && at - behindLast > longest) longest = at - behindLast;
    lines += 1;
    behindLast = at + 1;
  }
  return { lines, first, behindLast, longest };
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
