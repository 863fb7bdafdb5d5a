/**
 * The one list of a document that may be long: it is read and written item by item, as a parser makes five times as much of
 * the whole. Each item of ours stands in a line of its own.
 */

/** A piece of what is written is handed on once it has so much. */
const PIECE_CHARS = 64 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const BEGIN_LIST = 0x5b;
const END_LIST = 0x5d;
const BEGIN_OBJECT = 0x7b;
const END_OBJECT = 0x7d;

/** Who takes what a document is cut into. The bytes are those of the pieces. */
export interface ListParts {
  /** Of the document with an empty list. */
  rest: (bytes: Buffer) => void;
  /** An item, with the blanks around it, and where it begins in the document. Items are a comma apart. */
  item: (bytes: Buffer, from: number) => void;
}

/**
 * Cuts out of a document, as it comes, the items of the list that its own field `name` holds. Whether all that is JSON is for
 * a parser to say: of a list that does not end, no end is in the rest.
 */
export class ListCutter {
  readonly #name: Buffer;
  readonly #parts: ListParts;
  #where: 'before' | 'inside' | 'behind' = 'before';
  /** Levels that are open: in the document, and in the item. */
  #depth = 0;
  #itemDepth = 0;
  #isText = false;
  #isEscaped = false;
  /** How many bytes of the text at hand are those of the name; -1 once one is not. */
  #alike = -1;
  /** What has to come next for this to be the list. */
  #awaited: 'nothing' | 'colon' | 'list' = 'nothing';
  /** Bytes of the document before the piece at hand. */
  #before = 0;
  /** Of the item at hand: where it begins, and what earlier pieces had of it. */
  #from = 0;
  #begun: Buffer[] = [];
  #begunBytes = 0;
  #isFirst = true;

  constructor(name: string, parts: ListParts) {
    this.#name = Buffer.from(name);
    this.#parts = parts;
  }

  /** Bytes of an item that are held until its end comes. */
  get heldBytes(): number {
    return this.#begunBytes;
  }

  write(piece: Buffer): void {
    let at = 0;
    if (this.#where === 'before') {
      at = this.#findList(piece);
      if (at > 0) this.#parts.rest(piece.subarray(0, at));
    }
    if (this.#where === 'inside') at = this.#eachItem(piece, at);
    if (this.#where === 'behind' && at < piece.length) this.#parts.rest(piece.subarray(at));
    this.#before += piece.length;
  }

  /** Returns where the first item begins, or the piece ends. */
  #findList(piece: Buffer): number {
    for (let at = 0; at < piece.length; at += 1) {
      const byte = piece[at];
      if (this.#isText) this.#passText(byte);
      else if (byte === QUOTE) {
        this.#isText = true;
        this.#alike = 0;
      } else if (byte === COLON) this.#awaited = this.#awaited === 'colon' ? 'list' : 'nothing';
      else if (!isBlank(byte)) {
        if (byte === BEGIN_LIST && this.#awaited === 'list') {
          this.#where = 'inside';
          this.#from = this.#before + at + 1;
          return at + 1;
        }
        this.#awaited = 'nothing';
        if (byte === BEGIN_LIST || byte === BEGIN_OBJECT) this.#depth += 1;
        else if (byte === END_LIST || byte === END_OBJECT) this.#depth -= 1;
      }
    }
    return piece.length;
  }

  /** A byte of a text, which may be the name of the list. */
  #passText(byte: number | undefined): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) {
      this.#isEscaped = true;
      this.#alike = -1;
    } else if (byte === QUOTE) {
      this.#isText = false;
      this.#awaited = this.#depth === 1 && this.#alike === this.#name.length ? 'colon' : 'nothing';
    } else this.#alike = this.#alike >= 0 && this.#name[this.#alike] === byte ? this.#alike + 1 : -1;
  }

  /** Returns where the bracket stands that ends the list, or the piece ends. */
  #eachItem(piece: Buffer, start: number): number {
    let begin = start;
    let [isText, isEscaped, depth] = [this.#isText, this.#isEscaped, this.#itemDepth];
    for (let at = start; at < piece.length; at += 1) {
      const byte = piece[at];
      if (isText) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) isText = false;
      } else if (byte === QUOTE) isText = true;
      else if (byte === BEGIN_LIST || byte === BEGIN_OBJECT) depth += 1;
      else if (depth > 0 && (byte === END_LIST || byte === END_OBJECT)) depth -= 1;
      else if (depth === 0 && (byte === COMMA || byte === END_LIST)) {
        this.#endItem(piece.subarray(begin, at), byte === END_LIST);
        begin = at + 1;
        this.#from = this.#before + begin;
        if (byte !== END_LIST) continue;
        this.#where = 'behind';
        return at;
      }
    }
    [this.#isText, this.#isEscaped, this.#itemDepth] = [isText, isEscaped, depth];
    const begun = piece.subarray(begin);
    if (begun.length > 0) this.#begun.push(Buffer.from(begun));
    this.#begunBytes += begun.length;
    return piece.length;
  }

  #endItem(end: Buffer, isLast: boolean): void {
    const item = this.#begunBytes === 0 ? end : Buffer.concat([...this.#begun, end]);
    this.#begun = [];
    this.#begunBytes = 0;
    const isEmptyList = isLast && this.#isFirst && item.every(isBlank);
    this.#isFirst = false;
    if (!isEmptyList) this.#parts.item(item, this.#from);
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** What stands before and behind the items of a document whose field `name` is an empty list. */
export function cutAtList(document: object, name: string, isEmpty: boolean): [before: Buffer, after: Buffer] {
  const empty = `\n  ${JSON.stringify(name)}: []`;
  const text = JSON.stringify(document, null, 2);
  // A line break in a text would be spelt out: this can stand in one place only.
  const at = text.indexOf(empty) + empty.length - 1;
  const after = isEmpty ? `${text.slice(at)}\n` : `\n  ${text.slice(at)}\n`;
  return [Buffer.from(text.slice(0, at)), Buffer.from(after)];
}

/** The items as they stand between the two, in pieces. */
export function* listLines(items: Iterable<unknown>): Generator<Buffer, undefined> {
  const lines = new ItemLines();
  for (const item of items) if (lines.add(item)) yield lines.take();
  if (!lines.isEmpty) yield lines.take();
  return undefined;
}

/** The same of items that come by and by. */
export async function* listLinesOf(items: AsyncIterable<unknown>): AsyncGenerator<Buffer, undefined> {
  const lines = new ItemLines();
  for await (const item of items) if (lines.add(item)) yield lines.take();
  if (!lines.isEmpty) yield lines.take();
  return undefined;
}

class ItemLines {
  #text = '';
  #comma = '';

  get isEmpty(): boolean {
    return this.#text === '';
  }

  /** Whether there is enough for a piece. */
  add(item: unknown): boolean {
    this.#text += `${this.#comma}\n    ${JSON.stringify(item)}`;
    this.#comma = ',';
    return this.#text.length >= PIECE_CHARS;
  }

  take(): Buffer {
    const piece = Buffer.from(this.#text);
    this.#text = '';
    return piece;
  }
}
