/**
 * The one list of a document that may be long: it is read and written item by item, as a parser makes five times as much of
 * the whole. Each item of ours stands in a line of its own.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const BEGIN_LIST = 0x5b;
const END_LIST = 0x5d;
const BEGIN_OBJECT = 0x7b;
const END_OBJECT = 0x7d;

/**
 * Tells of each item of the list that the document's own field `name` holds, as bytes of the document. Returns the document with
 * an empty list in its place; as it is where there is no such list, or where it does not end. Whether all that is JSON is for
 * a parser to say.
 */
export function cutList(document: Buffer, name: string, onItem: (item: Buffer) => void): Buffer {
  const start = findList(document, name);
  if (start === undefined) return document;
  const end = eachItem(document, start, onItem);
  if (end === undefined) return document;
  return Buffer.concat([document.subarray(0, start), document.subarray(end)]);
}

/** Right behind the bracket that begins the list. */
function findList(document: Buffer, name: string): number | undefined {
  const field = Buffer.from(JSON.stringify(name));
  let depth = 0;
  for (let at = 0; at < document.length; at += 1) {
    const byte = document[at];
    if (byte === QUOTE) {
      const end = endOfText(document, at);
      if (depth === 1 && document.subarray(at, end + 1).equals(field)) {
        const colon = skipBlanks(document, end + 1);
        const value = skipBlanks(document, colon + 1);
        if (document[colon] === COLON && document[value] === BEGIN_LIST) return value + 1;
      }
      at = end;
    } else if (byte === BEGIN_LIST || byte === BEGIN_OBJECT) depth += 1;
    else if (byte === END_LIST || byte === END_OBJECT) depth -= 1;
  }
  return undefined;
}

/** Returns where the bracket stands that ends the list; undefined when there is none. */
function eachItem(document: Buffer, start: number, onItem: (item: Buffer) => void): number | undefined {
  let depth = 0;
  let begin = start;
  for (let at = start; at < document.length; at += 1) {
    const byte = document[at];
    if (byte === QUOTE) at = endOfText(document, at);
    else if (byte === BEGIN_LIST || byte === BEGIN_OBJECT) depth += 1;
    else if (depth > 0 && (byte === END_LIST || byte === END_OBJECT)) depth -= 1;
    else if (depth === 0 && (byte === COMMA || byte === END_LIST)) {
      const isEmpty = byte === END_LIST && begin === start && skipBlanks(document, begin) === at;
      if (!isEmpty) onItem(document.subarray(begin, at));
      begin = at + 1;
      if (byte === END_LIST) return at;
    }
  }
  return undefined;
}

function skipBlanks(document: Buffer, start: number): number {
  let at = start;
  while (document[at] === 0x20 || document[at] === 0x0a || document[at] === 0x0d || document[at] === 0x09) at += 1;
  return at;
}

function endOfText(document: Buffer, start: number): number {
  let at = start + 1;
  while (at < document.length && document[at] !== QUOTE) at += document[at] === BACKSLASH ? 2 : 1;
  return at;
}

/** The document, whose field `name` is an empty list, with the items in it. Their length is summed up first: so it is there once. */
export function fillList(document: object, name: string, items: readonly unknown[]): Buffer {
  const empty = `\n  ${JSON.stringify(name)}: []`;
  const text = JSON.stringify(document, null, 2);
  // A line break in a text would be spelt out: this can stand in one place only.
  const at = text.indexOf(empty) + empty.length - 1;
  const [before, after] = [text.slice(0, at), items.length === 0 ? `${text.slice(at)}\n` : `\n  ${text.slice(at)}\n`];
  let bytes = Buffer.byteLength(before) + Buffer.byteLength(after);
  for (const [index, item] of items.entries()) bytes += Buffer.byteLength(lineOf(item, index));
  const filled = Buffer.allocUnsafeSlow(bytes);
  let end = filled.write(before);
  for (const [index, item] of items.entries()) end += filled.write(lineOf(item, index), end);
  filled.write(after, end);
  return filled;
}

function lineOf(item: unknown, index: number): string {
  return `${index === 0 ? '' : ','}\n    ${JSON.stringify(item)}`;
}
