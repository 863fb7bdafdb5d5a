/** What lies beside the objects of a run: the record of its purge, and the marks of restores. */
import type { ManifestHead } from '../ledger/manifest.ts';
import { restoredSince } from '../ledger/restored-since.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import { formatGeneration, generationOf, parseRunId } from '../ledger/run-id.ts';
import { problem } from './preflight.ts';
import type { FoundRecord } from './record.ts';
import type { Problem, PurgeRequest } from './request.ts';

export interface RunState {
  folder: RunFolder;
  found: FoundRecord;
  /** Undefined where a purge goes on, or is the first one; else the restore whose rows it purges again. */
  anew: { restored: string | undefined } | undefined;
}

/** One that is told to purge again goes on with what was begun so. */
export async function anewOf(
  { again }: PurgeRequest,
  folder: RunFolder,
  found: FoundRecord,
): Promise<RunState['anew']> {
  if (again !== true) return undefined;
  const mark = await folder.restored();
  const isPassedOver = mark === undefined || mark.id === found?.record.restored;
  if (found?.record.state !== 'done' && isPassedOver) return undefined;
  return { restored: mark?.id };
}

/** More runs no window has. */
const MOST_GENERATIONS = 10_000;

/** The run whose rows were restored since: this one, or of its window. Throws FailureError for a mark that cannot be believed. */
async function findRestored(
  folder: RunFolder,
  passedOver: string | undefined,
  isOfWindow: boolean,
): Promise<string | undefined> {
  const mark = await folder.restored();
  if (mark !== undefined && mark.id !== passedOver) return folder.run;
  const own = generationOf(folder.run);
  for (let generation = 1; isOfWindow && generation <= MOST_GENERATIONS; generation += 1) {
    if (generation === own) continue;
    const other = new RunFolder(folder.store, folder.archive, formatGeneration(parseRunId(folder.run), generation));
    if (generation > own && !(await other.isCommitted())) return undefined;
    if ((await other.restored()) === undefined) continue;
    if ((await restoredSince(other, (await other.purge())?.record)) !== undefined) return other.run;
  }
  return undefined;
}

/** What was purged or restored before stands against it. Throws FailureError for a mark that cannot be believed. */
export async function problemsOfState(
  archive: string,
  manifest: ManifestHead,
  { folder, found, anew }: RunState,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const left = found?.record.partition;
  if (found?.record.state === 'done' && anew === undefined && left?.state === 'attached')
    problems.push(
      problem(
        found.record.totals.inexact > 0 ? 'partition-inexact' : 'partition-changed',
        `${left.name} did not hold the rows of run ${manifest.run} alone at ${found.record.finishedAt ?? ''}, and was left`,
      ),
    );
  else if (found?.record.state === 'done' && anew === undefined)
    problems.push({
      code: 'purge-done',
      message: `run ${manifest.run} was purged at ${found.record.finishedAt ?? ''}`,
      hint: 'A run is purged once: rows that came back since stay. Archive them anew, and purge that run.',
    });
  const passedOver = anew === undefined ? found?.record.restored : anew.restored;
  const restored = await findRestored(folder, passedOver, manifest.window !== undefined && anew === undefined);
  if (restored !== undefined)
    problems.push({
      code: 'purge-restored',
      message: `rows of run ${restored} were restored into the table`,
      hint: `Where nobody wants them there any more: pgsluice purge ${archive} ${restored} --again --execute.`,
    });
  return problems;
}
