/**
 * Every option, declared once: type, default, bounds and one line of help. Validation, types, JSON Schema and docs
 * follow.
 */
import path from 'node:path';
import * as z from 'zod';
import { describeSpanProblem } from '../calendar/daily-span.ts';
import { LENGTHS, WindowCalendar } from '../calendar/windows.ts';
import { readPrivateKey, readPublicKey } from '../base/signing.ts';
import { nearestName } from '../base/suggest.ts';
import { parseTablePattern, PATTERN_FORM } from '../postgres/table-pattern.ts';
import { describePostgresUrlProblem } from '../postgres/url.ts';
import { describeCronProblem } from './cron.ts';
import {
  bytesPerSecond,
  checked,
  count,
  describeProblemOf,
  duration,
  named,
  names,
  paramText,
  safeNumber,
  share,
  size,
  text,
} from './fields.ts';
import {
  describeEndpointProblem,
  describeHostProblem,
  describeWebUrlProblem,
  parseListen,
  parseLocation,
  type Location,
} from './location.ts';
import type { Unit, WithUnits } from './unit-names.ts';

declare module 'zod' {
  interface GlobalMeta {
    /** The value is never shown. */
    secret?: boolean;
    /** The unit that the value is parsed to, and that its name in the config ends in; see unit-names.ts. */
    unit?: Unit;
    /** For the documentation, where the default is not a constant. */
    defaultText?: string;
  }
}

/** Names of sources, destinations and archives; an archive's name is part of its keys. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/;

/** The most columns that folders by value may be of. */
export const MAX_PARTITION_COLUMNS = 16;

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/**
 * zod would skip the value of a badly named entry, so that its other problems stayed hidden; hence only for the JSON
 * Schema.
 */
const entries = { propertyNames: { pattern: NAME_PATTERN.source }, minProperties: 1 };

const source = z.strictObject({
  url: checked(describePostgresUrlProblem).meta({
    description:
      'Connection URL, `postgres://user:password@host:5432/database?sslmode=require`, which verifies the certificate and the name of the server, as `verify-full` does.',
    secret: true,
  }),
});

const objectLock = z.strictObject({
  mode: z.enum(['GOVERNANCE', 'COMPLIANCE']).meta({
    description:
      'Who may end a hold before its time: in `GOVERNANCE` whoever has `s3:BypassGovernanceRetention`; in `COMPLIANCE` nobody.',
  }),
  retain: duration(60_000, 100 * 365 * 86_400_000).meta({
    description: 'How long an object is held, from when it is written.',
    unit: 'ms',
  }),
});

