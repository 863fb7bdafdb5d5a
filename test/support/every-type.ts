import pg from 'pg';

/** A table that holds every type a column can have, with the values at their edges. */

export interface EveryTypeTable {
  /** Qualified name, ready for SQL. */
  table: string;
  /** In the table's order; a dropped column lies between them. `type` is as `format_type` prints it. */
  columns: { name: string; type: string }[];
  rows: number;
}

interface Column {
  name: string;
  type: string;
  /** SQL expressions, without a cast. Row r takes the r-th, and starts again at the end. */
  values: readonly string[];
}

/** Creates and fills `public.every_type` in an empty database. The last row is NULL wherever it can be. */
export async function createEveryTypeTable(client: pg.Client): Promise<EveryTypeTable> {
  const version = await majorVersion(client);
  await client.query(USER_TYPES);
  const base = baseColumns(version);
  const arrays = [...base.map(arrayOf), ...specialArrays()];
  const columns = [...base, ...internalColumns(version), ...arrays, ...userTypes(version), ...HOSTILE_NAMES];
  await createTable(client, columns, version);
  const rows = Math.max(...columns.map(({ values }) => values.length));
  for (let row = 0; row < rows; row += 1) await insertRow(client, columns, row);
  await client.query('insert into public.every_type default values');
  return { table: 'public.every_type', columns: await describeColumns(client), rows: rows + 1 };
}

