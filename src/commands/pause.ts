/** `pgsluice pause` and `pgsluice resume`: the schedule of an archive, until it is resumed, over restarts as well. */
import type { ControlOptions } from './control.ts';
import type { Invocation } from './invocation.ts';
import { orderCommand } from './order.ts';

export async function pauseCommand(invocation: Invocation, archive: string, options: ControlOptions): Promise<number> {
  return orderCommand(invocation, options, archive, 'pause', () => `the schedule of ${archive} is paused`);
}

export async function resumeCommand(invocation: Invocation, archive: string, options: ControlOptions): Promise<number> {
  return orderCommand(invocation, options, archive, 'resume', () => `the schedule of ${archive} goes on`);
}
