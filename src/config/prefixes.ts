/** Finds archives that would write below the same prefix, where each would take the other's runs for its own. */
import type { Draft } from './draft.ts';
import { parseLocation, type Location } from './location.ts';
import { destinationOf } from './resolve.ts';
import type { ArchiveConfig, Config } from './schema.ts';
import { entriesOf, valueAt, type Tree } from './tree.ts';

/**
 * Reports each archive whose prefix lies within that of an archive above it, or the other way round. Equal ones cannot
 * be, as their last part is the name.
 */
export function reportPrefixClashes(tree: Tree, draft: Draft): void {
  for (const { own, other } of findClashes(findPrefixes(tree))) {
    // The prefixes are not echoed, as a URL may be interpolated.
    draft.report(['archives', own.archive], describeClash(own, other), 'key');
  }
}

/** The same of archives that were found by patterns, for those of them alone: what is wrong, by the name of the archive. */
export function clashesOf(config: Config, found: readonly ArchiveConfig[]): Map<string, string> {
  const archives = [...Object.values(config.archives), ...found];
  const prefixes = archives.map((archive) => {
    const { name, url, endpoint } = destinationOf(config, archive);
    return { archive: archive.name, destination: name, prefix: `${baseOf(url, endpoint) ?? ''}${archive.name}/` };
  });
  const names = new Set(found.map(({ name }) => name));
  const clashes = findClashes(prefixes).filter(({ own }) => names.has(own.archive));
  return new Map(clashes.map(({ own, other }) => [own.archive, describeClash(own, other)]));
}

function describeClash(own: ArchivePrefix, other: ArchivePrefix): string {
  return (
    `has a prefix that overlaps with that of archive "${other.archive}", through the destinations ` +
    `"${other.destination}" and "${own.destination}"; change the url of one`
  );
}

function findClashes(prefixes: readonly ArchivePrefix[]): { own: ArchivePrefix; other: ArchivePrefix }[] {
  const clashes: { own: ArchivePrefix; other: ArchivePrefix }[] = [];
  const seen = new Map<string, ArchivePrefix>();
  const above = new Map<string, ArchivePrefix>();
  for (const own of prefixes) {
    const parents = prefixesAbove(own.prefix);
    const other = [own.prefix, ...parents].map((prefix) => seen.get(prefix)).find(Boolean) ?? above.get(own.prefix);
    if (!seen.has(own.prefix)) seen.set(own.prefix, own);
    for (const prefix of parents) if (!above.has(prefix)) above.set(prefix, own);
    if (other !== undefined) clashes.push({ own, other });
  }
  return clashes;
}

/** Each shorter one that ends in `/`. */
function prefixesAbove(prefix: string): string[] {
  return [...prefix.slice(0, -1).matchAll(/\//g)].map(({ index }) => prefix.slice(0, index + 1));
}

interface ArchivePrefix {
  archive: string;
  destination: string;
  /** Server, bucket and key prefix, or the path of the folder; ends in `/`. */
  prefix: string;
}

function findPrefixes(tree: Tree): ArchivePrefix[] {
  return entriesOf(tree, 'archives').flatMap(([archive, entry]) => {
    const destination = Object.hasOwn(entry, 'destination') ? entry['destination'] : 'default';
    // What an entry of patterns stands for is known only by the source.
    if (typeof destination !== 'string' || Object.hasOwn(entry, 'tables')) return [];
    const base = findBase(tree, destination);
    return base === undefined ? [] : [{ archive, destination, prefix: `${base}${archive}/` }];
  });
}

function findBase(tree: Tree, destination: string): string | undefined {
  const url = valueAt(tree, ['destinations', destination, 'url']);
  return baseOf(url, valueAt(tree, ['destinations', destination, 'endpoint']));
}

function baseOf(url: unknown, endpoint: unknown): string | undefined {
  const location = typeof url === 'string' ? parseLocation(url) : undefined;
  if (location === undefined || 'problem' in location) return undefined;
  return placeOf(location, endpoint);
}

/** Server, bucket and key prefix, or the path of the folder: equal for two destinations that are one place. Ends in `/`. */
export function placeOf(location: Location, endpoint: unknown): string {
  if (location.kind === 'file') return `file:${location.folder.replace(/\/$/, '')}/`;
  return `${serverOf(endpoint)}/${location.bucket}/${location.prefix}`;
}

/** All endpoints of AWS reach the same buckets. */
function serverOf(endpoint: unknown): string {
  const url = typeof endpoint === 'string' ? URL.parse(endpoint) : null;
  return url === null || /\.amazonaws\.com(\.cn)?$/.test(url.hostname)
    ? 'aws'
    : `${url.host}${url.pathname.replace(/\/$/, '')}`;
}
