/** What is declared of each code of a failure. */
export interface Declaration {
  /** Whether the same work may succeed when it is tried again; where that depends, the place that fails says it. */
  transient: boolean | 'depends';
  /** In one sentence, for docs/errors.md. */
  meaning: string;
  /** What the operator should do, where the place that fails knows nothing better. */
  hint: string;
  /** Of what it depends whether it is tried again, or what is done instead. */
  retried?: string;
  /** How long it is tried again, where that is not all of the budget: once more, or for a short part of it. */
  patience?: 'once' | 'short';
  /** Other exit codes than that of a command that failed. */
  exit?: string;
}

/** A table of codes: stable names in kebab case. */
export type Declarations = Readonly<Record<string, Declaration>>;

export const DEFECT = 'This is a defect in pgsluice. Please report it, with the log lines around it.';
