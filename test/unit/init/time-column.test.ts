import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseTimeColumn } from '../../../src/init/time-column.ts';
import type { Column } from '../../../src/postgres/columns.ts';

function column(name: string, typeOid = 1184, nullable = false): Column {
  const type = 'timestamptz';
  return { name, type, typeOid, baseTypeOid: typeOid, elementTypeOid: null, isEnum: false, nullable, encoding: type };
}

const cases: [what: string, columns: Column[], indexed: string[], partitionKey: string | undefined, chosen?: string][] =
  [
    ['none has a time', [column('id', 20)], ['id'], undefined],
    [
      'the key of partitions goes before all',
      [column('created_at'), column('day', 1082)],
      ['created_at'],
      'day',
      'day',
    ],
    ['an index goes before none', [column('a_time'), column('b_time', 1114)], ['b_time'], undefined, 'b_time'],
    [
      'when a row was made goes before when it was changed, whichever has the index',
      [column('updated_at'), column('created_at')],
      ['updated_at'],
      undefined,
      'created_at',
    ],
    ['what may be NULL goes last', [column('x_at', 1184, true), column('y_at')], [], undefined, 'y_at'],
  ];
for (const [what, columns, indexed, partitionKey, chosen] of cases) {
  test(what, () => {
    assert.equal(chooseTimeColumn(columns, indexed, partitionKey)?.name, chosen);
  });
}

test('a time that changes is said to', () => {
  assert.equal(chooseTimeColumn([column('expires_at')], [], undefined)?.mayChange, true);
  assert.equal(chooseTimeColumn([column('expires_at')], [], 'expires_at')?.mayChange, false);
});
