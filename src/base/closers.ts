/** Closers run last-in, first-out: whoever opens a thing registers its closing at once. */

/** A stack of things to close. */
export class Closers {
  readonly #stack: { name: string; close: () => Promise<void> | void }[] = [];

  /** Registers `close`; `name` says in an error which one failed. */
  add(name: string, close: () => Promise<void> | void): void {
    this.#stack.push({ name, close });
  }

  /** Runs all closers in reverse, every one of them even when some throw; then throws what was collected. */
  async close(): Promise<void> {
    const errors: unknown[] = [];
    for (let entry = this.#stack.pop(); entry !== undefined; entry = this.#stack.pop()) {
      try {
        await entry.close();
      } catch (error) {
        errors.push(new Error(`closing ${entry.name} failed`, { cause: error }));
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'closing failed');
  }
}
