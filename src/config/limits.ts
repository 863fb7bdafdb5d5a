/** Refuses to start where memory could not be bounded: overridden heap limits, or a sum above what there is. */
import { maxRowBytes, MEMORY } from '../base/memory.ts';
import { formatBytes } from '../base/units.ts';
import { readerOf } from './reader.ts';
import { destinationOf } from './resolve.ts';
import type { Config } from './schema.ts';

/** What the process was started with. */
export interface Runtime {
  /** The environment variable NODE_OPTIONS. */
  nodeOptions: string | undefined;
  execArgv: readonly string[];
  /** See memory-limit.ts; undefined leaves the sum unchecked. */
  memoryLimitBytes: number | undefined;
}

/** One line of the sum. */
export interface MemoryTerm {
  name: string;
  bytes: number;
}

/** What is wrong with the runtime for this config, with what to do about it; empty when nothing is. */
export function checkRuntime(config: Config, runtime: Runtime): string[] {
  const problems = [
    ...describeFlags('NODE_OPTIONS', runtime.nodeOptions ?? ''),
    ...runtime.execArgv.flatMap((flag) => describeFlags('the command line', flag)),
  ];
  const { totalBytes } = memorySum(config);
  const limit = runtime.memoryLimitBytes;
  if (limit !== undefined && totalBytes > limit) {
    problems.push(
      `the config may need ${formatBytes(totalBytes)} of memory, but the limit is ${formatBytes(limit)}; ` +
        'lower workers.threads, workers.maxOldGenerationSizeMb or partSize, or raise the limit (MemoryMax= in the unit)',
    );
  }
  return problems;
}

/** The most memory that the config can need, term by term. */
export function memorySum(config: Config): { terms: readonly MemoryTerm[]; totalBytes: number } {
  const { threads, maxOldGenerationSizeMb, maxYoungGenerationSizeMb } = config.workers;
  const partBytes = Math.max(
    ...Object.values(config.archives).map((archive) => destinationOf(config, archive).partBytes),
  );
  const perThread: MemoryTerm[] = [
    { name: 'old generation of the heap', bytes: maxOldGenerationSizeMb * 1024 ** 2 },
    { name: 'young generation of the heap', bytes: maxYoungGenerationSizeMb * 1024 ** 2 },
    { name: 'batch of rows', bytes: MEMORY.batchBytes + widestRowBytes(config) },
    {
      name: `parts in flight, ${MEMORY.partsInFlight} x ${formatBytes(partBytes)}`,
      bytes: MEMORY.partsInFlight * partBytes,
    },
    { name: 'compressor', bytes: MEMORY.compressorBytes },
  ];
  const terms = [
    { name: 'main process', bytes: MEMORY.baseBytes },
    ...perThread.map(({ name, bytes }) => ({ name: `${threads} x ${name}`, bytes: threads * bytes })),
  ];
  return { terms, totalBytes: terms.reduce((total, { bytes }) => total + bytes, 0) };
}

/** Through a cursor, the driver holds a row whole, in a buffer that grows by doubling while the one before is copied. */
function widestRowBytes(config: Config): number {
  const readsByCursor = Object.values(config.archives).some((archive) => readerOf(archive) === 'cursor');
  return readsByCursor ? 4 * maxRowBytes(config.workers.maxOldGenerationSizeMb) : 0;
}

/** Measured with Node 24: each of these replaces the limits that worker threads are given. V8 takes `_` for `-`. */
const HEAP_FLAG =
  /(?:^|[\s"'=])--?(max[-_](?:old[-_]space[-_]size(?:[-_]percentage)?|semi[-_]space[-_]size|heap[-_]size))(?![-_\w])/g;

function describeFlags(where: string, options: string): string[] {
  return [...options.matchAll(HEAP_FLAG)].map(
    ([, flag = '']) =>
      `--${flag.replaceAll('_', '-')} in ${where} overrides the heap limits of the worker threads, so memory would have no bound; ` +
      'remove it, and set workers.maxOldGenerationSizeMb and workers.maxYoungGenerationSizeMb',
  );
}
