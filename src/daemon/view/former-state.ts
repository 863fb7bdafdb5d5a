/** Archives that are not in the config and whose folders are there, as the page, the events and `pgsluice status` show them. */
import type { FormerArchive } from '../../audit/former-archives.ts';

export interface FormerState {
  name: string;
  /** By its name in the config. */
  destination: string;
  /** Where its runs lie. */
  url: string;
  /** Folders of runs; with `more`, at least so many. */
  runs: number;
  more: boolean;
  latestRun: string;
}

const MOST_SHOWN = 50;

/** Some of them, and how many there are; null before the first look. */
export function describeFormer(
  found: readonly FormerArchive[] | undefined,
): { archives: FormerState[]; count: number } | null {
  if (found === undefined) return null;
  const archives = found
    .slice(0, MOST_SHOWN)
    .map(({ archive: name, destination, url, runs, isMore: more, latestRun }) => ({
      ...{ name, destination: destination.name, url, runs, more, latestRun },
    }));
  return { archives, count: found.length };
}
