import fc from 'fast-check';

/** Where a code point takes one byte more in UTF-8, with the surrogates, which are no characters of their own, left out. */
const RANGES = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, 0x10ffff],
] as const;

/** Any character. What fast-check calls `binary` is the same, and takes a second of CPU to make its tables. */
export const anyCharacter: fc.Arbitrary<string> = fc
  .oneof(...RANGES.map(([min, max]) => fc.integer({ min, max })))
  .map((point) => String.fromCodePoint(point));
