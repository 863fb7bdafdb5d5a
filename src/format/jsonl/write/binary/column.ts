/** Chooses for each column how its binary form becomes JSON; what has no such way is asked of the server as JSON text. */
import type { Column } from '../../../../postgres/columns.ts';
import { binaryArrayEncoder } from './arrays.ts';
import {
  encodeBoolean,
  encodeFloat4,
  encodeFloat8,
  encodeInt2,
  encodeInt4,
  encodeInt8,
  encodeNumeric,
} from './numbers.ts';
import { copyHex, copyJson, copyJsonb, BYTEA_START, encodeBytea, encodeText, encodeUuid, escapeText } from './text.ts';
import type { Encode, Encoder } from './encoder.ts';
import { encodeDate, encodeTime, encodeTimestamp, encodeTimestamptz, encodeTimetz } from './times.ts';
import {
  OP_ARRAY,
  OP_BOOLEAN,
  OP_BYTEA,
  OP_DATE,
  OP_FLOAT4,
  OP_FLOAT8,
  OP_INT2,
  OP_INT4,
  OP_INT8,
  OP_JSON,
  OP_JSONB,
  OP_NUMERIC,
  OP_TEXT,
  OP_TIME,
  OP_TIMESTAMP,
  OP_TIMESTAMPTZ,
  OP_TIMETZ,
  OP_UUID,
} from './wasm/places.ts';

const QUOTE = Buffer.from('"');
const NOTHING = Buffer.alloc(0);

const TEXT: Encoder = {
  encode: encodeText,
  pieces: { start: QUOTE, encode: escapeText, end: QUOTE, skip: 0 },
  element: undefined,
  op: OP_TEXT,
};
const JSON_TEXT: Encoder = {
  encode: copyJson,
  pieces: { start: NOTHING, encode: copyJson, end: NOTHING, skip: 0 },
  element: undefined,
  op: OP_JSON,
};
const BYTEA: Encoder = {
  encode: encodeBytea,
  pieces: { start: BYTEA_START, encode: copyHex, end: QUOTE, skip: 0 },
  element: undefined,
  op: OP_BYTEA,
};
const JSONB: Encoder = {
  encode: copyJsonb,
  pieces: { start: NOTHING, encode: copyJson, end: NOTHING, skip: 1 },
  element: undefined,
  op: OP_JSONB,
};

function fixed(encode: Encode, op: number): Encoder {
  return { encode, pieces: undefined, element: undefined, op };
}

/** By the OID of the type below all domains. */
const BY_OID = new Map<number, Encoder>([
  [16, fixed(encodeBoolean, OP_BOOLEAN)],
  [17, BYTEA],
  [19, TEXT], // name
  [20, fixed(encodeInt8, OP_INT8)],
  [21, fixed(encodeInt2, OP_INT2)],
  [23, fixed(encodeInt4, OP_INT4)],
  [25, TEXT],
  [114, JSON_TEXT],
  [700, fixed(encodeFloat4, OP_FLOAT4)],
  [701, fixed(encodeFloat8, OP_FLOAT8)],
  [1042, TEXT], // bpchar
  [1043, TEXT], // varchar
  [1082, fixed(encodeDate, OP_DATE)],
  [1083, fixed(encodeTime, OP_TIME)],
  [1114, fixed(encodeTimestamp, OP_TIMESTAMP)],
  [1184, fixed(encodeTimestamptz, OP_TIMESTAMPTZ)],
  [1266, fixed(encodeTimetz, OP_TIMETZ)],
  [1700, fixed(encodeNumeric, OP_NUMERIC)],
  [2950, fixed(encodeUuid, OP_UUID)],
  [3802, JSONB],
]);

/** Whether the column is sent in its binary form; if not, the statement asks for `to_json(column)::text`. */
export function hasBinaryEncoder(column: Column): boolean {
  return findEncoder(column) !== undefined;
}

/** The column's encoder; JSON text of the server is copied. */
export function encoderOf(column: Column): Encoder {
  return findEncoder(column) ?? JSON_TEXT;
}

function findEncoder(column: Column): Encoder | undefined {
  if (column.encoding === 'text') return TEXT;
  if (column.elementTypeOid !== null) {
    const element = BY_OID.get(column.elementTypeOid);
    return element === undefined
      ? undefined
      : { encode: binaryArrayEncoder(element.encode), pieces: undefined, element, op: OP_ARRAY + element.op };
  }
  if (column.encoding === 'server') return undefined;
  return column.isEnum ? TEXT : BY_OID.get(column.baseTypeOid);
}
