import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { FAILURE_GROUPS, FAILURES, failureLabel, failureReference, isFailureCode } from '../../../src/base/failures.ts';

const TESTS = path.join(import.meta.dirname, '../..');
/** Files in which a code is an example, and that show nothing of who produces it. */
const EXAMPLES = new Set([
  'unit/ledger/failure-of-another-version.test.ts',
  'unit/base/failures.test.ts',
  'unit/base/errors.test.ts',
  'unit/base/log.test.ts',
  'unit/commands/terminal/failure.test.ts',
  'unit/daemon/history/history.test.ts',
  'unit/daemon/view/metrics.test.ts',
]);

/** Codes that no test can produce, and why not. */
const UNTESTED: Readonly<Record<string, string>> = {
  'queue-missing': 'the tests have the package that is missing then',
};

/** Codes that tests compare with, and that are none of a failure: what the daemon answers to a request, and made-up ones. */
const OTHER_CODES = new Set(['not-running', 'no-daemon', 'wrong-token', 'no-such-run', 'down']);

const files = globSync('**/*.ts', { cwd: TESTS }).filter((file) => !EXAMPLES.has(file));
const texts = new Map(files.map((file) => [file, readFileSync(path.join(TESTS, file), 'utf8')]));
const allText = [...texts.values()].join('\n');

/** `failure.code, 'x'`, `code === 'x'`, `code: 'x'`, and `[failure.code, failure.transient], ['x'`. */
const COMPARISON = /\bcode(?:, |: | === | !== |, [\w?.]+\], \[)'([a-z][a-z0-9-]+)'/g;

describe('each code of a failure', () => {
  const declared = FAILURE_GROUPS.flatMap(({ declarations }) => Object.entries(declarations));

  test('is declared once, in kebab case, with sentences for its meaning and its hint', () => {
    assert.equal(declared.length, Object.keys(FAILURES).length);
    for (const [code, { meaning, hint, transient, retried }] of Object.entries(FAILURES)) {
      assert.match(code, /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/);
      assert.match(meaning, /^[A-Z`].*\.$/, code);
      assert.match(hint, /^[A-Z].*\.$/, code);
      if (transient === 'depends') assert.ok(retried !== undefined, `${code}: of what does it depend?`);
    }
  });

  test('is produced by a test, or is listed with the reason why it cannot be', () => {
    const missing = Object.keys(FAILURES).filter((code) => !(code in UNTESTED) && !isTested(code));
    assert.deepEqual(missing, []);
  });

  test('that is listed as untested is declared, and no test produces it', () => {
    for (const code of Object.keys(UNTESTED)) {
      assert.ok(isFailureCode(code), `${code} is not declared`);
      assert.ok(!isTested(code), `${code} is tested: take it off the list`);
    }
  });

  test('that a test compares with is declared', () => {
    const unknown = [...texts].flatMap(([file, text]) =>
      Array.from(text.matchAll(COMPARISON), ([, code = '']) => code)
        .filter((code) => !isFailureCode(code) && !OTHER_CODES.has(code))
        .map((code) => `${file}: ${code}`),
    );
    assert.deepEqual([...new Set(unknown)], []);
  });

  test('that is none of a failure is used by some test', () => {
    for (const code of OTHER_CODES) assert.ok(isTested(code) && !isFailureCode(code), code);
  });
});

test('a code of another version has no anchor, and is counted as other', () => {
  assert.deepEqual([failureReference('of-tomorrow'), failureLabel('of-tomorrow')], [undefined, 'other']);
  assert.deepEqual([failureReference('toString'), failureLabel('toString')], [undefined, 'other']);
  assert.deepEqual([failureReference('locked'), failureLabel('locked')], ['docs/errors.md#locked', 'locked']);
});

/** As a literal, or as a word of a pattern that looks at an output, such as `/\(table-not-found\)/`. */
function isTested(code: string): boolean {
  return allText.includes(`'${code}'`) || allText.includes(`(${code}\\)`);
}
