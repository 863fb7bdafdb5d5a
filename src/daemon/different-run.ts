/** A run that standing verification has found to differ from its manifest: what is kept of it, and what is said. */
import type { Difference } from '../audit/prove-run.ts';
import { fail, type Failure } from '../base/errors.ts';

/** A run that is not what its manifest says. Times in ISO 8601. */
export interface DifferentRun {
  archive: string;
  run: string;
  foundAt: string;
  /** When it was looked at last, and found to differ still. */
  seenAt: string;
  /** Where the archive lies: what was found there says nothing of another place. */
  destination: string;
  /** At least one. */
  differences: Difference[];
  /** How many there are beyond these. */
  more: number;
}

/** Names the first object that differs, and the line where it is known. */
export function describeDifferent({ archive, run, differences, more }: DifferentRun): Failure {
  const [first] = differences;
  const line = first?.line === undefined ? '' : `line ${first.line}: `;
  const others = differences.length - 1 + more;
  const rest = others === 0 ? '' : ` (and ${others} more)`;
  const message = `run ${run} is not what its manifest says: ${first?.key ?? ''}: ${line}${first?.message ?? ''}${rest}`;
  return fail('archive-different', { stage: 'verify', archive, run, message }).failure;
}
