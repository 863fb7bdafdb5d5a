import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  randomFunctionOf,
  remoteReadsOf,
  rowChoiceOf,
  scannedRelations,
  type PlanNode,
  type UniqueKey,
} from '../../../src/postgres/plan-tree.ts';

type Fields = Partial<Omit<PlanNode, 'Node Type' | 'Plans'>>;

function node(type: string, fields: Fields = {}, ...plans: PlanNode[]): PlanNode {
  return { 'Node Type': type, ...fields, ...(plans.length === 0 ? {} : { Plans: plans }) };
}

function scan(relation = 't', alias = relation): PlanNode {
  return node('Seq Scan', { Schema: 'public', 'Relation Name': relation, Alias: alias, Output: [`${alias}.id`] });
}

function sorted(keys: string[], input = scan(), type = 'Sort'): PlanNode {
  return node(type, { 'Sort Key': keys, Output: input.Output ?? [] }, input);
}

/** A subquery in FROM whose rows are filtered, so that the planner cannot do without a node for it. */
function within(subquery: PlanNode): PlanNode {
  return node('Subquery Scan', { Alias: 's', Output: ['s.id', 's.pad'], Filter: '(s.pad <> 5)' }, subquery);
}

const UNIQUE: UniqueKey[] = [
  { schema: 'public', relation: 't', columns: ['id'] },
  { schema: 'public', relation: 'pair', columns: ['a', 'B "x"'] },
  { schema: 'other', relation: 'u', columns: ['id'] },
];

function choice(root: PlanNode, key: readonly number[] = [0]): string | undefined {
  return rowChoiceOf({ root, key, uniqueKeys: UNIQUE });
}

describe('a limit', () => {
  const limit = (input: PlanNode, output = ['t.id', 't.pad']): PlanNode => node('Limit', { Output: output }, input);

  for (const [situation, root] of [
    ['of the whole statement, however well it is ordered', limit(sorted(['t.id']))],
    ['of the whole statement below its order', sorted(['t.id'], limit(sorted(['t.id'])))],
    ['without an order', within(limit(scan()))],
    ['in an order that is not unique', within(limit(sorted(['t.ts DESC'])))],
    ['in an order that has a part of a key only', within(limit(sorted(['pair.a'], scan('pair'))))],
    ['in an order by an expression of the key', within(limit(sorted(['(abs(t.id))'])))],
    ['in the order of a table of that name in another schema', within(limit(sorted(['u.id'], scan('u'))))],
    [
      'in the order of one of two tables',
      within(limit(sorted(['t.id'], node('Nested Loop', {}, scan(), scan('t', 'x'))))),
    ],
    ['of rows that are made of others', within(limit(sorted(['t.id'], node('ProjectSet', {}, scan()))))],
    [
      'of what a function gives',
      within(limit(sorted(['t.id'], node('Nested Loop', {}, scan(), node('Function Scan'))))),
    ],
    ['in a subquery of an expression', node('Seq Scan', {}, node('Limit', { 'Subplan Name': 'SubPlan 1' }, scan()))],
    ['in a WITH', node('CTE Scan', {}, node('Limit', { 'Subplan Name': 'CTE x' }, sorted(['t.ts'])))],
    ['for each row of another table', node('Nested Loop', {}, scan('x'), limit(sorted(['t.ts DESC'])))],
    ['deep below', node('Hash Join', {}, scan('x'), node('Hash', {}, node('Append', {}, limit(scan()))))],
  ] as const) {
    test(`may give other rows ${situation}`, () => {
      assert.equal(choice(root), 'LIMIT, OFFSET or FETCH');
    });
  }

  for (const [situation, root] of [
    ['in an order by a key', within(limit(sorted(['t.id'])))],
    ['in an order that ends with a key', within(limit(sorted(['t.ts DESC NULLS LAST', 't.id DESC'])))],
    ['in an order by all columns of a key', within(limit(sorted(['pair."B ""x"""', 'pair.a'], scan('pair'))))],
    [
      'in an order by the keys of all tables that are joined',
      within(limit(sorted(['x.id', 't.id'], node('Hash Join', {}, scan(), node('Hash', {}, scan('t', 'x')))))),
    ],
    ['in an order that the merge of partitions gives', within(limit(sorted(['t.id'], scan(), 'Merge Append')))],
    ['in an order by all that it gives', within(limit(sorted(['t.ts', 't.pad COLLATE "C" DESC']), ['t.ts', 't.pad']))],
    ['in an order by all that it gives, of one table', within(limit(sorted(['t.ts']), ['ts']))],
    [
      'by a key of what is joined, with a value from a subquery',
      within(limit(sorted(['t.id'], node('Append', {}, scan(), node('Result', { 'Subplan Name': 'SubPlan 1' }))))),
    ],
    ['above an order by a key and a projection', within(limit(node('Result', {}, sorted(['t.id']))))],
  ] as const) {
    test(`gives the same rows ${situation}`, () => {
      assert.equal(choice(root), undefined);
    });
  }

  test('that a foreign server is asked for may give other rows, and a name that looks like one does not', () => {
    const foreign = (sql: string): PlanNode => node('Foreign Scan', { 'Remote SQL': sql });
    assert.equal(choice(foreign('SELECT id FROM public.t LIMIT 5::bigint')), 'LIMIT');
    assert.equal(choice(foreign(`SELECT fetch_at, "LIMIT" FROM public.t WHERE ((a = 'OFFSET'))`)), undefined);
  });
});

