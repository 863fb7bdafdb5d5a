/** Reads what is to go from the archive again: keys and digests of lines, only from bytes that were proved whole. */
import { createHash, hash, type Hash } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { BUDGET } from '../base/memory-budget.ts';
import { unquote } from '../format/jsonl/write/json-text.ts';
import { Problems, tellsOfObject, verifyObject, type LineReader, type ObjectToVerify } from '../verify/object.ts';

/** Lines of an object, one after the other, as plain lists; `sizes` are bytes of JSON Lines. */
export interface Stretch {
  /** For each column of the key, its values as text; null is NULL, which no row of the table has. */
  keys: readonly (readonly (string | null)[])[];
  /** SHA-256 of each line, as Postgres reads a bytea. */
  digests: readonly string[];
  sizes: readonly number[];
}

const { lines: MOST_LINES, keyChars: MOST_KEY_CHARS } = BUDGET.purge;
const LINE_FEED = 0x0a;

/**
 * The lines of an object from `from` on. The object is read whole each time, and what was gathered is given only if all of
 * it is what the manifest says. Throws FailureError `purge-archive-damaged`.
 */
export async function readStretch(
  object: Omit<ObjectToVerify, 'reader'>,
  key: readonly string[],
  from: number,
  signal: AbortSignal,
): Promise<Stretch> {
  const problems = new Problems();
  const gatherer = new Gatherer(key, from);
  try {
    await verifyObject({ ...object, reader: gatherer }, problems, signal, () => undefined);
  } catch (error) {
    if (!tellsOfObject(error)) throw error;
    problems.add(error.failure.message);
  }
  const [first] = problems.list;
  if (first !== undefined) throw damaged(object.key, first.message);
  return gatherer.stretch;
}

export function damaged(key: string, why: string): Error {
  return fail('purge-archive-damaged', { stage: 'purge', message: `${key} is not what the manifest says: ${why}` });
}

class Gatherer implements LineReader {
  readonly keyColumns: readonly string[];
  readonly #from: number;
  readonly #keys: (string | null)[][];
  readonly #digests: string[] = [];
  readonly #sizes: number[] = [];
  #keyChars = 0;
  /** Lines whose key was told, and lines whose end was seen. */
  #told = 0;
  #ended = 0;
  /** What earlier pieces held of the line that is not at its end. */
  #begun: Hash | undefined;
  #begunBytes = 0;

  constructor(keyColumns: readonly string[], from: number) {
    this.keyColumns = keyColumns;
    this.#from = from;
    this.#keys = keyColumns.map(() => []);
  }

  onContent = (piece: Buffer): void => {
    let start = 0;
    for (let at = piece.indexOf(LINE_FEED); at >= 0; at = piece.indexOf(LINE_FEED, start)) {
      this.#endLine(piece.subarray(start, at));
      start = at + 1;
    }
    if (start < piece.length && this.#isWanted(this.#ended)) {
      const rest = piece.subarray(start);
      this.#begun ??= createHash('sha256');
      this.#begun.update(rest);
      this.#begunBytes += rest.length;
    }
  };

  onLine = (key: (string | undefined)[]): void => {
    const line = this.#told;
    this.#told += 1;
    if (!this.#isWanted(line) || this.#keyChars > MOST_KEY_CHARS) return;
    for (const [at, json] of key.entries()) {
      if (json === undefined) throw new Error('a value of a key is longer than any index takes');
      const value = json === 'null' ? null : unquote(json);
      this.#keys[at]?.push(value);
      this.#keyChars += json.length;
    }
  };

  /** To be asked for once the whole object is proved. */
  get stretch(): Stretch {
    // Digests are taken before it is known that the keys are too long.
    const lines = this.#keys[0]?.length ?? 0;
    return { keys: this.#keys, digests: this.#digests.slice(0, lines), sizes: this.#sizes.slice(0, lines) };
  }

  #isWanted(line: number): boolean {
    return line >= this.#from && line < this.#from + MOST_LINES;
  }

  #endLine(rest: Buffer): void {
    if (this.#isWanted(this.#ended)) {
      const digest = this.#begun === undefined ? hash('sha256', rest) : this.#begun.update(rest).digest('hex');
      this.#digests.push(`\\x${digest}`);
      this.#sizes.push(this.#begunBytes + rest.length + 1);
    }
    this.#begun = undefined;
    this.#begunBytes = 0;
    this.#ended += 1;
  }
}
