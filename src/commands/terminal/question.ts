/** A question at the terminal. */
import { createInterface } from 'node:readline/promises';

interface Terminal {
  input: NodeJS.ReadableStream;
  output: NodeJS.WritableStream;
  /** What Ctrl-C does: while a question is asked, the terminal sends it as a key. */
  interrupt: () => void;
}

const OWN: Terminal = {
  input: process.stdin,
  // Standard output is for the result.
  output: process.stderr,
  interrupt: () => process.kill(process.pid, 'SIGINT'),
};

/** Anything but y and yes is no: so are Ctrl-C, Ctrl-D, the end of the input, and a signal that aborts. */
export async function askYesOrNo(question: string, signal: AbortSignal, terminal = OWN): Promise<boolean> {
  const { input, output, interrupt } = terminal;
  const lines = createInterface({ input, output, terminal: true });
  lines.on('SIGINT', () => {
    interrupt();
    lines.close();
  });
  const closed = new Promise<undefined>((resolve) => {
    lines.once('close', () => {
      resolve(undefined);
    });
  });
  // It is given up when a signal aborts, and at Ctrl-D.
  const answered = lines.question(`${question} [y/N] `, { signal }).catch((error: unknown) => {
    if (error instanceof Error && error.name === 'AbortError') return undefined;
    throw error;
  });
  try {
    const answer = await Promise.race([answered, closed]);
    if (answer === undefined) output.write('\n');
    return /^y(?:es)?$/i.test(answer?.trim() ?? '');
  } finally {
    lines.close();
  }
}
