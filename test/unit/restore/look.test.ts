import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeColumns } from '../../../src/restore/create-table.ts';
import { chooseObjects, lookAtObjects, type PlannedObject } from '../../../src/restore/objects.ts';
import { FailureError } from '../../../src/base/errors.ts';
import type { ManifestObject } from '../../../src/ledger/manifest.ts';
import type { StoredManifest } from '../../../src/ledger/stored-manifest.ts';
import type { Store } from '../../../src/store/store.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { column, manifest, object, RUN } from './facts.ts';

const FOLDER = new RunFolder({} as Store, 'events', RUN);

async function chosen(objects: readonly ManifestObject[], outside = new Set<number>()): Promise<PlannedObject[]> {
  return Array.fromAsync(chooseObjects(FOLDER, { objects }, outside));
}

describe('the objects of a restore', () => {
  test("lie in the folder of the run that was asked for, under the manifest's names", async () => {
    assert.deepEqual(
      (await chosen(manifest().objects)).map(({ index, key }) => [index, key]),
      [
        [0, `events/run=${RUN}/part-00000.jsonl.gz`],
        [1, `events/run=${RUN}/part-00001.jsonl.gz`],
      ],
    );
  });

  test('are those that may hold rows of the range', async () => {
    const objects = [object(0), object(1), object(2)];
    assert.deepEqual(
      (await chosen(objects, new Set([0, 2]))).map(({ index }) => index),
      [1],
    );
  });

  test('are looked up, and the manifest is held against them', async () => {
    const sizes = [50, undefined, 10];
    const store = {
      url: 's3://archive/pg/',
      head: async (key: string) => {
        const bytes = sizes[Number(key.at(-10))];
        return bytes === undefined ? undefined : { key, bytes, etag: '' };
      },
    } as Partial<Store> as Store;
    const objects = [object(0), object(1), object(2, { rows: 0, longestLine: 2e9 })];
    const folder = new RunFolder(store, 'events', RUN);
    const whole = manifest({ objects }) as unknown as StoredManifest;
    const { problems, contradictions, warnings, ...amounts } = await lookAtObjects(folder, whole, new Set([0]));
    assert.deepEqual(amounts, { count: 2, filled: 1, rows: 10 });
    assert.deepEqual(problems, [
      `object events/run=${RUN}/part-00001.jsonl.gz is missing in s3://archive/pg/`,
      `object events/run=${RUN}/part-00002.jsonl.gz has 10 bytes, and 50 in the manifest: it was changed or damaged`,
    ]);
    assert.deepEqual(contradictions, [
      'the manifest says 200 jsonBytes, its objects together have 300',
      'the manifest says 100 bytes, its objects together have 150',
    ]);
    assert.equal(warnings.length, 1);
  });

  test('of another name than ours are refused', async () => {
    const objects = [object(0, { key: 'part-00000.parquet' })];
    const whole = manifest({ objects }) as unknown as StoredManifest;
    await assert.rejects(
      lookAtObjects(FOLDER, whole, new Set()),
      (error) => error instanceof FailureError && error.failure.code === 'bad-manifest' && !error.failure.transient,
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
