/** Turns validated options into the config: units and names of entries added, locations parsed, frozen throughout. */
import type * as z from 'zod';
import { ownEntry } from '../base/own.ts';
import { parseLocation, type Location } from './location.ts';
import { withUnits } from './options.ts';
import type { ArchiveConfig, Config, configSchema, DestinationConfig, SourceConfig } from './schema.ts';
import type { WithUnits } from './unit-names.ts';

/** The config of options that passed all checks. */
export function resolveConfig(written: z.output<typeof configSchema>, environment: NodeJS.ProcessEnv): Config {
  const options = withUnits(written) as WithUnits<typeof written>;
  const state = options.state ?? defaultState(environment);
  const entries = Object.entries(mapEntries(options.archives, (name, archive) => ({ name, ...archive })));
  const isOfPatterns = ([, { tables }]: (typeof entries)[number]): boolean => tables !== undefined;
  return deepFreeze({
    ...options,
    sources: mapEntries(options.sources, (name, source) => ({ name, ...source })),
    destinations: mapEntries(options.destinations, (name, destination) => ({
      name,
      ...destination,
      location: locationOf(destination.url),
    })),
    archives: Object.fromEntries(entries.filter((entry) => !isOfPatterns(entry))),
    patterns: Object.fromEntries(entries.filter(isOfPatterns)),
    state,
    control: options.control ?? `${firstFolder(environment['RUNTIME_DIRECTORY']) ?? state}/control.sock`,
  });
}

/** The same config with these archives besides. */
export function withArchives(config: Config, more: readonly ArchiveConfig[]): Config {
  const archives = [...Object.values(config.archives), ...more].map((archive) => [archive.name, archive]);
  return deepFreeze({ ...config, archives: Object.fromEntries(archives) as Config['archives'] });
}

/** The archive of this name; undefined when the config has none. */
export function archiveNamed(config: Config, name: string): ArchiveConfig | undefined {
  return ownEntry(config.archives, name);
}

/** The source of this name; undefined when the config has none. */
export function sourceNamed(config: Config, name: string): SourceConfig | undefined {
  return ownEntry(config.sources, name);
}

/** The source that an archive names; loading has made sure that there is one. */
export function sourceOf(config: Config, archive: ArchiveConfig): SourceConfig {
  const source = sourceNamed(config, archive.source);
  if (source === undefined) throw new Error(`archive ${archive.name} names no source of this config`);
  return source;
}

/** The destination that an archive names; loading has made sure that there is one. */
export function destinationOf(config: Config, archive: ArchiveConfig): DestinationConfig {
  const destination = ownEntry(config.destinations, archive.destination);
  if (destination === undefined) throw new Error(`archive ${archive.name} names no destination of this config`);
  return destination;
}

function mapEntries<T, U>(entries: Record<string, T>, map: (name: string, entry: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, map(name, entry)]));
}

function locationOf(url: string): Location {
  const location = parseLocation(url);
  if ('problem' in location) throw new Error(`a destination's url ${location.problem}`);
  return location;
}

function defaultState(environment: NodeJS.ProcessEnv): string {
  return firstFolder(environment['STATE_DIRECTORY']) ?? '/var/lib/pgsluice';
}

/** systemd sets STATE_DIRECTORY for a unit with StateDirectory=, and lists several with colons between them. */
function firstFolder(list = ''): string | undefined {
  const [first = ''] = list.split(':');
  return first === '' ? undefined : first;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