describe('DISTINCT ON', () => {
  const aggregated = (input: PlanNode): PlanNode => node('Aggregate', { Output: ['u', 'count(*)'] }, input);
  const unique = (input: PlanNode, output: string[]): PlanNode => node('Unique', { Output: output }, input);

  for (const [situation, root, key] of [
    ['in an order that leaves open which row stays', unique(sorted(['t.u', 't.ts']), ['t.u', 't.ts', 't.id']), [2]],
    ['whose order cannot be seen', unique(scan(), ['t.u', 't.id']), [0]],
    ['in a subquery, even if its key is decided', aggregated(unique(sorted(['t.u']), ['u', 'id'])), [0]],
    ['with a key that is an expression', unique(sorted(['(lower(t.u))', 't.u']), ['(lower(t.u))', 't.x']), [0]],
  ] as const) {
    test(`may give other rows ${situation}`, () => {
      assert.equal(choice(root, key), 'DISTINCT ON in an order that is not unique');
    });
  }

  for (const [situation, root, key] of [
    ['in an order that ends with a key', unique(sorted(['t.u', 't.ts DESC', 't.id']), ['t.u', 't.id', 't.pad']), [2]],
    ['of columns that are all sorted by, as DISTINCT is', within(unique(sorted(['t.u', 't.ts']), ['u', 'ts'])), [0]],
    ['by what segments are cut by', unique(sorted(['t.u', 't.ts']), ['t.u', 't.ts', 't.pad']), [0]],
    ['by what segments are cut by, then sorted', sorted(['t.pad'], unique(sorted(['t.u']), ['t.u', 't.pad'])), [0]],
  ] as const) {
    test(`gives the same rows ${situation}`, () => {
      assert.equal(choice(root, key), undefined);
    });
  }
});

describe('a window function', () => {
  const ROW_NUMBER = 'row_number() OVER w1';
  const LAG = `lag(t.ts, 1, 5) OVER (?)`;
  const window = (value: string, order: string[], fields: Fields = {}): PlanNode =>
    node('WindowAgg', { Output: ['t.id', 't.u', value], ...fields }, sorted(order));
  const OTHER_ROWS = 'a window function in an order that is not unique';

  for (const [situation, root, key] of [
    ['rows are picked by', within(window(ROW_NUMBER, ['t.u', 't.ts'])), [0]],
    [
      'rows are picked by as it runs',
      window(ROW_NUMBER, ['t.u'], { 'Run Condition': '(row_number() OVER w1 <= 1)' }),
      [0],
    ],
    [
      'other rows are joined to',
      node('Hash Join', { 'Hash Cond': '(x.id = s.rn)' }, scan('x'), window(LAG, ['t.ts'])),
      [0],
    ],
    ['is the key', window(ROW_NUMBER, ['t.ts']), [2]],
    ['has no order', within(node('WindowAgg', { Output: ['t.id', 'row_number() OVER (?)'] }, scan())), [0]],
  ] as const) {
    test(`that goes by position may give other rows where ${situation}`, () => {
      assert.equal(choice(root, key), OTHER_ROWS);
    });
  }

  for (const [situation, root] of [
    ['in an order that ends with a key', within(window(ROW_NUMBER, ['t.u', 't.id']))],
    ['that no row is picked by', window(LAG, ['t.ts'])],
    ['that ranks equals alike', within(window('rank() OVER w1', ['t.u', 't.ts']))],
    ['that adds up', within(window('count(*) OVER (?)', ['t.u']))],
    ['that is a name only', within(window(`(t.a || 'lag() OVER w1')`, ['t.u']))],
  ] as const) {
    test(`gives the same rows ${situation}`, () => {
      assert.equal(choice(root), undefined);
    });
  }
});

