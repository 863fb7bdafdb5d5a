import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import type { Column } from '../../../src/postgres/columns.ts';
import { exactnessOf } from '../../../src/purge/exact.ts';
import type { PurgeFacts, Reference } from '../../../src/purge/look.ts';
import { findProblems, keyOf } from '../../../src/purge/preflight.ts';
import type { PurgeOption } from '../../../src/purge/request.ts';

const HOUR = 3_600_000;

function column(name: string, type = 'integer', baseTypeOid = 23, changes: Partial<Column> = {}): Column {
  const plain = { elementTypeOid: null, isEnum: false, nullable: false, encoding: 'string' } as const;
  return { name, type, typeOid: baseTypeOid, baseTypeOid, ...plain, ...changes };
}

const COLUMNS = [column('id'), column('v', 'text', 25)];
const FACTS: PurgeFacts = {
  server: {
    isPooled: false,
    inRecovery: false,
    readOnly: false,
    replicationRole: 'origin',
    encoding: 'UTF8',
    now: new Date('2026-11-02T00:00:00Z'),
    role: 'purger',
  },
  identity: { database: 'd', serverVersion: '18', systemIdentifier: '7' },
  relation: {
    oid: 1,
    schema: 'public',
    name: 't',
    kind: 'table',
    columns: COLUMNS,
    primaryKey: ['id'],
    hasChildren: false,
    isPopulated: true,
  },
  hazards: '',
  rights: { select: true, delete: true, update: true, hidesRows: false },
  keys: [['id']],
  foreignLeaves: [],
  references: [],
  rules: [],
  triggers: [],
  publications: [],
  subscriptions: [],
  slots: [],
  withoutIdentity: ['t'],
};
const REFERENCE: Reference = {
  name: 'fk',
  table: 'child',
  schema: 'public',
  relation: 'child',
  onDelete: 'a',
  columns: ['t'],
  referenced: ['id'],
  operators: [{ schema: 'pg_catalog', name: '=' }],
  hasIndex: true,
  canSelect: true,
  canName: true,
  hidesRows: false,
};
const MANIFEST = {
  run: '20261101T000000Z',
  table: 'public.t',
  columns: COLUMNS,
  source: { database: 'd', serverVersion: '18', systemIdentifier: '7' },
  finishedAt: '2026-11-01T00:00:00.000Z',
} as unknown as Manifest;

function codes(
  changes: Partial<PurgeFacts>,
  manifest: Partial<Manifest> = {},
  option: Partial<Pick<PurgeOption, 'accept' | 'afterMs'>> = {},
  isNamed = false,
): string[] {
  const run = { ...MANIFEST, ...manifest };
  return findProblems(
    { ...FACTS, ...changes },
    { manifest: run, option: { accept: [], afterMs: HOUR, ...option }, isNamed },
  ).map(({ code }) => code);
}

const { server, rights, relation } = FACTS;