async function majorVersion(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int / 10000 as version`,
  );
  return rows[0]?.version ?? 0;
}

async function createTable(client: pg.Client, columns: Column[], version: number): Promise<void> {
  const lines = columns.map(({ name, type }) => `${pg.escapeIdentifier(name)} ${type}`);
  // The dropped column leaves a gap in attnum, right after the key.
  lines.unshift('id bigint generated always as identity primary key', 'dropped text');
  lines.push('generated_stored text generated always as (c_int4::text || \' "stored"\') stored');
  if (version >= 18) lines.push('generated_virtual bigint generated always as (c_int2 * 2::bigint) virtual');
  await client.query(`create table public.every_type (${lines.join(',\n')})`);
  await client.query('alter table public.every_type drop column dropped');
}

async function insertRow(client: pg.Client, columns: Column[], row: number): Promise<void> {
  const names = columns.map(({ name }) => pg.escapeIdentifier(name));
  const values = columns.map(({ values, type }) => `(${values[row % values.length] ?? 'null'})::${type}`);
  await client.query(`insert into public.every_type (${names.join(', ')}) values (${values.join(', ')})`);
}

async function describeColumns(client: pg.Client): Promise<{ name: string; type: string }[]> {
  const { rows } = await client.query<{ name: string; type: string }>(
    `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
     where attrelid = 'public.every_type'::regclass and attnum > 0 and not attisdropped order by attnum`,
  );
  return rows;
}

/** One column for each base type, and for the same type with a modifier. */
function baseColumns(version: number): Column[] {
  const since = (minimum: number, ...literals: string[]) => (version >= minimum ? literals : []);
  const types: Record<string, string[]> = {
    ...numberTypes(since),
    ...textTypes(),
    ...timeTypes(since),
    ...JSON_TYPES,
    ...GEOMETRIC_TYPES,
    ...NETWORK_TYPES,
    ...SYSTEM_TYPES,
    ...SEARCH_TYPES,
    ...RANGE_TYPES,
    ...(version >= 14 ? MULTIRANGE_TYPES : {}),
  };
  return Object.entries(types).map(([type, literals]) => column(columnName(type), type, literals));
}

function column(name: string, type: string, literals: readonly string[]): Column {
  return { name, type, values: literals.map((text) => pg.escapeLiteral(text)) };
}

function columnName(type: string): string {
  return `c_${type.replaceAll(/[^a-z0-9]+/g, '_').replace(/^_|_$/g, '')}`;
}

/** All values in one array, with a NULL among them, then the shapes that an array can have. */
function arrayOf({ name, type, values }: Column): Column {
  const cast = values.map((value) => `(${value})::${type}`);
  const first = cast[0] ?? 'null';
  const shapes =
    values.length === 0
      ? [`'{NULL}'`]
      : [`array[${[...cast, 'null'].join(', ')}]`, `'{}'`, `array[array[null, ${first}], array[${first}, null]]`];
  return { name: name.replace(/^c_/, 'a_'), type: `${type}[]`, values: shapes };
}

type Since = (minimum: number, ...literals: string[]) => string[];

function numberTypes(since: Since): Record<string, string[]> {
  const big = `${'9'.repeat(1000)}.${'1'.repeat(1000)}`;
  const floats = [
    '0',
    '-0',
    'NaN',
    'Infinity',
    '-Infinity',
    '0.1',
    '1e15',
    '1e16',
    '123456789012345680',
    '1e-5',
    '1e-4',
  ];
  return {
    int2: ['0', '-32768', '32767'],
    int4: ['0', '-2147483648', '2147483647'],
    int8: ['0', '-9223372036854775808', '9223372036854775807', '9007199254740993'],
    float4: [...floats, '1e-45', '1.1754944e-38', '3.4028235e38', '-3.4028235e38', '16777216', '1e6', '1000001'],
    float8: [...floats, '5e-324', '2.2250738585072014e-308', '1.7976931348623157e308', '-1.7976931348623157e308'],
    numeric: ['0', '0.000', '-1.10', 'NaN', big, `-0.${'0'.repeat(999)}1`, ...since(14, 'Infinity', '-Infinity')],
    'numeric(12,4)': ['0', '-99999999.9999', '1.5', 'NaN'],
    money: ['0', '-92233720368547758.08', '92233720368547758.07'],
    bool: ['true', 'false'],
    oid: ['0', '4294967295'],
  };
}

const CONTROL_CHARACTERS = Array.from({ length: 31 }, (_, index) => String.fromCharCode(index + 1)).join('');

function textTypes(): Record<string, string[]> {
  const texts = [
    '',
    ' ',
    'NULL',
    `${CONTROL_CHARACTERS}\x7f\x80\x9f`,
    'quotes " and \' and ` and \\ and \\" and \\u0041 and \\n and / and </script>',
    'line\nfeed\r\nand\rreturn\ttab\vvertical\fform\bback',
    '\\N',
    '\\.',
    '😀 👩‍👩‍👧 é é ß İ 한국어 \u{10ffff} \u2028 \u2029 \ufeff \ufffd \uffff \u200b',
    '{"looks": ["like", 1, {"json": null}]}',
    '{a,"b",NULL}',
    'x'.repeat(10_000),
  ];
  return {
    text: texts,
    varchar: texts,
    'varchar(20)': ['', 'twenty "characters" 😀', '\t\n\\'],
    bpchar: ['', 'trailing blanks   ', '"\\\n'],
    'char(10)': ['', 'padded', '"\\ 😀'],
    name: ['', 'n'.repeat(63), '"quoted \\ name" 😀'],
    '"char"': ['', 'a', '"', '\\', '\x01', '\x7f'],
    bytea: ['\\x', '\\x00', '\\xdeadbeef5c22', `\\x${'00ff'.repeat(1500)}`],
    'bit(5)': ['00000', '10101'],
    bit: ['0', '1'],
    varbit: ['', '1', '10101010101'],
    uuid: ['00000000-0000-0000-0000-000000000000', 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'],
    xml: [
      '',
      'plain & <b>text</b>'.replace('&', '&amp;'),
      '<?xml version="1.0"?><a b="c\\">é 😀\n<![CDATA[ "x" ]]></a>',
    ],
  };
}

function timeTypes(since: Since): Record<string, string[]> {
  const first = '4714-11-24 00:00:00 BC';
  const last = '294276-12-31 23:59:59.999999';
  const timestamps = ['infinity', '-infinity', first, last, '1970-01-01 00:00:00', '2000-01-01 00:00:00.000001'];
  const more = ['1999-12-31 23:59:59.999999', '0001-01-01 00:00:00', '0001-12-31 23:59:59 BC', '2024-02-29 12:34:56.7'];
  return {
    date: [
      'infinity',
      '-infinity',
      '4714-11-24 BC',
      '5874897-12-31',
      '0001-01-01',
      '0044-03-15 BC',
      '2024-02-29',
      '10000-01-01',
    ],
    timestamp: [...timestamps, ...more],
    'timestamp(3)': ['2024-02-29 12:34:56.789', '2024-02-29 12:34:56.700', 'infinity'],
    timestamptz: [
      ...[...timestamps, ...more].map((text) => text.replace(/(\d)( BC)?$/, '$1+00$2')),
      '2024-07-01 12:00:00.5+05:30',
    ],
    time: ['00:00:00', '24:00:00', '23:59:59.999999', '12:00:00.5'],
    timetz: ['00:00:00+15:59:59', '24:00:00-15:59:59', '12:34:56.789+05:30', '12:00:00Z', '12:00:00-02'],
    interval: [
      '0',
      '-1 year -2 months +3 days -04:05:06.789',
      '178000000 years',
      '-178000000 years',
      '-00:00:00.000001',
      '1 month',
      '-1 day',
      '100:59:59.5',
      '1 year 2 months -3 days 4 hours 0.000001 seconds',
      ...since(17, 'infinity', '-infinity'),
    ],
    'interval day to second(3)': ['1 day 02:03:04.567'],
  };
}