const destination = z.strictObject({
  url: checked((url) => unlessParsed(parseLocation(url))).meta({
    description: '`s3://bucket/prefix`, or `file:///srv/archive` for a folder. The options below are for S3 only.',
  }),
  region: text().optional().meta({ description: "The bucket's region.", defaultText: 'as the AWS SDK finds it' }),
  endpoint: checked(describeEndpointProblem)
    .optional()
    .meta({ description: 'URL of an S3-compatible server.', defaultText: 'AWS' }),
  forcePathStyle: z.boolean().default(false).meta({
    description: 'Whether the bucket goes into the path instead of the host name; most S3-compatible servers need it.',
  }),
  accessKeyId: text().optional().meta({
    description: 'Access key; together with `secretAccessKey`.',
    secret: true,
    defaultText: 'the AWS default provider chain',
  }),
  secretAccessKey: text().optional().meta({
    description: 'Secret key; together with `accessKeyId`.',
    secret: true,
    defaultText: 'the AWS default provider chain',
  }),
  partSize: size(5 * MIB, 5 * GIB)
    .prefault('5MiB')
    .meta({
      description:
        'Size of a part of a multipart upload, 5 MiB to 5 GiB. S3 allows 10,000 parts an object; memory grows with it.',
      unit: 'bytes',
    }),
  partsInFlight: z
    .union([z.literal('auto'), count(1, 32)], 'must be auto or a whole number from 1 to 32')
    .default('auto')
    .meta({
      description:
        'Parts of one upload that may be on their way at once. `auto` begins with 1, or 2 where an answer is waited for, and goes up to 6 where the server is far away; memory is reckoned for 6.',
    }),
  storageClass: text()
    .regex(/^[A-Z0-9_]+$/, 'must be a storage class such as STANDARD_IA')
    .optional()
    .meta({
      description: 'Storage class of the data objects, such as `STANDARD_IA`.',
      defaultText: "the bucket's",
    }),
  serverSideEncryption: z.enum(['AES256', 'aws:kms', 'aws:kms:dsse']).optional().meta({
    description: 'Encryption that S3 applies to the objects.',
    defaultText: "the bucket's",
  }),
  kmsKeyId: text().optional().meta({
    description: 'KMS key id, ARN or alias; with `serverSideEncryption: aws:kms` or `aws:kms:dsse`.',
    defaultText: "the account's S3 key",
  }),
  tags: z
    .record(z.string().min(1).max(128), z.string().max(256))
    .refine((tags) => Object.keys(tags).length <= 10, 'must have at most 10 tags, which is the limit of S3')
    .optional()
    .meta({ description: 'Tags of the data objects, for lifecycle rules and cost reports; at most 10.' }),
  signing: z
    .strictObject({
      key: checked(describeProblemOf(readPrivateKey)).optional().meta({
        description:
          'Private key by which plans, receipts and manifests are signed, as `${file:/path}`; see `pgsluice keygen`.',
        secret: true,
        defaultText: 'none is signed',
      }),
      trust: z
        .array(checked(describeProblemOf(readPublicKey)))
        .min(1)
        .max(100)
        .optional()
        .meta({
          description:
            'Public keys: with them, what is not signed by one of them is not believed, taken up or restored.',
          defaultText: 'everything is believed',
        }),
    })
    .optional()
    .meta({ description: 'Signatures, by which an archive is told from a forged one.', defaultText: 'none' }),
  checksums: z.enum(['when-supported', 'when-required']).default('when-supported').meta({
    description: 'When uploads carry checksum headers; `when-required` for S3-compatible servers that refuse them.',
  }),
  objectLock: objectLock.optional().meta({
    description:
      'Holds data objects and manifests, so that nobody can remove or change a version of them before its time; the bucket needs Object Lock.',
    defaultText: "the bucket's",
  }),
});

const segments = z.strictObject({
  by: z.enum(['auto', 'key', 'pages', 'none']).default('auto').meta({
    description: 'How rows are cut into segments: by ranges of a key, by ranges of pages, or not at all.',
  }),
  targetSize: size(1024, 1024 * GIB)
    .prefault('256MiB')
    .meta({
      description: 'Data of one segment, before compression; about one object each.',
      unit: 'bytes',
    }),
  parallel: count(1, 1000).default(2).meta({ description: 'Segments of one run that are worked on at once.' }),
  on: z.enum(['here', 'hosts']).default('here').meta({
    description:
      'Who works on them: the threads of the process that runs the archive, or any `pgsluice worker`; see docs/scale.md.',
  }),
});

const compression = z.strictObject({
  codec: z.enum(['gzip', 'zstd', 'none']).default('gzip').meta({ description: 'Format of the objects.' }),
  engine: z.enum(['auto', 'zlib', 'isal']).default('auto').meta({
    description:
      'Library for gzip: `isal` is several times faster and needs libisal; `auto` takes it when it is there.',
  }),
  level: count(0, 22).optional().meta({
    description: 'gzip: 1 to 9, with engine `isal` 0 to 3; zstd: 1 to 22.',
    defaultText: "each engine's own (zlib 6, isal 1, zstd 1)",
  }),
});

const retry = z.strictObject({
  for: duration(1000, 86_400_000).prefault('15m').meta({
    description:
      'How long after a first failure it is tried again; a destination that does not answer at all, for a fifth of it.',
    unit: 'ms',
  }),
  attempts: count(1, 100).default(20).meta({ description: 'How often a segment is tried in all, at most.' }),
  backoff: duration(1, 3_600_000).prefault('2s').meta({
    description: 'Pause before the second attempt; it doubles with each further one up to a minute, with jitter.',
    unit: 'ms',
  }),
});

/** Patterns of tables, one or several. */
function patterns() {
  const pattern = checked((value) => (parseTablePattern(value) === undefined ? PATTERN_FORM : undefined));
  return z
    .union([pattern, z.array(pattern).min(1).max(100)], {
      error: 'must be a pattern such as public.event_*, or a list of some',
    })
    .transform((written) => (typeof written === 'string' ? [written] : written));
}

