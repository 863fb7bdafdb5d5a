/** What `trigger`, `cancel`, `pause` and `resume` have in common: an order to the daemon, and what came of it. */
import { askDaemon, Unreachable, type ControlAnswer, type ControlOptions } from './control.ts';
import { describeFailure } from './terminal/failure.ts';
import { EXIT } from './entry.ts';
import { type Invocation } from './invocation.ts';
import { printJson, printLines } from './terminal/print.ts';

/** What the daemon says when it did it. */
export interface OrderAnswer {
  archive: string;
  run?: string;
  paused?: boolean;
}

/** Exit code 0 when the daemon did it, 1 when it refused, or no daemon answers. */
export async function orderCommand(
  invocation: Invocation,
  options: ControlOptions,
  archive: string,
  order: 'run' | 'cancel' | 'pause' | 'resume',
  describe: (answer: OrderAnswer) => string,
  body: Record<string, string> = {},
): Promise<number> {
  return withDaemon(invocation, async () => {
    const path = `/api/archives/${encodeURIComponent(archive)}/${order}`;
    const answer = await askDaemon(invocation, options, 'POST', path, body);
    if (answer.status >= 300) return reportRefusal(invocation, answer);
    if (invocation.json) printJson(invocation, answer.body);
    else printLines(invocation, [describe(answer.body as OrderAnswer)]);
    return EXIT.done;
  });
}

/** Does `work`; that no daemon answers is reported, with exit code 1. */
export async function withDaemon(invocation: Invocation, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    const { code, message } = error;
    report(invocation, { code, message }, HINTS[code]);
    return EXIT.failed;
  }
}

const HINTS: Readonly<Record<Unreachable['code'], string>> = {
  'not-running': 'start it with `systemctl start pgsluice`, or name its place with --socket or --url',
  'not-allowed': 'give the command with sudo, or name --url, with the token in $PGSLUICE_TOKEN',
};

export function reportRefusal(invocation: Invocation, { status, body }: ControlAnswer): number {
  const { error } = body as { error?: { code: string; message: string } };
  const hint = status === 401 || status === 403 ? 'put the http.token of the config into $PGSLUICE_TOKEN' : undefined;
  report(invocation, error ?? { code: String(status), message: 'the daemon refused' }, hint);
  return EXIT.failed;
}

function report(invocation: Invocation, error: { code: string; message: string }, hint: string | undefined): void {
  if (invocation.json) printJson(invocation, { error });
  printLines(invocation, describeFailure({ ...error, hint }), invocation.stderr);
}
