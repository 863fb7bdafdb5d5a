/** The codes of all failures, each declared once; docs/errors.md is written from the declarations. */
import type { Declaration } from './failures/declaration.ts';
import { DESTINATION_FAILURES } from './failures/destination.ts';
import { PURGE_FAILURES } from './failures/purge.ts';
import { RESTORE_FAILURES } from './failures/restore.ts';
import { RUN_FAILURES } from './failures/run.ts';
import { SOURCE_FAILURES } from './failures/source.ts';

const DECLARED = {
  ...RUN_FAILURES,
  ...SOURCE_FAILURES,
  ...DESTINATION_FAILURES,
  ...RESTORE_FAILURES,
  ...PURGE_FAILURES,
};

/** A stable name of a kind of failure, such as `row-too-wide`. */
export type FailureCode = keyof typeof DECLARED;

/** Codes of which the place that fails must say whether another try may help. */
export type OpenCode = {
  [C in FailureCode]: (typeof DECLARED)[C]['transient'] extends boolean ? never : C;
}[FailureCode];

export type FixedCode = Exclude<FailureCode, OpenCode>;

export const FAILURES: Readonly<Record<FailureCode, Declaration>> = DECLARED;

/** The parts of docs/errors.md. */
export const FAILURE_GROUPS = [
  { title: 'Runs', declarations: RUN_FAILURES },
  { title: 'Source', declarations: SOURCE_FAILURES },
  { title: 'Destination', declarations: DESTINATION_FAILURES },
  { title: 'Restore', declarations: RESTORE_FAILURES },
  { title: 'Purge', declarations: PURGE_FAILURES },
] as const;

/** Whether this version declares the code; what lies in the bucket may come from a newer one. */
export function isFailureCode(code: string): code is FailureCode {
  return Object.hasOwn(FAILURES, code);
}

/** A code as the label of a metric, which must have few values. */
export function failureLabel(code: string): FailureCode | 'other' {
  return isFailureCode(code) ? code : 'other';
}

/** Where the documentation, which comes with the package, tells more of a code; undefined for one of another version. */
export function failureReference(code: string): string | undefined {
  return isFailureCode(code) ? `docs/errors.md#${code}` : undefined;
}
