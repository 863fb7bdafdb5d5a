/** What an encoder of one value is: from the bytes of a binary COPY to the bytes of JSON. */

/** Encodes `source[at, end)` to `out` from `to` on, and returns where it stopped. */
export type Encode = (source: Uint8Array, at: number, end: number, out: Uint8Array, to: number) => number;

/** How a value that does not fit into memory is encoded: what is around it, and each piece of it. */
export interface Pieces {
  start: Uint8Array;
  encode: Encode;
  end: Uint8Array;
  /** Bytes at the start of the value that are not part of it. */
  skip: number;
}

/** A way from a type's binary form to JSON. `pieces` is there for the types whose values may be long, besides arrays. */
export interface Encoder {
  encode: Encode;
  pieces: Pieces | undefined;
  /** The encoder of an array's elements. */
  element: Encoder | undefined;
  /** The same in wasm/, by the codes of places.ts. */
  op: number;
}
