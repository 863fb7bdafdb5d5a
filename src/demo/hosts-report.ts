/** Who did what in a run over several hosts, from what their logs say as it comes in. */
import type { LogLine } from './own-process.ts';

export interface WorkerReport {
  host: string;
  pid: number;
  /** Segments that it has done, in the order in which the coordinator heard of them. */
  segments: number[];
  killed: boolean;
}

/** A segment that was given to another host, as its own was not heard of any more. */
export interface LostSegment {
  segment: number;
  /** The process that had it, and the one that did it in the end. */
  pid?: number;
  doneByPid?: number;
  /** From the kill until the coordinator said so. */
  noticedAfterSeconds: number;
}

export interface HostsReport {
  workers: WorkerReport[];
  /** When one was killed, from the start of the run; absent where the run was over before. */
  killedAfterSeconds?: number;
  lost: LostSegment[];
}

export class HostsRecord {
  readonly #host: string;
  readonly #workers = new Map<number, WorkerReport>();
  readonly #pidOfMember = new Map<string, number>();
  /** Who began a segment last. */
  readonly #holders = new Map<number, number>();
  readonly #lost: LostSegment[] = [];
  #startedMs = 0;
  #killedMs: number | undefined;
  #done = 0;

  constructor(host: string) {
    this.#host = host;
  }

  get hasKilled(): boolean {
    return this.#killedMs !== undefined;
  }

  /** The run starts now. */
  begin(nowMs: number): void {
    this.#startedMs = nowMs;
  }

  get done(): number {
    return this.#done;
  }

  fromWorker(pid: number, line: LogLine): void {
    const { msg, member, segment } = line;
    if (msg === 'worker is ready' && typeof member === 'string') {
      this.#pidOfMember.set(member, pid);
      this.#workers.set(pid, { host: this.#host, pid, segments: [], killed: false });
    } else if (msg === 'a segment begins' && typeof segment === 'number') this.#holders.set(segment, pid);
  }

  fromCoordinator(line: LogLine, nowMs: number): void {
    const { msg, member, segment } = line;
    if (msg === 'a segment was done by a host' && typeof segment === 'number') this.#takeDone(segment, String(member));
    if (msg.startsWith('a host is lost')) this.#takeLost(line, nowMs);
  }

  killed(pid: number, nowMs: number): void {
    this.#killedMs = nowMs;
    const worker = this.#workers.get(pid);
    if (worker !== undefined) worker.killed = true;
  }

  report(): HostsReport {
    return {
      workers: [...this.#workers.values()],
      ...(this.#killedMs === undefined ? {} : { killedAfterSeconds: (this.#killedMs - this.#startedMs) / 1000 }),
      lost: this.#lost,
    };
  }

  #takeDone(segment: number, member: string): void {
    this.#done += 1;
    const pid = this.#pidOfMember.get(member);
    if (pid === undefined) return;
    this.#workers.get(pid)?.segments.push(segment);
    for (const lost of this.#lost) if (lost.segment === segment) lost.doneByPid = pid;
  }

  #takeLost({ failure }: LogLine, nowMs: number): void {
    const segment = (failure as { segment?: unknown } | undefined)?.segment;
    if (typeof segment !== 'number') return;
    const pid = this.#holders.get(segment);
    const noticedAfterSeconds = (nowMs - (this.#killedMs ?? nowMs)) / 1000;
    this.#lost.push({ segment, ...(pid === undefined ? {} : { pid }), noticedAfterSeconds });
  }
}

/** Lines for people. */
export function describeHosts({ workers, killedAfterSeconds, lost }: HostsReport): string[] {
  return [
    ...workers.map(({ host, pid, segments, killed }) => {
      const end = killed ? `, killed (SIGKILL) ${(killedAfterSeconds ?? 0).toFixed(1)} s after the start` : '';
      return `  worker            ${host}, process ${pid}: segments ${describeNumbers(segments)}${end}`;
    }),
    ...lost.map(({ segment, pid, doneByPid, noticedAfterSeconds }) => {
      const whose = pid === undefined ? '' : ` of process ${pid}`;
      const again = doneByPid === undefined ? '' : `, done again by process ${doneByPid}`;
      return `  lost              segment ${segment}${whose}: noticed ${noticedAfterSeconds.toFixed(1)} s after the kill${again}`;
    }),
    ...(killedAfterSeconds === undefined
      ? ['  lost              nothing: the run was over before a worker was killed']
      : []),
    ...(killedAfterSeconds !== undefined && lost.length === 0
      ? ['  lost              nothing: the worker had just told of its last segment']
      : []),
  ];
}

/** `0-3, 7`, or `none`. */
export function describeNumbers(numbers: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.length === 0 ? 'none' : parts.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(', ');
}
