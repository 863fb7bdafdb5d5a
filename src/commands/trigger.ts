/** `pgsluice trigger`: the daemon runs an archive now. */
import { parseRunId } from '../ledger/run-id.ts';
import type { ControlOptions } from './control.ts';
import type { Invocation } from './invocation.ts';
import { orderCommand } from './order.ts';

export async function triggerCommand(
  invocation: Invocation,
  archive: string,
  { runId, ...options }: ControlOptions & { runId?: string },
): Promise<number> {
  if (runId !== undefined) parseRunId(runId);
  const body: Record<string, string> = runId === undefined ? {} : { runId };
  return orderCommand(invocation, options, archive, 'run', ({ run = '' }) => `${archive} ${run} is started`, body);
}
