/** The numbers that memory is added up from; `check` prints the sum, and the data plane allocates by the same numbers. */

const MIB = 1024 ** 2;

/** All in bytes, except `partsInFlight`. */
export const MEMORY = Object.freeze({
  /** The main process without workers: V8, the libraries' code, connections and the HTTP page. Measured. */
  baseBytes: 110 * MIB,
  /** Rows on their way from the socket to the compressor: the window, three buffers of lines, and what they may grow to. */
  batchBytes: 8 * MIB,
  /** Parts of one upload that are alive at the same time: two on their way, one filling, and its copy. */
  partsInFlight: 4,
  /** The states and the output buffers of one compressor; zlib works on two blocks at once. */
  compressorBytes: 2 * MIB,
});

/**
 * Bytes on the wire of the widest row that a worker reads through a cursor. The driver holds a row as bytes and as text of
 * up to twice the size, and the row before it may not be collected yet: a quarter of the heap leaves room for all that.
 */
export function maxRowBytes(maxOldGenerationSizeMb: number): number {
  return (maxOldGenerationSizeMb * MIB) / 4;
}

/** What the process needs without any worker, in bytes. */
export const BASE_BYTES = MEMORY.baseBytes;
