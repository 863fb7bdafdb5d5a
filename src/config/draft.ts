/**
 * A config file on its way to a config: its YAML tree, the position of every path in it, and the problems found so far.
 */
import type { Document, LineCounter } from 'yaml';
import { isAlias, isCollection, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml';
import { UsageError } from '../base/errors.ts';

/** The keys and indexes that lead to a value. */
export type Path = readonly PropertyKey[];

/** More problems than these are not listed; nobody reads them. */
const MAX_PROBLEMS = 100;

interface Entry {
  key?: Node | undefined;
  value: Node | undefined;
}

export class Draft {
  readonly file: string;
  readonly text: string;
  readonly lines: LineCounter;
  readonly document: Document;
  /** Values that could not be found out; whatever else would be said about them is a consequence. */
  readonly unknown = new Set<unknown>();
  /** Values that have come in by a reference, wholly or in part. */
  interpolated: ReadonlySet<unknown> = new Set();
  readonly #problems = new Map<string, number>();
  readonly #pairs = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();

  constructor(file: string, text: string, document: Document, lines: LineCounter) {
    this.file = file;
    this.text = text;
    this.document = document;
    this.lines = lines;
  }

  /** Reports a problem with the option at `path`, at the position of its value, or of its key. */
  report(path: Path, message: string, target: 'key' | 'value' = 'value'): void {
    if (target === 'value' && this.unknown.has(this.valueNode(path))) return;
    const found = this.find(path);
    const node = target === 'key' ? (found?.key ?? found?.value) : (found?.value ?? found?.key);
    const text = path.length === 0 ? message : `${formatPath(path)}: ${message}`;
    this.reportAt(node?.range?.[0] ?? 0, text);
  }

  /** Reports a problem at an offset in the text. */
  reportAt(offset: number, message: string): void {
    const { line, col } = this.lines.linePos(offset);
    this.#problems.set(`${this.file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${message}`, offset);
  }

  get hasProblems(): boolean {
    return this.#problems.size > 0;
  }

  /** All problems, in the order of their positions. */
  toError(): UsageError {
    const sorted = [...this.#problems].sort(([, a], [, b]) => a - b).map(([line]) => line);
    const rest = sorted.length - MAX_PROBLEMS;
    return new UsageError(rest > 0 ? [...sorted.slice(0, MAX_PROBLEMS), `${this.file}: and ${rest} more`] : sorted);
  }

  /** The key and the value at `path`, also through aliases and merge keys. */
  find(path: Path): Entry | undefined {
    let at: Entry = { value: asNode(this.document.contents) };
    for (const step of path) {
      const next = this.#child(this.#dereference(at.value), String(step));
      if (next === undefined) return undefined;
      at = next;
    }
    return at;
  }

  /** The node of the value at `path`, behind an alias if there is one. */
  valueNode(path: Path): unknown {
    return this.#dereference(this.find(path)?.value);
  }

  #child(parent: unknown, step: string): Entry | undefined {
    if (isSeq(parent)) return { value: asNode(parent.items[Number(step)]) };
    if (!isMap(parent)) return undefined;
    const pairs = this.#pairsOf(parent);
    const pair = pairs.get(step);
    if (pair !== undefined) return { key: asNode(pair.key), value: asNode(pair.value) };
    return this.#merged(pairs.get('<<'), step);
  }

  /** By key; the last of two equal ones is the one that counts. Looked up for each option of each archive, so kept. */
  #pairsOf(map: YAMLMap): ReadonlyMap<string, Pair> {
    const known = this.#pairs.get(map);
    if (known !== undefined) return known;
    const pairs = new Map(map.items.map((item) => [keyText(item), item]));
    this.#pairs.set(map, pairs);
    return pairs;
  }

  #merged(merge: Pair | undefined, step: string): Entry | undefined {
    const from = this.#dereference(merge?.value);
    const maps = isSeq(from) ? from.items.map((item) => this.#dereference(item)) : [from];
    for (const map of maps) {
      const found = isMap(map) ? this.#child(map, step) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #dereference(node: unknown): unknown {
    return isAlias(node) ? node.resolve(this.document) : node;
  }
}

/** `archives.fetch_queue.columns[0]`. */
export function formatPath(path: Path): string {
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${String(step)}`))
    .join('');
}

function keyText({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : '';
}

function asNode(value: unknown): Node | undefined {
  return isScalar(value) || isCollection(value) || isAlias(value) ? value : undefined;
}
