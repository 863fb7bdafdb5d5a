/** What the control plane and a thread say to each other while a task runs, and what is known of the task from it. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { errorText } from '../base/errors.ts';
import type { Binding } from '../segment/binding.ts';
import type { ControlMessage, WorkerMessage } from '../segment/messages.ts';
import type { TaskHooks } from './place.ts';

/** What is known of a task, for the clean-up when its thread dies. */
export interface Trace {
  backendPid: number | undefined;
  uploadId: string | undefined;
  rows: number;
  peakHeapBytes: number;
}

/** How long a worker that was asked to drop its segment may take, before its thread is ended. */
const ABORT_GRACE_MS = 4000;

export interface ConversationParts {
  /** What the thread is told when it asks what the names in its task stand for. */
  binding: Binding;
  /** The task is to be dropped once this aborts. */
  signal: AbortSignal;
  hooks: TaskHooks;
  /** The thread said something for the first time. */
  onFirstWord: () => void;
}

export class Conversation {
  readonly trace: Trace = { backendPid: undefined, uploadId: undefined, rows: 0, peakHeapBytes: 0 };
  /** For the thread. */
  readonly port: MessagePort;
  readonly #parts: ConversationParts;
  readonly #own: MessagePort;
  readonly #kill = new AbortController();
  readonly #over = new AbortController();
  #graceTimer: NodeJS.Timeout | undefined;

  constructor(parts: ConversationParts) {
    this.#parts = parts;
    const { port1, port2 } = new MessageChannel();
    this.#own = port1;
    this.port = port2;
    port1.once('message', parts.onFirstWord);
    port1.on('message', (message: WorkerMessage) => {
      this.#follow(message);
    });
    if (parts.signal.aborted) this.#askToDrop();
    else parts.signal.addEventListener('abort', this.#askToDrop, { once: true });
  }

  /** Aborts when the thread has to be ended, as it does not drop its task. */
  get killSignal(): AbortSignal {
    return this.#kill.signal;
  }

  close(): void {
    clearTimeout(this.#graceTimer);
    this.#parts.signal.removeEventListener('abort', this.#askToDrop);
    this.#over.abort(new Error('the task has ended'));
    this.#own.close();
  }

  #follow(message: WorkerMessage): void {
    switch (message.kind) {
      case 'need':
        this.#say({ kind: 'binding', binding: this.#parts.binding });
        break;
      case 'want':
        void this.#grant(message.bytes);
        break;
      case 'backend':
        this.trace.backendPid = message.pid;
        this.#parts.hooks.onTrace?.({ backendPid: message.pid });
        break;
      case 'upload':
        this.trace.uploadId = message.uploadId;
        this.#parts.hooks.onTrace?.({ uploadId: message.uploadId });
        break;
      case 'trouble':
        this.#parts.hooks.onTrouble?.(message.trouble);
        break;
      case 'progress':
        this.trace.rows = message.rows;
        this.trace.peakHeapBytes = Math.max(this.trace.peakHeapBytes, message.heapBytes);
        this.#parts.hooks.onProgress(message);
        break;
    }
  }

  async #grant(bytes: number): Promise<void> {
    try {
      await this.#parts.hooks.grant?.(bytes, this.#over.signal);
    } catch {
      // It has ended, and wants nothing any more.
      return;
    }
    this.#say({ kind: 'grant' });
  }

  /** The worker is asked first, so that it can abort its upload; its thread is ended only when it does not answer in time. */
  readonly #askToDrop = (): void => {
    this.#say({ kind: 'abort', reason: errorText(this.#parts.signal.reason) });
    this.#graceTimer = setTimeout(() => {
      this.#kill.abort();
    }, ABORT_GRACE_MS);
  };

  #say(message: ControlMessage): void {
    this.#own.postMessage(message);
  }
}
