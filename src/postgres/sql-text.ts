/** Reads SQL text just far enough to tell code from strings, quoted names and comments. */

/** A stretch of SQL: `code` may hold names, operators and placeholders; the rest is to be left alone. */
interface Stretch {
  kind: 'code' | 'opaque';
  text: string;
}

const OPAQUE = [
  /--[^\n]*(?:\n|$)/y, // a line comment
  /[eE]'(?:[^'\\]|''|\\[\s\S])*(?:'|$)/y, // a string with escapes
  /'(?:[^']|'')*(?:'|$)/y, // a plain string
  /"(?:[^"]|"")*(?:"|$)/y, // a quoted name
  /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?(?:\$\1\$|$)/y, // a dollar-quoted string
];

/** Not a cast to a type of that name, nor the beginning of a longer name. */
const PLACEHOLDER = /(?<!:):(slot|from|to)(?![\w$\u0080-\uffff])/g;

/** What may stand for a value in `where` and `query`. */
export const PLACEHOLDERS = ['slot', 'from', 'to'] as const;

export type Placeholder = (typeof PLACEHOLDERS)[number];

const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;

/** Replaces `:slot` in code by the run's time as a timestamptz literal. Casts (`::slot`) and strings stay as they are. */
export function bindSlot(sql: string, slot: Date): string {
  return bindPlaceholders(sql, { slot: `(timestamptz '${slot.toISOString()}')` });
}

/** Replaces the placeholders in code that have a value here, which is SQL of ours. */
export function bindPlaceholders(sql: string, values: Partial<Record<Placeholder, string>>): string {
  const bind = (found: string, name: Placeholder): string => values[name] ?? found;
  return stretches(sql)
    .map(({ kind, text }) => (kind === 'code' ? text.replaceAll(PLACEHOLDER, bind) : text))
    .join('');
}

/** The placeholders that stand in code. */
export function placeholdersOf(sql: string): Set<Placeholder> {
  return new Set([...codeOf(sql).matchAll(PLACEHOLDER)].map(([, name]) => name as Placeholder));
}

/** Names behind a colon that stand in code, and for nothing: no cast, no bound of a slice (`a[1:n]`), no `:=`. */
export function unknownPlaceholders(sql: string): string[] {
  const code = codeOf(sql);
  const found: string[] = [];
  let depth = 0;
  for (const { 0: text, 1: name } of code.matchAll(/::|\[|\]|:([A-Za-z_][\w$\u0080-\uffff]*)/g)) {
    if (text === '[') depth += 1;
    else if (text === ']') depth -= 1;
    else if (name !== undefined && depth === 0 && !PLACEHOLDERS.some((known) => known === name)) found.push(name);
  }
  return found;
}

/** The highest n of `$n` that stands in code; 0 where there is none. */
export function numberedIn(sql: string): number {
  return [...codeOf(sql).matchAll(/(?<![\w$\u0080-\uffff])\$(\d+)/g)].reduce(
    (most, [, n]) => Math.max(most, Number(n)),
    0,
  );
}

const PAIRS: Readonly<Record<string, string>> = { ')': '(', ']': '[' };

/**
 * What is wrong with a condition or a query that is to stand in parentheses within a statement of ours; undefined when
 * nothing is. Without this, `1=1) OR (1=1` would change what the whole statement means, and a semicolon would begin another.
 */
export function describeSqlProblem(sql: string): string | undefined {
  const open: string[] = [];
  for (const { kind, text } of stretches(trimStatement(sql))) {
    if (kind === 'opaque') continue;
    for (const character of text) {
      if (character === ';') return 'must be one statement, without a semicolon inside';
      if (character === '(' || character === '[') open.push(character);
      const partner = PAIRS[character];
      if (partner !== undefined && open.pop() !== partner) return `has a "${character}" that closes nothing`;
    }
  }
  return open.length === 0 ? undefined : `has a "${open.at(-1) ?? ''}" that is never closed`;
}

/** The code of a piece of SQL: strings, quoted names and comments are left out, each as a blank. */
export function codeOf(sql: string): string {
  return stretches(sql)
    .map(({ kind, text }) => (kind === 'code' ? text : ' '))
    .join('');
}

/** Drops white space, semicolons and comments at the end, as a query is put into parentheses. */
export function trimStatement(sql: string): string {
  const kept = stretches(sql);
  for (let last = kept.at(-1); last !== undefined; last = kept.at(-1)) {
    const isComment = last.kind === 'opaque' && /^(--|\/\*)/.test(last.text);
    if (!isComment && !(last.kind === 'code' && /^[\s;]*$/.test(last.text))) break;
    kept.pop();
  }
  return kept
    .map(({ text }) => text)
    .join('')
    .replace(/[\s;]+$/, '');
}

function stretches(sql: string): Stretch[] {
  const result: Stretch[] = [];
  let code = '';
  let at = 0;
  while (at < sql.length) {
    const word = matchAt(WORD, sql, at);
    const opaque = word !== undefined && !/^[eE]$/.test(word) ? undefined : opaqueAt(sql, at);
    if (opaque === undefined) {
      const text = word ?? sql.charAt(at);
      code += text;
      at += text.length;
    } else {
      result.push({ kind: 'code', text: code }, { kind: 'opaque', text: opaque });
      code = '';
      at += opaque.length;
    }
  }
  result.push({ kind: 'code', text: code });
  return result;
}

function opaqueAt(sql: string, at: number): string | undefined {
  if (sql.startsWith('/*', at)) return blockComment(sql, at);
  for (const pattern of OPAQUE) {
    const text = matchAt(pattern, sql, at);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** Block comments nest in Postgres. */
function blockComment(sql: string, at: number): string {
  let depth = 0;
  let end = at;
  do {
    if (sql.startsWith('/*', end)) {
      depth += 1;
      end += 2;
    } else if (sql.startsWith('*/', end)) {
      depth -= 1;
      end += 2;
    } else {
      end += 1;
    }
  } while (depth > 0 && end < sql.length);
  return sql.slice(at, end);
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}
