import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import { ALL_KEYS } from '../../../src/restore/keys.ts';
import { checkMade, refuse, warn, warnOfVersion } from '../../../src/restore/refuse.ts';
import type { RestoreFacts } from '../../../src/restore/look.ts';
import type { RestoreRequest } from '../../../src/restore/request.ts';
import { column, facts, manifest, record, request, target, targetColumn } from './facts.ts';

const TYPES = new Map([
  ['integer', 'integer'],
  ['character varying(20)', 'character varying(20)'],
]);

function problems(
  changes: Partial<RestoreFacts>,
  asked: Partial<RestoreRequest> = {},
  archived: Parameters<typeof manifest>[0] = {},
): string[] {
  return refuse({ ...request, ...asked }, manifest(archived), facts(changes));
}

const place = facts().place;
const into = { target: undefined, types: TYPES };

describe('nothing stands against', () => {
  test('a table that is as the archive is', () => {
    assert.deepEqual(problems({}), []);
  });

  test('a table that is to be made, of types that are there', () => {
    assert.deepEqual(problems(into, { create: true }), []);
  });

  test('going on with a restore, also one that made its table', () => {
    assert.deepEqual(problems({ record: record(10), hasRows: true }, { create: true }), []);
    assert.deepEqual(problems({ record: record(0), hasRows: false }), []);
  });

  test('beginning anew where a crash has emptied the record, and the table too, or rows are passed over', () => {
    const emptied = '"public"."r"';
    assert.deepEqual(problems({ emptied, hasRows: false }, { create: true }), []);
    assert.deepEqual(problems({ emptied, hasRows: true }, { onConflict: 'skip' }), []);
  });

  test('columns that fill themselves, are computed, or carry their schema in the type', () => {
    const columns = [
      ...target().columns,
      targetColumn('at', 'timestamp', { notNull: true, fillsItself: true }),
      targetColumn('sum', 'integer', { notNull: true, isGenerated: true }),
      targetColumn('level', 'audit.level'),
    ];
    const archived = [...manifest().columns, column('level', 'level'), column('sum', 'bigint')];
    assert.deepEqual(problems({ target: target({ columns }) }, {}, { columns: archived }), []);
  });
});

