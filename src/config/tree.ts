/** Careful access to a tree of plain values that nothing is known about yet. */
import type { Path } from './draft.ts';

/** A mapping. */
export type Tree = Record<string, unknown>;

/** Whether the value is a mapping. */
export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The entries of the mapping at `key`, without those that are no mappings themselves. */
export function entriesOf(tree: Tree, key: string): [name: string, entry: Tree][] {
  const section = ownValue(tree, key);
  return isTree(section) ? Object.entries(section).filter((entry): entry is [string, Tree] => isTree(entry[1])) : [];
}

/** The value at `path`; undefined when there is none. */
export function valueAt(tree: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, step) => ownValue(at, step), tree);
}

/** Replaces the value at `path`, which exists. */
export function replaceAt(tree: unknown, path: Path, value: unknown): void {
  const parent = valueAt(tree, path.slice(0, -1));
  if (typeof parent === 'object' && parent !== null) Reflect.set(parent, path.at(-1) ?? '', value);
}

/** Inherited names such as `constructor` are not keys of the file. */
function ownValue(value: unknown, key: PropertyKey): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return Reflect.get(value, key) as unknown;
}