/** A URL that is called; who knows it may speak in the daemon's name. */
function webUrl() {
  return checked(describeWebUrlProblem);
}

const ping = z
  .union(
    [
      webUrl(),
      z.strictObject({ start: webUrl().optional(), success: webUrl().optional(), failure: webUrl().optional() }),
    ],
    { error: 'must be an http:// or https:// URL, or a mapping with start, success and failure' },
  )
  .transform((written) => (typeof written === 'string' ? pingsBelow(written) : written));

const window = z.strictObject({
  column: text().meta({
    description: 'Column of type `date`, `timestamp` or `timestamptz` that rows are told apart by.',
  }),
  every: z.enum([...LENGTHS, 'partition']).meta({
    description:
      'How long a window is; weeks begin on Monday, and hours of a `timestamptz` are those of UTC. With `partition`, each partition of a table that is partitioned by range over the column.',
  }),
  olderThan: duration(0, 100 * 366 * 86_400_000)
    .prefault('1h')
    .meta({
      description: "A window is archived once its end lies so far back, by the source's clock.",
      unit: 'ms',
    }),
  from: checked((date) =>
    new WindowCalendar('date', 'day', 'UTC').parse(date) === undefined
      ? 'must be a date such as 2024-01-01, with a time if need be'
      : undefined,
  )
    .optional()
    .meta({
      description: 'Windows and rows before this date are not looked at; in the zone of the archive.',
      defaultText: 'the oldest row',
    }),
});

const purge = z.strictObject({
  after: duration(3_600_000, 100 * 366 * 86_400_000).meta({
    description: 'How long a run must have been committed before it is purged without being named; at least 1h.',
    unit: 'ms',
  }),
  source: text().optional().meta({
    description: 'Name of the source by whose role rows are deleted, of the same database.',
    defaultText: "the archive's",
  }),
  then: z.enum(['drop', 'detach']).optional().meta({
    description:
      'What becomes of a partition whose rows are all proved to be archived: it is dropped, or detached and kept as a table of its own. Required with `window.every: partition`, and for nothing else.',
  }),
  accept: z
    .array(z.enum(['triggers', 'publications', 'slots', 'subscriptions']))
    .max(4)
    .default([])
    .meta({ description: 'What deleting sets off besides, and is wanted; a purge is refused where it finds another.' }),
  maxDuration: duration(1000, 31 * 86_400_000)
    .optional()
    .meta({
      description: 'How long one purge may take; the next one goes on.',
      defaultText: 'no limit',
      unit: 'ms',
    }),
});

const pace = z.strictObject({
  bytesPerSecond: bytesPerSecond(1024, 1024 * GIB)
    .optional()
    .meta({
      description: 'JSON Lines a second that are read or deleted, over all segments of the run.',
      defaultText: 'as fast as it goes',
    }),
  share: share().optional().meta({
    description:
      'Part of the time that a purge works, such as `50%`; together with `bytesPerSecond`, the slower one wins.',
    defaultText: 'all of it',
  }),
  between: checked(describeSpanProblem).optional().meta({
    description:
      "Hours of the day, such as `22:00-06:00`, by the archive's `timezone`: runs, segments and batches begin only then.",
    defaultText: 'at any time',
  }),
  maxLag: duration(100, 7 * 86_400_000)
    .optional()
    .meta({
      description:
        'Nothing begins while a streaming replica of the source, or the standby that is read, is further behind.',
      defaultText: 'replicas are not looked at',
      unit: 'ms',
    }),
  ignoreReplicas: names().max(100).optional().meta({
    description: 'Replicas, by application_name, and inactive slots, by name, that `maxLag` is not about.',
    defaultText: 'none',
  }),
  pauseWhile: text().optional().meta({
    description:
      'Query of one value, asked in a read-only transaction for at most 1 s: nothing begins while it is true or above 0.',
    defaultText: 'nothing is asked',
  }),
  maxSnapshotAge: duration(1000, 20 * 86_400_000)
    .optional()
    .meta({
      description:
        'A snapshot that is older is let go once no segment runs, and the run goes on under a new one; for cuts by key only.',
      defaultText: 'as long as the run',
      unit: 'ms',
    }),
});

