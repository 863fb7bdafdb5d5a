/** The compiled program, which is what users run: where it is, and its parts. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const DIST = path.join(import.meta.dirname, '..', 'dist');

/** What the benchmarks start. */
export const PROGRAM = path.join(DIST, 'cli.js');

/** Loads a module of the compiled program; `file` is relative to dist. The caller says what it is, by its source. */
export async function importCompiled(file: string): Promise<unknown> {
  return (await import(pathToFileURL(path.join(DIST, file)).href)) as unknown;
}
