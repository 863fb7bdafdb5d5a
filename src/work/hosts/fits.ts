/** Whether what a host says of an object can be said of the segment that it was given: a host may err, and the queue may be written to by others. */
import { compareKeys } from '../../ledger/key-order.ts';
import type { ObjectFacts } from '../../segment/task.ts';
import type { HostTask } from './shared.ts';

/** `{}` and a line feed. */
const LEAST_LINE_BYTES = 3;

/** Undefined when it fits; else why not. Where only Postgres knows the order of a key, its bounds are left undecided. */
export function misfitOf(task: HostTask, facts: ObjectFacts): string | undefined {
  const { key, rows, jsonBytes, bytes, firstKey, lastKey, lineDigest } = facts;
  if (key !== task.key) return `it is of the object ${key}`;
  if (rows === 0 ? jsonBytes !== 0 : jsonBytes < rows * LEAST_LINE_BYTES)
    return `${rows} rows cannot have ${jsonBytes} bytes of lines`;
  if (task.compression.codec === 'none' && bytes !== jsonBytes)
    return `an object of ${bytes} bytes cannot have ${jsonBytes} bytes of lines without compression`;
  const length = task.keyColumns.length;
  for (const values of [firstKey, lastKey])
    if (values === null ? rows > 0 && length > 0 : rows === 0 || values.length !== length)
      return `${rows} rows cannot have ${values === null ? 'no key' : `the key (${values.join(', ')})`}`;
  if (task.wantsLineDigest === true && lineDigest === undefined) return 'it has no digest of the lines';
  return outOfRange(task, facts);
}

/** Rows are read in the order of their key where they are cut by it. */
function outOfRange({ columns, keyColumns, origin }: HostTask, { firstKey, lastKey }: ObjectFacts): string | undefined {
  const { range } = origin.part;
  if (range === undefined || firstKey === null || lastKey === null) return undefined;
  const key = keyColumns.flatMap((at) => columns[at] ?? []);
  const compare = (a: readonly string[], b: readonly string[]): number | undefined =>
    compareKeys(asInLines(a, key), asInLines(b, key), key);
  if ((compare(firstKey, lastKey) ?? 0) > 0) return `its first key (${firstKey.join(', ')}) lies above its last`;
  if (range.lower !== null && (compare(firstKey, range.lower) ?? 0) < 0)
    return `its first key (${firstKey.join(', ')}) lies below the segment`;
  if (range.upper !== null && (compare(lastKey, range.upper) ?? -1) >= 0)
    return `its last key (${lastKey.join(', ')}) lies above the segment`;
  return undefined;
}

/** A bound is as Postgres prints the value; a time has another form in a line. */
function asInLines(values: readonly string[], key: readonly { encoding: string }[]): string[] {
  return values.map((value, at) =>
    key[at]?.encoding.startsWith('timestamp') === true ? value.replace(' ', 'T').replace(/\+00$/, '+00:00') : value,
  );
}
