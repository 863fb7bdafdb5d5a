/**
 * Parses the YAML of a config file; what is wrong with it becomes problems of the draft, in words without its content.
 */
import type { YAMLError } from 'yaml';
import { isMap, isScalar, LineCounter, parseDocument, Scalar, visit, type Document, type ErrorCode } from 'yaml';
import { Draft } from './draft.ts';
import { describeExcess } from './size.ts';

/** The draft of `text`, and whether its tree can be trusted enough to look for further problems. */
export function parseDraft(file: string, text: string): { draft: Draft; reliable: boolean } {
  const excess = describeExcess(text);
  if (excess !== undefined) return refuse(file, text, excess);
  const lines = new LineCounter();
  const document: Document = parseDocument(text, {
    lineCounter: lines,
    // The library's own messages quote the lines around an error, and so perhaps a password.
    prettyErrors: false,
    // With 'silent', a second document would go unnoticed.
    logLevel: 'error',
    merge: true,
    stringKeys: true,
    // The library compares each key with all before it, which takes minutes for a long mapping.
    uniqueKeys: false,
  });
  const draft = new Draft(file, text, document, lines);
  reportDuplicateKeys(draft);
  const brokenLines = replaceBrokenAliases(draft);
  const errors = [...document.errors, ...document.warnings].filter(
    ({ pos }) => !brokenLines.has(lineOf(draft, pos[0])),
  );
  reportFirstOfEachLine(draft, errors);
  return { draft, reliable: errors.every(({ code }) => LOCAL.has(code)) && hasMapping(draft) };
}

function refuse(
  file: string,
  text: string,
  excess: { offset: number; message: string },
): ReturnType<typeof parseDraft> {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (const { index } of text.matchAll(/\n/g)) lines.addNewLine(index + 1);
  const draft = new Draft(file, text, parseDocument(''), lines);
  draft.reportAt(excess.offset, excess.message);
  return { draft, reliable: false };
}

/** Two keys `<<` merge two mappings; any other key counts once. */
function reportDuplicateKeys(draft: Draft): void {
  visit(draft.document, {
    Map(_key, { items }) {
      const seen = new Set<unknown>(['<<']);
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (key.value !== '<<' && seen.has(key.value))
          draft.reportAt(key.range?.[0] ?? 0, 'duplicate key; remove one of them');
        seen.add(key.value);
      }
    },
  });
}

/** These errors concern one value only. */
const LOCAL = new Set<ErrorCode>(['BAD_DQ_ESCAPE', 'BAD_SCALAR_START', 'MULTIPLE_DOCS', 'TAG_RESOLVE_FAILED']);

/** An unquoted cron expression that begins with `*` is read as an alias, and leaves several errors on its line. */
function replaceBrokenAliases(draft: Draft): Set<number> {
  const brokenLines = new Set<number>();
  visit(draft.document, {
    Alias(_key, alias) {
      if (alias.resolve(draft.document) !== undefined) return undefined;
      const offset = alias.range?.[0] ?? 0;
      draft.reportAt(offset, 'a value that begins with * must be in quotes, unless it names an anchor above it');
      brokenLines.add(lineOf(draft, offset));
      const unknown = new Scalar(undefined);
      unknown.range = alias.range ?? null;
      draft.unknown.add(unknown);
      return unknown;
    },
  });
  return brokenLines;
}

/** The first error of a line is the cause, the others follow from it. */
function reportFirstOfEachLine(draft: Draft, errors: readonly YAMLError[]): void {
  const seen = new Set<number>();
  for (const { code, pos } of errors.toSorted((a, b) => a.pos[0] - b.pos[0])) {
    const line = lineOf(draft, pos[0]);
    if (seen.has(line)) continue;
    seen.add(line);
    draft.reportAt(pos[0], describeError(draft, code, line));
  }
}

function hasMapping(draft: Draft): boolean {
  const { contents } = draft.document;
  if (isMap(contents)) return true;
  if (contents === null || (isScalar(contents) && contents.value === null))
    draft.reportAt(0, 'the file is empty; sources, destinations and archives are required');
  else
    draft.reportAt(contents.range?.[0] ?? 0, 'the file must be a mapping of options, such as "sources:", "archives:"');
  return false;
}

function lineOf(draft: Draft, offset: number): number {
  return draft.lines.linePos(offset).line;
}

const WORDS: Partial<Record<ErrorCode, string>> = {
  BAD_COLLECTION_TYPE: 'the tag does not fit its value',
  BAD_DIRECTIVE: 'a line cannot begin with % here',
  BAD_DQ_ESCAPE: 'a backslash in double quotes needs a second one; or use single quotes',
  BAD_INDENT: 'the indentation is wrong, or a bracket is not closed',
  BAD_SCALAR_START: 'a value that begins with this character must be in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a value that contains ": " must be in quotes; or the indentation is wrong',
  BLOCK_IN_FLOW: 'inside brackets, nested values need brackets as well',
  MISSING_CHAR: 'a quote, bracket, comma or colon is missing',
  MULTILINE_IMPLICIT_KEY: 'the key has no colon, or the indentation is wrong',
  MULTIPLE_DOCS: 'the file must be one YAML document; remove this line',
  NON_STRING_KEY: 'a key must be text',
  TAB_AS_INDENT: 'tabs cannot indent; use spaces',
  TAG_RESOLVE_FAILED: 'the tag (!…) is not known',
  UNEXPECTED_TOKEN: 'this does not belong here; quotes or a bracket may be missing',
};

function describeError(draft: Draft, code: ErrorCode, line: number): string {
  const lineText = draft.text.split('\n')[line - 1] ?? '';
  if (!LOCAL.has(code) && /[{[].*\$\{/.test(lineText))
    return 'not valid YAML: inside { } and [ ], "${…}" must be in quotes';
  return `not valid YAML: ${WORDS[code] ?? 'this cannot be read'}`;
}