const DEEP = '['.repeat(200) + ']'.repeat(200);

const JSON_TYPES = {
  json: [
    'null',
    '{"a":1, "a":2 ,\n "b" :\r\n[1,\r2,\t3] }',
    '"\\u0000 \\ud83d \\ud83d\\ude00 \\n \\/ 😀"',
    '1E400',
    '-0.0',
    '12345678901234567890.10',
    '  \n{}\n  ',
    'true',
    '"text"',
    '{"":"", "__proto__": 1, "10": 1, "9": 2}',
    DEEP,
  ],
  jsonb: [
    'null',
    '{"b": 1, "a": {"nested": [null, true, "\\" \\\\ \\n \\u0001 😀 \u2028"]}, "": ""}',
    '1e300',
    '-0.0',
    '12345678901234567890.10',
    '0.00000000000000000001',
    '[]',
    '{}',
    'false',
    '"text"',
    '{"__proto__": 1, "10": 1, "9": 2}',
    DEEP,
  ],
  jsonpath: ['$', 'strict $.a[*] ? (@."quo\\"te" > 1 && @.b like_regex "^x\\\\d" flag "i").size()', '$.**{2 to last}'],
};

const GEOMETRIC_TYPES = {
  point: ['(0,0)', '(NaN,Infinity)', '(-0,1e-300)', '(0.1,-1e300)'],
  line: ['{1,-1,0}', '{0,1,0.1}'],
  lseg: ['[(0,0),(1,0.1)]'],
  box: ['(1,1),(0,0)', '(Infinity,1),(-Infinity,-1)'],
  path: ['((0,0),(1,1),(2,0))', '[(0,0),(0.1,1)]'],
  polygon: ['((0,0),(1,1),(2,0))'],
  circle: ['<(0,0),1>', '<(0.1,-1),Infinity>'],
};

const NETWORK_TYPES = {
  inet: ['0.0.0.0', '192.168.0.1/24', '::1', '2001:db8::ff00:42:8329/64', '::ffff:1.2.3.4', '255.255.255.255'],
  cidr: ['10.0.0.0/8', '::/0', '2001:db8::/32'],
  macaddr: ['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff'],
  macaddr8: ['08:00:2b:01:02:03:04:05'],
};

const SYSTEM_TYPES = {
  regclass: ['pg_class', 'information_schema.tables', '-', '4294967295'],
  regcollation: ['"C"', '-'],
  regconfig: ['english', 'pg_catalog.simple'],
  regdictionary: ['simple'],
  regnamespace: ['pg_catalog', '-'],
  regoper: ['pg_catalog.||/', '0'],
  regoperator: ['+(integer,integer)', '0'],
  regproc: ['now', '-'],
  regprocedure: ['sum(integer)', 'lower(text)'],
  regrole: ['pg_monitor', '-'],
  regtype: ['integer', 'timestamp with time zone', 'text[]', '"char"', '-'],
  pg_lsn: ['0/0', 'FFFFFFFF/FFFFFFFF', '16/B374D848'],
  txid_snapshot: ['10:20:10,14,15', '1:1:'],
  pg_snapshot: ['10:20:10,14,15', '1:1:'],
  xid8: ['0', '18446744073709551615'],
  xid: ['0', '4294967295'],
  cid: ['0', '4294967295'],
  tid: ['(0,0)', '(4294967295,65535)'],
  int2vector: ['', '1', '1 -32768 32767'],
  oidvector: ['', '1 4294967295'],
  aclitem: ['postgres=arwdDxt/postgres', '=r/postgres'],
  refcursor: ['', 'a "cursor" \\'],
};

