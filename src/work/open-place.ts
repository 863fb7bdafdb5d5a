/** Opens the place of a config: its threads, and other hosts where archives say so. */
import type { Log } from '../base/log.ts';
import type { Config } from '../config/schema.ts';
import type { FactsOf, Outcome, Task } from '../segment/task.ts';
import type { Bindings } from './bindings.ts';
import { Hosts } from './hosts/hosts.ts';
import type { HostState, Place, TaskHooks } from './place.ts';
import { Threads, type ThreadChoices } from './threads.ts';

export type PlaceConfig = Pick<Config, 'workers' | 'hosts'>;

/** No thread is started and no queue is contacted before there is work. */
export function openPlace(
  { workers, hosts }: PlaceConfig,
  bindings: Bindings,
  log: Log,
  choices: ThreadChoices = {},
): Place {
  const threads = new Threads(workers, bindings, choices);
  return hosts === undefined ? threads : new Both(threads, new Hosts(hosts, bindings, log));
}

/** A task that another host may do goes to other hosts. */
class Both implements Place {
  readonly #threads: Threads;
  readonly #hosts: Hosts;

  constructor(threads: Threads, hosts: Hosts) {
    this.#threads = threads;
    this.#hosts = hosts;
  }

  get load(): { active: number; waiting: number } {
    const [a, b] = [this.#threads.load, this.#hosts.load];
    return { active: a.active + b.active, waiting: a.waiting + b.waiting };
  }

  get hosts(): HostState[] {
    return this.#hosts.hosts;
  }

  run<T extends Task>(task: T, signal: AbortSignal, hooks: TaskHooks): Promise<Outcome<FactsOf<T>>> {
    const isElsewhere = task.kind === 'archive-segment' && task.origin !== undefined;
    return isElsewhere ? this.#hosts.run(task, signal, hooks) : this.#threads.run(task, signal, hooks);
  }

  warmUp(): void {
    this.#threads.warmUp();
  }

  async close(): Promise<void> {
    try {
      await this.#threads.close();
    } finally {
      await this.#hosts.close();
    }
  }
}
