import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { bindSlot, trimStatement } from '../../../src/postgres/sql-text.ts';

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
