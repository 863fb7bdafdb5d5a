import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ARCHIVES, assertProblems, DESTINATIONS, load, MINIMAL, problemsOf, SOURCES } from './support.ts';

const inSource = (text: string) => `${DESTINATIONS}\n${ARCHIVES}\nsources:\n  default:\n    ${text}`;
const inDestination = (text: string) => `${SOURCES}\n${ARCHIVES}\ndestinations:\n  default:\n    ${text}`;
const inS3 = (text: string) => inDestination(`url: s3://bucket\n    ${text}`);
const inArchive = (text: string) => `${SOURCES}\n${DESTINATIONS}\narchives:\n  a:\n    ${text}`;
const inTable = (text: string) => inArchive(`table: t\n    ${text}`);
const atRoot = (text: string) => `${MINIMAL}\n${text}`;

const CRON = 'must be a cron expression of 5 fields, or 6 with seconds first, such as "15 2 * * *"';
const NEVER = 'can never fire, as no date has that day';
const FOLDER = 'must be file:///absolute/folder, with three slashes, and with %23 and %3F for # and ?';
const BUCKET = 'must be s3://bucket/prefix, with a bucket name of 3 to 63 letters, digits, - and .';
const DURATION = 'must be a duration with a unit (ms, s, m, h, d), such as 2s';

