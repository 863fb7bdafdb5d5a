/** Signals of a foreground command: the first one stops cleanly, the second one at once. */
import { fail, type FailureError } from '../base/errors.ts';

export interface Interrupt {
  signal: AbortSignal;
  /** Whether a signal came. */
  readonly interrupted: boolean;
  /** Gives the signals back to Node's default. */
  release: () => void;
}

/** Listens for SIGINT, SIGTERM and SIGHUP until released. */
export function watchInterrupts(): Interrupt {
  const abort = new AbortController();
  let count = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    count += 1;
    if (count > 1) {
      if (process.stderr.isTTY) process.stderr.write('\r\u001b[Kstopped at once\n');
      process.exit(130);
    }
    abort.abort(interruptedFailure(name));
  };
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of names) process.on(name, onSignal);
  return {
    signal: abort.signal,
    get interrupted() {
      return count > 0;
    },
    release: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
}

function interruptedFailure(name: string): FailureError {
  return fail('interrupted', {
    stage: 'worker',
    message: `interrupted by ${name}`,
  });
}