const archive = z.strictObject({
  source: text().default('default').meta({ description: 'Name of the source.' }),
  destination: text().default('default').meta({ description: 'Name of the destination.' }),
  table: text().optional().meta({ description: 'Table to archive, `schema.table`; either this, `tables` or `query`.' }),
  tables: patterns().optional().meta({
    description:
      'Tables to archive, each as an archive of its own that is named after it: patterns such as `public.event_*`, one or a list; see [Several tables](#several-tables).',
  }),
  exceptTables: patterns()
    .optional()
    .meta({ description: 'Patterns of tables that `tables` leaves out.', defaultText: 'none' }),
  query: text()
    .optional()
    .meta({ description: 'Query to archive; `:slot` is the time of the run, `:from` and `:to` bound its window.' }),
  params: z
    .array(
      z.union([paramText(), safeNumber(), z.boolean(), z.null()], {
        error: 'must be text, a number, true, false or null',
      }),
    )
    .optional()
    .meta({ description: 'Values of `$1`, `$2` … in `query`.' }),
  columns: names().optional().meta({ description: 'Columns of the table to archive.', defaultText: 'all' }),
  exclude: names().optional().meta({ description: 'Columns of the table to leave out; not together with `columns`.' }),
  where: text().optional().meta({
    description:
      'Filter on the table, an SQL condition; `:slot` is the time of the run, `:from` and `:to` bound its window.',
    defaultText: 'all rows',
  }),
  key: z
    .union([text(), names()], { error: 'must be a column or a list of columns' })
    .transform((key) => (typeof key === 'string' ? [key] : key))
    .optional()
    .meta({
      description:
        'Unique, not null columns to cut into segments by; a query needs them for that, a table has its primary key.',
    }),
  schedule: checked(describeCronProblem).optional().meta({
    description: 'Cron expression of 5 fields, or 6 with seconds first. Day of month and day of week must both match.',
    defaultText: 'runs by hand only',
  }),
  timezone: checked(describeTimezoneProblem).default('UTC').meta({
    description: 'Time zone of the schedule, of the bounds of windows, and of `pace.between`.',
  }),
  window: window.optional().meta({
    description: 'Archives by windows of time, each once: a slot makes every closed window that is not there yet.',
    defaultText: 'each run archives all rows that it selects',
  }),
  mayExpireAfter: duration(3_600_000, 100 * 366 * 86_400_000)
    .optional()
    .meta({
      description:
        'Age of a run from which its data objects may be gone, by lifecycle rules: `list --windows` and the page then show its window as expired, and else as damaged.',
      defaultText: 'never',
      unit: 'ms',
    }),
  partitionBy: names()
    .max(MAX_PARTITION_COLUMNS, `must have at most ${MAX_PARTITION_COLUMNS} columns`)
    .optional()
    .meta({
      description:
        'Columns by whose values a run lies in folders, `<column>=<value>/`, one below the other: bool, integers, text, varchar, ' +
        'uuid, date or enum; see docs/layout.md.',
      defaultText: 'no folders',
    }),
  catchUp: z
    .enum(['last', 'all', 'none'])
    .default('last')
    .meta({
      description:
        'Which of the slots that passed unarchived are run once they can be: the last one, all of them (at most 1,000), ' +
        'or none.',
    }),
  lateAfter: duration(1000, 31 * 86_400_000)
    .optional()
    .meta({
      description: 'A slot that is not archived this long after its time makes the archive late.',
      defaultText: 'when the next slot comes',
      unit: 'ms',
    }),
  ping: ping.optional().meta({
    description:
      "URL of a dead man's switch such as healthchecks.io: called when a run succeeds, with `/start` when it starts, " +
      'with `/fail` when it fails. Or a mapping with the URLs `start`, `success` and `failure`.',
    secret: true,
    defaultText: 'none',
  }),
  segments: segments.prefault({}).meta({ description: 'How a run is cut into segments.' }),
  consistency: z
    .enum(['snapshot', 'none'])
    .default('snapshot')
    .meta({
      description:
        'What holds the rows together. `snapshot`: all are of one instant, and foreign tables, which take no part in it, ' +
        'are refused. `none`: they are read whenever their segment is, and the manifest says so.',
    }),
  lines: z
    .enum(['exact', 'server'])
    .default('exact')
    .meta({
      description:
        'How values are printed whose type, of an extension or your own, has a cast to json, such as geometry. `exact`: as the ' +
        'text of the type, which restores exactly. `server`: as the cast prints them (GeoJSON), which may lose something.',
    }),
  compression: compression.prefault({}).meta({ description: 'How objects are compressed.' }),
  contentEncoding: z.enum(['gzip']).optional().meta({
    description: 'Sets this header on gzip objects; many clients then unzip them unasked.',
    defaultText: 'no header',
  }),
  read: z
    .enum(['auto', 'cursor', 'copy'])
    .default('auto')
    .meta({
      description:
        'How rows are read. `auto`: with COPY; a query with `params`, which COPY does not take, with binary results by the same reader. ' +
        '`cursor`: as text through a cursor, which is several times slower and takes no row above a width.',
    }),
  retry: retry.prefault({}).meta({ description: 'How failures that may pass are retried, per segment.' }),
  pace: pace.optional().meta({
    description: 'How fast, and when, the source is read and purged; see docs/pace.md.',
    defaultText: 'at any time, as fast as it goes',
  }),
  purge: purge.optional().meta({
    description: 'Lets `pgsluice purge` delete from the table what a run was proved to hold; see docs/purge.md.',
    defaultText: 'nothing is ever deleted',
  }),
});

