/** Patterns of the names of tables, as psql and pg_dump take them: `public.event_*`. */
import { foldCase, quoteIdentifier, type TableName } from './identifiers.ts';

/** Of a name: `like` is what LIKE takes, `head` what it begins with, up to its first wildcard. */
export interface NamePattern {
  like: string;
  regex: RegExp;
  isWild: boolean;
  head: string;
}

/** Without a schema, the tables that the search path finds are meant. */
export interface TablePattern {
  text: string;
  schema: NamePattern | undefined;
  table: NamePattern;
}

export const PATTERN_FORM =
  'must be schema.table, where * stands for any characters and ? for one; double quotes take their meaning away';

/** Undefined where the text is no such pattern. */
export function parseTablePattern(text: string): TablePattern | undefined {
  const parts: NamePattern[] = [];
  let rest = text.trim();
  for (;;) {
    const [part] = /^(?:"(?:[^"]|"")+"|[^\s".])+/.exec(rest) ?? [];
    if (part === undefined) return undefined;
    parts.push(parseName(part));
    rest = rest.slice(part.length);
    if (rest === '') break;
    if (!rest.startsWith('.')) return undefined;
    rest = rest.slice(1);
  }
  const [first, second] = parts;
  if (first === undefined || parts.length > 2) return undefined;
  return second === undefined ? { text, schema: undefined, table: first } : { text, schema: first, table: second };
}

/** Whether a table has such a name. One without a schema is told apart by its own name alone. */
export function matchesPattern({ schema, table }: TablePattern, name: TableName): boolean {
  const isOfSchema = schema === undefined || (name.schema !== undefined && schema.regex.test(name.schema));
  return isOfSchema && table.regex.test(name.table);
}

/** `public.event_1`, or with quotes where Postgres needs them. */
export function writeTableName({ schema, table }: TableName): string {
  const parts = schema === undefined ? [table] : [schema, table];
  return parts.map((part) => (isPlain(part) ? part : quoteIdentifier(part))).join('.');
}

function isPlain(name: string): boolean {
  return /^[a-z_][a-z0-9_$]*$/.test(name);
}

function parseName(part: string): NamePattern {
  const name: NamePattern & { regexText: string } = { like: '', regex: /^/, isWild: false, head: '', regexText: '' };
  const addLiteral = (text: string): void => {
    name.like += text.replace(/[\\%_]/g, '\\$&');
    name.regexText += text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    if (!name.isWild) name.head += text;
  };
  for (const [piece, quoted] of part.matchAll(/"((?:[^"]|"")+)"|[*?]|[^"*?]+/g)) {
    if (quoted !== undefined) addLiteral(quoted.replaceAll('""', '"'));
    else if (piece !== '*' && piece !== '?') addLiteral(foldCase(piece));
    else {
      name.isWild = true;
      name.like += piece === '*' ? '%' : '_';
      name.regexText += piece === '*' ? '.*' : '.';
    }
  }
  const { like, isWild, head, regexText } = name;
  return { like, isWild, head, regex: new RegExp(`^${regexText}$`, 'su') };
}
