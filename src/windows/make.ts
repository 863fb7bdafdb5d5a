/** Makes the windows of an archive that are missing, oldest first, each as a run of its own. */
import { toFailure } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { growHeapsSlowly } from '../base/process-memory.ts';
import { destinationOf, sourceOf } from '../config/resolve.ts';
import { formatRunId } from '../ledger/run-id.ts';
import { withConnection, type Client } from '../postgres/connect.ts';
import { neverBegun, runArchive, type RunResult } from '../run/run-archive.ts';
import type { RunOptions } from '../run/run.ts';
import { openStore } from '../store/open.ts';
import { againWindows } from './again.ts';
import { WindowsAhead, type WindowsProgress } from './ahead.ts';
import { readCommitted, type CommittedRuns, type KnownRuns } from './committed.ts';
import { damagedWindows, failureOf, type RunFailure } from './damaged.ts';
import { rangeOf } from './choose.ts';
import { lateWindows } from './late.ts';
import { missingWindows, requireFewWindows, type FoundWindow } from './missing.ts';
import { openWindowSource, type WindowedArchive, type WindowSource } from './window-source.ts';

/** Dates of the command line, in the zone of the archive. */
export interface WindowRequest {
  from?: string;
  to?: string;
  /** Makes a further generation of windows that are there. */
  again?: boolean;
}

/** Who follows how the windows are made. */
export interface WindowHooks {
  /** Gives a window its turn among the archives. */
  inTurn?: <T>(work: () => Promise<T>) => Promise<T>;
  begin?: (run: string) => void;
  end?: (result: RunResult) => void;
  /** Told before each window that is missing, and once all are made. */
  progress?: (progress: WindowsProgress) => void;
  /** The id under which a search that failed is reported. */
  slot?: string;
}

/** After so many failures in a row with one cause, the next window would fail like them. */
const MOST_FAILURES_IN_A_ROW = 3;
/** What each leaves to be collected adds up, where V8 has room to wait: 170 MiB in the main thread, of which 26 are used. */
const MANY_WINDOWS = 50;

/** Makes what is missing. Never throws: what keeps windows from being found is a failed result. */
export async function makeWindows(
  options: RunOptions,
  archive: WindowedArchive,
  known: KnownRuns,
  request: WindowRequest = {},
  hooks: WindowHooks = {},
): Promise<RunResult[]> {
  const results: RunResult[] = [];
  const inTurn = hooks.inTurn ?? ((work) => work());
  const keep = (result: RunResult): void => {
    results.push(result);
    hooks.end?.(result);
  };
  const log = options.log.child({ archive: archive.name });
  try {
    const target = { url: sourceOf(options.config, archive).url, applicationName: `pgsluice windows ${archive.name}` };
    const make = async (client: Client): Promise<void> => {
      const source = await openWindowSource(client, archive);
      const found = await readCommitted(options.config, archive, known, options.signal);
      const tell = followWindows(archive, source, found, request, hooks);
      for await (const window of findWindows(options, archive, source, found, request)) {
        if (options.signal.aborted || options.drain?.aborted === true) return;
        // How many of these there are, nobody knows ahead.
        if (window.isLate !== true) tell(window);
        const run = async (): Promise<RunResult> => {
          hooks.begin?.(window.run);
          return runArchive(options, archive, window.run);
        };
        keep(await inTurn(run));
        if (results.length === MANY_WINDOWS) growHeapsSlowly();
        // Whoever holds the lock makes the others as well.
        if (results.at(-1)?.error?.code === 'locked') return;
        const failure = sameFailureInARow(results);
        if (failure === undefined) continue;
        log.error(
          { failure },
          `${MOST_FAILURES_IN_A_ROW} windows in a row have failed alike: the others are left to the next slot`,
        );
        break;
      }
      if (sameFailureInARow(results) === undefined) tell(undefined);
      // A window that is made again has a result of its own.
      if (request.again === true) return;
      for (const failure of tellDamaged(log, archive, source, found, request)) {
        hooks.begin?.(failure.run);
        keep(neverBegun(archive.name, failure.run, failure));
      }
    };
    await withConnection(target, make, options.signal);
  } catch (error) {
    keep(failedSearch(log, archive, hooks.slot ?? formatRunId(new Date()), error));
  }
  return results;
}

/** What says before which window of how many the making is; `undefined` for the end. Of further generations nothing is told. */
function followWindows(
  archive: WindowedArchive,
  source: WindowSource,
  found: CommittedRuns,
  request: WindowRequest,
  { progress }: WindowHooks,
): (window: FoundWindow | undefined) => void {
  let ahead: WindowsAhead | undefined;
  return (window) => {
    if (progress === undefined || request.again === true) return;
    if (window !== undefined)
      ahead ??= new WindowsAhead(
        { archive, source, ...found, range: rangeOf(source.calendar, request) },
        window.stretch,
      );
    if (ahead === undefined) return;
    const done = window === undefined ? ahead.total : ahead.before(window.stretch);
    progress({ archive: archive.name, run: window?.run, done, total: ahead.total });
  };
}

async function* findWindows(
  { config, log, signal }: RunOptions,
  archive: WindowedArchive,
  source: WindowSource,
  found: CommittedRuns,
  request: WindowRequest,
): AsyncGenerator<FoundWindow, void, undefined> {
  const onHeldOpen = ({ run }: FoundWindow, what: string): void => {
    log.warn(
      { archive: archive.name, run, what },
      'a window is old enough, but a transaction from before its end is open',
    );
  };
  const range = rangeOf(source.calendar, request);
  const input = { archive, source, ...found, range, onHeldOpen };
  if (request.again !== true) {
    await requireFewWindows(input);
    yield* missingWindows(input);
    if (archive.purge === undefined) return;
  }
  const store = openStore(destinationOf(config, archive), signal);
  try {
    yield* (request.again === true ? againWindows : lateWindows)(input, store, log);
  } finally {
    store.close();
  }
}

/** Damaged runs that are told of one by one. */
const MOST_DAMAGED_TOLD = 20;

/** What is wrong with the windows of the request that stand, and cannot be believed. */
function tellDamaged(
  log: Log,
  archive: WindowedArchive,
  { calendar }: WindowSource,
  found: CommittedRuns,
  request: WindowRequest,
): RunFailure[] {
  const damaged = damagedWindows(calendar, archive, found, rangeOf(calendar, request));
  if (damaged.length > MOST_DAMAGED_TOLD)
    log.error({ damaged: damaged.length, told: MOST_DAMAGED_TOLD }, 'more windows are damaged than are told of');
  return damaged.slice(0, MOST_DAMAGED_TOLD).map((run) => {
    const failure = failureOf(calendar, archive.name, run);
    log.error({ failure }, 'the manifest of a window cannot be believed: it stands, and is not archived');
    return failure;
  });
}

function sameFailureInARow(results: readonly RunResult[]): RunResult['error'] | undefined {
  const last = results.slice(-MOST_FAILURES_IN_A_ROW);
  const [first] = last;
  if (last.length < MOST_FAILURES_IN_A_ROW || first?.error === undefined) return undefined;
  return last.every(({ error }) => error?.code === first.error?.code) ? first.error : undefined;
}

/** What keeps windows from being found at all, as the result of a run that would have been made now. */
function failedSearch(log: Log, archive: WindowedArchive, run: string, error: unknown): RunResult {
  const failure = { ...toFailure(error, 'plan'), archive: archive.name, run };
  log.error({ failure }, 'the windows that are missing could not be found');
  return neverBegun(archive.name, failure.run, failure);
}