const workers = z.strictObject({
  threads: count(1, 256).default(2).meta({ description: 'Worker threads, over all archives.' }),
  maxOldGenerationSizeMb: count(16, 65_536)
    .default(64)
    .meta({ description: 'Heap of one worker, in MiB; the program itself takes about 14 of them.' }),
  maxYoungGenerationSizeMb: count(1, 4096).default(16).meta({
    description: 'Part of the heap of one worker for short-lived values, in MiB, on top of the above.',
  }),
});

const http = z.strictObject({
  listen: checked((value) =>
    parseListen(value) === undefined ? 'must be host:port, such as 127.0.0.1:8432' : undefined,
  )
    .optional()
    .meta({
      description: 'Address of the page, the metrics and the health check, `host:port`.',
      defaultText: 'no HTTP',
    }),
  hosts: z
    .array(checked(describeHostProblem))
    .max(100)
    .default([])
    .meta({
      description:
        "Names, without a port, that the page may be asked for by, beside those of this machine's loopback and `listen`; " +
        'any other Host is refused.',
    }),
  token: z
    .string()
    .regex(/^[\x21-\x7e]{16,512}$/, 'must be 16 to 512 printable characters without blanks')
    .optional()
    .meta({
      description: 'Bearer token for the actions; without it HTTP is read-only.',
      secret: true,
      defaultText: 'read-only',
    }),
});

const hosts = z.strictObject({
  url: checked(describePostgresUrlProblem).meta({
    description:
      'Connection URL of the database with the queue, by which segments come to other hosts. A database of its own: none of `sources`.',
    secret: true,
  }),
  schema: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,39}$/, 'must be small letters, digits and _, at most 40 of them')
    .default('pgsluice')
    .meta({ description: 'Schema of the queue in that database; it is made when it is not there.' }),
  silence: duration(15_000, 3_600_000).prefault('30s').meta({
    description:
      'A host that is not heard of for so long has lost its segments, and others do them; at least 15s. Each gives a sign every fifth of it.',
    unit: 'ms',
  }),
});

const notify = z.strictObject({
  url: webUrl().meta({ description: 'URL that gets a POST.', secret: true }),
  on: z
    .array(z.enum(['failure', 'recovery', 'late', 'purge']))
    .min(1)
    .default(['failure', 'recovery', 'late', 'purge'])
    .meta({
      description:
        'What is reported: a run or a purge that failed, an archive that was found damaged, the first success after it, an archive that is late, and what a ' +
        'purge left because it was changed since, or has come back.',
    }),
  format: z.enum(['json', 'slack']).default('json').meta({
    description: 'Form of the body: an object with all that is known, or a text as Slack and its relatives take it.',
  }),
});

const log = z.strictObject({
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info').meta({
    description: 'The least severe level that is logged.',
  }),
  format: z.enum(['auto', 'text', 'json']).default('auto').meta({
    description:
      'Lines for people or JSON for programs; auto is text on a terminal and in the journal, JSON elsewhere.',
  }),
});

