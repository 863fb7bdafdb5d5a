import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareRow } from '../../../src/postgres/row-comparison.ts';

const NUMBER = { reference: 'a', type: 'pg_catalog.int4', operators: 'pg_catalog' };
const WORD = { reference: 'b', type: 'app.citext', operators: 'app' };

describe('a comparison of rows', () => {
  test('names the schema of the operator', () => {
    assert.equal(
      compareRow([NUMBER, NUMBER], '<', ['1', '$2']),
      '(a, a) OPERATOR(pg_catalog.<) (1::pg_catalog.int4, $2::pg_catalog.int4)',
    );
    assert.equal(compareRow([WORD], '>=', ["'x'"]), "(b) OPERATOR(app.>=) ('x'::app.citext)");
  });

  test('is written out where the operators are of several schemas', () => {
    assert.equal(
      compareRow([NUMBER, WORD], '<=', ['1', "'x'"]),
      '(a OPERATOR(pg_catalog.<=) 1::pg_catalog.int4 AND (a OPERATOR(pg_catalog.<) 1::pg_catalog.int4' +
        " OR b OPERATOR(app.<=) 'x'::app.citext))",
    );
    assert.equal(
      compareRow([WORD, NUMBER], '>', ["'x'", '1']),
      "(b OPERATOR(app.>=) 'x'::app.citext AND (b OPERATOR(app.>) 'x'::app.citext OR a OPERATOR(pg_catalog.>) 1::pg_catalog.int4))",
    );
  });
});