describe('a restore is refused', () => {
  const cases: [string, string[], Partial<RestoreFacts>, Partial<RestoreRequest>?, Parameters<typeof manifest>[0]?][] =
    [
      [
        'when the manifest is not that of the whole run',
        [
          'the manifest says 20 rows, its objects together have 10',
          'the manifest does not name part-00000: it is not that of the whole run',
        ],
        {
          objects: {
            ...facts().objects,
            contradictions: [
              'the manifest says 20 rows, its objects together have 10',
              'the manifest does not name part-00000: it is not that of the whole run',
            ],
          },
        },
      ],
      [
        'on a standby',
        ['the server takes no writes: it is a standby, or default_transaction_read_only is on'],
        { place: { ...place, isReadOnly: true } },
      ],
      [
        'into a schema that is not there',
        ['schema public does not exist'],
        { ...into, place: { ...place, schemaExists: false, canUseSchema: false, canCreate: false } },
      ],
      [
        'into a schema that the role may not use',
        ['role restorer may not use the schema: GRANT USAGE, CREATE ON SCHEMA "public"'],
        { place: { ...place, canUseSchema: false, canCreate: false } },
      ],
      [
        'where the record cannot be made',
        [
          'role restorer may not create tables in the schema, where the restore keeps its record: GRANT CREATE ON SCHEMA',
        ],
        { place: { ...place, canCreate: false } },
      ],
      [
        'into a table that is not there',
        ['table "public"."events" does not exist; --create makes it from the manifest'],
        { target: undefined },
      ],
      [
        'when a table that is to be made is there',
        ['table "public"."events" exists already; restore into it without --create'],
        {},
        { create: true },
      ],
      ['into what is no table', ['"public"."events" is no table'], { target: target({ kind: 'v' }) }],
      [
        'without the types of the archive',
        [
          'type level of column a, b does not exist in the target; create it first, as the manifest does not hold its definition',
        ],
        into,
        { create: true },
        { columns: [column('a', 'level'), column('b', 'level'), column('id', 'integer')] },
      ],
      [
        'when a type is one that no table can have',
        [
          'column r is of type record, which no table can have: its values are in the objects alone; cast it in the query, for later runs',
        ],
        into,
        { create: true },
        { columns: [column('id', 'integer'), column('r', 'record', { typeOid: 2249 })] },
      ],
      [
        'when two columns have one name',
        ['the archive has two columns id, which no table can have'],
        into,
        { create: true },
        { columns: [column('id', 'integer'), column('id', 'integer')] },
      ],
      [
        'when no table can have so many columns',
        ['the archive has 1,601 columns, and a table has 1,600 at most'],
        into,
        { create: true },
        { columns: Array.from({ length: 1601 }, (_, at) => column(`c${at}`, 'integer')) },
      ],
      [
        'when a column has another type, or is missing',
        [
          'column id is smallint in "public"."events", and integer in the archive',
          'column note (character varying(20)) is not in the target; did you mean notes?',
          'to bring values into other types, restore with --create into a new table, and from there by INSERT … SELECT with casts',
        ],
        { target: target({ columns: [targetColumn('id', 'smallint'), targetColumn('notes', 'text')] }) },
      ],
      [
        'when a column was renamed, which its type tells',
        [
          'column note (character varying(20)) is not in the target; was it renamed to label, which is character varying(20) as well?',
        ],
        {
          target: target({ columns: [targetColumn('id', 'integer'), targetColumn('label', 'character varying(20)')] }),
        },
      ],
      [
        'when a row would lack a value',
        ['column owner of "public"."events" is NOT NULL without a default, and the archive does not have it'],
        { target: target({ columns: [...target().columns, targetColumn('owner', 'text', { notNull: true })] }) },
      ],
      [
        'without the right to insert, to read, to set a sequence',
        [
          'role restorer may not insert into "public"."events": GRANT INSERT',
          'role restorer may not read "public"."events": GRANT SELECT',
          'role restorer may not set sequence public.s: GRANT SELECT, UPDATE ON SEQUENCE',
        ],
        {
          target: target({
            canSelect: false,
            columns: target().columns.map((one) => ({
              ...one,
              canInsert: false,
              sequences:
                one.name === 'id' ? [{ name: 'public.s', isOwned: true, isCounter: true, canUpdate: false }] : [],
            })),
          }),
        },
      ],
      [
        'when rows that are there cannot be passed over',
        ['role restorer may not make temporary tables, which --on-conflict skip needs: GRANT TEMP ON DATABASE'],
        { place: { ...place, canMakeTemp: false } },
        { onConflict: 'skip' },
      ],
      [
        'where row-level security would decide',
        ['row-level security of "public"."events" applies to role restorer; it needs BYPASSRLS, or to own the table'],
        { target: target({ hasRowSecurity: true }) },
      ],
      [
        'when rows were taken away since',
        [
          'a restore of this run was broken off, and rows that it had brought are gone: "public"."events" holds 4 of the 10 rows that it must hold; of part-00000.jsonl.gz 4 of 10; to begin anew, DROP TABLE "public"."pgsluice_restore_16400", and empty "public"."events" or pass over what is left with --on-conflict skip',
        ],
        {
          record: record(10),
          recount: { noted: 10, found: 4, short: [{ key: 'events/part-00000.jsonl.gz', noted: 10, found: 4 }] },
        },
      ],
      [
        'when a crash has emptied its record, and rows are there',
        [
          'a restore into "public"."events" was broken off, and a crash of the server emptied its record, "public"."r": pass over the rows that are there with --on-conflict skip, or empty "public"."events" and restore anew',
        ],
        { emptied: '"public"."r"', hasRows: true },
      ],
      [
        'by a range that the key cannot have',
        ['--key-from x: no integer'],
        { keys: { ...ALL_KEYS, problems: ['--key-from x: no integer'] } },
      ],
      [
        'when objects are missing or changed',
        [
          'object a is missing in s3://archive/pg/',
          'object b has 10 bytes, and 50 in the manifest: it was changed or damaged',
        ],
        {
          objects: {
            ...facts().objects,
            problems: [
              'object a is missing in s3://archive/pg/',
              'object b has 10 bytes, and 50 in the manifest: it was changed or damaged',
            ],
          },
        },
      ],
    ];
  for (const [name, expected, changes, asked, archived] of cases) {
    test(name, () => {
      assert.deepEqual(problems(changes, asked, archived), expected);
    });
  }

  test('with all reasons at once, in the order of the place, the table, the range and the objects', () => {
    const found = problems({
      place: { ...place, isReadOnly: true },
      target: target({ kind: 'v' }),
      keys: { ...ALL_KEYS, problems: ['the range'] },
      objects: { ...facts().objects, problems: ['object a is missing'] },
    });
    assert.deepEqual(
      found.map((problem) => /standby|no table|range|missing/.exec(problem)?.[0]),
      ['standby', 'no table', 'range', 'missing'],
    );
  });
});

describe('a table that was made', () => {
  test('has the columns and the types of the manifest', () => {
    assert.deepEqual(checkMade(manifest(), target(), []), []);
  });

  test('is not kept when a name was cut, or a type is another', () => {
    const long = 'n'.repeat(70);
    const archived = { columns: [column(long, 'integer'), column('note', 'character(1)')] };
    const made = { columns: [targetColumn(long.slice(0, 63), 'integer'), targetColumn('note', 'character(2)')] };
    assert.deepEqual(checkMade(archived, made, []), [
      `no table can have a column of the name ${long}`,
      'column note would be character(2) here, and is character(1) in the archive',
    ]);
  });
});

describe('a warning', () => {
  test('says that triggers fire, and that rows are added to others', () => {
    const full = facts({ hasRows: true });
    assert.deepEqual(warn(request, target({ triggers: ['a', 'b'] }), full), [
      '"public"."events" has triggers that fire for each restored row: a, b',
      '"public"."events" has rows already; those of the archive are added to them',
    ]);
  });

  test('names an older server, which lacks values', () => {
    const of = (serverVersion: string): Pick<Manifest, 'source'> => ({
      source: { ...manifest().source, serverVersion },
    });
    assert.match(
      warnOfVersion(of('18.4 (Debian 18.4-1)'), { version: 13 }).join(),
      /^the archive is of Postgres 18, and this server is Postgres 13/,
    );
    for (const same of ['13.2', '12.1', 'unknown']) assert.deepEqual(warnOfVersion(of(same), { version: 13 }), []);
  });

  test('is not given for rows that a first try brought, or that are passed over', () => {
    assert.deepEqual(warn(request, target(), facts({ hasRows: true, record: record(1) })), []);
    assert.deepEqual(warn({ onConflict: 'skip' }, target(), facts({ hasRows: true })), []);
    assert.deepEqual(warn(request, target(), facts({ hasRows: undefined })), []);
  });
});
