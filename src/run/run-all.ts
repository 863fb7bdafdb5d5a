/** Runs several archives, some at once: a run that waits holds no connection, no lock and no snapshot. */
import type { ArchiveConfig } from '../config/schema.ts';
import { FairQueue } from '../work/fair-queue.ts';
import type { RunOptions } from './run.ts';
import { runArchive, type RunResult } from './run-archive.ts';

/** Runs `archives` under one run id, at most as many at once as there are threads. Results in the order of the archives. */
export async function runArchives(
  options: RunOptions,
  archives: readonly ArchiveConfig[],
  id: string,
): Promise<RunResult[]> {
  const queue = new FairQueue(options.config.workers.threads);
  const never = new AbortController().signal;
  return Promise.all(archives.map((archive) => queue.run(archive.name, never, () => runArchive(options, archive, id))));
}
