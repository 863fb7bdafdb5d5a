/** Reads from a destination which runs of an archive there are, and how each one stands. */
import { toFailure, type Failure } from '../base/errors.ts';
import { codecOf } from '../format/compress/codec.ts';
import type { Store } from '../store/store.ts';
import type { PlanOutline } from './journal.ts';
import { TELL_OF_MANIFEST } from './manifest-problem.ts';
import { lostManifest, lostRun } from './lost-run.ts';
import { archivePrefix, runOfFolder } from './names.ts';
import { RunFolder } from './run-folder.ts';
import type { StoredManifest } from './stored-manifest.ts';
import { isRunId, packRunId, unpackRunId } from './run-id.ts';

/** A run as its objects tell it: committed with a manifest, or begun with a journal. */
export interface StoredRun {
  archive: string;
  run: string;
  isCommitted: boolean;
  /** Undefined when the run is not committed. */
  manifest?: StoredManifest;
  /** Undefined when the run is committed, or was never planned. */
  journal?: PlanOutline;
  /** Why its manifest or its plan is not believed; then it is not here. */
  problem?: Failure;
  /** Segments with a receipt of its plan. */
  receipts: number;
}

/** The daemon looks this far back for runs to take up. */
const MOST_UNFINISHED_BACK = 100;
/** A process that is killed right after its commits leaves few journals, of the latest runs. */
const MOST_JOURNALS_BACK = 10;
/** And so far for one that is committed: whoever can write there could else keep it busy for days. */
const MOST_COMMITTED_BACK = 1000;

/** Folders that are of no run: who is told of so many looks at the rest himself. */
const MOST_STRAYS = 100;

/** Folders that are found before any memory is taken for more of them. */
const FIRST_ROOM = 1024;

/** The ids of an archive's runs, packed, in their order: eight bytes for each, as there may be a million of them. */
async function listRunIds(store: Store, archive: string): Promise<BigInt64Array> {
  let ids = new BigInt64Array(FIRST_ROOM);
  let count = 0;
  for await (const folder of store.listFolders(archivePrefix(archive))) {
    const run = runOfFolder(folder);
    const id = run === undefined ? undefined : packRunId(run);
    if (id === undefined) continue;
    if (count === ids.length) {
      const larger = new BigInt64Array(2 * count);
      larger.set(ids);
      ids = larger;
    }
    ids[count] = id;
    count += 1;
  }
  return ids.subarray(0, count).sort();
}

/** Folders beside those of the runs that hold data, such as `event/run=copy of …`; but those that readers skip by their name. */
export async function findStrayFolders(store: Store, archive: string): Promise<string[]> {
  const strays: string[] = [];
  for await (const name of store.listFolders(archivePrefix(archive))) {
    if (/^[_.]/.test(name) || runIdOfFolder(name) !== undefined) continue;
    const folder = `${archivePrefix(archive)}${name}/`;
    if (await holdsData(store, folder)) strays.push(folder);
    if (strays.length === MOST_STRAYS) break;
  }
  return strays;
}

async function holdsData(store: Store, folder: string): Promise<boolean> {
  for await (const { key } of store.list(folder)) if (codecOf(key) !== undefined) return true;
  return false;
}

/** The run whose folder has this name, such as `run=20261123T021500Z`; undefined when it is none of ours. */
export function runIdOfFolder(folder: string): string | undefined {
  const run = runOfFolder(folder);
  return run !== undefined && isRunId(run) ? run : undefined;
}

/** The runs of an archive, oldest first; no more than one of them is held. */
export async function* listRuns(store: Store, archive: string): AsyncGenerator<StoredRun, void, undefined> {
  for (const id of await listRunIds(store, archive)) {
    const run = await readRun(folderAt(store, archive, id));
    if (run !== undefined) yield run;
  }
}

/** What processes left that ended in the middle, oldest first. */
export interface BrokenOff {
  /** Ids of runs that were planned and not committed. */
  unfinished: string[];
  /** Runs that are committed, and whose journal lies there all the same. */
  withJournal: RunFolder[];
}

/** Looks for what was broken off: for unfinished runs among the latest hundred, for journals among the latest ten. */
export async function findBrokenOff(store: Store, archive: string): Promise<BrokenOff> {
  const found: BrokenOff = { unfinished: [], withJournal: [] };
  const ids = (await listRunIds(store, archive)).slice(-MOST_UNFINISHED_BACK);
  for (const [index, id] of ids.entries()) {
    const folder = folderAt(store, archive, id);
    const mayHaveJournal = index >= ids.length - MOST_JOURNALS_BACK;
    if (!(await folder.isCommitted())) {
      if (await folder.isPlanned()) found.unfinished.push(folder.run);
    } else if (mayHaveJournal && (await folder.hasJournal())) {
      found.withJournal.push(folder);
    }
  }
  return found;
}

/**
 * The folder of the latest run that is committed, and not later than `notAfter`; undefined when there is none among the
 * latest thousand up to it.
 */
export async function findLatestCommitted(
  store: Store,
  archive: string,
  notAfter?: string,
): Promise<RunFolder | undefined> {
  const last = notAfter === undefined ? undefined : packRunId(notAfter);
  const ids = (await listRunIds(store, archive)).filter((id) => last === undefined || id <= last);
  for (const id of ids.slice(-MOST_COMMITTED_BACK).reverse()) {
    const folder = folderAt(store, archive, id);
    if (await folder.isCommitted()) return folder;
  }
  return undefined;
}

function folderAt(store: Store, archive: string, id: bigint): RunFolder {
  return new RunFolder(store, archive, unpackRunId(id));
}

/** Undefined when nothing lies there. One document that cannot be believed must not hide the other runs. */
async function readRun(folder: RunFolder): Promise<StoredRun | undefined> {
  const { archive, run } = folder;
  try {
    const manifest = await folder.manifest();
    if (manifest !== undefined) return { archive, run, isCommitted: true, manifest, receipts: manifest.objects.length };
    if (await folder.hasPurge()) throw lostRun(folder);
    const journal = await folder.outline();
    if (journal === undefined && (await folder.isEmpty())) return undefined;
    // Those of an earlier plan stay until the commit; without a plan, nothing says which of them count.
    const lost = journal === undefined ? await lostManifest(folder) : undefined;
    if (lost !== undefined) return { archive, run, isCommitted: false, problem: lost, receipts: 0 };
    const receipts = journal === undefined ? 0 : await folder.countReceipts(journal);
    return { archive, run, isCommitted: false, ...(journal === undefined ? {} : { journal }), receipts };
  } catch (error) {
    const problem = toFailure(error, 'journal');
    if (!DOCUMENT_CODES.has(problem.code)) throw error;
    const isCommitted = problem.code === 'purged-run-lost' || (await folder.isCommitted());
    return { archive, run, isCommitted, problem, receipts: 0 };
  }
}

/** Failures that tell of a document, a manifest or one of the journal, and not of the way to it. */
const DOCUMENT_CODES: ReadonlySet<string> = new Set([
  ...TELL_OF_MANIFEST,
  'bad-journal',
  'key-refused',
  'purged-run-lost',
]);
