/** Failures: what went wrong, where, whether a retry may help, and what the operator should do about it. */
import { FAILURES, type FailureCode, type FixedCode, type OpenCode } from './failures.ts';
import { scrub } from './secrets.ts';
import { stackOf } from './stack.ts';

/** The part of a run that failed. */
export type Stage =
  | 'config'
  | 'connect'
  | 'lock'
  | 'snapshot'
  | 'plan'
  | 'read'
  | 'encode'
  | 'compress'
  | 'upload'
  | 'worker'
  | 'journal'
  | 'commit'
  | 'verify'
  | 'restore'
  | 'purge';

/** One failure as plain data; it crosses the thread boundary and is logged once, at the top. */
export interface Failure {
  code: FailureCode;
  stage: Stage;
  archive?: string;
  run?: string;
  /** Index of the segment in the run's plan. */
  segment?: number;
  /** Where another process goes on with the work: its host. */
  host?: string;
  /** Whether the same work may succeed when it is tried again. */
  transient: boolean;
  message: string;
  /** What the operator should do. */
  hint: string;
  /** The text of the underlying error, without secrets. */
  cause?: string;
}

/** A kind of failure, with what its declaration leaves to the place that fails. Without a hint, it has the declared one. */
export type FailureKind = { code: FixedCode; hint?: string } | { code: OpenCode; transient: boolean; hint?: string };

/** What one failure says of itself. A hint that is given here is said instead of the one of its kind. */
export interface FailureDetails extends Pick<Failure, 'stage' | 'archive' | 'run' | 'segment' | 'host' | 'message'> {
  hint?: string | undefined;
  cause?: string | undefined;
}

/** An error that carries a {@link Failure}. Everything that this project throws on purpose is one of these. */
export class FailureError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure, options?: ErrorOptions) {
    super(failure.message, options);
    this.name = 'FailureError';
    this.failure = failure;
  }
}

/** The error to throw for a failure: its code, stage and message, and what differs from the declaration of the code. */
export function fail(kind: FixedCode | FailureKind, details: FailureDetails, options?: ErrorOptions): FailureError {
  const own = typeof kind === 'string' ? { code: kind } : kind;
  const declared = FAILURES[own.code];
  const { hint = own.hint ?? declared.hint, cause, ...rest } = details;
  const transient = 'transient' in own ? own.transient : declared.transient === true;
  return new FailureError(
    { code: own.code, ...rest, transient, hint, ...(cause === undefined ? {} : { cause }) },
    options,
  );
}

/** Bad usage or configuration: exit code 2. `problems` are complete lines, such as `file:line:column: message`. */
export class UsageError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[] | string) {
    const lines = typeof problems === 'string' ? [problems] : problems;
    super(lines.join('\n'));
    this.name = 'UsageError';
    this.problems = lines;
  }
}

/**
 * Turns anything that was thrown into a {@link Failure}, without the secrets that this thread knows of. A
 * {@link FailureError} anywhere in the chain of causes wins, as it was classified by the adapter that knows the library;
 * the rest is reported as a permanent internal error.
 */
export function toFailure(error: unknown, stage: Stage): Failure {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    if (at instanceof FailureError) return withoutSecrets(at.failure);
  }
  const cause = error instanceof Error ? stackOf(error) : undefined;
  return withoutSecrets(fail('internal', { stage, message: errorText(error), cause }).failure);
}

/** Servers echo what they were given; and a failure is not only logged, but also kept in the destination. */
function withoutSecrets(failure: Failure): Failure {
  const { message, cause } = failure;
  return { ...failure, message: scrub(message), ...(cause === undefined ? {} : { cause: scrub(cause) }) };
}

/** The message of anything that was thrown; an AggregateError (a refused dual-stack connection) has an empty one of its own. */
export function errorText(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(errorText).join('; ');
  if (error instanceof Error) return error.message || error.name;
  return String(error);
}
