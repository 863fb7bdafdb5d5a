/** `pgsluice cancel`: the daemon drops the run of an archive that is in progress, and those that wait behind it. */
import type { ControlOptions } from './control.ts';
import type { Invocation } from './invocation.ts';
import { orderCommand } from './order.ts';

export async function cancelCommand(invocation: Invocation, archive: string, options: ControlOptions): Promise<number> {
  return orderCommand(invocation, options, archive, 'cancel', ({ run = '' }) => `${archive} ${run} is cancelled`);
}
