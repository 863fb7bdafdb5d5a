/** The part of a config that one archive has, as a file would have it: with all defaults, and without any secret. */
import { stringify } from 'yaml';
import { withWrittenValues } from './options.ts';
import type { ArchiveConfig, Config } from './schema.ts';
import { maskSecrets } from './secrets.ts';

const LINE_CHARS = 100;

/** YAML of the archive, its source and its destination. */
export function showArchive(config: Config, { name, source, destination }: ArchiveConfig): string {
  const masked = withWrittenValues(maskSecrets(config)) as Record<Section, Record<string, object>>;
  const part = {
    sources: only(masked.sources, source),
    destinations: only(masked.destinations, destination),
    archives: withShare(only(masked.archives, name)),
  };
  return stringify(part, { lineWidth: LINE_CHARS, aliasDuplicateObjects: false });
}

type Section = 'sources' | 'destinations' | 'archives';

/** A share of the time is a number here, and a percentage in a file. */
function withShare(archives: Record<string, { pace?: { share?: number } }>): unknown {
  const shown = ({ pace, ...archive }: { pace?: { share?: number } }): unknown =>
    pace?.share === undefined ? { ...archive, pace } : { ...archive, pace: { ...pace, share: `${pace.share * 100}%` } };
  return Object.fromEntries(Object.entries(archives).map(([name, archive]) => [name, shown(archive)]));
}

/** Without what an entry has beyond the file. */
function only(entries: Record<string, object>, name: string): Record<string, object> {
  return { [name]: { ...entries[name], name: undefined, location: undefined, entry: undefined } };
}
