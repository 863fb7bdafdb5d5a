/** Failures: what went wrong, where, whether a retry may help, and what the operator should do about it. */
import { scrub } from './secrets.ts';

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
  | 'restore';

/** One failure as plain data; it crosses the thread boundary and is logged once, at the top. */
export interface Failure {
  /** A stable, kebab-case name of the kind of failure, such as `row-too-wide`. */
  code: string;
  stage: Stage;
  archive?: string;
  run?: string;
  /** Index of the segment in the run's plan. */
  segment?: number;
  /** Whether the same work may succeed when it is tried again. */
  transient: boolean;
  message: string;
  /** What the operator should do. */
  hint: string;
  /** The text of the underlying error, without secrets. */
  cause?: string;
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
  return withoutSecrets({
    code: 'internal',
    stage,
    transient: false,
    message: errorText(error),
    hint: 'This is a defect in pgsluice. Please report it, with the log lines around it.',
    ...(error instanceof Error && error.stack !== undefined ? { cause: error.stack } : {}),
  });
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
