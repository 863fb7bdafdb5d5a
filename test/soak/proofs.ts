/** Proves each run that was committed, its rows and their sum, and then lets go of what is old. */
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { PassThrough } from 'node:stream';
import { NEVER } from '../../src/base/signals.ts';
import type { ManifestObject } from '../../src/ledger/manifest.ts';
import type { StoredManifest } from '../../src/ledger/stored-manifest.ts';
import { archivePrefix, runOfFolder, runPrefix } from '../../src/ledger/names.ts';
import { RunFolder } from '../../src/ledger/run-folder.ts';
import { parseRunId } from '../../src/ledger/run-id.ts';
import type { Store } from '../../src/store/store.ts';
import { verifyRun } from '../../src/verify/run.ts';
import { type SoakTable, sumOf, TABLES } from './application.ts';

/** What lies in the destination beside committed runs. */
export interface Leftovers {
  /** Runs with a journal: begun, and not committed. */
  unfinished: string[];
  /** Objects of journals of runs that are committed. */
  journals: string[];
}

const WINDOW_BYTES = 8 * 1024 ** 2;
const RETRY = { attempts: 3, backoffMs: 200, forMs: 30_000 };

export class Proofs {
  readonly #store: Store;
  readonly #keyPrefix: string;
  readonly #keepMs: number;
  readonly #onCommitted: (archive: string, run: string) => void;
  readonly #proved = new Set<string>();
  verified = 0;
  resumed = 0;
  removed = 0;
  /** What was found wrong, a line for each; objects that no manifest names are among them. */
  readonly problems: string[] = [];

  /** Runs are removed once they are proved and older than `keepMs`; those that are not committed stay. */
  constructor(
    store: Store,
    keyPrefix: string,
    keepMs: number,
    onCommitted: (archive: string, run: string) => void = () => undefined,
  ) {
    this.#store = store;
    this.#keyPrefix = keyPrefix;
    this.#keepMs = keepMs;
    this.#onCommitted = onCommitted;
  }

  /** Looks through all runs that lie there. */
  async look(): Promise<Leftovers> {
    const leftovers: Leftovers = { unfinished: [], journals: [] };
    for (const table of TABLES) for (const run of await this.#runsOf(table)) await this.#lookAt(table, run, leftovers);
    return leftovers;
  }

  async #runsOf({ archive }: SoakTable): Promise<string[]> {
    const runs: string[] = [];
    for await (const folder of this.#store.listFolders(archivePrefix(archive))) {
      const run = runOfFolder(folder);
      if (run === undefined) this.problems.push(`${archive}: a folder of no run, ${folder}`);
      else runs.push(run);
    }
    return runs;
  }

  async #lookAt(table: SoakTable, run: string, leftovers: Leftovers): Promise<void> {
    const name = `${table.archive} ${run}`;
    const keys: string[] = [];
    for await (const { key } of this.#store.list(runPrefix(table.archive, run))) keys.push(key);
    const manifest = await new RunFolder(this.#store, table.archive, run).manifest();
    const journal = keys.filter((key) => key.includes('/_pgsluice/'));
    if (manifest === undefined) {
      leftovers.unfinished.push(`${name} (${keys.length} objects, ${journal.length} of its journal)`);
      return;
    }
    this.#onCommitted(table.archive, run);
    leftovers.journals.push(...journal);
    // While its journal lies there it may be being committed.
    if (journal.length > 0) return;
    if (!this.#proved.has(name)) await this.#prove(table, run, manifest);
    if (Date.now() - parseRunId(run).getTime() < this.#keepMs) return;
    await this.#store.remove(keys);
    this.#proved.delete(name);
    this.removed += 1;
  }

  async #prove(table: SoakTable, run: string, manifest: StoredManifest): Promise<void> {
    const name = `${table.archive} ${run}`;
    this.#proved.add(name);
    this.verified += 1;
    const folder = new RunFolder(this.#store, table.archive, run);
    const verification = await verifyRun(folder, manifest, {
      keyPrefix: this.#keyPrefix,
      sample: undefined,
      windowBytes: WINDOW_BYTES,
      retry: RETRY,
      signal: NEVER,
      onProgress: () => undefined,
    });
    const objects = (await Array.fromAsync(verification.objects('different'))).flatMap(({ key, problems }) =>
      problems.map((one) => `${key}: ${one.message}`),
    );
    for (const message of [...verification.problems.map((one) => one.message), ...objects])
      this.problems.push(`${name}: ${message}`);
    if (manifest.consistency === 'resumed') this.resumed += 1;
    const rows = await this.#readBalances(await Array.fromAsync(manifest.objects));
    if (rows.length !== table.rows) this.problems.push(`${name}: ${rows.length} rows, not ${table.rows}`);
    const sum = rows.reduce((all, balance) => all + balance, 0n);
    if (manifest.consistency === 'single-snapshot' && sum !== sumOf(table))
      this.problems.push(`${name}: its accounts have ${sum} together, not ${sumOf(table)}`);
  }

  async #readBalances(objects: readonly ManifestObject[]): Promise<bigint[]> {
    const balances: bigint[] = [];
    for (const { key } of objects) {
      const unpacked = new PassThrough();
      const own = key.startsWith(this.#keyPrefix) ? key.slice(this.#keyPrefix.length) : key;
      const [content] = await Promise.all([
        text(unpacked),
        pipeline(Readable.from(this.#store.read(own, NEVER)), unpackerOf(key), unpacked),
      ]);
      for (const [, balance = ''] of content.matchAll(/^\{"id":\d+,"balance":(-?\d+),/gm))
        balances.push(BigInt(balance));
    }
    return balances;
  }
}

function unpackerOf(key: string): NodeJS.ReadWriteStream {
  if (key.endsWith('.gz')) return createGunzip();
  return key.endsWith('.zst') ? createZstdDecompress() : new PassThrough();
}
