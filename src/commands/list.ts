/** `pgsluice list`: the runs that the destination holds. */
import { NEVER } from '../base/signals.ts';
import { formatBytes, formatCount } from '../base/units.ts';
import { destinationOf } from '../config/resolve.ts';
import type { ArchiveConfig, Config } from '../config/schema.ts';
import { listRuns, type StoredRun } from '../ledger/runs.ts';
import { openStore } from '../store/open.ts';
import { EXIT } from './entry.ts';
import { chooseArchives, openConfig, type Invocation } from './invocation.ts';
import { printJson, printLines } from './terminal/print.ts';
import { formatGrid } from './terminal/grid.ts';

/** What `list --json` prints for a run; figures are null for a run that is not committed. Sizes in bytes. */
interface ListedRun {
  archive: string;
  run: string;
  status: 'committed' | 'unfinished' | 'failed';
  rows: number | null;
  objects: number | null;
  jsonBytes: number | null;
  bytes: number | null;
  finishedAt: string | null;
  /** Segments that are done, and that the plan has; null before a plan was made. */
  segmentsDone: number;
  segments: number | null;
  /** How the last try failed; null when it did not. */
  error: string | null;
}

export async function listCommand(invocation: Invocation, name: string | undefined): Promise<number> {
  const config = openConfig(invocation);
  const archives = name === undefined ? Object.values(config.archives) : chooseArchives(config, [name]);
  const runs: ListedRun[] = [];
  for (const archive of archives) runs.push(...(await listArchive(config, archive)));
  if (invocation.json) printJson(invocation, runs);
  else printLines(invocation, describeRuns(runs));
  return EXIT.done;
}

async function listArchive(config: Config, archive: ArchiveConfig): Promise<ListedRun[]> {
  // Nothing is to be tidied up: Ctrl-C ends the process.
  const store = openStore(destinationOf(config, archive), NEVER);
  try {
    const runs: ListedRun[] = [];
    for await (const run of listRuns(store, archive.name)) runs.push(describeRun(run));
    return runs;
  } finally {
    store.close();
  }
}

function describeRun({ archive, run, isCommitted, manifest, journal, problem, receipts }: StoredRun): ListedRun {
  const failure = problem ?? journal?.ended?.failure;
  return {
    archive,
    run,
    // A manifest of another run commits that one, and not the run that this folder is named for.
    status:
      isCommitted && problem?.code !== 'misplaced' ? 'committed' : failure === undefined ? 'unfinished' : 'failed',
    rows: manifest?.rows ?? null,
    objects: manifest?.objects.length ?? null,
    jsonBytes: manifest?.jsonBytes ?? null,
    bytes: manifest?.bytes ?? null,
    finishedAt: manifest?.finishedAt ?? null,
    segmentsDone: receipts,
    segments: manifest?.objects.length ?? journal?.segments.length ?? null,
    error: failure === undefined ? null : `${failure.code}: ${failure.message}`,
  };
}

function describeRuns(runs: readonly ListedRun[]): string[] {
  if (runs.length === 0) return ['no runs'];
  const rows = runs.map((run) => [
    run.archive,
    run.run,
    run.status,
    `${run.segmentsDone}/${run.segments ?? '?'}`,
    run.rows === null ? '' : formatCount(run.rows),
    run.bytes === null ? '' : formatBytes(run.bytes),
    run.finishedAt ?? run.error ?? '',
  ]);
  return formatGrid(['archive', 'run', 'status', 'segments', 'rows', 'stored', 'finished'], rows, [3, 4, 5]);
}
