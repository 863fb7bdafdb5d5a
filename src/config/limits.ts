/** Refuses to start where memory could not be bounded: overridden heap limits, or a sum above what there is. */
import { formatBytes } from '../base/units.ts';
import { memorySum } from './memory-sum.ts';
import type { Config } from './schema.ts';

/** What the process was started with. */
export interface Runtime {
  /** The environment variable NODE_OPTIONS. */
  nodeOptions: string | undefined;
  execArgv: readonly string[];
  /** See memory-limit.ts; undefined leaves the sum unchecked. */
  memoryLimitBytes: number | undefined;
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
        'lower workers.threads, workers.maxOldGenerationSizeMb, partSize or partsInFlight, ' +
        'or raise the limit (MemoryMax= in the unit)',
    );
  }
  return problems;
}

/** Measured with Node 24: each of these replaces the limits that worker threads are given. V8 takes `_` for `-`. */
const HEAP_FLAG =
  /(?:^|[\s"'=])--?(max[-_](?:old[-_]space[-_]size(?:[-_]percentage)?|semi[-_]space[-_]size|heap[-_]size))(?![-_\w])/g;

function describeFlags(where: string, options: string): string[] {
  return [...options.matchAll(HEAP_FLAG)].map(
    ([, flag = '']) =>
      `--${flag.replaceAll('_', '-')} in ${where} overrides the heap limits of the worker threads, ` +
      'so memory would have no bound; remove it, and set workers.maxOldGenerationSizeMb and workers.maxYoungGenerationSizeMb',
  );
}
