/** What lies in a run's folder, by its key, so that a manifest can be held against it. */
import { PartTable } from '../ledger/part-table.ts';
import type { RunFolder } from '../ledger/run-folder.ts';

/** Data under names of another form than ours; more are only counted. */
const MOST_OTHERS = 10_000;
/** Said of a key that was asked for and is not there. Of one that is, -1 less its size is. */
const NAMED_AND_ABSENT = -Infinity;

/** `bytes` is undefined for what is not there. */
export interface Found {
  bytes: number | undefined;
  /** Whether the key was asked for before. */
  isRepeated: boolean;
}

export class FolderIndex {
  readonly #folder: RunFolder;
  readonly #sizes: PartTable;
  #isUnnamedIgnored = false;
  /** Data that is there beyond what is kept. */
  uncounted = 0;

  private constructor(folder: RunFolder) {
    this.#folder = folder;
    this.#sizes = new PartTable(folder);
  }

  /** `below` is the folder in that of the run which is listed. */
  static async read(folder: RunFolder, below: string): Promise<FolderIndex> {
    const index = new FolderIndex(folder);
    for await (const { key, bytes } of folder.list(below)) if (folder.isReadAsData(key)) index.#add(key, bytes);
    return index;
  }

  /** What lies under the key. */
  find(key: string): Found {
    const size = this.#sizes.get(key);
    if (size === undefined) this.#sizes.set(key, NAMED_AND_ABSENT);
    else if (size >= 0) this.#sizes.set(key, -1 - size);
    const bytes = size === undefined || size >= 0 ? size : -1 - size;
    return {
      bytes: Number.isFinite(bytes) ? bytes : undefined,
      isRepeated: size !== undefined && size < 0,
    };
  }

  ignoreUnnamed(): void {
    this.#isUnnamedIgnored = true;
    this.uncounted = 0;
  }

  /** Keys that nobody has asked for. */
  *unnamed(): Generator<string, undefined> {
    if (this.#isUnnamedIgnored) return undefined;
    for (const [key, size] of this.#sizes.entries()) if (size >= 0) yield key;
    return undefined;
  }

  #add(key: string, bytes: number): void {
    if (this.#folder.isDataKey(key) || this.#sizes.others < MOST_OTHERS) this.#sizes.set(key, bytes);
    else this.uncounted += 1;
  }
}
