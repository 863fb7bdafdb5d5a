/** Runs a shell command line and measures it: time, CPU of its whole process tree and of Postgres, peak memory. Linux only. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export interface Measurement {
  seconds: number;
  /** User and system time of all processes of the command line. */
  cpuSeconds: number;
  /** The same of all of Postgres's processes in the meantime. */
  serverCpuSeconds: number;
  /** Sum of the largest resident sets of the processes, the shell left out. */
  peakRssBytes: number;
  stdout: string;
}

export interface MeasureOptions {
  environment: Record<string, string>;
  /** Process id of the postmaster. */
  postmaster: number;
  signal: AbortSignal;
}

const SAMPLE_INTERVAL_MS = 50;
/** Fixed for the values in /proc, whatever the kernel's own tick is. */
const TICKS_PER_SECOND = 100;

/** Throws with the end of the standard error when the command line fails. */
export async function measure(commandLine: string, options: MeasureOptions): Promise<Measurement> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-bench-'));
  const times = path.join(folder, 'times');
  try {
    const serverBefore = treeCpuSeconds(options.postmaster);
    const { stdout, peakRssBytes } = await runSampled(timed(commandLine, times), commandLine, options);
    const serverCpuSeconds = treeCpuSeconds(options.postmaster) - serverBefore;
    const [seconds = 0, user = 0, system = 0] = readFileSync(times, 'utf8').trim().split(' ').map(Number);
    return { seconds, cpuSeconds: user + system, serverCpuSeconds, peakRssBytes, stdout };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** bash adds up what all processes of a pipeline took, once they have ended. */
function timed(commandLine: string, file: string): string {
  return `set -o pipefail; exec 4>&2; TIMEFORMAT='%R %U %S'; { time { ${commandLine}\n} 2>&4; } 2>'${file}'`;
}

async function runSampled(
  script: string,
  commandLine: string,
  { environment, signal }: MeasureOptions,
): Promise<{ stdout: string; peakRssBytes: number }> {
  signal.throwIfAborted();
  // In a process group of its own: Ctrl-C is ours to pass on, and all of a pipeline ends together.
  const shell = spawn('bash', ['-c', script], {
    env: environment,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = (): void => {
    endGroup(shell);
  };
  signal.addEventListener('abort', stop, { once: true });
  const peaks = new Map<number, number>();
  const timer = setInterval(() => {
    samplePeaks(shell.pid ?? 0, peaks);
  }, SAMPLE_INTERVAL_MS);
  const output: Buffer[] = [];
  const trouble: Buffer[] = [];
  shell.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  shell.stderr.on('data', (chunk: Buffer) => trouble.push(chunk));
  try {
    const [code] = (await once(shell, 'close')) as [number | null];
    signal.throwIfAborted();
    if (code !== 0) throw new Error(`exit code ${code ?? 'none'} of ${commandLine}\n${tail(trouble) || tail(output)}`);
    return {
      stdout: Buffer.concat(output).toString(),
      peakRssBytes: [...peaks.values()].reduce((sum, bytes) => sum + bytes, 0),
    };
  } finally {
    clearInterval(timer);
    signal.removeEventListener('abort', stop);
  }
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGTERM');
  } catch {
    // It has ended already.
  }
}

function tail(output: Buffer[]): string {
  return Buffer.concat(output).toString().trim().slice(-2000);
}

/** The high-water mark of a process only grows, so its last value is the one to keep. */
function samplePeaks(shell: number, peaks: Map<number, number>): void {
  for (const pid of descendants(shell)) {
    const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readProc(pid, 'status')) ?? [];
    if (kib !== undefined) peaks.set(pid, Number(kib) * 1024);
  }
}

/** User and system time of a process, of its living descendants, and of the children that it has waited for. */
function treeCpuSeconds(root: number): number {
  return (
    [root, ...descendants(root)]
      .map((pid) => {
        // The name, in brackets, may hold blanks and brackets itself: the fields are counted after its last one.
        const fields = /.*\) (.*)/s.exec(readProc(pid, 'stat'))?.[1]?.split(' ') ?? [];
        return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
      })
      .reduce((sum, ticks) => sum + ticks, 0) / TICKS_PER_SECOND
  );
}

function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .flatMap((task) => readProc(pid, `task/${task}/children`).split(' '))
      .filter((child) => child !== '')
      .map(Number);
  } catch {
    return [];
  }
}

/** Empty when the process has ended. */
function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
