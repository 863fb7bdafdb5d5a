/** A further process of this very program: the demo reads its log, and ends it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A line of its log; other lines on stderr are left out. */
export interface LogLine {
  msg: string;
  [field: string]: unknown;
}

/** Who does not end after a SIGTERM within that is killed: a coordinator waits for a host that is lost, and the servers go anyway. */
const PATIENCE_MS = 4000;

export class OwnProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #output = '';
  #lastWords = '';

  /** Starts `pgsluice ARGS…`; `onLine` gets its log, line by line, which has to be JSON. */
  constructor(args: readonly string[], environment: NodeJS.ProcessEnv, onLine: (line: LogLine) => void) {
    this.#child = spawn(process.execPath, [process.argv[1] ?? '', ...args], {
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('the process has no pipes');
    stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    createInterface({ input: stderr }).on('line', (text) => {
      if (text.trim() !== '') this.#lastWords = text;
      const line = parseLine(text);
      if (line !== undefined) onLine(line);
    });
    this.#ended = once(this.#child, 'close');
    // Whoever waits for it hears of it; a process that could not be started closes as well.
    this.#ended.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The last line on its stderr, for who asks why it has ended. */
  get lastWords(): string {
    return this.#lastWords;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Resolves to its standard output once it has ended. */
  async ended(): Promise<string> {
    await this.#ended;
    return this.#output;
  }

  /** Asks it to end, and waits for that. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.kill(), PATIENCE_MS);
    await this.#ended.catch(() => undefined);
    clearTimeout(late);
  }
}

function parseLine(text: string): LogLine | undefined {
  try {
    const line = JSON.parse(text) as LogLine | null;
    return typeof line?.msg === 'string' ? line : undefined;
  } catch {
    return undefined;
  }
}