describe('a plan', () => {
  test('with a sample of a table may give other rows', () => {
    assert.equal(choice(node('Hash Join', {}, scan(), node('Hash', {}, node('Sample Scan')))), 'TABLESAMPLE');
  });

  for (const [expression, expected] of [
    ['(random() < 0.1)', 'random()'],
    ['(t.a < (random() * 2))', 'random()'],
    ['public.uuid_generate_v4()', 'uuid_generate_v4()'],
    ['gen_random_uuid()', 'gen_random_uuid()'],
    ['uuidv7()', 'uuidv7()'],
    [`(t.a = 'random()')`, undefined],
    ['"random"', undefined],
    ['t."random()"', undefined],
    ['random', undefined],
    ['my_random(t.a)', undefined],
    ['random_id(t.a)', undefined],
    ['t.fetch_queue', undefined],
  ] as const) {
    test(`with ${expression} ${expected === undefined ? 'gives the same values' : 'gives others each time'}`, () => {
      for (const field of ['Filter', 'Join Filter', 'Hash Cond'])
        assert.equal(randomFunctionOf(node('Append', {}, node('Result', { [field]: expression }))), expected);
      assert.equal(randomFunctionOf(node('Result', { Output: ['t.id', expression] })), expected);
    });
  }

  test('of relations that are called random() gives the same values', () => {
    const names = { 'Relation Name': 'random()', Alias: 'random()', Schema: 'random()', 'Index Name': 'random()' };
    assert.equal(randomFunctionOf(node('Index Scan', names)), undefined);
  });

  test('names each relation that it scans once', () => {
    const root = node('Append', {}, scan('t'), scan('t', 't_1'), node('Hash', {}, scan('u')));
    assert.deepEqual(scannedRelations(root), [
      { schema: 'public', relation: 't' },
      { schema: 'public', relation: 'u' },
    ]);
  });
});

describe('what a plan reads of other servers', () => {
  for (const [situation, root, expected] of [
    ['is nothing of tables', node('Append', {}, scan('a'), scan('b')), []],
    [
      'is each foreign table once, wherever it stands',
      node(
        'Append',
        {},
        scan('a'),
        node('Foreign Scan', { 'Relation Name': 'far', Alias: 't' }),
        node('Hash Join', {}, node('Foreign Scan', { 'Relation Name': 'far' }), node('Foreign Scan', { Alias: 'x' })),
      ),
      ['the foreign table far', 'the foreign table of a scan'],
    ],
    [
      'is what is joined over there',
      node('Aggregate', {}, node('Foreign Scan', { Relations: '(a) INNER JOIN (b)' })),
      ['the foreign table (a) INNER JOIN (b)'],
    ],
    ['is what dblink gives', node('Function Scan', { 'Function Name': 'dblink' }), ['dblink()']],
    ['is no other function', node('Function Scan', { 'Function Name': 'generate_series' }), []],
    ['is what Citus reads', node('Custom Scan', { 'Custom Plan Provider': 'Citus Adaptive' }), ['tables of Citus']],
    [
      'is no other scan of an extension',
      node('Custom Scan', { 'Custom Plan Provider': 'ChunkAppend' }, scan('chunk')),
      [],
    ],
  ] as const) {
    test(situation, () => {
      assert.deepEqual(remoteReadsOf(root), expected);
    });
  }
});
