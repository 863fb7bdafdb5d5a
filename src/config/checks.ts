/**
 * Checks across options. They look at the plain tree, so that a problem elsewhere does not keep them from being made.
 */
import { keyId, readPrivateKey, readPublicKey } from '../base/signing.ts';
import { nearestName } from '../base/suggest.ts';
import {
  describeSqlProblem,
  numberedIn,
  PLACEHOLDERS,
  placeholdersOf,
  unknownPlaceholders,
  type Placeholder,
} from '../postgres/sql-text.ts';
import { describePostgresUrlProblem, isSameDatabase } from '../postgres/url.ts';
import type { Draft } from './draft.ts';
import { suggest } from './explain.ts';
import { parseLocation } from './location.ts';
import { optionKeys } from './options.ts';
import { reportPrefixClashes } from './prefixes.ts';
import { NAME_PATTERN } from './schema.ts';
import { describeValue } from './shown.ts';
import { entriesOf, isTree, valueAt, type Tree } from './tree.ts';

/** Reports every problem that lies between options rather than in one. */
export function reportCrossChecks(tree: Tree, draft: Draft): void {
  for (const section of ['sources', 'destinations', 'archives']) reportBadNames(tree, section, draft);
  for (const [name, destination] of entriesOf(tree, 'destinations')) reportDestination(name, destination, draft);
  for (const [name, archive] of entriesOf(tree, 'archives')) {
    reportArchive(new Entry(archive, ['archives', name], draft));
    reportReference(tree, name, archive, 'source', draft);
    reportReference(tree, name, archive, 'destination', draft);
    reportSource(tree, ['archives', name, 'purge', 'source'], draft);
  }
  reportHosts(tree, draft);
  reportSource(tree, ['audits', 'rehearse', 'source'], draft);
  reportPrefixClashes(tree, draft);
}

function reportBadNames(tree: Tree, section: string, draft: Draft): void {
  const entries = valueAt(tree, [section]);
  for (const name of isTree(entries) ? Object.keys(entries) : []) {
    if (NAME_PATTERN.test(name)) continue;
    draft.report(
      [section, name],
      'the name must be letters, digits, _, . and -, begin with a letter or digit, and have at most 100 of them',
      'key',
    );
  }
}

/** One entry of a section, and where it stands. */
class Entry {
  readonly #values: Tree;
  readonly #path: readonly string[];
  readonly #draft: Draft;

  constructor(values: Tree, path: readonly string[], draft: Draft) {
    this.#values = values;
    this.#path = path;
    this.#draft = draft;
  }

