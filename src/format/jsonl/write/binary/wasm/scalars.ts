/** All values but arrays. */
import { encodeFloat4, encodeFloat8 } from './floats.ts';
import { encodeBytea, encodeUuid } from './hex.ts';
import { encodeInt2, encodeInt4, encodeInt8 } from './integers.ts';
import { encodeNumeric } from './numeric.ts';
import {
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
} from './places.ts';
import { blank, encodeText } from './text.ts';
import { encodeDate, encodeTime, encodeTimestamp, encodeTimetz } from './times.ts';

/** In front of the text; another one would be another form. */
const JSONB_VERSION: u8 = 1;

/** Encodes the value at `at` to memory from `to` on; returns where its JSON ended, and 0 for a value that is left alone. */
export function encodeScalar(op: i32, at: usize, bytes: u32, to: usize): usize {
  switch (op) {
    case OP_BOOLEAN:
      return encodeBoolean(at, bytes, to);
    case OP_INT2:
      return encodeInt2(at, bytes, to);
    case OP_INT4:
      return encodeInt4(at, bytes, to);
    case OP_INT8:
      return encodeInt8(at, bytes, to);
    case OP_FLOAT4:
      return encodeFloat4(at, bytes, to);
    case OP_FLOAT8:
      return encodeFloat8(at, bytes, to);
    case OP_NUMERIC:
      return encodeNumeric(at, bytes, to);
    case OP_TEXT:
      return encodeText(at, at + bytes, to);
    case OP_JSON:
      return blank(at, at + bytes, to);
    case OP_JSONB:
      return bytes == 0 || load<u8>(at) != JSONB_VERSION ? 0 : blank(at + 1, at + bytes, to);
    case OP_BYTEA:
      return encodeBytea(at, bytes, to);
    case OP_UUID:
      return encodeUuid(at, bytes, to);
    case OP_DATE:
      return encodeDate(at, bytes, to);
    case OP_TIMESTAMP:
      return encodeTimestamp(at, bytes, to, false);
    case OP_TIMESTAMPTZ:
      return encodeTimestamp(at, bytes, to, true);
    case OP_TIME:
      return encodeTime(at, bytes, to);
    case OP_TIMETZ:
      return encodeTimetz(at, bytes, to);
    default:
      return 0;
  }
}

function encodeBoolean(at: usize, bytes: u32, to: usize): usize {
  if (bytes != 1) return 0;
  const isTrue = load<u8>(at) != 0;
  store<u32>(to, isTrue ? 0x65757274 : 0x736c6166);
  store<u8>(to, 0x65, 4);
  return to + (isTrue ? 4 : 5);
}
