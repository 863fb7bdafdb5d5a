/**
 * Refuses a YAML text that would take the parser minutes, by a look at its tokens, which takes no longer than reading
 * it.
 */
import { Lexer } from 'yaml';
import { formatCount } from '../base/units.ts';

/** The most that a config may have of each; all of them are far above what anybody writes by hand. */
const LIMITS = { nesting: 64, keys: 20_000, items: 50_000, references: 1000, documents: 10, lines: 50_000 };

const WHAT: Record<keyof typeof LIMITS, string> = {
  nesting: 'brackets are nested deeper than',
  keys: 'the number of keys is above',
  items: 'the number of list items is above',
  references: 'the number of anchors, aliases and tags is above',
  documents: 'the number of documents and directives is above',
  lines: 'the number of lines is above',
};

/** What is too much of it, and where, as an offset into `text`; undefined when it may be parsed. */
export function describeExcess(text: string): { offset: number; message: string } | undefined {
  const found = { nesting: 0, keys: 0, items: 0, references: 0, documents: 0, lines: 0 };
  let offset = 0;
  let isScalar = false;
  for (const token of new Lexer().lex(text)) {
    if (!isScalar) count(found, token);
    isScalar = token === SCALAR_FOLLOWS;
    for (const kind of KINDS) {
      if (found[kind] > LIMITS[kind])
        return { offset, message: `the file is not read: ${WHAT[kind]} ${formatCount(LIMITS[kind])}` };
    }
    if (!NOT_IN_TEXT.has(token)) offset += token.length;
  }
  return undefined;
}

const KINDS = Object.keys(LIMITS) as (keyof typeof LIMITS)[];
const SCALAR_FOLLOWS = '\u001f';
/** The lexer's marks for the start of a document, the end of brackets, and a scalar. */
const NOT_IN_TEXT = new Set(['\u0002', '\u0018', SCALAR_FOLLOWS]);

function count(found: Record<keyof typeof LIMITS, number>, token: string): void {
  switch (token[0]) {
    case '[':
    case '{':
      found.nesting += 1;
      break;
    case ']':
    case '}':
      found.nesting -= 1;
      break;
    case ':':
    case '?':
      found.keys += 1;
      break;
    case '-':
      if (token === '---') found.documents += 1;
      else found.items += 1;
      break;
    case ',':
      found.items += 1;
      break;
    case '&':
    case '*':
    case '!':
      found.references += 1;
      break;
    case '\n':
    case '\r':
      found.lines += 1;
      break;
    case '%':
    case '.':
      found.documents += 1;
      break;
    default:
  }
}
