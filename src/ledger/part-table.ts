/** Numbers by the keys of a run's data objects: eight bytes for each object, as a rule, as there may be 400,000 of them. */
import { CODEC_FILES } from '../format/compress/codec.ts';
import { dataKey, runPrefix, segmentOfDataKey } from './names.ts';

/** Parts with numbers that follow each other stand together. */
const PAGE = 1024;

/** A key in a folder by value, or of another form than those that we write, is kept as it is. */
export class PartTable {
  readonly #archive: string;
  readonly #run: string;
  /** By the ending of the names, and by the number of the page; NaN where nothing was set. */
  readonly #parts = new Map<string, Map<number, Float64Array>>(
    Object.values(CODEC_FILES).map(({ extension }) => [extension, new Map()]),
  );
  readonly #others = new Map<string, number>();

  constructor({ archive, run }: { archive: string; run: string }) {
    this.#archive = archive;
    this.#run = run;
  }

  /** Keys of another form. */
  get others(): number {
    return this.#others.size;
  }

  get(key: string): number | undefined {
    const part = this.#partOf(key);
    if (part === undefined) return this.#others.get(key);
    const value = part.pages.get(part.page)?.[part.at] ?? NaN;
    return Number.isNaN(value) ? undefined : value;
  }

  set(key: string, value: number): void {
    const part = this.#partOf(key);
    if (part === undefined) {
      this.#others.set(key, value);
      return;
    }
    const page = part.pages.get(part.page) ?? new Float64Array(PAGE).fill(NaN);
    part.pages.set(part.page, page);
    page[part.at] = value;
  }

  /** In the order of their numbers, for each ending; then the others. */
  *entries(): Generator<[key: string, value: number], undefined> {
    for (const [extension, pages] of this.#parts)
      for (const [number, page] of [...pages].sort(([a], [b]) => a - b))
        for (const [at, value] of page.entries())
          if (!Number.isNaN(value)) yield [dataKey(this.#archive, this.#run, number * PAGE + at, extension), value];
    yield* this.#others;
    return undefined;
  }

  /** Undefined for a key of another form. */
  #partOf(key: string): { pages: Map<number, Float64Array>; page: number; at: number } | undefined {
    const number = segmentOfDataKey(this.#archive, this.#run, key);
    const pages = this.#parts.get(key.slice(key.indexOf('.', key.lastIndexOf('/')) + 1));
    // In a folder by value, the number does not tell the key.
    if (
      number === undefined ||
      pages === undefined ||
      key.slice(runPrefix(this.#archive, this.#run).length).includes('/')
    )
      return undefined;
    return { pages, page: Math.floor(number / PAGE), at: number % PAGE };
  }
}