const SEARCH_TYPES = {
  tsvector: ['', "fat:2,4B cat:3A 'quo''te \" back\\\\slash':1 '😀'"],
  tsquery: ['', "fat & (rat | !cat) <-> 'do''g':*AB <3> \"x\""],
};

const RANGE_TYPES = {
  int4range: ['empty', '[1,5)', '(,)', '[,3)', '[2147483646,)'],
  int8range: ['empty', '[-9223372036854775808,9007199254740993)'],
  numrange: ['empty', '[1.50,2.500]', '(-1e-20,NaN)', '(,)'],
  daterange: ['empty', '[4714-11-24 BC,5874897-12-31)', '[-infinity,infinity]'],
  tsrange: ['empty', '["2000-01-01 00:00:00.000001",infinity]', '(,"0044-03-15 12:00:00 BC")'],
  tstzrange: ['empty', '["2000-01-01 00:00:00.000001+05:30",infinity)', '(,)'],
};

const MULTIRANGE_TYPES = {
  int4multirange: ['{}', '{[1,3),[5,9)}', '{(,)}'],
  int8multirange: ['{}', '{[9007199254740993,9007199254740999)}'],
  nummultirange: ['{}', '{[1.50,2.500],(3,)}'],
  datemultirange: ['{}', '{[4714-11-24 BC,2000-01-01),[2001-01-01,infinity]}'],
  tsmultirange: ['{}', '{["2000-01-01 00:00:00.000001",infinity]}'],
  tstzmultirange: ['{}', '{["2000-01-01 00:00:00.000001+05:30",infinity)}'],
};

/** Types of the catalogs; but for one they have no arrays. They take no input, so their values come from the catalogs, or there are none. */
function internalColumns(version: number): Column[] {
  const extended = (name: string) => [`select ${name} from pg_statistic_ext_data limit 1`];
  const columns: Column[] = [
    {
      name: 'c_pg_node_tree',
      type: 'pg_node_tree',
      values: ['select ev_action from pg_rewrite order by length(ev_action::text), oid limit 1'],
    },
    { name: 'c_pg_ndistinct', type: 'pg_ndistinct', values: extended('stxdndistinct') },
    { name: 'c_pg_dependencies', type: 'pg_dependencies', values: extended('stxddependencies') },
    { name: 'c_pg_mcv_list', type: 'pg_mcv_list', values: extended('stxdmcv') },
    { name: 'c_gtsvector', type: 'gtsvector', values: [] },
    { name: 'a_gtsvector', type: 'gtsvector[]', values: ["'{}'", "'{NULL}'"] },
  ];
  if (version < 14) return columns;
  const summaries = ['pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary'];
  return [...columns, ...summaries.map((type) => ({ name: `c_${type}`, type, values: [] }))];
}

function specialArrays(): Column[] {
  return [
    column('bounds_int4', 'int4[]', [
      '[0:2]={1,2,NULL}',
      '[-1:0][2:3]={{1,2},{3,4}}',
      '{{{1},{2}},{{3},{NULL}}}',
      '{}',
    ]),
    column('six_dimensions', 'text[]', [
      '{{{{{{a,"b"}}}}}}',
      '[5:5]={NULL}',
      '{"NULL",null,"","{}",","," ","\\\\\\""}',
    ]),
  ];
}

const USER_TYPES = String.raw`
  create type et_odd_enum as enum ('', 'with space', 'quo"te', 'it''s', 'back\slash', 'NULL', E'line\nbreak', 'a,b', '{}', '😀');
  create type et_pair as (a int, b text);
  create type et_nested as (p et_pair, ps et_pair[], j json, jb jsonb, at timestamptz, n numeric, f float8, ok boolean,
    bin bytea, "odd ""name"" \ 😀" int, "__proto__" text);
  create type et_gap as (first int, gone text, last text);
  alter type et_gap drop attribute gone;
  create type et_empty as ();
  create domain et_text as text check (value <> 'forbidden');
  create domain et_text_twice as et_text;
  create domain et_numeric as numeric(10, 2);
  create domain et_ints as int[];
  create domain et_pair_domain as et_pair;
  create domain et_json as json;
  create domain et_day as timestamptz;
  create type et_text_range as range (subtype = text, collation = "C");

  -- A cast to json is honoured for types that are no built-in, array or composite; the last one shows that it is not.
  create type et_cast_enum as enum ('low', 'high "quoted"');
  create function et_cast_enum_json(et_cast_enum) returns json immutable language sql
    as $$ select json_build_object('level', $1::text, 'rank', case when $1 = 'low' then 1 else 2 end) $$;
  create cast (et_cast_enum as json) with function et_cast_enum_json(et_cast_enum);
  create domain et_cast_domain as et_cast_enum;
  create type et_cast_pair as (a int, b text);
  create function et_cast_pair_json(et_cast_pair) returns json immutable language sql as $$ select '"cast"'::json $$;
  create cast (et_cast_pair as json) with function et_cast_pair_json(et_cast_pair);

  -- A base type that looks like an int4 to the server and prints as text in JSON, as it is not the built-in one.
  create type et_count;
  create function et_count_in(cstring) returns et_count immutable strict language internal as 'int4in';
  create function et_count_out(et_count) returns cstring immutable strict language internal as 'int4out';
  create type et_count (input = et_count_in, output = et_count_out, like = int4);

  -- Values of the types that only the planner's statistics hold.
  create table et_statistics as select i % 10 as a, i % 10 as b, i % 3 as c from generate_series(1, 1000) as i;
  create statistics et_statistics_all (ndistinct, dependencies, mcv) on a, b, c from et_statistics;
  analyze et_statistics;
`;

