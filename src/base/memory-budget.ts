/**
 * Every buffer by its name. The stages allocate by these numbers, and `check` adds up the same ones: whoever needs memory
 * that does not lie in the heap of a worker declares it here. Heaps are bounded by the config; see config/memory-sum.ts.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Sizes in bytes; the others are counts. */
export const BUDGET = Object.freeze({
  /** The main process without workers: V8, the libraries' code, connections and the HTTP page. Measured. */
  main: Object.freeze({ bytes: 110 * MIB }),

  /** The client of the queue of other hosts: pg-boss, its connections and what waits in them. */
  queue: Object.freeze({ bytes: 24 * MIB }),

  /**
   * Of a run in the main process: its plan, what lay in its folder and its receipts, packed; its manifest is made of them a piece at a
   * time. Measured with 400,000 segments, from the first receipt to the manifest that was read back: 459 bytes of resident memory a
   * segment. A run that holds more says so (run/held-bytes.ts).
   */
  segments: Object.freeze({
    bytes: 600,
    /** What a plan aims for at most; a table with more leaves than that has a segment for each that is large. */
    planned: 10_000,
    /** The most values that a run may have folders of; each has a segment. */
    values: 100_000,
  }),

  /** From the socket to the encoder. */
  read: Object.freeze({
    /** What one read takes from the kernel. */
    socketBytes: 128 * KIB,
    /**
     * With TLS: the ring that records are gathered in. Where Node has not what that takes: what may wait before the socket is paused, and
     * what goes beyond that, the last chunk and one in the socket.
     */
    waitingBytes: 256 * KIB,
    surplusBytes: 128 * KIB,
    /** Room for a row and what came behind it. A row that is wider goes through in pieces. */
    windowBytes: 256 * KIB,
  }),

  /** Of the encoder, beside the window and the lines. */
  encode: Object.freeze({
    tableBytes: 16 * KIB,
    /** What it is told of the columns. With more of them, or longer names, rows are encoded in another way. */
    programBytes: 64 * KIB,
  }),

  /** From the encoder to the compressor. */
  lines: Object.freeze({
    /** One is filled, and the others are with the compressor, whose thread so has work while this one is busy. */
    buffers: 3,
    /** More than what is handed on at once, so that the last line mostly fits. */
    bytes: 576 * KIB,
    /** A buffer is handed on once it holds so much. */
    fullBytes: 512 * KIB,
    /** The longest line that is made in one go, behind what the buffer holds already. */
    longestBytes: 640 * KIB,
  }),

  /** Slices of what a compressor has made; a slice is copied into a part, or written, at once. */
  slice: Object.freeze({ bytes: 128 * KIB }),

  isal: Object.freeze({
    /** The struct has 83 KB; there is room for a later version of the same ABI. */
    streamBytes: 128 * KIB,
    /** What ISAL_DEF_LVL3_LARGE asks for, and the other levels less. */
    levelBytes: (4 + 16 + 64 + 256) * KIB,
    inputBytes: 256 * KIB,
  }),

  /** Of ISA-L, for one object that is read. */
  inflate: Object.freeze({
    /** That are read at once in one thread. */
    objects: 2,
    /** The struct has 87 KB; there is room for a later version of the same ABI. */
    stateBytes: 128 * KIB,
    inputBytes: 64 * KIB,
    outputBytes: 256 * KIB,
  }),

  /** Of one block that is deflated: memLevel 9, the largest window. 348 KiB were measured. */
  deflate: Object.freeze({ stateBytes: 384 * KIB }),

  /** What a zstd stream has besides its window and tables, which depend on the level. 300 KiB were measured. */
  zstd: Object.freeze({ stateBytes: 512 * KIB }),

  /** Parts of one upload that are alive at the same time. */
  parts: Object.freeze({
    /** On their way: the most of them, where `partsInFlight` is auto. */
    onTheWay: 6,
    /** The next one, as it fills. */
    inTheMaking: 1,
  }),

  /** Of a purge, in the main process: the keys and digests of an object's lines, however many it has. The daemon makes one at a time. */
  purge: Object.freeze({
    lines: 750_000,
    /** The digest, the size, and where the values of the key end. */
    lineBytes: 40,
    /** Values of the key, as text; twice, while they get more room. */
    keyBytes: 16 * MIB,
  }),

  /** Lines that are checked at once, in WebAssembly, and what else is in that memory, of which a thread has one. */
  scan: Object.freeze({ contentBytes: 256 * KIB, tableBytes: 192 * KIB }),

  /** From an object back to its rows, for `restore` and `verify`. */
  unpack: Object.freeze({
    /** What is read of a file at once; an S3 socket gives less. */
    readBytes: 256 * KIB,
    /** What a decompressor gives at once. */
    contentBytes: 128 * KIB,
    /** Window of a zstd that is read, of the levels up to 19. Those above take up to 16 times as much; they count where the config has them. */
    windowBytes: 8 * MIB,
    /** Of one object at the same time: rows that are too long for COPY need their lengths first. */
    readings: 2,
    /** Such pieces, and the rows that are made of them, as they wait between the stages. */
    waiting: 8,
    /** Copies of an array or a composite outside of the heap: its pieces, and what they are joined to. */
    valueCopies: 2,
  }),
});

export type Budget = typeof BUDGET;

/** Parts of one upload that may be on their way at once, for what a config says of it. */
export function mostPartsOnTheWay(partsInFlight: number | 'auto', { parts }: Budget = BUDGET): number {
  return partsInFlight === 'auto' ? parts.onTheWay : partsInFlight;
}

/** The most that a buffer of lines comes to hold: it was nearly full when the longest line came. */
export function widestLinesBytes({ lines }: Budget): number {
  return lines.fullBytes + lines.longestBytes;
}

/**
 * Bytes on the wire of the widest row that a worker reads through a cursor. The driver holds a row as bytes and as text of
 * up to twice the size, and the row before it may not be collected yet: a quarter of the heap leaves room for all that.
 */
export function maxRowBytes(maxOldGenerationSizeMb: number): number {
  return (maxOldGenerationSizeMb * MIB) / 4;
}
