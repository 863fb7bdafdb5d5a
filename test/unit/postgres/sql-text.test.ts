import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { bindSlot, codeOf, describeSqlProblem, trimStatement } from '../../../src/postgres/sql-text.ts';

const SLOT = new Date('2026-11-23T02:15:00Z');
const BOUND = `(timestamptz '2026-11-23T02:15:00.000Z')`;

/** The SQL with `@` where the slot was bound. */
function bind(sql: string): string {
  return bindSlot(sql, SLOT).replaceAll(BOUND, '@');
}

describe(':slot', () => {
  for (const [situation, sql, bound] of [
    ['alone', ':slot', '@'],
    ['in a filter', `created_at < :slot - interval '90 days'`, `created_at < @ - interval '90 days'`],
    ['several times', ':slot > a AND b>:slot AND(:slot)', '@ > a AND b>@ AND(@)'],
    ['followed by a cast', ':slot::date', '@::date'],
    ['after a string', `'a' || :slot`, `'a' || @`],
    ['after a string with a quote', `'it''s' || :slot`, `'it''s' || @`],
    ['after a plain string that ends in a backslash', `'\\' || :slot`, `'\\' || @`],
    ['after a string with escapes', `E'it\\'s ' || :slot`, `E'it\\'s ' || @`],
    ['after a name that ends in e', `note'x' || :slot`, `note'x' || @`],
    ['after a quoted name', `"a""b" < :slot`, `"a""b" < @`],
    ['after a line comment', `a -- it's\n < :slot`, `a -- it's\n < @`],
    ['after nested comments', '/* a /* b */ :slot */ :slot', '/* a /* b */ :slot */ @'],
    ['after a dollar-quoted string', `$$it's$$ || :slot`, `$$it's$$ || @`],
    ['after a tagged one that holds another', '$a$ $b$ :slot $b$ $$ $a$ || :slot', '$a$ $b$ :slot $b$ $$ $a$ || @'],
    ['after a parameter', '$1 < :slot AND $2', '$1 < @ AND $2'],
    ['after a name with a dollar', 'a$b$ < :slot', 'a$b$ < @'],
    ['after the quotient of two columns', 'a / b < :slot', 'a / b < @'],
    ['after a difference of a negative number', 'a - -1 < :slot', 'a - -1 < @'],
  ] as const) {
    test(`is bound ${situation}`, () => {
      assert.equal(bind(sql), bound);
    });
  }

  for (const [situation, sql] of [
    ['in a string', `':slot'`],
    ['in a string with escapes', `E'\\':slot'`],
    ['in a string that is not closed', `'a :slot`],
    ['in a quoted name', '":slot"'],
    ['in a line comment', 'a -- :slot'],
    ['in a block comment', '/* :slot */'],
    ['in a comment that is not closed', '/* /* */ :slot'],
    ['in a dollar-quoted string', '$$ :slot $$'],
    ['in a dollar-quoted string with a tag of other letters', '$é1$ :slot $é1$'],
    ['as a cast to a type of that name', 'a::slot'],
    ['as the beginning of another name', ':slots + :slot_1 + :slot2 + :sloté + :slot$'],
    ['in capitals, as names of parameters are case-sensitive', ':SLOT'],
  ] as const) {
    test(`is left alone ${situation}`, () => {
      assert.equal(bind(sql), sql);
    });
  }

  test('leaves every other character of any SQL as it is', () => {
    const token = fc.constantFrom(
      `'`,
      `"`,
      '$',
      '$a$',
      '$$',
      '--',
      '\n',
      '/*',
      '*/',
      '\\',
      'E',
      'a',
      ':',
      '::',
      ' ',
      'é',
      '1',
      ':slot',
    );
    fc.assert(
      fc.property(
        fc.array(token).map((tokens) => tokens.join('')),
        (sql) => {
          assert.equal(bindSlot(sql, SLOT).replaceAll(BOUND, ':slot'), sql);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('a statement', () => {
  test('loses the semicolons and the white space at its end, and nothing else', () => {
    assert.equal(trimStatement('SELECT 1;\n ; \n'), 'SELECT 1');
    assert.equal(trimStatement('  SELECT 1'), '  SELECT 1');
    assert.equal(trimStatement(`SELECT ';'`), `SELECT ';'`);
  });
});

describe('the code of a piece of SQL', () => {
  for (const [situation, sql, code] of [
    ['is all of it where there is nothing else', 'a = f(b) LIMIT 1', 'a = f(b) LIMIT 1'],
    ['is without strings', `a = 'LIMIT ''1' OR b`, 'a =   OR b'],
    ['is without strings with escapes', `a = E'it\\'s LIMIT' LIMIT 2`, 'a =   LIMIT 2'],
    ['is without quoted names', 'a."fetch ""all" FETCH', 'a.  FETCH'],
    ['is without comments', 'a -- LIMIT\n, /* /* LIMIT */ */ b', 'a  ,   b'],
    ['is without dollar quotes', 'a = $x$ random() $$ $x$ || b', 'a =   || b'],
    ['keeps names with such words whole', 'fetch_queue.limit_x$1, offset_id', 'fetch_queue.limit_x$1, offset_id'],
    ['ends where a string is not closed', `a = 'LIMIT`, 'a =  '],
  ] as const) {
    test(situation, () => {
      assert.equal(codeOf(sql), code);
    });
  }
});

describe('an expression that is to stand in parentheses of ours', () => {
  const SEMICOLON = 'must be one statement, without a semicolon inside';

  for (const [situation, sql, problem] of [
    ['followed by another statement', 'a = 1; DROP TABLE t', SEMICOLON],
    ['followed by the end of our transaction', `SELECT 1; COMMIT; BEGIN READ WRITE; DELETE FROM t;`, SEMICOLON],
    ['followed by another statement after a comment', 'a = 1 -- x\n; DROP TABLE t -- y', SEMICOLON],
    ['followed by another statement after a string', `a = ''';' ; DROP TABLE t`, SEMICOLON],
    ['followed by one after a backslash that escapes nothing', `a = '\\'; DROP TABLE t; --'`, SEMICOLON],
    ['followed by one after the end of a dollar quote', 'a = $x$ $y$ $x$; DROP TABLE t; $y$', SEMICOLON],
    ['followed by one after a name that ends in e', `a = note'\\'; DROP TABLE t; --'`, SEMICOLON],
    ['that closes ours and opens another', 'a = 1) OR (b = 1', 'has a ")" that closes nothing'],
    ['that closes ours in an array', 'a = ARRAY[1)', 'has a ")" that closes nothing'],
    ['that closes a bracket too many', 'a[1]] = 2', 'has a "]" that closes nothing'],
    ['that is not closed', 'a IN (SELECT b FROM c', 'has a "(" that is never closed'],
    ['whose brackets cross', 'f(a[1)]', 'has a ")" that closes nothing'],
  ] as const) {
    test(`is refused ${situation}`, () => {
      assert.equal(describeSqlProblem(sql), problem);
    });
  }

  for (const [situation, sql] of [
    ['with a semicolon at its end', 'SELECT 1;'],
    ['with semicolons and comments at its end', 'SELECT 1; -- done;\n ; /* ; */'],
    ['with semicolons in strings', `a = ';' OR b = E'\\';' OR c = $$;$$ OR d = $x$;$$;$x$`],
    ['with semicolons in a quoted name', 'SELECT "a;b" FROM "c;d"'],
    ['with semicolons in comments', 'a = 1 /* ; /* ; */ ; */ AND b -- ;'],
    ['with parentheses in strings and names', `a = ')' AND "b(" = $$($$ AND c = E'\\')'`],
    ['with nested parentheses and brackets', 'f((a[b[1]]), (SELECT (1)))'],
  ] as const) {
    test(`is taken ${situation}`, () => {
      assert.equal(describeSqlProblem(sql), undefined);
    });
  }
});
