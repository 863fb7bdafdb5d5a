/** Runs the command line as a real process: waits for what it logs, sends it signals, and keeps what it prints. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, loadavg } from 'node:os';
import { afterEach } from 'node:test';
import { PROGRAM } from './program.ts';

/** A line of the log; pino's levels are 30 for info, 40 for warn, 50 for error. */
export interface LogLine {
  level: number;
  msg: string;
  archive?: string;
  run?: string;
  /** How a run ended, in the line that says so. */
  status?: string;
  [field: string]: unknown;
}

/** How a process ended. */
export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Where what was compiled for earlier processes is kept: a start takes half as long. */
const { XDG_CACHE_HOME } = process.env;
const COMPILED = XDG_CACHE_HOME === undefined ? {} : { XDG_CACHE_HOME };

/**
 * What no event of a test should take; it only bounds the wait for one that never comes. Less than the lock_timeout of
 * pgsluice's sessions, by which a backend that nobody ended would go away by itself.
 */
const DEADLINE_MS = 45_000;
/** Where so many processes a core want to work, others than the tests' own do: everything takes longer by as much. */
const USUAL_LOAD = 4;
const MOST_PATIENCE = 3;

function deadlineMs(): number {
  const [load = 0] = loadavg();
  return DEADLINE_MS * Math.min(Math.max(load / availableParallelism() / USUAL_LOAD, 1), MOST_PATIENCE);
}

const alive = new Set<CliProcess>();

export class CliProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #watchers = new Set<() => void>();
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], environment: Record<string, string>, program: string) {
    this.#child = spawn(process.execPath, [program, ...args], {
      // The environment of the test runner is not that of a user.
      env: { PATH: process.env['PATH'] ?? '', ...COMPILED, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      for (const look of this.#watchers) look();
    });
    this.#ended = once(this.#child, 'close');
    alive.add(this);
    void this.#ended.then(() => {
      alive.delete(this);
      for (const look of this.#watchers) look();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The lines of the log so far; other lines on stderr are left out. */
  get log(): LogLine[] {
    return this.stderr.split('\n').slice(0, -1).flatMap(parseLine);
  }

  get hasEnded(): boolean {
    return !alive.has(this);
  }

  /** Returns whether it was there to get it. */
  kill(signal: NodeJS.Signals): boolean {
    return this.#child.kill(signal);
  }

  /** Resolves once the process has ended and all its output is in. */
  async ended(): Promise<Ending> {
    await withDeadline(this.#ended, () => `the process has not ended; it said:\n${this.stderr}`);
    const { exitCode: code, signalCode: signal } = this.#child;
    return { code, signal, stdout: this.stdout, stderr: this.stderr };
  }

  /** Resolves to the `count`-th line of the log that matches; a text is looked for in the message. */
  async waitForLog(matches: string | ((line: LogLine) => boolean), count = 1): Promise<LogLine> {
    const isWanted = typeof matches === 'string' ? (line: LogLine) => line.msg.includes(matches) : matches;
    const { promise, resolve, reject } = Promise.withResolvers<LogLine>();
    const look = (): void => {
      const line = this.log.filter(isWanted)[count - 1];
      if (line !== undefined) resolve(line);
      else if (!alive.has(this)) reject(new Error(`the process ended without the line; it said:\n${this.stderr}`));
    };
    this.#watchers.add(look);
    look();
    try {
      return await withDeadline(promise, () => `the line was not logged: ${String(matches)}; but:\n${this.stderr}`);
    } finally {
      this.#watchers.delete(look);
    }
  }
}

/** Starts `pgsluice ARGS…`; it is killed if it still runs at the end of the test. */
export function startCli(
  args: readonly string[],
  environment: Record<string, string> = {},
  program = PROGRAM,
): CliProcess {
  return new CliProcess(args, environment, program);
}

/** Runs `pgsluice ARGS…` to its end. */
export async function runCli(args: readonly string[], environment: Record<string, string> = {}): Promise<Ending> {
  return startCli(args, environment).ended();
}

// What a test that failed left running must not get in the way of the next one.
afterEach(() => {
  for (const cli of alive) cli.kill('SIGKILL');
});

/** The value of `promise`, or an error that says what was waited for. */
export async function withDeadline<T>(promise: Promise<T>, describe: () => string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const waitMs = deadlineMs();
  const timer = setTimeout(() => {
    reject(new Error(`after ${Math.round(waitMs / 1000)} s ${describe()}`));
  }, waitMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves once a fault that was ordered has happened. */
export async function happened(fault: { firstHit: Promise<unknown> }): Promise<void> {
  await withDeadline(fault.firstHit, () => 'the fault has not happened');
}

/** Asks again and again until the answer is neither undefined nor false. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
  const waitMs = deadlineMs();
  const until = Date.now() + waitMs;
  for (let asked = 0; Date.now() < until; asked += 1) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    // What takes long anyway is not worth the CPU of so many questions.
    await new Promise((resolve) => setTimeout(resolve, asked < 10 ? 20 : 100));
  }
  throw new Error(`after ${Math.round(waitMs / 1000)} s still not: ${what}`);
}

function parseLine(text: string): LogLine[] {
  try {
    const line = JSON.parse(text) as LogLine;
    return typeof line.msg === 'string' ? [line] : [];
  } catch {
    return [];
  }
}
