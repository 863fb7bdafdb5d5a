import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Column } from '../../../src/postgres/columns.ts';
import { buildStatements, type PurgeTarget } from '../../../src/purge/statement.ts';

const ID: Column = {
  ...{ name: 'id', type: 'integer', typeOid: 23, baseTypeOid: 23, elementTypeOid: null },
  ...{ isEnum: false, nullable: false, encoding: 'integer' },
};

function build(changes: Partial<PurgeTarget> = {}) {
  return buildStatements({
    ...{ schema: 'public', table: 't', isPartitioned: false, columns: [ID], archived: [ID], references: [] },
    key: [{ name: 'id', type: 'pg_catalog.int4', operators: 'pg_catalog' }],
    window: undefined,
    ...changes,
  });
}

/** The parts of the statement that deletes: where rows are locked, and where they go. */
function parts(changes: Partial<PurgeTarget> = {}): { lock: string; gone: string } {
  const [lock = '', gone = ''] = build(changes).remove.split('gone AS (');
  return { lock, gone };
}

test('rows are locked where they are compared, and nobody is waited for', () => {
  const { lock, gone } = parts();
  assert.match(
    lock,
    /pg_catalog\.sha256\(.*\) OPERATOR\(pg_catalog\.=\) a\.d\s+FOR UPDATE OF pgsluice_row SKIP LOCKED/,
  );
  assert.match(
    gone,
    /pgsluice_row\.tableoid OPERATOR\(pg_catalog\.=\) l\.t AND pgsluice_row\.ctid OPERATOR\(pg_catalog\.=\) l\.c/,
  );
  // All of them are compared before the first one goes.
  assert.match(gone, /USING l WHERE \(SELECT pg_catalog\.count\(\*\) FROM l\) OPERATOR\(pg_catalog\.>\) 0 AND /);
});

test('the bounds of a window fence in what is locked, what goes and what is looked at', () => {
  const window = { column: 'at', type: 'date' } as const;
  const fence =
    /"at" OPERATOR\(pg_catalog\.>=\) \$3::pg_catalog\.date\s+AND pgsluice_row\."at" OPERATOR\(pg_catalog\.<\) \$4::pg_catalog\.date/;
  const { lock, gone } = parts({ window });
  for (const part of [lock, gone, build({ window }).look]) assert.match(part, fence);
  assert.match(build({ window }).look, /ALL \(\$5::pg_catalog\.int8\[\]\)/);
  assert.match(build().look, /ALL \(\$3::pg_catalog\.int8\[\]\)/);
});

test('rows of tables that inherit are none of its own, and those of partitions are', () => {
  for (const [isPartitioned, from] of [
    [false, 'FROM ONLY "public"."t" AS pgsluice_row'],
    [true, 'FROM "public"."t" AS pgsluice_row'],
  ] as const) {
    const { lock, gone } = parts({ isPartitioned });
    for (const part of [lock, gone, build({ isPartitioned }).look]) assert.ok(part.includes(from), part);
  }
});

test('a column is not taken for the row', () => {
  const columns = ['pgsluice_row', 'pgsluice_row_'].map((name) => ({ ...ID, name }));
  assert.ok(parts({ columns, archived: columns }).lock.includes('row_to_json(pgsluice_row__.*)'));
});
