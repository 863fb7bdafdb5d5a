/**
 * Which generation of its own config a host does a segment by. Where it has done segments of a generation of the config of who leads
 * a run, the later ones are done by the same; what it has not, is done by the config in force. So a run keeps to one over a reload,
 * and a config that was mended counts at once for what could not be done with it before.
 */
import type { Binding } from '../../segment/binding.ts';
import type { Bindings } from '../bindings.ts';
import type { Job } from './messages.ts';

/** Generations of its own that a host keeps: reloads while one run is in progress. */
const MOST_OWN = 20;

export class HostGenerations {
  readonly #bindings: Bindings;
  /** By coordinator and generation of its config, in the order in which they first served. */
  readonly #served = new Map<string, Map<number, number>>();
  #current: number;

  constructor(bindings: Bindings, config: Binding) {
    this.#bindings = bindings;
    this.#current = bindings.add(config);
  }

  reload(config: Binding): void {
    this.#current = this.#bindings.add(config);
  }

  /** The own generation by which a segment is to be done. */
  of({ coordinator, generation, generations }: Job): number {
    const served = this.#served.get(coordinator);
    if (served === undefined) return this.#current;
    // A job may have waited, and knows nothing of generations that came since.
    const latest = Math.max(generation, ...generations);
    for (const theirs of served.keys())
      if (theirs < latest && theirs !== generation && !generations.includes(theirs)) served.delete(theirs);
    return served.get(generation) ?? this.#current;
  }

  /** A segment was done by that own generation. */
  served({ coordinator, generation }: Job, own: number): void {
    const served = this.#served.get(coordinator) ?? new Map<number, number>();
    this.#served.set(coordinator, served);
    if (!served.has(generation)) served.set(generation, own);
  }

  /** These coordinators are not gone; what the others began is no run of anybody any more. */
  forgetOthers(coordinators: ReadonlySet<string>): void {
    for (const coordinator of this.#served.keys()) if (!coordinators.has(coordinator)) this.#served.delete(coordinator);
  }

  /** Drops the own generations that nothing goes by any more; `held` are those of segments in progress. */
  drop(held: Iterable<number>): void {
    const used = new Set([this.#current, ...held]);
    const kept = new Set([...this.#served.values()].flatMap((served) => [...served.values()]));
    const tooMany = [...kept].sort((a, b) => a - b).slice(0, Math.max(0, kept.size - MOST_OWN));
    for (const served of this.#served.values())
      for (const [theirs, own] of served) if (tooMany.includes(own)) served.delete(theirs);
    for (const own of this.#bindings.generations)
      if (!used.has(own) && (!kept.has(own) || tooMany.includes(own))) this.#bindings.drop(own);
  }
}
