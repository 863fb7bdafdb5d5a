/** What is known of an object that is to be read again. Plain data. */

/** As its manifest says. Digests are lower-case hex. */
export interface ExpectedObject {
  rows: number;
  /** Bytes of JSON Lines. */
  jsonBytes: number;
  /** Size of the object. */
  bytes: number;
  sha256: string;
  crc32: string;
  /** Values of the key columns in the first and the last line; null without a key or without rows. */
  firstKey: readonly string[] | null;
  lastKey: readonly string[] | null;
}
