import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeColumns } from '../../../src/restore/create-table.ts';
import { chooseObjects } from '../../../src/restore/look.ts';
import type { Store } from '../../../src/store/store.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { column, manifest, object, RUN } from './facts.ts';

const FOLDER = new RunFolder({} as Store, 'events', RUN);

describe('the objects of a restore', () => {
  test("lie in the folder of the run that was asked for, under the manifest's names", () => {
    assert.deepEqual(
      chooseObjects(FOLDER, manifest(), new Set()).map(({ index, key }) => [index, key]),
      [
        [0, `events/run=${RUN}/part-00000.jsonl.gz`],
        [1, `events/run=${RUN}/part-00001.jsonl.gz`],
      ],
    );
  });

  test('are those that may hold rows of the range', () => {
    const objects = [object(0), object(1), object(2)];
    assert.deepEqual(
      chooseObjects(FOLDER, manifest({ objects }), new Set([0, 2])).map(({ index }) => index),
      [1],
    );
  });
});

describe('a table that is to be made', () => {
  const types = new Map([['integer', 'pg_catalog.int4']]);

  test("has the server's types, quoted names, and the key when its columns are all there", () => {
    const columns = [column('a"b\n', 'integer', { nullable: false }), column('c', 'integer')];
    assert.deepEqual(describeColumns({ columns, primaryKey: ['a"b\n'] }, types), [
      '"a""b\n" pg_catalog.int4 NOT NULL',
      '"c" pg_catalog.int4',
      'PRIMARY KEY ("a""b\n")',
    ]);
    assert.equal(describeColumns({ columns, primaryKey: ['left out'] }, types).length, 2);
  });

  test('never has a type that was not looked up', () => {
    assert.throws(() => describeColumns({ columns: [column('a', 'integer --')], primaryKey: [] }, types), /looked up/);
  });
});
