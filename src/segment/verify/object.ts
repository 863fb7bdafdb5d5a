/** Reads one object of a run again, whole and streaming, and compares it with what the manifest says of it. */
import { FailureError } from '../../base/errors.ts';
import { countOf, formatCount } from '../../base/units.ts';
import { codecOf } from '../../format/compress/codec.ts';
import { fastestInflater, type Inflater } from '../../format/compress/unpack.ts';
import { unquote } from '../../format/jsonl/write/json-text.ts';
import { ObjectProof } from '../../format/proof.ts';
import { freeNow } from '../../store/free-now.ts';
import type { Store } from '../../store/store.ts';
import { ContentCheck, type ContentFindings, type ContentReader } from './content-check.ts';
import { Problems } from './problems.ts';
import type { ExpectedObject } from './task.ts';

/** So much more than the manifest says is still read, so that a line too many can be named. */
const SURPLUS_BYTES = 1024 ** 2;

export interface ObjectToVerify {
  store: Store;
  /** Relative to the destination's prefix. */
  key: string;
  object: ExpectedObject;
  columns: readonly { name: string }[];
  /** Names of the columns that `firstKey` and `lastKey` are of. */
  keyColumns: readonly string[];
  /** What a decompressor may take for its window. */
  windowBytes: number;
  /** What inflates it first; absent: the fastest. */
  inflater?: Inflater;
  /**
   * Called before the object is read: what it gives gets the content instead of the check of lines. What the last of them made of it
   * counts, and only if there is no difference in the end.
   */
  openReader?: () => ContentReader;
}

/**
 * Throws FailureError when the object cannot be read for another reason than that it is not there, or not as it was. What is not as it
 * should be by the fastest way is read again by zlib, which says what is wrong.
 */
export async function verifyObject(
  toVerify: ObjectToVerify,
  problems: Problems,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { inflater = fastestInflater() } = toVerify;
  if (codecOf(toVerify.key) === 'gzip' && inflater !== 'zlib') {
    const found = new Problems();
    let seenBytes = 0;
    await readObject(toVerify, inflater, found, signal, (bytes) => {
      seenBytes += bytes;
      onBytes(bytes);
    });
    if (found.isEmpty) return;
    onBytes(-seenBytes);
  }
  await readObject(toVerify, 'zlib', problems, signal, onBytes);
}

async function readObject(
  { store, key, object, columns, keyColumns, windowBytes, openReader }: ObjectToVerify,
  inflater: Inflater,
  problems: Problems,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const codec = codecOf(key);
  if (codec === undefined) {
    problems.add('its name tells no codec');
    return;
  }
  const stored = new ObjectProof();
  // Node's own decompressors still work on it when they take the next; these have it behind them.
  const isTakenAtOnce = codec === 'none' || (codec === 'gzip' && inflater === 'isal');
  const isTooLong = (): boolean => stored.bytes > object.bytes + SURPLUS_BYTES;
  const keyIndexes = keyColumns.map((name) => columns.findIndex((column) => column.name === name));
  const isKeyKnown = !keyIndexes.includes(-1);
  const reader = openReader?.();
  const check = new ContentCheck(
    {
      codec,
      inflater,
      limits: { contentBytes: object.jsonBytes + SURPLUS_BYTES, windowBytes },
      columns: columns.map(({ name }) => name),
      keyColumns: isKeyKnown ? keyIndexes : [],
    },
    reader,
  );
  try {
    for await (const slice of store.read(key, signal)) {
      stored.add(slice);
      onBytes(slice.length);
      if (isTooLong()) break;
      await check.write(slice);
      if (isTakenAtOnce) freeNow(slice);
      if (check.isFull) break;
    }
  } catch (error) {
    await check.drop();
    throw error;
  }
  const found = await check.end(!isTooLong());
  problems.addAll(found.problems, found.furtherProblems);
  if (found.isFull || isTooLong()) {
    problems.add(
      `it has more than the ${countOf(object.bytes, 'byte')}, ${formatCount(object.jsonBytes)} of JSON Lines, ` +
        'that the manifest says, and was read no further',
    );
    return;
  }
  const { damage, lines } = found;
  if (damage !== undefined) problems.add(`${damage} (after ${countOf(lines, 'whole line')})`);
  compareFigures(object, stored, found, problems);
  if (damage === undefined && reader === undefined && isKeyKnown) {
    const keys = keyIndexes.flatMap((at) => columns[at] ?? []);
    compareKey('first', object.firstKey, found.firstKey, keys, problems, 1);
    compareKey('last', object.lastKey, found.lastKey, keys, problems, lines);
  }
}

/** Whether a failure to read an object says something of the object, and not of the way to it. */
export function tellsOfObject(error: unknown): error is FailureError {
  return error instanceof FailureError && ['object-missing', 'corrupted-in-transit'].includes(error.failure.code);
}

function compareFigures(
  object: ExpectedObject,
  stored: ObjectProof,
  content: ContentFindings,
  problems: Problems,
): void {
  const amounts: [one: string, several: string, found: number, wanted: number][] = [
    ['byte', 'bytes', stored.bytes, object.bytes],
    ['line', 'lines', content.lines, object.rows],
    ['byte of JSON Lines', 'bytes of JSON Lines', content.bytes, object.jsonBytes],
  ];
  for (const [one, several, found, wanted] of amounts) {
    if (found === wanted) continue;
    problems.add(`it has ${countOf(found, one, several)}, the manifest says ${formatCount(wanted)}`);
  }
  const digests: [name: string, found: string, wanted: string][] = [
    ['the SHA-256', stored.digest(), object.sha256],
    ['the CRC-32 of the JSON Lines', content.crc32, object.crc32],
  ];
  for (const [name, found, wanted] of digests) {
    if (found !== wanted) problems.add(`${name} is ${found}, the manifest says ${wanted}`);
  }
}

function compareKey(
  which: 'first' | 'last',
  wanted: readonly string[] | null,
  found: readonly (string | undefined)[] | undefined,
  columns: readonly { name: string }[],
  problems: Problems,
  line: number,
): void {
  if (wanted?.length !== columns.length || columns.length === 0 || found === undefined) return;
  const differs = columns.some((_, at) => {
    const value = found[at];
    return value !== undefined && !isSameValue(value, wanted[at] ?? '');
  });
  if (differs)
    problems.add(`the ${which} key is (${found.join(', ')}), the manifest says (${wanted.join(', ')})`, line);
}

/** Whether the value `json` of a line is the one that the manifest keeps: without quotes, and NULL as an empty text. */
function isSameValue(json: string, kept: string): boolean {
  return kept === (json === 'null' ? '' : unquote(json));
}
