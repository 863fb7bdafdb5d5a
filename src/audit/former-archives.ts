/**
 * Archives that are not in the config, and whose folders lie in its destinations all the same: they were taken out of it, or are
 * another config's. Nothing is made, purged or audited of them, which somebody should be told.
 */
import { toFailure, type Failure } from '../base/errors.ts';
import { placeOf } from '../config/prefixes.ts';
import { archiveNamed, destinationOf } from '../config/resolve.ts';
import { NAME_PATTERN, type Config, type DestinationConfig } from '../config/schema.ts';
import { readHead } from '../ledger/chain.ts';
import { archivePrefix, manifestKey, planKey } from '../ledger/names.ts';
import { compareRunIds } from '../ledger/run-id.ts';
import { runIdOfFolder } from '../ledger/runs.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { readEach } from '../windows/committed.ts';

export interface FormerArchive {
  archive: string;
  destination: DestinationConfig;
  /** Where its runs lie; ends in `/`. */
  url: string;
  /** Folders of runs, committed or not; with `isMore`, at least so many. */
  runs: number;
  isMore: boolean;
  latestRun: string;
}

export interface LookParts {
  signal: AbortSignal;
  /** A destination that could not be looked at; the others are. */
  onFailure: (destination: DestinationConfig, failure: Failure) => void;
  /** More lies there than is looked at. */
  onCut: (destination: DestinationConfig, what: string) => void;
}

/** Whoever shares the bucket may have a million folders in it: so many are read of one destination. */
const MOST_FOLDERS = 10_000;
/** And in so many of them, that are called as an archive may be, runs are looked for. */
const MOST_LOOKED_AT = 1000;
/** A folder of ours has runs among its first folders: no other name that it has begins with letters. */
const MOST_BEFORE_RUN = 1000;
const MOST_RUNS = 100_000;
/** The latest runs, one of which must have a document of ours. */
const MOST_ASKED = 3;
/** Documents begin with their format. */
const HEAD_BYTES = 512;

/** Those of all destinations, or of this name alone; by destination and name. Throws the signal's reason when it aborts. */
export async function findFormerArchives(config: Config, parts: LookParts, only?: string): Promise<FormerArchive[]> {
  const found: FormerArchive[] = [];
  for (const [place, destination] of placesOf(config)) {
    const store = openStore(destination, parts.signal);
    try {
      const names = (name: string): boolean => NAME_PATTERN.test(name) && !isOfConfig(config, name, place);
      const folders =
        only === undefined ? await listNames(store, names, destination, parts) : [only].filter((name) => names(name));
      const here: FormerArchive[] = [];
      await readEach(folders, async (archive) => {
        const runs = await lookAtRuns(store, archive);
        if (runs !== undefined) here.push({ archive, destination, url: store.url + archivePrefix(archive), ...runs });
      });
      found.push(...here.sort((a, b) => (a.archive < b.archive ? -1 : 1)));
    } catch (error) {
      parts.signal.throwIfAborted();
      parts.onFailure(destination, toFailure(error, 'verify'));
    } finally {
      store.close();
    }
  }
  return found;
}

/** Each place once, by whichever destination comes first. */
function placesOf(config: Config): Map<string, DestinationConfig> {
  const places = new Map<string, DestinationConfig>();
  for (const destination of Object.values(config.destinations)) {
    const place = placeOf(destination.location, destination.endpoint);
    if (!places.has(place)) places.set(place, destination);
  }
  return places;
}

/** Whether it still is one by this config, which may be another than it was found by. */
export function isFormer(
  config: Config,
  { archive, destination }: Pick<FormerArchive, 'archive' | 'destination'>,
): boolean {
  const place = placeOf(destination.location, destination.endpoint);
  return placesOf(config).has(place) && !isOfConfig(config, archive, place);
}

/** Whether an archive of this name goes to this place: one that has moved elsewhere has left its folder here. */
function isOfConfig(config: Config, name: string, place: string): boolean {
  const archive = archiveNamed(config, name);
  if (archive === undefined) return false;
  const { location, endpoint } = destinationOf(config, archive);
  return placeOf(location, endpoint) === place;
}

async function listNames(
  store: Store,
  isWanted: (name: string) => boolean,
  destination: DestinationConfig,
  { onCut }: LookParts,
): Promise<string[]> {
  const wanted: string[] = [];
  let all = 0;
  for await (const name of store.listFolders('')) {
    all += 1;
    if (all > MOST_FOLDERS || wanted.length === MOST_LOOKED_AT) {
      onCut(destination, `${store.url} has more folders than are looked at`);
      break;
    }
    if (isWanted(name)) wanted.push(name);
  }
  return wanted;
}

type FoundRuns = Pick<FormerArchive, 'runs' | 'isMore' | 'latestRun'>;

/** Undefined for a folder that is not ours, whatever it is called. */
async function lookAtRuns(store: Store, archive: string): Promise<FoundRuns | undefined> {
  let [folders, runs, isMore] = [0, 0, false];
  const latest: string[] = [];
  for await (const folder of store.listFolders(archivePrefix(archive))) {
    folders += 1;
    const run = runIdOfFolder(folder);
    if (run === undefined) {
      if (runs === 0 && folders === MOST_BEFORE_RUN) return undefined;
      continue;
    }
    isMore = runs === MOST_RUNS;
    if (isMore) break;
    runs += 1;
    latest.push(run);
    if (latest.length > MOST_ASKED) latest.sort((a, b) => compareRunIds(b, a)).pop();
  }
  latest.sort((a, b) => compareRunIds(b, a));
  const [latestRun] = latest;
  if (latestRun === undefined || !(await isOurs(store, archive, latest))) return undefined;
  return { runs, isMore, latestRun };
}

/** Others have folders that are called as ours are: a document of ours tells. Nothing of it is believed but that. */
async function isOurs(store: Store, archive: string, runs: readonly string[]): Promise<boolean> {
  const keys = runs.flatMap((run) => [manifestKey(archive, run), planKey(archive, run)]);
  for (const key of keys)
    if (await isThere(async () => beginsAsOurs(await store.getPart(key, 0, HEAD_BYTES)))) return true;
  return isThere(async () => (await readHead(store, archive, false)) !== undefined);
}

function beginsAsOurs(begin: Buffer | undefined): boolean {
  return begin !== undefined && /^\s*\{\s*"format": *"pgsluice\/(?:manifest|plan)\/\d+"/.test(begin.toString('latin1'));
}

/** What may not be read, or is something else, is not ours as far as anybody can know from here. */
async function isThere(look: () => Promise<boolean>): Promise<boolean> {
  try {
    return await look();
  } catch (error) {
    if (toFailure(error, 'verify').transient) throw error;
    return false;
  }
}
