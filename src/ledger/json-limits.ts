/** Looks at the bytes of a JSON document before it is parsed, as what a parser makes of a few of them may be large. */

/** Our documents have five. */
const MAX_DEPTH = 32;
/** Ours have some twenty. A mapping of millions of fields costs a parser more than anything else. */
const MAX_FIELDS = 1000;
/** A document has no more, but for its long list; see documents.ts. One that has no more takes some 150 MB when it is parsed, whatever it says. */
const MAX_VALUES = 4_000_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const BEGIN_LIST = 0x5b;
const END_LIST = 0x5d;
const BEGIN_OBJECT = 0x7b;
const END_OBJECT = 0x7d;

/** What of a document is too much to be parsed; undefined when nothing is. Whether it is JSON at all is for the parser to say. */
export function describeExcess(document: Buffer, mostValues?: number): string | undefined {
  return measureJson(document, mostValues).excess;
}

/** The same, and how many values there are, as far as it was looked. */
export function measureJson(document: Buffer, mostValues = MAX_VALUES): { values: number; excess?: string } {
  /** Of the mappings that are open, how many fields they have; 0 for a list. */
  const fields = new Uint32Array(MAX_DEPTH + 1);
  let depth = 0;
  let values = 1;
  for (let at = 0; at < document.length; at += 1) {
    const byte = document[at];
    if (byte === QUOTE) at = endOfText(document, at);
    else if (byte === COMMA) {
      values += 1;
      const fieldsSoFar = fields[depth] ?? 0;
      if (fieldsSoFar > 0) fields[depth] = fieldsSoFar + 1;
      if (fieldsSoFar === MAX_FIELDS) return { values, excess: `it has a mapping of more than ${MAX_FIELDS} fields` };
    } else if (byte === BEGIN_LIST || byte === BEGIN_OBJECT) {
      values += 1;
      depth += 1;
      if (depth > MAX_DEPTH) return { values, excess: `it nests deeper than ${MAX_DEPTH} levels` };
      fields[depth] = byte === BEGIN_OBJECT ? 1 : 0;
    } else if (byte === END_LIST || byte === END_OBJECT) depth = Math.max(0, depth - 1);
    if (values > mostValues) return { values, excess: `it has more than ${mostValues} values` };
  }
  return { values };
}

function endOfText(document: Buffer, start: number): number {
  let at = start + 1;
  while (at < document.length && document[at] !== QUOTE) at += document[at] === BACKSLASH ? 2 : 1;
  return at;
}
