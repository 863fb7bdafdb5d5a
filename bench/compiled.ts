/** The program as users run it. */
import path from 'node:path';

/** What the benchmarks start. */
export const PROGRAM = path.join(import.meta.dirname, '..', 'dist', 'bin.js');