const CASES: [text: string, message: string][] = [
  [atRoot('▸achives: {}'), 'achives: unknown key; did you mean "archives"?'],
  [
    atRoot('▸xyzzy: {}'),
    'xyzzy: unknown key; known are: sources, destinations, archives, audits, workers, hosts, http, notify, log, control, state, drainTimeout',
  ],
  [
    inTable('pace: { between: ▸"22-06" }'),
    'archives.a.pace.between: must be two times of the day, such as 22:00-06:00',
  ],
  [inTable('pace: { share: ▸150% }'), 'archives.a.pace.share: must be a percentage from 1% to 100%, such as 50%'],
  [inTable('pace: { share: ▸0.5 }'), 'archives.a.pace.share: must be a percentage from 1% to 100%, such as 50%'],
  [inTable('pace: { bytesPerSecond: ▸1 }'), 'archives.a.pace.bytesPerSecond: must be at least 1.0 KiB'],
  [
    inTable('pace: { ▸pauseWhile: "SELECT 1; SELECT 2" }'),
    'archives.a.pace.pauseWhile: must be one statement, without a semicolon inside',
  ],
  [inTable('pace: { ▸ignoreReplicas: [a] }'), 'archives.a.pace.ignoreReplicas: is of no use without maxLag'],
  [
    inTable('segments: { by: pages }\n    pace: { ▸maxSnapshotAge: 2h }'),
    'archives.a.pace.maxSnapshotAge: cannot be together with segments.by pages: such segments mean their rows under one snapshot only; cut by key',
  ],
  [
    inArchive('query: SELECT 1\n    pace: { ▸maxSnapshotAge: 2h }'),
    'archives.a.pace.maxSnapshotAge: needs the option key, as a query without one is a single segment',
  ],
  [inTable('segments: { ▸bye: key }'), 'archives.a.segments.bye: unknown key; did you mean "by"?'],
  [inTable('segments: { ▸xx: key }'), 'archives.a.segments.xx: unknown key; known are: by, targetSize, parallel, on'],
  [atRoot('log: { ▸Level: info }'), 'log.Level: unknown key; did you mean "level"?'],
  [`▸${SOURCES}\n${DESTINATIONS}`, 'archives is required'],
  [`${SOURCES}\n${DESTINATIONS}\narchives: ▸{}`, 'archives: must have at least one entry'],
  [`${SOURCES}\n${DESTINATIONS}\narchives:▸\n`, 'archives: has no value; give it one, or remove the key'],
  [`${SOURCES}\n${DESTINATIONS}\narchives: ▸[a]`, 'archives: must be a mapping of names'],
  [atRoot('log: ▸info'), 'log: must be a mapping of options'],

  [`${DESTINATIONS}\n${ARCHIVES}\nsources:\n  ▸default: {}`, 'sources.default: url is required'],
  [inSource('url: ▸mysql://localhost'), 'sources.default.url: must be a postgres:// URL'],
  [inSource('url: ▸""'), 'sources.default.url: must not be empty'],
  [inSource('url: ▸5432'), 'sources.default.url: must be text; put it in quotes'],
  [
    inSource('url: ▸"postgres://u:p#w@h/d"'),
    'sources.default.url: must be a valid postgres:// URL; special characters in a password are written as %XX, such as %23 for #, %2F for / and %40 for @',
  ],

  [inDestination('url: ▸http://x'), 'destinations.default.url: must be s3://bucket/prefix or file:///absolute/folder'],
  [inDestination('url: ▸s3://ab'), `destinations.default.url: ${BUCKET}`],
  [inDestination('url: ▸s3://key:secret@bucket'), `destinations.default.url: ${BUCKET}`],
  [
    inDestination('url: ▸s3://bucket/a//b'),
    'destinations.default.url: must have a prefix without empty, "." or ".." parts',
  ],
  [
    inDestination('url: ▸s3://bucket/../b'),
    'destinations.default.url: must have a prefix without empty, "." or ".." parts',
  ],
  [
    inDestination('url: ▸"s3://bucket/a\\tb"'),
    'destinations.default.url: must have a prefix without control characters',
  ],
  [
    inDestination(`url: ▸s3://bucket/${'x'.repeat(701)}`),
    'destinations.default.url: must have a prefix of at most 700 bytes, as S3 limits the length of a key',
  ],
  [inDestination('url: ▸file://srv/archive'), `destinations.default.url: ${FOLDER}`],
  [inDestination('url: ▸file:srv'), `destinations.default.url: ${FOLDER}`],
  [inDestination('url: ▸file:///srv/a#b'), `destinations.default.url: ${FOLDER}`],
  [inDestination('url: ▸file:///srv/a%2Fb'), `destinations.default.url: ${FOLDER}`],
  [
    inDestination('url: file:///srv\n    ▸partSize: 8MiB'),
    'destinations.default.partSize: is for s3:// only; remove it, or change the url',
  ],
  [
    inDestination('url: file:///srv\n    ▸checksums: when-required'),
    'destinations.default.checksums: is for s3:// only; remove it, or change the url',
  ],
  [
    inDestination('url: file:///srv\n    ▸objectLock: { mode: GOVERNANCE, retain: 1d }'),
    'destinations.default.objectLock: is for s3:// only; remove it, or change the url',
  ],
  [
    inS3('▸accessKeyId: x'),
    'destinations.default.accessKeyId: needs secretAccessKey as well; or remove it, to use the AWS default provider chain',
  ],
  [
    inS3('▸secretAccessKey: x'),
    'destinations.default.secretAccessKey: needs accessKeyId as well; or remove it, to use the AWS default provider chain',
  ],
  [inS3('partSize: ▸5242879'), 'destinations.default.partSize: must be at least 5.0 MiB'],
  [inS3('partSize: ▸5.1GiB'), 'destinations.default.partSize: must be at most 5.0 GiB'],
  [inS3('partSize: ▸8 apples'), 'destinations.default.partSize: must be a size such as 8MiB'],
  [inS3('partsInFlight: ▸0'), 'destinations.default.partsInFlight: must be at least 1'],
  [inS3('partsInFlight: ▸33'), 'destinations.default.partsInFlight: must be at most 32'],
  [inS3('partsInFlight: ▸many'), 'destinations.default.partsInFlight: must be auto or a whole number from 1 to 32'],
  [inS3('partSize: ▸-8'), 'destinations.default.partSize: must be a size such as 8MiB'],
  [inS3('forcePathStyle: ▸yes'), 'destinations.default.forcePathStyle: must be true or false'],
  [inS3('endpoint: ▸minio:9000'), 'destinations.default.endpoint: must be an http:// or https:// URL'],
  [
    inS3('endpoint: ▸http://u:p@minio'),
    'destinations.default.endpoint: must not contain credentials; use accessKeyId and secretAccessKey',
  ],
  [
    inS3('endpoint: ▸http://u@minio'),
    'destinations.default.endpoint: must not contain credentials; use accessKeyId and secretAccessKey',
  ],
  [inS3('endpoint: ▸http://minio/?x=1'), 'destinations.default.endpoint: must not contain a query or a fragment'],
  [inS3('storageClass: ▸glacier'), 'destinations.default.storageClass: must be a storage class such as STANDARD_IA'],
  [
    inS3('serverSideEncryption: ▸kms'),
    'destinations.default.serverSideEncryption: must be AES256, aws:kms or aws:kms:dsse',
  ],
  [inS3('▸kmsKeyId: alias/x'), 'destinations.default.kmsKeyId: needs serverSideEncryption: aws:kms'],
  [
    inS3('serverSideEncryption: AES256\n    ▸kmsKeyId: alias/x'),
    'destinations.default.kmsKeyId: needs serverSideEncryption: aws:kms',
  ],
  [inS3('tags: { year: ▸2026 }'), 'destinations.default.tags.year: must be text; put it in quotes'],
  [
    inS3(`tags: { "▸${'k'.repeat(129)}": v }`.replace('"▸', '▸"')),
    `destinations.default.tags.${'k'.repeat(129)}: the name must have 1 to 128 characters`,
  ],
  [inS3(`tags: { k: ▸${'v'.repeat(257)} }`), 'destinations.default.tags.k: must have at most 256 characters'],
  [
    inS3(`tags: ▸{ ${Array.from({ length: 11 }, (_, i) => `k${i}: v`).join(', ')} }`),
    'destinations.default.tags: must have at most 10 tags, which is the limit of S3',
  ],
  [
    inS3('objectLock: { mode: ▸governance, retain: 1d }'),
    'destinations.default.objectLock.mode: must be GOVERNANCE or COMPLIANCE',
  ],
  [inS3('▸objectLock: { mode: GOVERNANCE }'), 'destinations.default.objectLock: retain is required'],
  [
    inS3('objectLock: { mode: GOVERNANCE, retain: ▸5s }'),
    'destinations.default.objectLock.retain: must be at least 60000ms',
  ],
  [
    inS3('objectLock: { mode: GOVERNANCE, retain: 1d }\n    ▸checksums: when-required'),
    'destinations.default.checksums: must be when-supported with objectLock, which takes a checksum with each part',
  ],
  [inS3('checksums: ▸never'), 'destinations.default.checksums: must be when-supported or when-required'],

  [
    `${SOURCES}\n${DESTINATIONS}\narchives:\n  ▸a: {}`,
    'archives.a: either table or query is required; or tables, for several',
  ],
  [
    `${SOURCES}\n${DESTINATIONS}\narchives:\n  ▸-a: { table: t }`,
    'archives.-a: the name must be letters, digits, _, . and -, begin with a letter or digit, and have at most 100 of them',
  ],
  [
    `${SOURCES}\n${DESTINATIONS}\narchives:\n  ▸__proto__: { table: t }\n  b: { table: t }`,
    'archives.__proto__: the name must be letters, digits, _, . and -, begin with a letter or digit, and have at most 100 of them',
  ],
  [inTable('▸query: select 1'), 'archives.a.query: cannot be together with table; remove one of them'],
  [inTable('▸where: a = 1; DROP TABLE t'), 'archives.a.where: must be one statement, without a semicolon inside'],
  [inTable('▸where: a = 1) OR (b = 1'), 'archives.a.where: has a ")" that closes nothing'],
  [
    inTable("▸where: a = $1 AND b$2 = '$3'"),
    'archives.a.where: has a $1, but takes no values; write the value itself there',
  ],
  [
    inArchive('▸query: SELECT 1; COMMIT; DROP TABLE t'),
    'archives.a.query: must be one statement, without a semicolon inside',
  ],
  [
    inTable('columns: [a]\n    ▸exclude: [b]'),
    'archives.a.exclude: cannot be together with columns; remove one of them',
  ],
  [
    inArchive('table: t\n    ▸tables: public.*'),
    'archives.a.tables: cannot be together with table; remove one of them',
  ],
  [inTable('▸exceptTables: public.*'), 'archives.a.exceptTables: needs tables'],
  [
    inArchive('tables: ▸public.event_*.x'),
    'archives.a.tables: must be schema.table, where * stands for any characters and ? for one; double quotes take their meaning away',
  ],
  [
    inArchive('tables: public.event_*\n    ▸purge: { after: 1h }'),
    'archives.a.purge: cannot be together with tables: rows are deleted only from a table that is named; give it an entry of its own',
  ],
  [
    inArchive('tables: public.event_*\n    ▸ping: https://example.com/x'),
    'archives.a.ping: cannot be together with tables: a run of one table would hide that of another; use notify',
  ],
  [
    inTable('columns: [a]\n    ▸purge: { after: 1h }'),
    'archives.a.purge: cannot be together with columns: only a table that is archived whole is purged',
  ],
  [
    inArchive('query: select 1\n    ▸purge: { after: 1h }'),
    'archives.a.purge: cannot be together with query: only a table that is archived whole is purged',
  ],
  [
    inTable('window: { column: at, every: partition }\n    ▸purge: { after: 1h }'),
    'archives.a.purge: needs then: drop or detach, as window.every is partition',
  ],
  [
    inTable('window: { column: at, every: day }\n    purge: { after: 1h, ▸then: drop }'),
    'archives.a.purge.then: is for window.every: partition only; else rows are deleted',
  ],
  [
    inTable('where: x > 1\n    window: { column: at, every: partition }\n    ▸purge: { after: 1h, then: drop }'),
    'archives.a.purge: cannot be together with where: a partition goes with all of its rows',
  ],
  [inTable('purge: { after: ▸59m }'), 'archives.a.purge.after: must be at least 3600000ms'],
  [
    inTable('purge: { after: 1h, source: ▸other }'),
    'archives.a.purge.source: there is no source of this name; known are: default',
  ],
  [inTable('columns: ▸[]'), 'archives.a.columns: must not be an empty list'],
  [inTable('columns: ▸id'), 'archives.a.columns: must be a list, such as [a, b]'],
  [inTable('columns: [a, ▸1]'), 'archives.a.columns[1]: must be text; put it in quotes'],
  [inTable('key: ▸1'), 'archives.a.key: must be a column or a list of columns'],
  [inTable('▸params: [1]'), 'archives.a.params: needs a query; a table takes none'],
  [inArchive('query: select 1\n    ▸where: x'), 'archives.a.where: is for a table only; put it into the query'],
  [
    inArchive('query: select 1\n    ▸columns: [x]'),
    'archives.a.columns: is for a table only; name the columns in the query',
  ],
  [
    inArchive('query: select 1\n    ▸exclude: [x]'),
    'archives.a.exclude: is for a table only; name the columns in the query',
  ],
  [
    inArchive('query: select 1\n    segments: { ▸by: pages }'),
    'archives.a.segments.by: a query has no pages; cut it by key, with the option key',
  ],
  [
    inArchive('query: select 1\n    segments: { ▸by: key }'),
    'archives.a.segments.by: needs the option key, the columns to cut the query by',
  ],
  [
    inArchive('query: select 1\n    ▸read: copy\n    params: [1]'),
    'archives.a.read: COPY takes no params; leave read out, which is as fast with them',
  ],
  [
    inArchive('query: select 1\n    params: [▸[1]]'),
    'archives.a.params[0]: must be text, a number, true, false or null',
  ],
  [
    inArchive('query: select 1\n    params: [▸"a\\0b"]'),
    'archives.a.params[0]: must have no NUL, which no value in Postgres holds',
  ],
  [
    inArchive('query: select 1\n    params: [▸9007199254740993]'),
    'archives.a.params[0]: is too large for an exact number; put it in quotes',
  ],
  [inTable('schedule: ▸1 2 3'), `archives.a.schedule: ${CRON}`],
  [inTable('schedule: ▸15 25 * * *'), `archives.a.schedule: ${CRON}; wrong here: hour`],
  [inTable('schedule: ▸60 99 * 13 8'), `archives.a.schedule: ${CRON}; wrong here: minute, hour, month, day of week`],
  [inTable('schedule: ▸0 0 31 2 *'), `archives.a.schedule: ${NEVER}`],
  [inTable('schedule: ▸0 0 31W 2 *'), `archives.a.schedule: ${NEVER}`],
  [inTable('schedule: ▸0 0 1-7 * MON#3'), `archives.a.schedule: ${NEVER}`],
  [
    inTable('timezone: ▸Europe/Atlantis'),
    'archives.a.timezone: must be a time zone of the IANA database, such as Europe/Berlin',
  ],
  [inTable('segments: { targetSize: ▸1 }'), 'archives.a.segments.targetSize: must be at least 1.0 KiB'],
  [inTable('segments: { parallel: ▸1.5 }'), 'archives.a.segments.parallel: must be a whole number'],
  [inTable('segments: { parallel: ▸"2" }'), 'archives.a.segments.parallel: must be a whole number'],
  [inTable('compression: { codec: ▸lz4 }'), 'archives.a.compression.codec: must be gzip, zstd or none'],
  [inTable('compression: { ▸level: 10 }'), 'archives.a.compression.level: must be 1 to 9 with gzip'],
  [inTable('compression: { ▸level: 0 }'), 'archives.a.compression.level: must be 1 to 9 with gzip'],
  [
    inTable('compression: { engine: isal, ▸level: 4 }'),
    'archives.a.compression.level: must be 0 to 3 with engine isal',
  ],
  [inTable('compression: { codec: zstd, ▸level: 0 }'), 'archives.a.compression.level: must be 1 to 22 with zstd'],
  [inTable('compression: { codec: none, ▸level: 1 }'), 'archives.a.compression.level: is of no use with codec none'],
  [
    inTable('compression: { codec: zstd, ▸engine: isal }'),
    'archives.a.compression.engine: isal is for codec gzip only',
  ],
  [inTable('compression: { codec: zstd }\n    ▸contentEncoding: gzip'), 'archives.a.contentEncoding: needs codec gzip'],
  [inTable('contentEncoding: ▸br'), 'archives.a.contentEncoding: must be gzip'],
  [inTable('read: ▸fast'), 'archives.a.read: must be auto, cursor or copy'],
  [inTable('retry: { attempts: ▸0 }'), 'archives.a.retry.attempts: must be at least 1'],
  [inTable('retry: { backoff: ▸2 }'), `archives.a.retry.backoff: ${DURATION}`],
  [inTable('retry: { backoff: ▸2h }'), 'archives.a.retry.backoff: must be at most 1h'],
  [inTable('source: ▸defualt'), 'archives.a.source: there is no source of this name; did you mean "default"?'],
  [
    inTable('destination: ▸toString'),
    'archives.a.destination: there is no destination of this name; known are: default',
  ],
  [
    `${SOURCES}\ndestinations: { x: { url: s3://bucket } }\narchives: { ▸a: { table: t } }`,
    'archives.a: destination is required, as none is named "default"; known are: x',
  ],

  [atRoot('workers: { threads: ▸0 }'), 'workers.threads: must be at least 1'],
  [atRoot('workers: { maxOldGenerationSizeMb: ▸15 }'), 'workers.maxOldGenerationSizeMb: must be at least 16'],
  [atRoot('workers: { maxYoungGenerationSizeMb: ▸.inf }'), 'workers.maxYoungGenerationSizeMb: must be a whole number'],
  [atRoot('http: { listen: ▸8432 }'), 'http.listen: must be text; put it in quotes'],
  [atRoot('http: { listen: ▸localhost }'), 'http.listen: must be host:port, such as 127.0.0.1:8432'],
  [atRoot('http: { listen: "▸:8432" }'.replace('"▸', '▸"')), 'http.listen: must be host:port, such as 127.0.0.1:8432'],
  [atRoot('http: { listen: ▸"h:65536" }'), 'http.listen: must be host:port, such as 127.0.0.1:8432'],
  [
    atRoot('hosts: { url: ▸postgres://other@LOCALHOST:5432/db }'),
    'hosts.url: is the database of source "default"; the queue needs one of its own',
  ],
  [atRoot('hosts: { url: "postgres://q/q", silence: ▸14s }'), 'hosts.silence: must be at least 15000ms'],
  [
    atRoot('hosts: { url: "postgres://q/q", schema: ▸"a; drop" }'),
    'hosts.schema: must be small letters, digits and _, at most 40 of them',
  ],
  [inTable('segments: { on: ▸hosts }'), 'archives.a.segments.on: needs the section hosts, with the url of the queue'],
  [atRoot('log: { level: ▸loud }'), 'log.level: must be trace, debug, info, warn, error, fatal or silent'],
  [atRoot('state: ▸state'), 'state: must be an absolute path'],
  [atRoot('drainTimeout: ▸60'), `drainTimeout: ${DURATION}`],
  [atRoot('drainTimeout: ▸2d'), 'drainTimeout: must be at most 24h'],
];