const verifyAudit = z.strictObject({
  schedule: checked(describeCronProblem).meta({
    description: 'Cron expression in UTC: when the daemon proves runs again, those first whose last proof is oldest.',
  }),
  every: duration(1000, 100 * 366 * 86_400_000)
    .prefault('30d')
    .meta({
      description: 'How old the last proof of a run may be. A run that was never proved is due at once.',
      unit: 'ms',
    }),
  atMost: size(1, 1024 ** 5)
    .prefault('100GiB')
    .meta({
      description:
        'Bytes of objects that are read each time. A run that has more is proved alone, when it has become the oldest.',
      unit: 'bytes',
    }),
});

const rehearseAudit = z.strictObject({
  schedule: checked(describeCronProblem).meta({
    description: 'Cron expression in UTC: when the daemon restores a run by way of trial.',
  }),
  source: text().meta({
    description:
      'Name of the source whose database is restored into, with a role that may create tables in `schema`. A database that no archive reads, see `allowSource`.',
  }),
  schema: checked(describeSchemaProblem).default('pgsluice_rehearsal').meta({
    description: 'Schema that the scratch table is made in. It is made where it is not there and the role may.',
  }),
  atMost: size(1, 1024 ** 5)
    .prefault('5GiB')
    .meta({
      description: 'Bytes of JSON Lines that are restored each time. Of a run that has more, some objects are taken.',
      unit: 'bytes',
    }),
  allowSource: z.boolean().default(false).meta({
    description: 'Whether the database that is restored into may be one that an archive reads.',
  }),
});

const audits = z.strictObject({
  verify: verifyAudit.optional().meta({
    description:
      'Reads archives that are long since committed again, and holds them against their manifests; see docs/trust.md.',
    defaultText: 'no archive is read again by itself',
  }),
  rehearse: rehearseAudit.optional().meta({
    description:
      'Restores a run, or some of its objects, into a scratch table, and holds what the server says of it against the lines; see docs/trust.md.',
    defaultText: 'no restore is rehearsed',
  }),
});

/**
 * The whole config as it is written in YAML (input) and as it comes out (output). Checks across options are in
 * checks.ts.
 */
export const configSchema = z.strictObject({
  sources: named(source).meta({ description: 'Databases to archive from, by name.', ...entries }),
  destinations: named(destination).meta({ description: 'Places to archive to, by name.', ...entries }),
  archives: named(archive).meta({ description: 'What to archive, by name; the name is part of the keys.', ...entries }),
  audits: audits.optional().meta({
    description: 'What the daemon checks of archives that are long since committed.',
    defaultText: 'nothing',
  }),
  workers: workers.prefault({}).meta({ description: 'The threads that move the rows.' }),
  hosts: hosts.optional().meta({
    description: 'How segments come to other hosts, where an archive says `segments.on: hosts`; see docs/scale.md.',
    defaultText: 'all is done here',
  }),
  http: http.prefault({}).meta({ description: 'The HTTP page of the daemon.' }),
  notify: z.array(notify).max(20).default([]).meta({ description: 'Webhooks for alarms.' }),
  log: log.prefault({}).meta({ description: 'The log.' }),
  control: checked((socket) => (path.isAbsolute(socket) ? undefined : 'must be an absolute path'))
    .optional()
    .meta({
      description: 'Unix socket for `pgsluice status`, `trigger`, `cancel`, `pause` and `resume`.',
      defaultText: '`control.sock` in `$RUNTIME_DIRECTORY`, then in `state`',
    }),
  state: checked((folder) => (path.isAbsolute(folder) ? undefined : 'must be an absolute path'))
    .optional()
    .meta({
      description: 'Folder for the history of runs; never the truth about an archive.',
      defaultText: '`$STATE_DIRECTORY`, then `/var/lib/pgsluice`',
    }),
  drainTimeout: duration(0, 86_400_000).prefault('60s').meta({
    description: 'How long SIGTERM waits for runs in progress before they are aborted.',
    unit: 'ms',
  }),
});

type Options = WithUnits<z.output<typeof configSchema>>;
type Named<T> = DeepReadonly<WithUnits<T> & { name: string }>;

