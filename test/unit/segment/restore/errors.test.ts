import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail, type Failure } from '../../../../src/base/errors.ts';
import type { FailureCode } from '../../../../src/base/failures.ts';
import { restoreFailure } from '../../../../src/segment/restore/errors.ts';

function failureOf(fields: Record<string, unknown>): Failure {
  return restoreFailure(Object.assign(new Error('no'), fields), 'restoring part-00000').failure;
}

const STATES: readonly (readonly [state: string, code: FailureCode, transient: boolean, hint: RegExp])[] = [
  ['23505', 'row-exists', false, /--on-conflict skip/],
  ['23502', 'constraint-violated', false, /Drop it/],
  ['23503', 'constraint-violated', false, /Restore first what it refers to/],
  ['23514', 'constraint-violated', false, /--create/],
  ['22P02', 'bad-value', false, /types of the manifest/],
  ['22001', 'bad-value', false, /types of the manifest/],
  ['25006', 'read-only', false, /primary/],
  ['42501', 'permission-denied', false, /INSERT/],
  ['23P01', 'constraint-violated', false, /exclusion constraint/],
  ['54000', 'line-too-long', false, /ranges of the key/],
  ['53100', 'target-disk-full', false, /disk/],
  // What means the same as for reading.
  ['42P01', 'table-not-found', false, /name/],
  ['40P01', 'deadlock', true, /tried again/],
  ['57P01', 'connection-lost', true, /terminated/],
  ['EPIPE', 'connection-lost', true, /host and port/],
  ['ECONNRESET', 'connection-lost', true, /host and port/],
  // No server says these; every object has an entry of that name.
  ['constructor', 'query-failed', false, /message/],
  ['__proto__', 'query-failed', false, /message/],
];

describe('an error of Postgres in a restore', () => {
  for (const [given, code, transient, hint] of STATES) {
    test(`with the code ${given} is ${code}`, () => {
      const failure = failureOf({ code: given });
      assert.deepEqual([failure.code, failure.transient, failure.stage], [code, transient, 'restore']);
      assert.match(failure.hint, hint);
      assert.ok(failure.cause?.endsWith(given));
    });
  }

  test('names the line and the column of the object, and never the value', () => {
    const where = 'COPY events, line 5, column body: "secret"';
    assert.equal(failureOf({ code: '22P02', where }).message, 'restoring part-00000: no, line 5, column body');
    assert.equal(failureOf({ code: '57P01', where }).message, 'restoring part-00000: no, line 5, column body');
    const quoted = 'COPY events, line 7, column "a "" b": "secret"';
    assert.equal(
      failureOf({ code: '22P02', where: quoted }).message,
      'restoring part-00000: no, line 7, column "a "" b"',
    );
    assert.equal(failureOf({ code: '22P02', where: 'SQL function' }).message, 'restoring part-00000: no');
  });

  test('that is a failure already is passed on', () => {
    const known = fail('locked', { stage: 'restore', message: 'no' });
    assert.equal(restoreFailure(known, 'restoring'), known);
  });
});
