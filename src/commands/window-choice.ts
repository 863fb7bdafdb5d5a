/** Which runs a command is to work on: one by its id, or windows by their dates. */
import { UsageError } from '../base/errors.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { parseRunId } from '../ledger/run-id.ts';
import { requireWindowChoice, type WindowChoice } from '../windows/choose.ts';

/** Whether windows are chosen. */
export function isChoice({ from, to, all }: WindowChoice): boolean {
  return from !== undefined || to !== undefined || all !== undefined;
}

/** Throws UsageError for options that contradict each other, or that are no ids and dates. */
export function requireOneChoice(archive: ArchiveConfig, { run, ...choice }: WindowChoice & { run?: string }): void {
  if (run !== undefined) parseRunId(run);
  if (run !== undefined && isChoice(choice))
    throw new UsageError(`${run} names one run; leave it out, or leave out --from, --to and --all`);
  if (choice.all !== undefined && (choice.from !== undefined || choice.to !== undefined))
    throw new UsageError('--all is every window; leave it out, or leave out --from and --to');
  requireWindowChoice(archive, choice);
}
