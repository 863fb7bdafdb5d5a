/** Keeps the process small: how V8 grows large heaps, and what the C library does with memory that was given back. */
import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';

/** Parameters of mallopt(3) in glibc. */
const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;
/** What is as large as that, or larger, is given back to the system as soon as it is freed: a part of an upload has five times as much. */
const GIVEN_BACK_BYTES = 1024 ** 2;

/**
 * From now on heaps grow in small steps: for the daemon, which had 384 MiB after 20 minutes of the soak without it and 219 with
 * it, and for a run whose plan and receipts are most of what the process holds. Not before, as
 * Node takes its own code, which it has compiled, under V8's default settings only: under others each thread starts with 40 ms
 * of compiling, and collects its young generation twice as often.
 */
export function growHeapsSlowly(): void {
  setFlagsFromString('--optimize-for-size');
}

/** Takes that back: V8 is then as it was at the start, as its compiled code will be loaded. */
export function growHeapsAsUsual(): void {
  setFlagsFromString('--no-optimize-for-size');
}

let giveBack = (): void => undefined;

/**
 * Gives back what the C library keeps of what was freed, from all its arenas: 3 MB after a start, in under a millisecond. Without
 * {@link tuneAllocator}, or where that could do nothing, this does nothing.
 */
export function giveBackFreed(): void {
  giveBack();
}

/**
 * glibc gives each thread arenas of its own, and keeps in them what was freed; and each big block that is freed makes it
 * keep bigger ones. With one arena and fixed thresholds, a part that was sent goes back to the system at once. Without
 * koffi, or with another C library, nothing is done. To be called before a thread is started.
 */
export function tuneAllocator(): void {
  if (process.platform !== 'linux') return;
  try {
    const koffi = createRequire(import.meta.filename)('koffi') as typeof import('koffi');
    const libc = koffi.load('libc.so.6');
    const mallopt = libc.func('int mallopt(int parameter, int value)') as (parameter: number, value: number) => number;
    const trim = libc.func('int malloc_trim(size_t pad)') as (pad: number) => number;
    giveBack = () => void trim(0);
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, GIVEN_BACK_BYTES);
    mallopt(M_TRIM_THRESHOLD, GIVEN_BACK_BYTES);
  } catch {
    // It is an optimisation; the bound that `check` prints holds without it.
  }
}
