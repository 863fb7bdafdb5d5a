/** Says what a reload changes, option by option, without secrets. */
import { ownEntry } from '../base/own.ts';
import type { Config } from './schema.ts';
import { mapSecrets, withoutUnits } from './options.ts';
import { isTree } from './tree.ts';

/** Long queries are cut here, as these lines go to the log. */
const MAX_VALUE_CHARS = 120;

/** Lines such as `archives.fetch_queue.schedule: "15 2 * * *" -> "30 2 * * *"`; empty when nothing changes. */
export function describeChanges(before: Config, after: Config): string[] {
  return compare(markSecrets(before), markSecrets(after), '');
}

/** Prints as a mask, but still differs when the secret does. */
class Secret {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}

function markSecrets(config: Config): unknown {
  const { patterns, ...rest } = config;
  const own = Object.entries(config.archives).filter(([, { entry }]) => entry === undefined);
  const written = {
    ...rest,
    sources: asWritten(config.sources),
    destinations: asWritten(config.destinations),
    archives: asWritten({ ...Object.fromEntries(own), ...patterns }),
  };
  return mapSecrets(withoutUnits(written), (value) => new Secret(value));
}

/** What entries have beyond the file would only say the same change again. */
function asWritten(entries: Record<string, { name: string; location?: unknown }>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(entries).map(([name, entry]) => [name, { ...entry, name: undefined, location: undefined }]),
  );
}

function compare(before: unknown, after: unknown, path: string): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (!isMapping(before) || !isMapping(after)) return [`${path}: ${describe(before)} -> ${describe(after)}`];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((key) =>
    compare(ownEntry(before, key), ownEntry(after, key), path === '' ? key : `${path}.${key}`),
  );
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return isTree(value) && !(value instanceof Secret);
}

/** A whole entry is said to be added or removed, as its options would hide the other lines. */
function describe(value: unknown): string {
  if (value === undefined) return 'absent';
  if (value instanceof Secret) return '***';
  if (isTree(value)) return 'present';
  const text = JSON.stringify(value, (_key, part: unknown) => (part instanceof Secret ? '***' : part));
  return text.length > MAX_VALUE_CHARS ? `${text.slice(0, MAX_VALUE_CHARS)}…` : text;
}
