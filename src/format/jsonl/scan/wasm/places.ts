/** Where everything lies in the memory of the scanner: this file is compiled for both sides. */

/** What a pass came to: three numbers of 32 bits. */
export const RESULT_AT = 0;
/** What is open inside of a column's value; by level, 1 for an object. */
export const LEVELS_AT = 64;
/** A line that nests deeper is left to the scanner in TypeScript. */
export const MAX_LEVELS = 1984;
/** Where the values of a key stand: first and last place of each, of two lines. */
export const KEYS_AT = 2048;
export const KEYS_BYTES = 63_488;
/** What is told of the columns. */
export const PROGRAM_AT = 65_536;
export const PROGRAM_BYTES = 65_536;
/** The lines. */
export const CONTENT_AT = 131_072;
/** The functions read so much at once, also at the end. */
export const STEP_BYTES = 16;
