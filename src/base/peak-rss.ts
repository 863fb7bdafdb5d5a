import { readFileSync } from 'node:fs';

const STATUS = '/proc/self/status';

/**
 * The most resident memory that this program had, in bytes. Linux counts it from the start of the program in VmHWM; what getrusage says
 * begins with what the process held that started this one, such as an orchestrator of 500 MB.
 */
export function peakRssBytes(): number {
  return sinceStartBytes() ?? process.resourceUsage().maxRSS * 1024;
}

function sinceStartBytes(): number | undefined {
  try {
    const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(STATUS, 'latin1')) ?? [];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    // Not on Linux, or in a sandbox without /proc.
    return undefined;
  }
}