for (const [text, message] of CASES) {
  test(`reports at its position: ${message.slice(0, 120)}`, () => {
    assertProblems(text, [message]);
  });
}

for (const [options, message] of [
  ['▸partitionBy: [a, a]', 'has a column twice'],
  ['▸partitionBy: [Run]', 'has "run", which is the folder of the run; archive it by a query under another name'],
  ['exclude: [a]\n    ▸partitionBy: [a]', 'has a column that exclude leaves out of the lines'],
  ['columns: [b]\n    ▸partitionBy: [b, a]', 'has a column that columns leaves out of the lines'],
] as const)
  test(`reports of a layout by value: it ${message}`, () => {
    assertProblems(inTable(options), [`archives.a.partitionBy: ${message}`]);
  });

test('reports of a layout by value that it has no columns, too many, or is cut by pages', () => {
  assertProblems(inTable('partitionBy: ▸[]'), ['archives.a.partitionBy: must not be an empty list']);
  const many = Array.from({ length: 17 }, (_, at) => `c${at}`).join(', ');
  assertProblems(inTable(`partitionBy: ▸[${many}]`), ['archives.a.partitionBy: must have at most 16 columns']);
  assertProblems(inTable('partitionBy: [a]\n    segments: { ▸by: pages }'), [
    'archives.a.segments.by: cannot be pages together with partitionBy: each value is a segment, and a large one is cut by key',
  ]);
});