describe('a purge is refused', () => {
  test('for nothing, where nothing stands against it', () => {
    assert.deepEqual(codes({}), []);
    assert.deepEqual(codes({ references: [REFERENCE] }), []);
    assert.deepEqual(codes({ relation: { ...relation, kind: 'partitioned', hasChildren: true } }), []);
    const columns = MANIFEST.columns.map((column) => ({ ...column, type: `pg_catalog.${column.type}` }));
    assert.deepEqual(codes({}, { columns }), [], 'the role that archived had another search path');
  });

  test('a run of another table, or of other columns, names the way out, which of a window takes --again', () => {
    const hintsOf = (changes: Partial<Manifest>): string =>
      findProblems(FACTS, {
        manifest: { ...MANIFEST, ...changes },
        option: { accept: [], afterMs: HOUR },
        isNamed: true,
      })
        .map(({ hint }) => hint)
        .join('\n');
    const renamed = hintsOf({ table: 'public.other' });
    assert.match(renamed, /pgsluice run ARCHIVE --from … --to … --again/);
    assert.doesNotMatch(renamed, /purge\.source/);
    assert.match(hintsOf({ columns: [] }), /pgsluice run ARCHIVE --from … --to … --again/);
  });

  const cases: [code: string, facts: Partial<PurgeFacts>, manifest?: Partial<Manifest>][] = [
    ['purge-pooler', { server: { ...server, isPooled: true } }],
    ['purge-read-only', { server: { ...server, inRecovery: true } }],
    ['purge-read-only', { server: { ...server, readOnly: true } }],
    ['purge-replication-role', { server: { ...server, replicationRole: 'replica' } }],
    ['purge-encoding', { server: { ...server, encoding: 'EUC_JP' } }],
    ['purge-encoding', { server: { ...server, encoding: 'EUC_TW' } }],
    ['purge-wrong-source', { identity: { ...FACTS.identity, systemIdentifier: '8' } }],
    ['purge-wrong-source', { identity: { ...FACTS.identity, systemIdentifier: null } }],
    ['purge-wrong-source', {}, { source: { ...MANIFEST.source, systemIdentifier: null } }],
    [
      'purge-wrong-source',
      { identity: { ...FACTS.identity, systemIdentifier: null } },
      { source: { ...MANIFEST.source, systemIdentifier: null } },
    ],
    ['purge-wrong-source', {}, { source: { ...MANIFEST.source, database: 'e' } }],
    ['purge-wrong-source', {}, { table: 'public.other' }],
    ['purge-too-young', { server: { ...server, now: new Date('2026-11-01T00:59:59Z') } }],
    ['purge-incomplete-archive', {}, { table: undefined, query: 'SELECT 1' } as unknown as Partial<Manifest>],
    ['purge-incomplete-archive', { relation: { ...relation, kind: 'view' } }],
    ['purge-incomplete-archive', { foreignLeaves: ['far'] }],
    ['purge-inherits', { relation: { ...relation, hasChildren: true } }],
    ['purge-inherits', {}, { inherited: true }],
    ['purge-rule', { rules: [{ name: 'r', table: 't' }] }],
    ['purge-no-key', { keys: [] }],
    ['purge-no-key', { keys: [['v', 'gone']] }],
    ['purge-columns-changed', {}, { columns: MANIFEST.columns.toReversed() }],
    [
      'purge-columns-changed',
      {},
      { columns: MANIFEST.columns.map((column) => ({ ...column, type: 'date', typeOid: 1082 })) },
    ],
    ['purge-columns-changed', {}, { columns: MANIFEST.columns.map((column) => ({ ...column, type: 'varchar(3)' })) }],
    ['purge-columns-changed', {}, { columns: MANIFEST.columns.slice(0, 1) }],
    ['purge-columns-changed', { relation: { ...relation, columns: COLUMNS.slice(0, 1) } }],
    ['purge-permission', { rights: { ...rights, select: false } }],
    ['purge-permission', { rights: { ...rights, delete: false } }],
    ['purge-permission', { rights: { ...rights, update: false } }],
    ['purge-row-security', { rights: { ...rights, hidesRows: true } }],
    ['purge-permission', { references: [{ ...REFERENCE, canSelect: false }] }],
    ['purge-permission', { references: [{ ...REFERENCE, canName: false }] }],
    ['purge-row-security', { references: [{ ...REFERENCE, hidesRows: true }] }],
    ['purge-unindexed-reference', { references: [{ ...REFERENCE, hasIndex: false }] }],
    ...['c', 'n', 'd'].map((onDelete): [string, Partial<PurgeFacts>] => [
      'purge-cascades',
      { references: [{ ...REFERENCE, onDelete }] },
    ]),
  ];
  for (const [code, facts, manifest] of cases)
    test(`${code}: ${JSON.stringify(manifest ?? facts).slice(0, 60)}`, () => {
      assert.deepEqual(codes(facts, manifest), [code]);
    });

  test('less than an hour is not believed of the config', () => {
    assert.deepEqual(codes({ server: { ...server, now: new Date('2026-11-01T00:59:59Z') } }, {}, { afterMs: 0 }), [
      'purge-too-young',
    ]);
  });

  test('a run that is named may be as young as it is', () => {
    assert.deepEqual(codes({ server: { ...server, now: new Date(0) } }, {}, {}, true), []);
  });

  test('for what a delete sets off, unless that is accepted', () => {
    const set = {
      triggers: [{ name: 'w', table: 't', isFirst: false }],
      publications: ['p'],
      slots: [{ name: 's', plugin: 'wal2json' }],
      subscriptions: ['u'],
      withoutIdentity: [],
    };
    assert.deepEqual(codes(set), ['purge-triggers', 'purge-published', 'purge-slots', 'purge-subscribed']);
    const first = { triggers: [{ name: 'w', table: 't', isFirst: true }] };
    assert.deepEqual(codes(first, {}, { accept: ['triggers'] }), ['purge-triggers']);
    assert.deepEqual(codes(set, {}, { accept: ['triggers', 'publications', 'slots', 'subscriptions'] }), []);
    assert.deepEqual(codes({ publications: ['p'] }, {}, { accept: ['publications'] }), ['purge-replica-identity']);
  });
});

test('the first key of plain types is taken', () => {
  const columns = [column('m', 'money', 790), column('id')];
  assert.deepEqual(
    keyOf({ ...FACTS, relation: { ...relation, columns }, keys: [['m'], ['id']] })?.map(({ name }) => name),
    ['id'],
  );
});

describe('a type that a line does not tell whole', () => {
  const exactness = (one: Column) => exactnessOf(one, one, 'c');
  const lossy: Column[] = [
    column('c', 'money', 790),
    column('c', 'regclass', 2205),
    column('c', 'int2vector', 22, { elementTypeOid: 21 }),
    column('c', 'jsonb[]', 3807, { elementTypeOid: 3802 }),
    column('c', 'pair', 99_001, { encoding: 'server' }),
    column('c', 'geometry', 99_002, { encoding: 'text' }),
    column('c', 'hstore', 99_003, { encoding: 'server', isMadeByCast: true }),
    column('c', 'mood', 99_004, { isEnum: true, encoding: 'text' }),
    column('c', 'tsquery', 3615),
    column('c', 'of_tomorrow', 99_005),
  ];
  for (const one of lossy)
    test(`is refused: ${one.type}`, () => {
      assert.equal(exactness(one), 'lossy');
      assert.deepEqual(
        codes({ relation: { ...relation, columns: [COLUMNS[0]!, one] } }, { columns: [COLUMNS[0]!, one] }),
        ['purge-lossy-type'],
      );
    });

  test('has a condition where one can be written', () => {
    for (const [type, oid] of [
      ['json', 114],
      ['jsonb', 3802],
      ['xml', 142],
    ] as const)
      assert.match(JSON.stringify(exactness(column('c', type, oid))), /IS NOT TRUE/);
    assert.match(JSON.stringify(exactness(column('c', 'integer[]', 1007, { elementTypeOid: 23 }))), /array_dims/);
    assert.deepEqual(exactness(column('c', 'mood', 99_004, { isEnum: true })), { condition: undefined });
  });
});