const NESTED = String.raw`row(row(1, 'b "quoted" \'), array[row(null, ''), null, row(2, E'line\nbreak')]::et_pair[],
  E'{"a":\n[1,\r\n2]}', '{"b": null}', '2000-01-01 00:00:00.000001+00', 1.10, 'NaN', true, '\x00ff', -1, '😀')`;

function userTypes(version: number): Column[] {
  const pairs = [`row(1, 'text, "quoted" (\\) \n 😀')`, 'row(null, null)', `row(-1, '')`];
  const enums = 'select v from unnest(enum_range(null::et_odd_enum)) with ordinality as e (v, n) where n =';
  const columns = [
    {
      name: 'odd_enum',
      type: 'et_odd_enum',
      values: Array.from({ length: 10 }, (_, index) => `${enums} ${index + 1}`),
    },
    { name: 'pair', type: 'et_pair', values: pairs },
    {
      name: 'nested',
      type: 'et_nested',
      values: [NESTED, "row(null, '{}', null, null, null, null, null, null, null, null, null)"],
    },
    { name: 'gap', type: 'et_gap', values: [`row(1, 'last')`] },
    { name: 'empty', type: 'et_empty', values: [`'()'`] },
    column('text_domain', 'et_text', ['', 'quo"te']),
    column('text_domain_twice', 'et_text_twice', ['back\\slash', '']),
    column('numeric_domain', 'et_numeric', ['1.5', 'NaN', '-12345678.90']),
    column('ints_domain', 'et_ints', ['{1,NULL,2}', '{{1},{2}}', '{}']),
    { name: 'pair_domain', type: 'et_pair_domain', values: pairs },
    column('json_domain', 'et_json', ['{"a":\n1}', 'null']),
    column('day_domain', 'et_day', ['2000-01-01 00:00:00.000001+00', 'infinity']),
    column('text_range', 'et_text_range', ['["a \\"b\\"","c,\\\\d")', 'empty', '(,"")']),
    column('cast_enum', 'et_cast_enum', ['low', 'high "quoted"']),
    column('cast_domain', 'et_cast_domain', ['high "quoted"', 'low']),
    { name: 'cast_pair', type: 'et_cast_pair', values: [`row(1, 'b')`] },
    column('count', 'et_count', ['-1', '2147483647']),
    { name: 'row_of_table', type: 'et_statistics', values: ['row(1, 2, null)'] },
  ];
  if (version >= 14) columns.push(column('text_multirange', 'et_text_multirange', ['{["a \\"b\\"","c,\\\\d")}', '{}']));
  return [...columns, ...columns.map((each) => arrayOf({ ...each, name: `array_of_${each.name}` }))];
}

/** Names that break code which builds SQL, JSON or objects without care. */
const HOSTILE_NAMES = [
  'quote"s',
  "apostrophe's",
  'back\\slash',
  'emoji 😀',
  'new\nline',
  'carriage\rreturn',
  'tab\tstop',
  'control\x01character',
  'separator\u2028',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '0',
  ' leading and trailing ',
  'UPPER',
  'select',
  '$1',
  ':slot',
  '${x}',
  '--',
  'l'.repeat(63),
].map((name) => column(name, 'text', [name, '']));
