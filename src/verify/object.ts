/** Reads one object of a run again, whole and streaming, and compares it with what the manifest says of it. */
import { FailureError } from '../base/errors.ts';
import { countOf, formatCount } from '../base/units.ts';
import { codecOf } from '../format/compress/codec.ts';
import { unquote } from '../format/jsonl/write/json-text.ts';
import { ContentProof, ObjectProof } from '../format/proof.ts';
import type { Store } from '../store/store.ts';
import { LineScanner } from '../format/jsonl/check.ts';
import type { ManifestColumn, ManifestObject } from '../ledger/manifest.ts';
import { createUnpacker } from '../format/compress/unpack.ts';

/** A difference; the line is there where it can be known, from 1. */
export interface Problem {
  line?: number;
  message: string;
}

/** More of an object than these are only counted. */
const MAX_PROBLEMS = 20;

/** So much more than the manifest says is still read, so that a line too many can be named. */
const SURPLUS_BYTES = 1024 ** 2;

/** The differences of one object, in the order of their discovery. */
export class Problems {
  readonly #found: Problem[] = [];
  #unnamed = 0;

  add(message: string, line?: number): void {
    if (this.#found.length === MAX_PROBLEMS) this.#unnamed += 1;
    else this.#found.push(line === undefined ? { message } : { line, message });
  }

  get list(): Problem[] {
    return this.#unnamed === 0
      ? this.#found
      : [...this.#found, { message: `and ${countOf(this.#unnamed, 'further difference')}` }];
  }
}

export interface ObjectToVerify {
  store: Store;
  /** Relative to the destination's prefix. */
  key: string;
  object: ManifestObject;
  columns: readonly ManifestColumn[];
  /** Names of the columns that `firstKey` and `lastKey` are of. */
  keyColumns: readonly string[];
  /** What a decompressor may take for its window. */
  windowBytes: number;
  /** Gets the content instead of the check of lines; what it made of it counts only if there is no difference in the end. */
  reader?: ContentReader;
}

/** Takes what it wants from the very bytes that are compared with the manifest, of an object whose lines were checked before. */
export interface ContentReader {
  /** The next bytes of the JSON Lines, which are valid until it returns. */
  add: (piece: Buffer) => void;
}

/** Throws FailureError when the object cannot be read for another reason than that it is not there, or not as it was. */
export async function verifyObject(
  { store, key, object, columns, keyColumns, windowBytes, reader }: ObjectToVerify,
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
  const isTooLong = (): boolean => stored.bytes > object.bytes + SURPLUS_BYTES;
  const content = new ContentProof();
  const keyIndexes = keyColumns.map((name) => columns.findIndex((column) => column.name === name));
  const names = columns.map((column) => column.name);
  const onProblem = (line: number, message: string): void => {
    problems.add(message, line);
  };
  const scanned = keyIndexes.includes(-1) ? [] : keyIndexes;
  const scanner = new LineScanner(names, scanned, onProblem);
  const limits = { contentBytes: object.jsonBytes + SURPLUS_BYTES, windowBytes };
  const unpacker = createUnpacker(codec, limits, (piece) => {
    content.add(piece);
    (reader ?? scanner).add(piece);
  });
  try {
    for await (const slice of store.read(key, signal)) {
      stored.add(slice);
      onBytes(slice.length);
      if (isTooLong()) break;
      await unpacker.write(slice);
      if (unpacker.isFull) break;
    }
  } catch (error) {
    await unpacker.end();
    throw error;
  }
  const damage = await unpacker.end();
  if (unpacker.isFull || isTooLong()) {
    problems.add(
      `it has more than the ${countOf(object.bytes, 'byte')}, ${formatCount(object.jsonBytes)} of JSON Lines, ` +
        'that the manifest says, and was read no further',
    );
    return;
  }
  if (damage !== undefined) problems.add(`${damage} (after ${countOf(content.lines, 'whole line')})`);
  else if (reader === undefined) scanner.end();
  compareFigures(object, stored, content, problems);
  if (damage === undefined && reader === undefined && !keyIndexes.includes(-1)) {
    const keys = keyIndexes.flatMap((at) => columns[at] ?? []);
    compareKey('first', object.firstKey, scanner.firstKey, keys, problems, 1);
    compareKey('last', object.lastKey, scanner.lastKey, keys, problems, content.lines);
  }
}

/** Whether a failure to read an object says something of the object, and not of the way to it. */
export function tellsOfObject(error: unknown): error is FailureError {
  return error instanceof FailureError && ['object-missing', 'corrupted-in-transit'].includes(error.failure.code);
}

function compareFigures(object: ManifestObject, stored: ObjectProof, content: ContentProof, problems: Problems): void {
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
  columns: readonly ManifestColumn[],
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
