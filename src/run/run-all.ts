/** Runs several archives, some at once: one that waits holds no connection, no lock and no snapshot. */
import type { ArchiveConfig } from '../config/schema.ts';
import { FairQueue } from '../work/fair-queue.ts';
import type { Aside, RunOptions } from './run.ts';
import type { RunResult } from './run-archive.ts';

/** Works on `archives`, at most on as many at once as there are threads. Results in the order of the archives. */
export async function runArchives(
  { config }: Pick<RunOptions, 'config'>,
  archives: readonly ArchiveConfig[],
  run: (archive: ArchiveConfig, aside: Aside) => Promise<RunResult[]>,
): Promise<RunResult[]> {
  const queue = new FairQueue(config.workers.threads);
  const never = new AbortController().signal;
  const results = archives.map((archive) =>
    queue.run(archive.name, never, () => run(archive, (work) => queue.aside(archive.name, never, work))),
  );
  return (await Promise.all(results)).flat();
}
