/** What a person is told of a failure, whatever the command: what failed, why, and what to do. */
import { failureReference } from '../../base/failures.ts';

/** The part of a failure that is shown; one that was stored by another version may have any code. */
export interface TellableFailure {
  code: string;
  message: string;
  hint?: string | undefined;
  cause?: string | undefined;
}

/** The lines on a failure. `subject` is what failed, such as an archive and its run; without it the message stands first. */
export function describeFailure({ code, message, hint, cause }: TellableFailure, subject?: string): string[] {
  const reference = failureReference(code);
  return [
    ...(subject === undefined ? [`${message} (${code})`] : [`${subject}: failed (${code})`, `  ${message}`]),
    // A cause may be the stack of an error, which is in the log.
    ...(cause === undefined ? [] : [`  cause  ${cause.split('\n', 1)[0] ?? ''}`]),
    ...(hint === undefined ? [] : [`  hint   ${hint}`]),
    ...(reference === undefined ? [] : [`  see    ${reference}`]),
  ];
}