const GOOD = [
  inTable('schedule: 15 2 * * *'),
  inTable('schedule: "*/30 * * * * *"'),
  inTable('schedule: 0 0 29 2 *'),
  inTable('schedule: 0 0 29 2 MON'),
  inTable('schedule: 0 0 L * *'),
  inTable('compression: { level: 9 }'),
  inTable('compression: { engine: isal, level: 0 }'),
  inTable('compression: { codec: zstd, level: 22 }'),
  inTable('segments: { by: pages }'),
  inTable('partitionBy: [tenant, day]\n    columns: [id, day, tenant]'),
  inTable('contentEncoding: gzip'),
  inArchive('query: select 1\n    key: id\n    segments: { by: key }'),
  inArchive('query: select 1\n    read: copy'),
  inS3('partSize: 5MiB'),
  inS3('partSize: 5GiB'),
  inS3('serverSideEncryption: aws:kms\n    kmsKeyId: alias/x'),
  inSource('url: postgres:///db?host=/run/postgresql'),
  atRoot('http: { listen: "[::1]:8432" }'),
  atRoot('workers: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 }'),
  atRoot('drainTimeout: 0s'),
];

for (const text of GOOD) {
  test(`accepts ${text.split('\n').slice(3).join(' ').trim()}`, () => {
    assert.ok(load(text));
  });
}

