/**
 * The generations of the config that this thread knows: module state, as a thread does tasks of many runs.
 *
 * A thread asks for a generation over the port of its first task of it. Nobody else could tell it in time: threads start
 * when there is work and end when there is none, live through reloads, and the pool chooses which of them gets a task; so
 * the control plane does not know which thread knows what, and need not. With each task comes the list of the generations
 * that a run may still use; the others are forgotten.
 */
import type { Binding } from './binding.ts';

const known = new Map<number, Binding>();

/** The binding of a generation; `ask` gets it from the control plane when this thread does not know it. */
export async function bindingOf(
  generation: number,
  live: readonly number[],
  ask: () => Promise<Binding>,
): Promise<Binding> {
  for (const one of known.keys()) if (!live.includes(one)) known.delete(one);
  const binding = known.get(generation) ?? (await ask());
  known.set(generation, binding);
  return binding;
}
