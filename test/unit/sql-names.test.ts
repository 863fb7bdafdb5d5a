/** Our statements leave nothing to the search path, where a low user may have put functions and operators of his own. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import ts from 'typescript';
import { codeOf } from '../../src/postgres/sql-text.ts';

/** What stands before a parenthesis and is no function: words of SQL. */
const WORDS = new Set(
  'all and any array as by case coalesce copy else exists explain extract from in into join key lateral not on or over row select then using values when where with'.split(
    ' ',
  ),
);

const FAULTS: readonly [fault: string, pattern: RegExp][] = [
  ['a type', /::(?!pg_catalog\.)[a-z]/i],
  ['an operator', /[=<>~!@#^&|%?+/]|(?<![(.]|SELECT )\*|-(?!\d)/],
  [
    'a word that looks for =',
    /\b(?:IN|USING) ?\(|\b(?:BETWEEN|NATURAL|NULLIF|LIKE)\b|\bDISTINCT FROM (?!NULL)|\bCASE (?!WHEN)/,
  ],
  ['a catalogue', /\b(?:FROM|JOIN) pg_(?!catalog\.)/],
];

/** What of a text the search path decides; empty for what is no SQL. */
function faultsOf(text: string): string[] {
  if (!/^\s*(?:WITH|SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|COPY|EXPLAIN)\b|pg_catalog/.test(text)) return [];
  const code = codeOf(text)
    .replaceAll(/\s+/g, ' ')
    // What an UPDATE sets is no comparison.
    .replaceAll(/(?<=\bUPDATE .*)(?:SET|,) \w+ =/g, ',')
    .replaceAll(/OPERATOR\( ?(?:pg_catalog)? ?\.[^ )]*[^)]?\)/g, ',');
  const functions = [...code.matchAll(/(?<![.\w]|\bAS )([a-z_]\w*) ?\(/gi)].filter(
    ([, name = '']) => !WORDS.has(name.toLowerCase()),
  );
  const others = FAULTS.flatMap(([fault, pattern]) => {
    const found = pattern.exec(code);
    return found === null ? [] : [`${fault}: ${code.slice(Math.max(0, found.index - 20), found.index + 20)}`];
  });
  return [...functions.map(([call]) => `a function: ${call}`), ...others];
}

/** Strings and templates of a file; what is put into a template stands as a quoted name. */
function textsOf(file: string): string[] {
  const texts: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) texts.push(node.text);
    if (ts.isTemplateExpression(node))
      texts.push([node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join('"_"'));
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest));
  return texts;
}

describe('the statements of', () => {
  for (const file of globSync('src/{postgres,run,restore,segment,verify,work}/**/*.ts')) {
    const texts = textsOf(file).filter((text) => /pg_|SELECT|::/.test(text));
    if (texts.length === 0) continue;
    test(file, () => {
      assert.deepEqual(texts.flatMap(faultsOf), []);
    });
  }
});

test('what the search path decides is found', () => {
  for (const [sql, fault] of [
    ['SELECT count(*) FROM t', 'a function'],
    ['SELECT pg_catalog.count(*) FROM pg_class', 'a catalogue'],
    ['SELECT pg_catalog.now()::text', 'a type'],
    ['SELECT a = b', 'an operator'],
    ['SELECT a OPERATOR(pg_catalog.=) b - c', 'an operator'],
    ['SELECT a * b', 'an operator'],
    ["SELECT a IN ('r')", 'a word'],
    ["SELECT a IS DISTINCT FROM 'r'", 'a word'],
    ['WITH x AS (SELECT 1) SELECT FROM x JOIN y USING (a)', 'a word'],
  ] as const)
    assert.match(faultsOf(sql).join(), new RegExp(`^${fault}`), sql);
  assert.deepEqual(
    faultsOf(
      "SELECT *, t.*, pg_catalog.count(*) FROM pg_catalog.unnest($1::pg_catalog.bit(3)[]) AS u(a, b) WHERE a OPERATOR(pg_catalog.->>) -1 AND EXISTS (SELECT '=<a(>')",
    ),
    [],
  );
});
