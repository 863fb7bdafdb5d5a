/** How a purge may end before all is gone through, as its parts tell it to the story. */
import { FailureError } from '../base/errors.ts';
import type { Problem, StoppedBy } from './request.ts';

/** A purge that is refused; nothing was deleted. */
export class Refused extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(({ message }) => message).join('\n'));
    this.problems = problems;
  }
}

/** The proof found differences. */
export class Different extends Error {
  readonly differences: readonly string[];

  constructor(differences: readonly string[]) {
    super(differences.join('\n'));
    this.differences = differences;
  }
}

/** It was broken off; what is done stays done, and is noted. */
export class Stopped extends Error {
  readonly by: StoppedBy;

  constructor(by: StoppedBy) {
    super(by);
    this.by = by;
  }
}

/** A lock that is lost is a failure. */
export function stoppedBySignal({ reason }: AbortSignal): Error {
  return reason instanceof FailureError && reason.failure.code === 'session-lost' ? reason : new Stopped('asked');
}