test('one problem does not hide another: all appear in one report, in the order of their positions', () => {
  assertProblems(
    `sources:
  default: { ▸ulr: x, url: "▸\${NOPE}" }
destinations:
  a: { url: s3://bucket/x, partSize: ▸4MiB }
  b: { url: s3://bucket/x/y }
archives:
  y: { destination: a, table: t, schedule: ▸61 * * * * }
  ▸z: { destination: b, table: t, ▸scheduel: x }
  ▸bad name: { destination: a, ▸params: [1], table: t, source: ▸nope }
  q: ▸text
workers: 1
▸workers: { threads: ▸x }`,
    [
      'sources.default.ulr: unknown key; did you mean "url"?',
      'the environment variable NOPE is not set; set it where pgsluice is started',
      'destinations.a.partSize: must be at least 5.0 MiB',
      `archives.y.schedule: ${CRON}; wrong here: minute`,
      'archives.z: has a prefix that overlaps with that of archive "y", through the destinations "a" and "b"; change the url of one',
      'archives.z.scheduel: unknown key; did you mean "schedule"?',
      'archives.bad name: the name must be letters, digits, _, . and -, begin with a letter or digit, and have at most 100 of them',
      'archives.bad name.params: needs a query; a table takes none',
      'archives.bad name.source: there is no source of this name; known are: default',
      'archives.q: must be a mapping of options',
      'duplicate key; remove one of them',
      'workers.threads: must be a whole number',
    ],
  );
});

test('at most 100 problems are listed', () => {
  const problems = problemsOf(`${MINIMAL}\n${Array.from({ length: 150 }, (_, index) => `x${index}: 1`).join('\n')}`);
  assert.equal(problems.length, 101);
  assert.equal(problems.at(-1), ' and 50 more');
});
