/** Writes lines to a descriptor synchronously, and never throws: a log that cannot be written must not stop the work. */
import { writeSync } from 'node:fs';

const WAIT_MS = 5;

/** A reader that is stuck for longer loses lines: waiting on would freeze the event loop, and with it the daemon. */
const MAX_WAITS_PER_LINE = 200;

/** One descriptor. Lines end with a line break of their own. */
export class LineWriter {
  readonly #fd: number;
  readonly #writeSync: typeof writeSync;
  #linesLost = 0;
  #brokenLine = false;

  /** `write` is there for tests, as a descriptor that fails on demand is hard to come by. */
  constructor(fd: number, write: typeof writeSync = writeSync) {
    this.#fd = fd;
    this.#writeSync = write;
  }

  /** Lines that were not written, or only in part. */
  get linesLost(): number {
    return this.#linesLost;
  }

  write(line: string): void {
    const bytes = Buffer.from(this.#brokenLine ? `\n${line}` : line);
    const written = this.#writeAll(bytes);
    if (written < bytes.length) this.#linesLost += 1;
    // The next line must not be glued to the first half of this one.
    if (written > 0) this.#brokenLine = written < bytes.length;
  }

  /** The count of bytes written before the reader went away, the disk was full, or the wait was over. */
  #writeAll(bytes: Buffer): number {
    let written = 0;
    for (let waits = 0; written < bytes.length && waits < MAX_WAITS_PER_LINE;) {
      try {
        written += this.#writeSync(this.#fd, bytes, written, bytes.length - written);
      } catch (error) {
        if (!isBusy(error)) break;
        waits += 1;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
      }
    }
    return written;
  }
}

/** A pipe that is full, as pipes to a terminal or to a parent process are often non-blocking. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}
