/** A place where tasks are run: what the control plane knows of it, whether threads do the work or anybody else. */
import type { WorkerMessage } from '../segment/messages.ts';
import type { StoreTrouble } from '../store/trouble.ts';
import type { FactsOf, Outcome, Task } from '../segment/task.ts';

/** How far a task is that runs. */
export type TaskProgress = Extract<WorkerMessage, { kind: 'progress' }>;

/** What a place tells of a task while it has it. */
export interface TaskHooks {
  /** Somebody works on it from now on. */
  onBegin: () => void;
  onProgress: (progress: TaskProgress) => void;
  /** Resolves once the task may pass so many bytes on; absent: at once. The signal aborts when the task has ended. */
  grant?: (bytes: number, signal: AbortSignal) => Promise<void>;
  /** What there is to be ended should who works on it die: a backend of the source, an upload. */
  onTrace?: (trace: { backendPid: number } | { uploadId: string }) => void;
  /** A request to the destination takes long, or was sent again. */
  onTrouble?: (trouble: StoreTrouble) => void;
}

/** Another host as it was seen last. */
export interface HostState {
  host: string;
  pid: number;
  version: string;
  threads: number;
  isLive: boolean;
  /** Segments, as `archive/run/number`. */
  tasks: readonly string[];
}

export interface Place {
  /** Tasks that run, and that wait for somebody to run them. */
  readonly load: { active: number; waiting: number };
  /**
   * Runs one task as soon as there is room for it. Resolves to its outcome, whatever happens to who works on it; rejects
   * only with the signal's reason, when it aborts before the task was begun. A task that is begun and dropped has the
   * outcome `aborted`, unless it was done by then.
   */
  run<T extends Task>(task: T, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<FactsOf<T>>>;
  /** A task is about to come: who needs time before the first one may take it now. */
  warmUp?(): void;
  /** Other hosts that take part, and what each does for runs of this process; absent where none do. */
  readonly hosts?: readonly HostState[];
  /** Nothing may be running any more. */
  close(): Promise<void>;
}
