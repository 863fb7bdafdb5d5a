/** The daemon as a process of its own: keeps the counts of what it logs, and no line of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { RunEnding } from '../../src/daemon/run-ending.ts';
import type { State } from '../../src/daemon/view/state.ts';
import type { SaidSkip } from './skips.ts';

interface LogLine {
  time: string;
  level: number;
  msg: string;
  archive?: string;
  run?: string;
  status?: string;
  reason?: string;
  option?: string;
  address?: string;
}

const START_TIMEOUT_MS = 60_000;
const ANSWER_TIMEOUT_MS = 10_000;
const WARN = 40;

export class DaemonProcess {
  /** Milliseconds of when it said that it was ready, and when it ended. */
  readyAt = Infinity;
  endedAt = Infinity;
  /** Slots that it said it skipped, in order. */
  readonly skips: SaidSkip[] = [];
  /** Warnings and errors by their message. */
  readonly troubles = new Map<string, number>();
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;

  readonly #child: ChildProcess;
  readonly #ready = Promise.withResolvers<undefined>();
  #url = '';
  /** The end of what it said that is no line of the log, such as the stack of a crash. */
  #tail: string[] = [];

  /** `logFile` gets all that it says, where there is one. */
  constructor(program: string, config: string, environment: Record<string, string>, logFile?: string) {
    this.#child = spawn(process.execPath, [program, 'daemon', '--config', config], {
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const lines = createInterface({ input: this.#child.stderr! });
    lines.on('line', (line) => {
      if (logFile !== undefined) appendFileSync(logFile, `${line}\n`);
      this.#read(line);
    });
    this.#ready.promise.catch(() => undefined);
    this.ended = this.#waitForEnd();
  }

  /** Resolves once it takes requests. Rejects when it ends before, or takes too long. */
  async ready(): Promise<void> {
    const timer = setTimeout(() => {
      this.#ready.reject(new Error(`the daemon was not ready after ${START_TIMEOUT_MS / 1000} s`));
    }, START_TIMEOUT_MS);
    await this.#ready.promise.finally(() => {
      clearTimeout(timer);
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  get hasEnded(): boolean {
    return this.endedAt !== Infinity;
  }

  /** What it printed last that is no line of the log. */
  get lastWords(): string {
    return this.#tail.join('\n');
  }

  /** Bytes of its resident set, and its open descriptors; undefined when it has ended. */
  resources(): { rssBytes: number; descriptors: number } | undefined {
    try {
      const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, 'utf8')) ?? [];
      if (kib === undefined) return undefined;
      return {
        rssBytes: Number(kib) * 1024,
        descriptors: readdirSync(`/proc/${this.#child.pid}/fd`).length,
      };
    } catch {
      return undefined;
    }
  }

  async metrics(): Promise<string> {
    return (await this.#get('/metrics')).text();
  }

  async state(): Promise<State> {
    return (await (await this.#get('/api/state')).json()) as State;
  }

  /** The last `limit` rows of the history, newest first. */
  async history(limit: number): Promise<RunEnding[]> {
    return ((await (await this.#get(`/api/history?limit=${limit}`)).json()) as { runs: RunEnding[] }).runs;
  }

  async #get(path: string): Promise<Response> {
    const answer = await fetch(this.#url + path, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer;
  }

  async #waitForEnd(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    await once(this.#child, 'close');
    this.endedAt = Date.now();
    this.#ready.reject(new Error(`the daemon ended before it was ready:\n${this.lastWords}`));
    return { code: this.#child.exitCode, signal: this.#child.signalCode };
  }

  #read(text: string): void {
    const line = parseLine(text);
    if (line === undefined) {
      this.#tail = [...this.#tail, text].slice(-20);
      return;
    }
    const { msg, option, address, level, status, archive = '', run = '', reason = '' } = line;
    if (level >= WARN) this.troubles.set(msg, (this.troubles.get(msg) ?? 0) + 1);
    if (status === 'skipped') this.skips.push({ archive, run, reason, atMs: Date.parse(line.time) });
    if (msg === 'listening' && option === 'http.listen') this.#url = address ?? '';
    if (msg !== 'daemon is ready') return;
    this.readyAt = Date.parse(line.time);
    this.#ready.resolve(undefined);
  }
}

function parseLine(text: string): LogLine | undefined {
  try {
    const line = JSON.parse(text) as LogLine;
    return typeof line.msg === 'string' ? line : undefined;
  } catch {
    return undefined;
  }
}
