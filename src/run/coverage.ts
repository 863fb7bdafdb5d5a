/**
 * What no snapshot of the source covers: each segment reads other servers and files at a time of its own, so that a row which
 * moves meanwhile is there twice or not at all. An archive of such is refused, unless its config does without one instant.
 */
import { fail } from '../base/errors.ts';
import type { ArchiveConfig } from '../config/schema.ts';

/** The most that a message names. */
const MOST_NAMED = 5;

/** What is to be said of such reads before a run. Throws FailureError `no-common-snapshot` when the archive does not allow them. */
export function warnOfUncovered(
  { consistency }: Pick<ArchiveConfig, 'consistency'>,
  subject: string,
  remoteReads: readonly string[],
): string[] {
  if (remoteReads.length === 0) return [];
  const what = nameSome(remoteReads);
  if (consistency === 'none')
    return [
      `${subject} reads ${what}, which no snapshot covers: rows that change during a run can be missing or there twice, and the manifest says so`,
    ];
  throw fail('no-common-snapshot', {
    stage: 'plan',
    message: `${subject} reads ${what}, which no snapshot of this server covers: its segments would read other states, and the archive would not be of one instant`,
  });
}

function nameSome(names: readonly string[]): string {
  const some = names.slice(0, MOST_NAMED).join(', ');
  return names.length > MOST_NAMED ? `${some} and ${names.length - MOST_NAMED} more` : some;
}
