import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { conditionOf, keyColumns, readBounds, type KeyColumn } from '../../../src/restore/keys.ts';
import { column, manifest, target, targetColumn } from './facts.ts';

const ID: KeyColumn = { name: 'id', type: 'integer', isOrderedApart: false };
const NAME: KeyColumn = { name: 'we"ird', type: 'text', isOrderedApart: true };

describe('the key of a range', () => {
  test('is the one that the rows were cut by, else the primary key, with the types of the target', () => {
    assert.deepEqual(keyColumns(manifest(), target(), new Map()), [ID]);
    const columns = [targetColumn('id', 'bigint'), targetColumn('note', 'text', { isOrderedApart: true })];
    assert.deepEqual(keyColumns({ ...manifest(), cut: { by: 'key', key: ['note'] } }, target({ columns }), new Map()), [
      { name: 'note', type: 'text', isOrderedApart: true },
    ]);
  });

  test("has the server's names of types for a table that is to be made, never the manifest's", () => {
    const hostile = { ...manifest(), columns: [column('id', 'integer --')] };
    assert.deepEqual(keyColumns(hostile, undefined, new Map([['integer --', 'integer']])), [ID]);
    assert.match(keyColumns(hostile, undefined, new Map()) as string, /which the target does not take/);
  });

  test('may be text inside unless its order is the same everywhere', () => {
    for (const [type, isOrderedApart] of [
      ['uuid', false],
      ['timestamp(3) with time zone', false],
      ['text', true],
      ['audit.level', true],
      ['timestamp_of_mine', true],
    ] as const) {
      const key = keyColumns({ ...manifest(), columns: [column('id', type)] }, undefined, new Map([[type, type]]));
      assert.deepEqual(key, [{ name: 'id', type, isOrderedApart }]);
    }
  });

  test('is missed where there is none, or the target computes it', () => {
    const none = { ...manifest(), primaryKey: [], cut: { by: 'pages' as const, key: [] } };
    assert.equal(keyColumns(none, target(), new Map()), '--key-from and --key-to need a key, and the archive has none');
    const computed = target({ columns: [targetColumn('id', 'integer', { isGenerated: true })] });
    assert.match(keyColumns(manifest(), computed, new Map()) as string, /go by \(id\)/);
  });
});

describe('the ends of a range', () => {
  test('are open where they are not given', () => {
    assert.deepEqual(readBounds({ from: '1' }, [ID]), {
      from: { option: '--key-from', text: '1', values: ['1'] },
      to: undefined,
      problems: [],
    });
  });

  test('have a value for each column; of a single one, commas belong to it', () => {
    assert.deepEqual(readBounds({ to: 'a,b' }, [NAME]).to?.values, ['a,b']);
    assert.deepEqual(readBounds({ to: '1,b' }, [ID, NAME]).to?.values, ['1', 'b']);
    assert.deepEqual(readBounds({ from: '1', to: '1,2,3' }, [ID, NAME]).problems, [
      '--key-from 1: the key has 2 columns, id, we"ird; give one value for each, with commas between, and \\, for a comma in one',
      '--key-to 1,2,3: the key has 2 columns, id, we"ird; give one value for each, with commas between, and \\, for a comma in one',
    ]);
  });

  test('of several columns may have commas and backslashes in them, behind a backslash', () => {
    assert.deepEqual(readBounds({ to: '1,a\\,b\\\\,c' }, [ID, NAME]).problems.length, 1);
    assert.deepEqual(readBounds({ to: String.raw`1,a\,b\\c\d` }, [ID, NAME]).to?.values, ['1', String.raw`a,b\c\d`]);
  });

  test('become a condition in which names and values are quoted', () => {
    const { from, to } = readBounds({ from: "1,x'); DROP TABLE t; --", to: '2,\\' }, [ID, NAME]);
    const key = [
      { reference: '"id"', type: 'pg_catalog.int4', operators: 'pg_catalog' },
      { reference: '"we""ird"', type: 'pg_catalog.text', operators: 'pg_catalog' },
    ];
    assert.equal(
      conditionOf({ key, from, to }),
      `("id", "we""ird") OPERATOR(pg_catalog.>=) ('1'::pg_catalog.int4, 'x''); DROP TABLE t; --'::pg_catalog.text)` +
        ` AND ("id", "we""ird") OPERATOR(pg_catalog.<=) ('2'::pg_catalog.int4,  E'\\\\'::pg_catalog.text)`,
    );
  });

  test('are no condition at all without a range', () => {
    assert.equal(conditionOf({ key: [], from: undefined, to: undefined }), undefined);
  });
});