  /** Whether the key is there, whatever its value. */
  has(key: string): boolean {
    return Object.hasOwn(this.#values, key);
  }

  get(...path: string[]): unknown {
    return valueAt(this.#values, path);
  }

  /** Whether the value came in by a reference, so that nothing of it is shown. */
  isInterpolated(key: string): boolean {
    return this.#draft.interpolated.has(this.#draft.valueNode([...this.#path, key]));
  }

  report(key: string, message: string): void {
    this.#draft.report([...this.#path, ...key.split('/')], message, 'key');
  }

  reportSelf(message: string): void {
    this.#draft.report(this.#path, message, 'key');
  }

  /** Reports `key` when it and `other` are both there. */
  refuseTogether(key: string, other: string, message: string): void {
    if (this.has(key) && this.has(other)) this.report(key, message);
  }
}

/** Options of a destination that a folder has as well. */
const FOR_EVERY_KIND = new Set(['url', 'signing']);

function reportDestination(name: string, values: Tree, draft: Draft): void {
  const entry = new Entry(values, ['destinations', name], draft);
  reportSigning(entry);
  const url = entry.get('url');
  const location = typeof url === 'string' ? parseLocation(url) : undefined;
  if (location !== undefined && 'kind' in location && location.kind === 'file') {
    for (const key of optionKeys(['destinations', name]).filter((option) => !FOR_EVERY_KIND.has(option))) {
      if (entry.has(key)) entry.report(key, 'is for s3:// only; remove it, or change the url');
    }
    return;
  }
  reportBucket(entry, location);
  for (const [key, other] of [
    ['accessKeyId', 'secretAccessKey'],
    ['secretAccessKey', 'accessKeyId'],
  ] as const) {
    if (entry.has(key) && !entry.has(other))
      entry.report(key, `needs ${other} as well; or remove it, to use the AWS default provider chain`);
  }
  if (entry.has('objectLock') && entry.get('checksums') === 'when-required')
    entry.report('checksums', 'must be when-supported with objectLock, which takes a checksum with each part');
  const encryption = entry.get('serverSideEncryption');
  if (entry.has('kmsKeyId') && (!entry.has('serverSideEncryption') || encryption === 'AES256')) {
    entry.report('kmsKeyId', 'needs serverSideEncryption: aws:kms');
  }
}

/** AWS has taken no such names since 2018, and what is put before the host's name is taken in small letters. */
function reportBucket(entry: Entry, location: ReturnType<typeof parseLocation> | undefined): void {
  if (location === undefined || 'problem' in location || location.kind !== 's3') return;
  const { bucket } = location;
  if (/[A-Z_]/.test(bucket) && entry.get('forcePathStyle') !== true && !entry.isInterpolated('forcePathStyle'))
    entry.report(
      'url',
      'has a bucket name with capitals or _, which S3 has not; where an old bucket or another server has one, set forcePathStyle: true',
    );
  if (!entry.has('endpoint') && /^(?:xn--|sthree-|amzn-s3-demo-)/.test(bucket))
    entry.report(
      'url',
      'has a bucket name that begins with xn--, sthree- or amzn-s3-demo-, which AWS keeps for itself',
    );
}

/** A host that does not believe itself would refuse its own runs. */
function reportSigning(entry: Entry): void {
  const key = entry.get('signing', 'key');
  const trust = entry.get('signing', 'trust');
  if (typeof key !== 'string' || !Array.isArray(trust)) return;
  try {
    const own = keyId(readPrivateKey(key));
    if (trust.some((text) => keyId(readPublicKey(String(text))) === own)) return;
  } catch {
    // What is wrong with one of the keys is reported where it stands.
    return;
  }
  entry.report('signing/trust', 'must have the public key of signing.key among its keys');
}

/** Such a text would change what the whole statement means, or add another. */
function reportSql(entry: Entry, key: string): void {
  const sql = entry.get(key);
  if (typeof sql !== 'string') return;
  const problem = describeSqlProblem(sql);
  if (problem !== undefined) entry.report(key, problem);
  const [unknown] = unknownPlaceholders(sql);
  if (unknown === undefined) return;
  const near = nearestName(unknown, PLACEHOLDERS);
  const known = PLACEHOLDERS.map((name) => `:${name}`).join(', ');
  const advice = near === undefined ? `known are ${known}` : `did you mean ":${near}"?`;
  const which = entry.isInterpolated(key) ? 'a placeholder that is' : `":${unknown}", which is`;
  entry.report(key, `has ${which} not known; ${advice}`);
}

/** The server would say so at each slot. */
function reportNumbered(entry: Entry): void {
  const where = entry.get('where');
  if (typeof where === 'string' && numberedIn(where) > 0)
    entry.report('where', 'has a $1, but takes no values; write the value itself there');
}

function reportArchive(entry: Entry): void {
  for (const key of ['where', 'query']) reportSql(entry, key);
  reportNumbered(entry);
  if (!entry.has('table') && !entry.has('query') && !entry.has('tables'))
    entry.reportSelf('either table or query is required; or tables, for several');
  entry.refuseTogether('query', 'table', 'cannot be together with table; remove one of them');
  reportTables(entry);
  entry.refuseTogether('exclude', 'columns', 'cannot be together with columns; remove one of them');
  if (!entry.has('query') && entry.has('params')) entry.report('params', 'needs a query; a table takes none');
  if (!entry.has('table') && !entry.has('tables')) reportQueryOptions(entry);
  reportWindow(entry);
  reportLayout(entry);
  reportPurge(entry);
  reportPace(entry);
  reportCompression(entry);
}

/** What is found by a pattern may be another table tomorrow: nothing of it is deleted, and no switch stands for all of it. */
function reportTables(entry: Entry): void {
  for (const key of ['table', 'query'])
    entry.refuseTogether('tables', key, `cannot be together with ${key}; remove one of them`);
  if (!entry.has('tables')) {
    if (entry.has('exceptTables')) entry.report('exceptTables', 'needs tables');
    return;
  }
  if (entry.has('purge'))
    entry.report(
      'purge',
      'cannot be together with tables: rows are deleted only from a table that is named; give it an entry of its own',
    );
  if (entry.has('ping'))
    entry.report('ping', 'cannot be together with tables: a run of one table would hide that of another; use notify');
}

/** Runs of a windowed archive are functions of their window, others of their slot. */
function reportWindow(entry: Entry): void {
  const windowed = entry.has('window');
  for (const key of ['where', 'query']) {
    const sql = entry.get(key);
    const used = typeof sql === 'string' ? placeholdersOf(sql) : new Set<Placeholder>();
    if (windowed && used.has('slot'))
      entry.report(
        key,
        'has :slot, which a windowed archive does not know; window.olderThan says how old its rows are',
      );
    for (const name of ['from', 'to'] as const)
      if (!windowed && used.has(name))
        entry.report(key, `has :${name}, which only a windowed archive knows; see window`);
    if (windowed && key === 'query' && typeof sql === 'string' && !(used.has('from') && used.has('to')))
      entry.report(key, 'must have :from and :to in its text, as it is read window by window');
  }
  if (!windowed) return;
  if (entry.has('query') && entry.get('window', 'from') === undefined)
    entry.report('window', 'needs from, as a query has no oldest row that could be found quickly');
  if (entry.has('query') && entry.get('window', 'every') === 'partition')
    entry.report('window/every', 'cannot be partition with a query, which has none; name the table');
  entry.refuseTogether(
    'catchUp',
    'window',
    'cannot be together with window: each slot makes all windows that are missing',
  );
}

/** The other readers take `run` for the folder of the run; and what the lines do not hold would not come back. */
function reportLayout(entry: Entry): void {
  const columns = entry.get('partitionBy');
  if (!Array.isArray(columns)) return;
  const said = columns.map((column, at): string | undefined => {
    if (columns.indexOf(column) !== at) return 'has a column twice';
    if (String(column).toLowerCase() === 'run')
      return 'has "run", which is the folder of the run; archive it by a query under another name';
    if (listHas(entry, 'exclude', column)) return 'has a column that exclude leaves out of the lines';
    return entry.has('columns') && !listHas(entry, 'columns', column)
      ? 'has a column that columns leaves out of the lines'
      : undefined;
  });
  for (const problem of new Set(said)) if (problem !== undefined) entry.report('partitionBy', problem);
  if (entry.get('segments', 'by') === 'pages')
    entry.report(
      'segments/by',
      'cannot be pages together with partitionBy: each value is a segment, and a large one is cut by key',
    );
}

function listHas(entry: Entry, key: string, item: unknown): boolean {
  const list = entry.get(key);
  return Array.isArray(list) && list.includes(item);
}

/** Only a whole table is archived so that its rows can be told again. */
function reportPurge(entry: Entry): void {
  for (const key of ['query', 'columns', 'exclude'])
    entry.refuseTogether('purge', key, `cannot be together with ${key}: only a table that is archived whole is purged`);
  if (!entry.has('purge')) return;
  const byPartition = entry.get('window', 'every') === 'partition';
  const then = entry.get('purge', 'then');
  if (byPartition && then === undefined)
    entry.report('purge', 'needs then: drop or detach, as window.every is partition');
  if (!byPartition && then !== undefined)
    entry.report('purge/then', 'is for window.every: partition only; else rows are deleted');
  if (byPartition)
    entry.refuseTogether('purge', 'where', 'cannot be together with where: a partition goes with all of its rows');
}

/** What a snapshot does not outlive cannot go on under another one. */
function reportPace(entry: Entry): void {
  const sql = entry.get('pace', 'pauseWhile');
  const problem = typeof sql === 'string' ? describeSqlProblem(sql) : undefined;
  if (problem !== undefined) entry.report('pace/pauseWhile', problem);
  if (entry.get('pace', 'ignoreReplicas') !== undefined && entry.get('pace', 'maxLag') === undefined)
    entry.report('pace/ignoreReplicas', 'is of no use without maxLag');
  if (entry.get('pace', 'maxSnapshotAge') === undefined) return;
  const by = entry.get('segments', 'by');
  if (by === 'pages' || by === 'none')
    entry.report(
      'pace/maxSnapshotAge',
      `cannot be together with segments.by ${by}: such segments mean their rows under one snapshot only; cut by key`,
    );
  else if (entry.has('query') && !entry.has('key') && !entry.has('partitionBy'))
    entry.report('pace/maxSnapshotAge', 'needs the option key, as a query without one is a single segment');
}

/** The snapshot that a run holds would keep the queue's dead rows from being vacuumed away, and it is slow after an hour. */
function reportHosts(tree: Tree, draft: Draft): void {
  const url = valueAt(tree, ['hosts', 'url']);
  const isThere = isTree(valueAt(tree, ['hosts']));
  for (const [name, archive] of entriesOf(tree, 'archives')) {
    if (valueAt(archive, ['segments', 'on']) !== 'hosts') continue;
    const path = ['archives', name, 'segments', 'on'];
    if (!isThere) draft.report(path, 'needs the section hosts, with the url of the queue');
  }
  if (typeof url !== 'string' || describePostgresUrlProblem(url) !== undefined) return;
  for (const [name, source] of entriesOf(tree, 'sources')) {
    const other = source['url'];
    if (typeof other !== 'string' || describePostgresUrlProblem(other) !== undefined) continue;
    if (isSameDatabase(url, other))
      draft.report(['hosts', 'url'], `is the database of source "${name}"; the queue needs one of its own`);
  }
}

function reportSource(tree: Tree, path: readonly string[], draft: Draft): void {
  const known = valueAt(tree, ['sources']);
  const source = valueAt(tree, path);
  if (!isTree(known) || typeof source !== 'string' || Object.hasOwn(known, source)) return;
  const shown = describeValue(draft, path, source);
  draft.report(path, `there is no source of this name${suggest(source, Object.keys(known))}${shown}`);
}

function reportQueryOptions(entry: Entry): void {
  entry.refuseTogether('columns', 'query', 'is for a table only; name the columns in the query');
  entry.refuseTogether('exclude', 'query', 'is for a table only; name the columns in the query');
  entry.refuseTogether('where', 'query', 'is for a table only; put it into the query');
  if (!entry.has('query')) return;
  const by = entry.get('segments', 'by');
  if (by === 'pages') entry.report('segments/by', 'a query has no pages; cut it by key, with the option key');
  if (by === 'key' && !entry.has('key'))
    entry.report('segments/by', 'needs the option key, the columns to cut the query by');
  if (entry.get('read') === 'copy' && entry.has('params'))
    entry.report('read', 'COPY takes no params; leave read out, which is as fast with them');
}

function reportCompression(entry: Entry): void {
  const codec = entry.get('compression', 'codec') ?? 'gzip';
  const engine = entry.get('compression', 'engine') ?? 'auto';
  if (engine === 'isal' && (codec === 'zstd' || codec === 'none'))
    entry.report('compression/engine', 'isal is for codec gzip only');
  if (entry.has('contentEncoding') && (codec === 'zstd' || codec === 'none'))
    entry.report('contentEncoding', 'needs codec gzip');
  reportLevel(entry, codec, engine);
}

function reportLevel(entry: Entry, codec: unknown, engine: unknown): void {
  const level = entry.get('compression', 'level');
  if (typeof level !== 'number') return;
  if (codec === 'none') entry.report('compression/level', 'is of no use with codec none');
  const [name, min, max] =
    codec === 'zstd' ? ['zstd', 1, 22] : engine === 'isal' ? ['engine isal', 0, 3] : ['gzip', 1, 9];
  const isKnown = codec === 'gzip' || codec === 'zstd';
  if (isKnown && (level < min || level > max))
    entry.report('compression/level', `must be ${min} to ${max} with ${name}`);
}

function reportReference(tree: Tree, name: string, archive: Tree, kind: 'source' | 'destination', draft: Draft): void {
  const known = valueAt(tree, [`${kind}s`]);
  const isWritten = Object.hasOwn(archive, kind);
  const target = isWritten ? archive[kind] : 'default';
  if (!isTree(known) || typeof target !== 'string' || Object.hasOwn(known, target)) return;
  const names = Object.keys(known);
  if (isWritten) {
    const path = ['archives', name, kind];
    const shown = describeValue(draft, path, target);
    draft.report(path, `there is no ${kind} of this name${suggest(target, names)}${shown}`);
  } else
    draft.report(
      ['archives', name],
      `${kind} is required, as none is named "default"; known are: ${names.join(', ')}`,
      'key',
    );
}
