/** Where tables lie in the memory, which is written by the host: this file is compiled for both sides. */

/** For each byte 0 when it stands for itself, 1 for \u00xx, else the letter behind the backslash. */
export const ESCAPES_AT = 0;
/** The hex digits. */
export const HEX_AT = 256;
/** `00` to `99`. */
export const PAIRS_AT = 272;
/** 10^0 to 10^19 as u64. */
export const POWERS_AT = 480;
/** What the last call came to, five numbers of 32 bits at most: of a pass in the order of `PassResult`. */
export const RESULT_AT = 640;
/** The text of the day that was written last. */
export const DAY_AT = 672;
/** Approximations of 10^-292 to 10^324 with 128 bits, the low half first. */
export const APPROXIMATIONS_AT = 704;
export const LOWEST_APPROXIMATION = -292;
export const APPROXIMATIONS = 617;
/** Behind all tables. */
export const TABLES_END = 10_576;

/** How a column's values are encoded. */
export const OP_BOOLEAN = 1;
export const OP_INT2 = 2;
export const OP_INT4 = 3;
export const OP_INT8 = 4;
export const OP_FLOAT4 = 5;
export const OP_FLOAT8 = 6;
export const OP_NUMERIC = 7;
export const OP_TEXT = 8;
export const OP_JSON = 9;
export const OP_JSONB = 10;
export const OP_BYTEA = 11;
export const OP_UUID = 12;
export const OP_DATE = 13;
export const OP_TIMESTAMP = 14;
export const OP_TIMESTAMPTZ = 15;
export const OP_TIME = 16;
export const OP_TIMETZ = 17;
/** Added to the one of the elements. */
export const OP_ARRAY = 32;

/** The most that a byte of a value, or of the four that say its length, becomes; see `worstGrowth` in its test. */
export const WORST_GROWTH = 6;
