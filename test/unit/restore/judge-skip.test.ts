import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { conflictKey, refuseSkip, refuseSkipIntoNew } from '../../../src/restore/judge-skip.ts';
import { column, index, manifest, target, targetColumn } from './facts.ts';

const ON_ID = 'CREATE UNIQUE INDEX ON "public"."events" ("id")';

describe('rows that are there already', () => {
  test('are told by a unique index on the key that they were cut by, else on the primary key', () => {
    const by = [{ name: 'id', equals: 'OPERATOR(pg_catalog.=)', nullable: false }];
    assert.deepEqual(conflictKey(manifest(), target()), by);
    assert.deepEqual(conflictKey(manifest({ cut: { by: 'key', key: ['note'] } }), target()), by);
    const both = manifest({ cut: { by: 'key', key: ['note', 'id'] }, primaryKey: [] });
    const columns = [targetColumn('id', 'integer', { notNull: true }), targetColumn('note', 'text', { notNull: true })];
    const found = conflictKey(both, target({ columns, indexes: [index(['id']), index(['id', 'note'])] }));
    assert.deepEqual(
      found?.map(({ name }) => name),
      ['id', 'note'],
    );
  });

  test('may have NULL in the key where the index takes it once only', () => {
    const archived = manifest({ columns: [column('id', 'integer')] });
    const columns = [targetColumn('id', 'integer')];
    const [only] = conflictKey(archived, target({ columns, indexes: [index(['id'], { nullsAreEqual: true })] })) ?? [];
    assert.equal(only?.nullable, true);
    assert.deepEqual(refuseSkip(archived, target({ columns }), false), [
      `--on-conflict skip goes by ("id") alone, and the unique index of "public"."events" on it takes rows with NULL in "id" any number of times (SET NOT NULL): ${ON_ID}`,
    ]);
  });

  for (const [what, indexes, why] of [
    ['is no index on the key', [index(['note']), index([null]), index(['id', 'note'])], 'is not there'],
    ['is none that is unique', [index(['id'], { isUnique: false })], 'is not there'],
    ['is one that is not valid', [index(['id'], { isValid: false })], 'is not valid (REINDEX)'],
    ['is one that is checked late', [index(['id'], { isImmediate: false })], 'is of a DEFERRABLE constraint'],
    ['is one of some rows', [index(['id'], { isPartial: true })], 'holds a part of the rows only'],
    [
      'is one that takes different values for the same',
      [index(['id'], { isExact: false })],
      'takes different values for the same, by its collation or operator class',
    ],
  ] as const)
    test(`are not told where there ${what}`, () => {
      assert.deepEqual(refuseSkip(manifest(), target({ indexes }), false), [
        `--on-conflict skip goes by ("id") alone, and the unique index of "public"."events" on it ${why}: ${ON_ID}`,
      ]);
      assert.equal(conflictKey(manifest(), target({ indexes })), undefined);
    });

  test('are not told by a key that the table computes, or where there is none', () => {
    const columns = [targetColumn('id', 'integer', { notNull: true, isGenerated: true })];
    assert.match(refuseSkip(manifest(), target({ columns }), false)[0] ?? '', /is on "id", which the table computes/);
    const none = manifest({ cut: { by: 'pages', key: [] }, primaryKey: [] });
    assert.deepEqual(refuseSkip(none, target(), false), ['--on-conflict skip needs a key, and the archive has none']);
    assert.equal(refuseSkipIntoNew(none).length, 1);
    assert.deepEqual(refuseSkipIntoNew(manifest()), []);
  });

  test('are not told from those of tables that inherit, which may have the same keys', () => {
    const lost = /^the archive holds the rows of several tables.*--on-conflict skip would lose all but one of them$/;
    for (const problems of [
      refuseSkip(manifest({ inherited: true }), target(), false),
      refuseSkipIntoNew(manifest({ inherited: true })),
    ]) {
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', lost);
    }
  });

  test('are not told where a rule changes the statement, or other tables hold rows as well', () => {
    assert.deepEqual(refuseSkip(manifest(), target({ rules: ['away'] }), true), [
      '--on-conflict skip does not go with rules, and "public"."events" has "away": drop them',
      'tables inherit from "public"."events", and its indexes do not reach into them: --on-conflict skip would bring their rows again',
    ]);
  });
});