/** A source, with the name of its entry. */
export type SourceConfig = Named<z.output<typeof source>>;
/** How a destination holds objects. */
export type ObjectLock = NonNullable<DestinationConfig['objectLock']>;

/** A destination, with the name of its entry and the parsed form of its URL. */
export type DestinationConfig = Named<z.output<typeof destination>> & {
  readonly location: DeepReadonly<Location>;
  /** Whether unsigned documents are believed although `signing.trust` is set: said on the command line alone. */
  readonly allowUnsigned?: boolean;
};
/** An archive, with the name of its entry; exactly one of `table`, `query` and, in an entry of patterns, `tables` is set. */
export type ArchiveConfig = Named<z.output<typeof archive>> & {
  /** Of an archive that an entry with `tables` has made: the name of that entry. */
  readonly entry?: string;
};
/** When runs are proved again, and how much of them at a time. */
export type VerifyAudit = NonNullable<NonNullable<Config['audits']>['verify']>;
/** When a restore is rehearsed, where, and how much of a run at a time. */
export type RehearseAudit = NonNullable<NonNullable<Config['audits']>['rehearse']>;
/** A webhook for alarms. */
export type NotifyConfig = DeepReadonly<z.output<typeof notify>>;
/** How segments come to other hosts. */
export type HostsConfig = DeepReadonly<NonNullable<Options['hosts']>>;
/** The limits of the worker threads. */
export type WorkersConfig = DeepReadonly<z.output<typeof workers>>;

/** The whole config, frozen, with all defaults applied. The names of sizes and durations end in their unit. */
export type Config = DeepReadonly<
  Omit<Options, 'sources' | 'destinations' | 'archives' | 'state' | 'control'> & {
    sources: Record<string, SourceConfig>;
    destinations: Record<string, DestinationConfig>;
    archives: Record<string, ArchiveConfig>;
    /** Entries of `archives` with `tables`, which stand for archives that the source knows; see run/expand.ts. */
    patterns: Record<string, ArchiveConfig>;
    /** Absolute path of the folder for the history. */
    state: string;
    /** Absolute path of the socket that the daemon takes orders by. */
    control: string;
  }
>;

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** In the manner of healthchecks.io; the query, if there is one, stays at the end. */
function pingsBelow(written: string): { start?: string; success?: string; failure?: string } {
  const below = (name: string): string => {
    const url = new URL(written);
    url.pathname = `${url.pathname.replace(/\/$/, '')}/${name}`;
    return url.href;
  };
  return { start: below('start'), success: written, failure: below('fail') };
}

function unlessParsed(parsed: Location | { readonly problem: string }): string | undefined {
  return 'problem' in parsed ? parsed.problem : undefined;
}

function describeTimezoneProblem(zone: string): string | undefined {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return undefined;
  } catch {
    const near = nearestZone(zone);
    const form = 'must be a time zone of the IANA database, such as Europe/Berlin';
    return near === undefined ? form : `${form}; did you mean "${near}"?`;
  }
}

/** One of nearly this city, in nearly this part of the world where that was said: `Berlin` is `Europe/Berlin`. */
function nearestZone(zone: string): string | undefined {
  const [, area, city = zone] = /^(.*)\/([^/]+)$/.exec(zone.replaceAll(' ', '_')) ?? [];
  // Shorter ones are abbreviations, such as PST.
  if (city.length < MIN_CITY_CHARS) return undefined;
  const zones = Intl.supportedValuesOf('timeZone').map((name) => {
    const slash = name.lastIndexOf('/');
    return { name, area: name.slice(0, Math.max(0, slash)), city: name.slice(slash + 1) };
  });
  const inArea = zones.filter((one) => area === undefined || nearestName(area, [one.area]) !== undefined);
  const near = nearestName(
    city,
    inArea.map((one) => one.city),
  );
  return inArea.find((one) => one.city === near)?.name;
}

const MIN_CITY_CHARS = 4;
const MOST_NAME_BYTES = 63;

function describeSchemaProblem(schema: string): string | undefined {
  if (schema.includes('\0') || Buffer.byteLength(schema) > MOST_NAME_BYTES)
    return `must be a name of Postgres, of at most ${MOST_NAME_BYTES} bytes`;
  return /^pg_|^information_schema$/.test(schema) ? "is one of Postgres's own" : undefined;
}
