/** The generations of the config that runs go by, each with its sources and destinations: a new one with each reload. */
import type { Binding } from '../segment/binding.ts';

export class Bindings {
  readonly #bindings = new Map<number, Binding>();
  #last = 0;

  /** Those that are kept, oldest first. */
  get generations(): number[] {
    return [...this.#bindings.keys()];
  }

  /** Keeps the sources and destinations of a config until its generation, which is returned, is dropped. */
  add({ sources, destinations }: Binding): number {
    this.#last += 1;
    this.#bindings.set(this.#last, { sources, destinations });
    return this.#last;
  }

  of(generation: number): Binding {
    const binding = this.#bindings.get(generation);
    if (binding === undefined) throw new Error(`generation ${generation} of the config has been dropped`);
    return binding;
  }

  /** To be called once no run goes by it any more. */
  drop(generation: number): void {
    this.#bindings.delete(generation);
  }
}
