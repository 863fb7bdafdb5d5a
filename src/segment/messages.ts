/** What a worker and the control plane say to each other while a task runs. Plain data only. */
import type { MessagePort } from 'node:worker_threads';
import type { Binding } from './binding.ts';
import type { StoreTrouble } from '../store/trouble.ts';
import type { Task } from './task.ts';

/**
 * What a worker says while it runs. `need`: it does not know what the names in its task stand for. `want`: it waits until it
 * may pass so many bytes of JSON Lines on.
 */
export type WorkerMessage =
  | { kind: 'need' }
  | { kind: 'backend'; pid: number }
  | { kind: 'upload'; uploadId: string }
  | { kind: 'want'; bytes: number }
  | { kind: 'trouble'; trouble: StoreTrouble }
  | { kind: 'progress'; rows: number; jsonBytes: number; bytes: number; heapBytes: number };

/** To a worker that runs: drop the segment cleanly. `reason` says why, for the failure record. */
export interface AbortMessage {
  kind: 'abort';
  reason: string;
}

/** To a worker that said `need`. This alone carries secrets. */
export interface BindingMessage {
  kind: 'binding';
  binding: Binding;
}

/** To a worker that said `want`: it may go on with the oldest of what it wants. */
export interface GrantMessage {
  kind: 'grant';
}

/** What the control plane says to a worker that runs. */
export type ControlMessage = AbortMessage | BindingMessage | GrantMessage;

/** What is handed to the thread: the task, and the port for the messages. */
export interface WorkerInput {
  task: Task;
  /** Generations of the config that a run still goes by; the thread forgets the others. */
  generations: readonly number[];
  port: MessagePort;
  /** The task is given back once there are more bytes of lines than that. */
  mostJsonBytes?: number;
}

/** Handed to a thread so that it loads what it needs before there is a task. */
export const WARM_UP = 'warm-up';

/** What a thread of a pool is started with: it sends the pool a port, over which it is told that it will be ended. */
export interface OfAPool {
  isOfAPool: true;
  use: ThreadUse;
}

/** What a pool is there for. Its threads can do all tasks; for others than these, more is compiled. */
export type ThreadUse = 'archive' | 'verify' | 'restore';

/**
 * Said to all threads of a pool before it ends them: what they keep for the next task is to be closed, as a server writes of a
 * connection that just ends. Each answers once it is.
 */
export const LET_GO = 'let-go';
export const HAS_LET_GO = 'has-let-go';
