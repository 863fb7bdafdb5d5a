/** What `pgsluice list` has of archives that are not in the config, as long as their folders are there. */
import { findFormerArchives, type FormerArchive } from '../audit/former-archives.ts';
import type { Log } from '../base/log.ts';
import { countOf } from '../base/units.ts';
import { archiveNamed } from '../config/resolve.ts';
import type { Config } from '../config/schema.ts';
import { chooseArchives } from './invocation.ts';

/** Of all destinations together: whoever wants a list of the others should not wait for one that does not answer. */
const LIMIT_MS = 60_000;

/**
 * Those of all names, or of one: none where the config has that, and where nothing of it lies anywhere, UsageError. What cannot be
 * looked at is told.
 */
export async function listedFormer(config: Config, name: string | undefined, log: Log): Promise<FormerArchive[]> {
  if (name !== undefined && archiveNamed(config, name) !== undefined) return [];
  const late = AbortSignal.timeout(LIMIT_MS);
  const found = await find(config, name, log, late).catch((error: unknown) => {
    if (!late.aborted) throw error;
    log.warn('archives that are not in the config are not listed: it took too long to look for them');
    return [];
  });
  if (found.length === 0 && name !== undefined) chooseArchives(config, [name]);
  return found;
}

function find(config: Config, name: string | undefined, log: Log, signal: AbortSignal): Promise<FormerArchive[]> {
  return findFormerArchives(
    config,
    {
      signal,
      onFailure: ({ name: destination }, failure) =>
        log.warn({ destination, failure }, 'it cannot be looked for archives that are not in the config'),
      onCut: ({ name: destination }, what) => log.warn({ destination }, what),
    },
    name,
  );
}

/** One line for each. */
export function describeFormer({ archive, url, runs, isMore }: FormerArchive): string {
  const many = `${isMore ? 'more than ' : ''}${countOf(runs, 'run')}`;
  return `${archive} is not in the config: its ${many} in ${url} stay, and nothing is archived, purged or audited of it`;
}
