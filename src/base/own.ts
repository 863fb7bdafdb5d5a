/** Looks up what a name from outside means: `constructor` and `__proto__` are names of nothing, unless the table has them. */
export function ownEntry<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
