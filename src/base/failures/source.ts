/** Failures of the source: its connection, its statements, its rows. A restore, which writes there, shares some. */
import type { Declarations } from './declaration.ts';

export const SOURCE_FAILURES = {
  'connection-lost': {
    transient: true,
    meaning: 'The connection to Postgres or to the destination broke, or was not made in time.',
    hint: 'If it repeats, look at the log of the server, and at the network and proxies between.',
  },
  'tls-refused': {
    transient: false,
    meaning: 'Postgres and pgsluice do not agree on TLS, or the certificate of the server is not trusted.',
    hint: 'Check sslmode in the url: "require" verifies the certificate here; sslmode=no-verify does not, and sslrootcert=/path names a CA.',
  },
  'login-refused': {
    transient: false,
    meaning: 'Postgres does not let this role in.',
    hint: 'Check the user and the password in the url of this source, and pg_hba.conf of the server.',
  },
  'database-not-found': {
    transient: false,
    meaning: 'There is no such database.',
    hint: 'Check the database name in the url of this source.',
  },
  'too-many-connections': {
    transient: true,
    meaning: 'The server has no connection left for this role.',
    hint: 'Raise max_connections, or lower workers.threads: a run takes one connection and one more a thread.',
  },
  'permission-denied': {
    transient: false,
    meaning: 'The role of the source lacks a grant.',
    hint: 'GRANT USAGE on the schema and SELECT on the table to the role of this source. Where row-level security hides rows, the role needs BYPASSRLS: an archive with hidden rows would not be whole.',
  },
  'bad-table-name': {
    transient: false,
    meaning: 'A text in the config is not the name of a table.',
    hint: 'Write table, schema.table or "Schema"."Table", with double quotes around names with capitals, blanks or dots.',
  },
  'table-not-found': {
    transient: false,
    meaning: 'A table or its schema does not exist, or this role does not see it.',
    hint: 'Check the name, its schema and its quotes; names are case-sensitive inside quotes.',
  },
  'no-such-tables': {
    transient: false,
    meaning: 'A pattern of the option tables finds no table, or more than an entry may make archives of.',
    hint: 'Correct tables of the entry; a role sees tables of all schemas, whether it may read them or not.',
  },
  'table-not-taken': {
    transient: false,
    meaning: 'A table that a pattern finds can be no archive: by its name, or as another archive has that name.',
    hint: 'Give the table an entry of its own, with a name of letters, digits, _, . and -, and leave it out by exceptTables.',
  },
  'not-a-table': {
    transient: false,
    meaning: 'What the archive names has no rows, such as an index or a sequence.',
    hint: 'Name a table, partitioned table, view, materialized view or foreign table.',
  },
  'not-populated': {
    transient: false,
    meaning: 'A materialized view that is read was never filled: it was made WITH NO DATA.',
    hint: 'Fill it with REFRESH MATERIALIZED VIEW before the archive is run.',
  },
  'column-not-found': {
    transient: false,
    meaning: 'An option or a statement names a column that there is not.',
    hint: 'Check the names in columns, exclude, key, where and query.',
  },
  'key-not-unique': {
    transient: false,
    meaning: 'The key of the archive is not backed by a unique index on NOT NULL columns.',
    hint: 'Name the columns of such an index, or leave key out: the primary key is taken then.',
  },
  'cannot-cut': {
    transient: false,
    meaning: 'The rows cannot be cut into segments in the way that segments.by asks for.',
    hint: 'Set segments.by to auto, or name a key.',
  },
  'partition-column': {
    transient: false,
    meaning: 'A column of partitionBy cannot name folders.',
    hint: 'Take a column of type bool, integer, text or varchar with a deterministic collation, uuid, date or enum; or archive a query that casts it: amount::text AS amount_text, name COLLATE "C" AS name.',
    exit: '1, and 2 for `plan`',
  },
  'partition-count': {
    transient: false,
    meaning: 'The columns of partitionBy have more values than a run may have folders.',
    hint: 'Take a column with fewer values, or windows, each of which has fewer; or leave partitionBy out, and look values up in the lines.',
    exit: '1, and 2 for `plan`',
  },
  'partition-key': {
    transient: false,
    meaning: 'A value of partitionBy makes a key that the destination does not take; nothing was written.',
    hint: 'Leave such rows out with where; or archive a query that has something shorter instead, such as left(name, 100) or md5(name).',
    exit: '1, and 2 for `plan`',
  },
  'several-servers': {
    transient: false,
    meaning: 'The url of the source leads to several servers, of which one only has the snapshot of the run.',
    hint: 'Name one server in the url: not an endpoint that spreads connections, such as that of all readers, a balancer or a DNS name of several addresses.',
    retried: 'yes, under a new snapshot, as after a failover',
  },
  'no-common-snapshot': {
    transient: false,
    meaning: 'The archive reads foreign tables or the like, which take no part in the snapshot of the source.',
    hint: 'Archive each server as a source of its own; or set consistency: none, if rows that change during a run may be missing or there twice.',
  },
  'syntax-error': {
    transient: false,
    meaning: 'The SQL of an option is wrong.',
    hint: 'Correct the SQL of where or query; `pgsluice check --online` tries it.',
  },
  'unknown-function': {
    transient: false,
    meaning: 'The SQL of an option calls a function or an operator that there is not.',
    hint: 'Check its name in where or query; if it exists for other types, add a cast.',
  },
  'bad-value': {
    transient: false,
    meaning: 'A value does not have the form of its type, or lies outside of what it holds.',
    hint: 'Correct the value in where, query or params, or add a cast to the type that is meant.',
  },
  'not-supported': {
    transient: false,
    meaning: 'The server does not support the statement.',
    hint: 'See the message of the server; a newer one may support it.',
  },
  'read-only': {
    transient: false,
    meaning: 'Something was to be written where nothing may be: in a source, on a standby, or on a file system.',
    hint: 'The statement wants to write; a source is only read. Use a query that only selects.',
  },
  'query-failed': {
    transient: false,
    meaning: 'Postgres refused a statement, for a reason that has no code of its own here.',
    hint: 'See the message of the server, and its log.',
  },
  'query-cancelled': {
    transient: false,
    meaning: 'Somebody cancelled the query on the server, or a time-out of the server did.',
    hint: 'Find out who cancelled it: pg_cancel_backend, or a timeout that is set for this role. Run it again when that is no longer the case.',
  },
  'serialization-failure': {
    transient: true,
    meaning: 'The query conflicts with what the server does at the same time; on a standby, with its recovery.',
    hint: 'On a standby: set hot_standby_feedback = on, or raise max_standby_streaming_delay, so that long reads are not cancelled.',
  },
  deadlock: {
    transient: true,
    meaning: 'This session and another one waited for locks of each other.',
    hint: 'Another session held a lock that this one needed; it is tried again.',
  },
  'lock-not-available': {
    transient: true,
    meaning: 'Another session holds a lock on the table for too long.',
    hint: 'Another session holds an exclusive lock on the table, such as ALTER TABLE or VACUUM FULL. Schedule the archive at another time.',
  },
  'source-disk-full': {
    transient: false,
    meaning: 'The disk of the source is full.',
    hint: 'Free space on the disk of the database server: it needs some for temporary files too.',
  },
  'server-out-of-resources': {
    transient: true,
    meaning: 'The source is out of memory or of something else that it needs.',
    hint: 'Look at the memory, the disk and the connections of the database server, or run fewer segments in parallel.',
  },
  'server-io-error': {
    transient: false,
    meaning: 'The source cannot read its own files.',
    hint: 'Look at the log of the database server, and at its disks, at once.',
  },
  'server-corruption': {
    transient: false,
    meaning: 'The source reports that its data is corrupted; the message names the last row before it.',
    hint: "Look at the log of the database server at once; verify_heapam() of amcheck says which rows are damaged. To archive the rest, leave them out: with where by the key, or by a query that passes over a page (block 7, say): SELECT * FROM t WHERE ctid < '(7,0)' UNION ALL SELECT * FROM t WHERE ctid >= '(8,0)'.",
  },
  'invalid-bytes': {
    transient: false,
    meaning:
      'Text of the source is not in the encoding that its database says, or has no form in UTF-8; the message names the last row before it.',
    hint: "Read that column by a query, with the encoding that it was written in: convert_from(convert(convert_to(v, 'SQL_ASCII'), 'LATIN1', 'UTF8'), 'UTF8') AS v in a database of SQL_ASCII. Or leave such rows out with where, by the key that the message names.",
  },
  'row-too-wide': {
    transient: false,
    meaning: 'A row is wider than a worker of this heap takes through a cursor; the message names the row.',
    hint: 'Set read: copy, which takes rows of any width; or raise workers.maxOldGenerationSizeMb, or leave the wide column out.',
  },
  'row-count-mismatch': {
    transient: 'depends',
    meaning:
      'Rows read, rows encoded, lines stored and what the server says it sent, or has by value, are not the same number.',
    hint: 'A proxy between may have cut the answer short. Connect to Postgres directly.',
    retried: 'yes, when fewer rows came than the server sent; no, when rows were lost between the stages',
  },
  'bad-copy-stream': {
    transient: false,
    meaning: 'Rows in binary form, of a COPY or a query, do not have the form that it must have.',
    hint: 'Set read: cursor for this archive, and please report this, with the table definition.',
  },
} as const satisfies Declarations;
