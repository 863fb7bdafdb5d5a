/** What a thread keeps from one task for the next, and closes when nobody has asked for it for a while. */

/** Far more than lies between two tasks of a run, or between two short runs. */
const IDLE_MS = 2000;

interface Entry<V> {
  value: V;
  timer: NodeJS.Timeout;
}

const ALL = new Set<Kept<unknown, unknown>>();

/** One value of each key, for one task at a time. */
export class Kept<K, V> {
  readonly #entries = new Map<K, Entry<V>>();
  readonly #close: (value: V) => Promise<void> | void;
  readonly #idleMs: number;

  /** `close` must not throw. */
  constructor(close: (value: V) => Promise<void> | void, idleMs = IDLE_MS) {
    this.#close = close;
    this.#idleMs = idleMs;
    ALL.add(this as Kept<unknown, unknown>);
  }

  /** What was kept; it belongs to whoever takes it. */
  take(key: K): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    clearTimeout(entry.timer);
    this.#entries.delete(key);
    return entry.value;
  }

  async keep(key: K, value: V): Promise<void> {
    const before = this.take(key);
    const timer = setTimeout(() => {
      this.#entries.delete(key);
      void this.#close(value);
    }, this.#idleMs);
    // It keeps no thread alive.
    timer.unref();
    this.#entries.set(key, { value, timer });
    if (before !== undefined) await this.#close(before);
  }

  /** Closes all that is kept. */
  async letGo(): Promise<void> {
    const values = [...this.#entries.values()].map(({ value, timer }) => {
      clearTimeout(timer);
      return value;
    });
    this.#entries.clear();
    await Promise.all(values.map(async (value) => this.#close(value)));
  }
}

/** Closes all that this thread keeps. */
export async function letGoOfAll(): Promise<void> {
  await Promise.all([...ALL].map((kept) => kept.letGo()));
}
